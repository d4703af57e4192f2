// From the residual stream to logprobs and back: final norm, vocabulary logits, log-softmax at the targets. Only the rows whose
// logprob is wanted are computed, in chunks, so the logits of a whole batch never exist; the backward makes each chunk again.
// It knows no loss. Legend: S selected rows, D hidden, V vocabulary.

import type { ModelContext } from "./activations.ts";
import type { Buffer } from "./device/types.ts";
import { LEAST_LOGIT_ROWS } from "./memory-plan.ts";
import { linear, linearBackward, rmsNormBackward } from "./model.ts";
import type { WeightTree } from "./weights.ts";

/** The rows whose logprob is wanted, and the tokens they should predict (i32, S entries each); a row may come several times. */
export interface SelectedRows {
  readonly count: number;
  readonly rows: Buffer;
  readonly targets: Buffer;
}

interface HeadActivations {
  readonly selected: Buffer;
  readonly normed: Buffer;
  readonly rstd: Buffer;
  readonly logprobs: Buffer;
  readonly lse: Buffer;
  readonly logits: Buffer;
}

interface Chunk {
  readonly rows: number;
  readonly normed: Buffer;
  readonly logprobs: Buffer;
  readonly lse: Buffer;
  readonly targets: Buffer;
  readonly start: number;
}

/** Final norm and logits [S, V] of the given rows of x [R, D], for sampling. Valid until the next pass. */
export function selectedLogits(m: ModelContext, w: WeightTree, x: Buffer, rows: Buffer, count: number): Buffer {
  const a = headActivations(m, count, count);
  if (count === 0) return a.logits;
  normSelected(m, w, a, x, rows, count);
  linear(m, a.logits, a.normed, w.head, count);
  return a.logits;
}

/** Logprob of each target [S], on the host. */
export function forwardHead(m: ModelContext, w: WeightTree, x: Buffer, s: SelectedRows): Float32Array {
  const chunkRows = rowsPerChunk(m, s.count);
  const a = headActivations(m, s.count, chunkRows);
  normSelected(m, w, a, x, s.rows, s.count);
  for (const chunk of chunks(m, a, s, chunkRows)) forwardChunk(m, w, a, chunk);
  return m.device.download(a.logprobs, 0, s.count) as Float32Array;
}

/** Writes dx [R, D], the gradient of x, from dlogprobs [S]; adds gradients of head and final norm. Must follow `forwardHead`. */
export function backwardHead(m: ModelContext, w: WeightTree, dx: Buffer, s: SelectedRows, dlogprobs: Float32Array): void {
  const { device: d, pool, config } = m;
  const { vocabSize: V, hiddenSize: D } = config;
  const chunkRows = rowsPerChunk(m, s.count);
  const a = headActivations(m, s.count, chunkRows);
  const dLogprobs = pool.take("head.dLogprobs", s.count);
  const dNormed = pool.take("head.dNormed", s.count * D);
  const dSelected = pool.take("head.dSelected", s.count * D);
  d.upload(dLogprobs, dlogprobs);
  for (const chunk of chunks(m, a, s, chunkRows)) {
    // logits = normed·Wheadᵀ; a single chunk still holds them from the forward pass
    if (chunk.rows < s.count) forwardChunk(m, w, a, chunk);
    // logprobs = logits[target] - lse
    d.logprobBackward(a.logits, d.view(dLogprobs, chunk.start, chunk.rows), chunk.lse, chunk.targets, chunk.rows, V);
    // logits = normed·Wheadᵀ
    linearBackward(m, d.view(dNormed, chunk.start * D, chunk.rows * D), a.logits, chunk.normed, w.head, chunk.rows);
  }
  // normed = rmsNorm(selected)
  rmsNormBackward(m, dSelected, dNormed, a.selected, w.finalNorm, a.rstd, s.count, D, false);
  // selected = x[rows]
  d.zero(dx);
  d.scatterAddRows(dx, dSelected, s.rows, s.count, D);
}

function headActivations(m: ModelContext, count: number, logitRows: number): HeadActivations {
  const { hiddenSize: D, vocabSize: V } = m.config;
  return {
    selected: m.pool.take("head.selected", count * D),
    normed: m.pool.take("head.normed", count * D),
    rstd: m.pool.take("head.rstd", count),
    logprobs: m.pool.take("head.logprobs", count),
    lse: m.pool.take("head.lse", count),
    logits: m.pool.take("head.logits", logitRows * V),
  };
}

function normSelected(m: ModelContext, w: WeightTree, a: HeadActivations, x: Buffer, rows: Buffer, count: number): void {
  const { hiddenSize: D, normEps } = m.config;
  m.device.gatherRows(a.selected, x, rows, count, D);
  m.device.rmsNorm(a.normed, a.rstd, a.selected, w.finalNorm.value, count, D, normEps);
}

function forwardChunk(m: ModelContext, w: WeightTree, a: HeadActivations, chunk: Chunk): void {
  linear(m, a.logits, chunk.normed, w.head, chunk.rows);
  m.device.logprob(chunk.logprobs, chunk.lse, a.logits, chunk.targets, chunk.rows, m.config.vocabSize);
}

function rowsPerChunk(m: ModelContext, count: number): number {
  return Math.min(count, Math.max(LEAST_LOGIT_ROWS, Math.floor(m.logitElements / m.config.vocabSize)));
}

function chunks(m: ModelContext, a: HeadActivations, s: SelectedRows, chunkRows: number): Chunk[] {
  const { device: d, config } = m;
  const out: Chunk[] = [];
  for (let start = 0; start < s.count; start += chunkRows) {
    const rows = Math.min(chunkRows, s.count - start);
    const part = (buffer: Buffer, perRow: number): Buffer => d.view(buffer, start * perRow, rows * perRow);
    out.push({
      rows,
      start,
      normed: part(a.normed, config.hiddenSize),
      logprobs: part(a.logprobs, 1),
      lse: part(a.lse, 1),
      targets: part(s.targets, 1),
    });
  }
  return out;
}
