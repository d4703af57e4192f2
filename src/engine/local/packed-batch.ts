// Sequences laid one after another without padding: what a training or scoring pass uploads. Pure planning, no device.
// Rows after the last trained position of a sequence influence nothing (attention is causal), so they are left out.
// Also splits data into micro-batches. Suffix _R: one entry per row; _S: one per selected row (a row whose logprob is wanted).

import { DataError } from "../../util/errors.ts";
import type { Datum } from "../types.ts";

/** Token ids (N) and per-target weights (N - 1); a weight of 0 means that logprob is not wanted. */
export type Sequence = Pick<Datum, "tokens" | "weights">;

/** Host arrays of one packed batch. */
export interface BatchPlan {
  readonly rows: number;
  readonly tokens_R: Int32Array;
  readonly positions_R: Int32Array;
  /** First row of the sequence, and number of rows from it up to and with this one. */
  readonly start_R: Int32Array;
  readonly length_R: Int32Array;
  /** Row offsets of the sequences that have rows, closed by `rows`. */
  readonly offsets: Int32Array;
  /** Per sequence: index of the sequence that is its prefix, or -1. */
  readonly prefix: Int32Array;
  readonly selectedRows_S: Int32Array;
  readonly targets_S: Int32Array;
  /** Largest position + 1. */
  readonly positions: number;
}

/** Limits that a sequence must keep. */
export interface BatchLimits {
  readonly vocabSize: number;
  readonly maxPositions: number;
}

/** Lays out `data`. Errors: DataError when a sequence is too long, has a token outside the vocabulary or weights of another length. */
export function planBatch(data: readonly Sequence[], limits: BatchLimits): BatchPlan {
  const rowsOf = data.map((sequence, i) => checkedRows(sequence, i, limits));
  const rows = rowsOf.reduce((sum, n) => sum + n, 0);
  const columns = Array.from({ length: 4 }, () => new Int32Array(rows));
  const [tokens_R, positions_R, start_R, length_R] = columns;
  const offsets: number[] = [];
  const selected: number[] = [];
  const targets: number[] = [];
  let start = 0;
  data.forEach(({ tokens, weights }, i) => {
    if (rowsOf[i] > 0) offsets.push(start);
    for (let t = 0; t < rowsOf[i]; t++) {
      tokens_R[start + t] = tokens[t];
      positions_R[start + t] = t;
      start_R[start + t] = start;
      length_R[start + t] = t + 1;
      if (weights[t] === 0) continue;
      selected.push(start + t);
      targets.push(tokens[t + 1]);
    }
    start += rowsOf[i];
  });
  offsets.push(rows);
  return {
    rows,
    tokens_R,
    positions_R,
    start_R,
    length_R,
    offsets: Int32Array.from(offsets),
    prefix: new Int32Array(offsets.length - 1).fill(-1),
    selectedRows_S: Int32Array.from(selected),
    targets_S: Int32Array.from(targets),
    positions: Math.max(0, ...rowsOf),
  };
}

/** Spreads one value per selected row over N - 1 entries per sequence; the others are 0. */
export function spreadSelected(data: readonly Sequence[], values_S: ArrayLike<number>): Float32Array[] {
  let next = 0;
  return data.map(({ weights }) => {
    const out = new Float32Array(weights.length);
    for (let t = 0; t < out.length; t++) if (weights[t] !== 0) out[t] = values_S[next++];
    return out;
  });
}

/** Inverse of `spreadSelected`: the entries with a weight, in order. Errors: DataError when the shapes differ from the weights'. */
export function gatherSelected(data: readonly Sequence[], values: readonly Float32Array[]): Float32Array {
  const out: number[] = [];
  data.forEach(({ weights }, i) => {
    if (values[i]?.length !== weights.length) {
      throw new DataError(
        `sequence ${i}: expected ${weights.length} gradients, got ${values[i]?.length ?? "none"}. One per logprob.`,
      );
    }
    for (let t = 0; t < weights.length; t++) if (weights[t] !== 0) out.push(values[i][t]);
  });
  return Float32Array.from(out);
}

/**
 * Splits data, in order, into runs [start, end) of at most `maxTokens` computed rows; one longer sequence is a run of its own.
 * The split changes memory, not gradients (beyond the rounding of sums).
 */
export function packMicroBatches(data: readonly Sequence[], maxTokens: number): { start: number; end: number }[] {
  const runs: { start: number; end: number }[] = [];
  let start = 0;
  let used = 0;
  data.forEach((sequence, i) => {
    const rows = trainedRows(sequence.weights);
    if (i > start && used + rows > maxTokens) {
      runs.push({ start, end: i });
      start = i;
      used = 0;
    }
    used += rows;
  });
  if (data.length > start) runs.push({ start, end: data.length });
  return runs;
}

/** Rows that must be computed: up to the last position with a weight. */
function trainedRows(weights: Float32Array): number {
  let rows = weights.length;
  while (rows > 0 && weights[rows - 1] === 0) rows--;
  return rows;
}

function checkedRows({ tokens, weights }: Sequence, index: number, limits: BatchLimits): number {
  const where = `sequence ${index}`;
  if (weights.length !== Math.max(0, tokens.length - 1)) {
    throw new DataError(
      `${where}: expected ${tokens.length - 1} weights for ${tokens.length} tokens, got ${weights.length}. One per target.`,
    );
  }
  const rows = trainedRows(weights);
  if (rows > limits.maxPositions) {
    throw new DataError(
      `${where}: expected at most ${limits.maxPositions} tokens, got ${tokens.length}. The model knows no more positions.`,
    );
  }
  for (let t = 0; t <= rows && t < tokens.length; t++) {
    if (tokens[t] >= 0 && tokens[t] < limits.vocabSize) continue;
    throw new DataError(
      `${where}: expected token ids below ${limits.vocabSize}, got ${tokens[t]}. Tokenizer and model must belong together.`,
    );
  }
  return rows;
}
