// Sequences laid one after another without padding: what a training or scoring pass uploads. Pure planning, no device.
// Sequences with the same prompt share its rows: it is computed once, as a prefix of what follows it in each of them.
// Rows after the last trained position of a sequence influence nothing (attention is causal), so they are left out.
// Also splits data into micro-batches. Suffix _R: one entry per row; _S: one per wanted logprob.

import { DataError } from "../../util/errors.ts";
import { hashTokens } from "../../util/rng.ts";
import type { Datum } from "../types.ts";

/** Token ids (N) and per-target weights (N - 1); a weight of 0 means that logprob is not wanted. */
export type Sequence = Pick<Datum, "tokens" | "weights">;

/** Host arrays of one packed batch. */
export interface BatchPlan {
  readonly rows: number;
  readonly tokens_R: Int32Array;
  readonly positions_R: Int32Array;
  /** Rows of the shared prompt that a row continues; length 0 where there is none. */
  readonly prefixStart_R: Int32Array;
  readonly prefixLength_R: Int32Array;
  /** First row of the row's own sequence, and number of rows from it up to and with this one. */
  readonly start_R: Int32Array;
  readonly length_R: Int32Array;
  /** Row offsets of the sequences that have rows (a shared prompt is one of them), closed by `rows`. */
  readonly offsets: Int32Array;
  /** Per sequence: index of the sequence that is its prefix, or -1. */
  readonly prefix: Int32Array;
  /** In the order of the data; the last row of a shared prompt may come several times, with the targets of its completions. */
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
  const groups = groupByPrompt(data);
  const layout = new Layout(groups.reduce((sum, group) => sum + groupRows(data, group), 0));
  /** Per sequence: rows it shares, their start, and the start of its own. */
  const placed: { shared: number; prompt: number; own: number }[] = new Array(data.length);
  for (const group of groups) {
    const { tokens, weights } = data[group[0]];
    const shared = group.length > 1 ? promptRows(weights) : 0;
    const prompt = layout.add(tokens, 0, shared);
    const parent = shared > 0 ? layout.sequences - 1 : -1;
    for (const i of group) placed[i] = { shared, prompt, own: layout.add(data[i].tokens, shared, rowsOf[i], prompt, parent) };
  }
  const selected: number[] = [];
  const targets: number[] = [];
  data.forEach(({ tokens, weights }, i) => {
    for (let t = 0; t < rowsOf[i]; t++) {
      if (weights[t] === 0) continue;
      const { shared, prompt, own } = placed[i];
      selected.push(t < shared ? prompt + t : own + t - shared);
      targets.push(tokens[t + 1]);
    }
  });
  return {
    ...layout.plan(),
    selectedRows_S: Int32Array.from(selected),
    targets_S: Int32Array.from(targets),
    positions: Math.max(0, ...rowsOf),
  };
}

/** Rows as they are laid down. */
class Layout {
  /** Sequences with rows so far. */
  sequences = 0;
  readonly #rows: number;
  readonly #columns: readonly Int32Array[];
  readonly #offsets: number[] = [];
  readonly #prefix: number[] = [];
  #next = 0;

  constructor(rows: number) {
    this.#rows = rows;
    this.#columns = Array.from({ length: 6 }, () => new Int32Array(rows));
  }

  /** Adds tokens [from, to) as a sequence, behind the `from` rows at `prompt`; returns its first row. */
  add(tokens: Int32Array, from: number, to: number, prompt = 0, parent = -1): number {
    const start = this.#next;
    if (to <= from) return start;
    const [ids, positions, prefixStart, prefixLength, starts, lengths] = this.#columns;
    for (let t = from, r = start; t < to; t++, r++) {
      ids[r] = tokens[t];
      positions[r] = t;
      prefixStart[r] = from > 0 ? prompt : 0;
      prefixLength[r] = from;
      starts[r] = start;
      lengths[r] = r - start + 1;
    }
    this.#offsets.push(start);
    this.#prefix.push(parent);
    this.sequences++;
    this.#next += to - from;
    return start;
  }

  plan(): Omit<BatchPlan, "selectedRows_S" | "targets_S" | "positions"> {
    if (this.#next !== this.#rows) throw new Error(`internal: planned ${this.#rows} rows, laid down ${this.#next}`);
    const [tokens_R, positions_R, prefixStart_R, prefixLength_R, start_R, length_R] = this.#columns;
    return {
      rows: this.#rows,
      ...{ tokens_R, positions_R, prefixStart_R, prefixLength_R, start_R, length_R },
      offsets: Int32Array.from([...this.#offsets, this.#rows]),
      prefix: Int32Array.from(this.#prefix),
    };
  }
}

/**
 * Indices of the sequences that share a prompt, groups and members in the order of the data. The prompt is all before the first token
 * with a weight; sequences without weights are left out.
 */
function groupByPrompt(data: readonly Sequence[]): number[][] {
  const groups: number[][] = [];
  const byHash = new Map<string, number[][]>();
  data.forEach(({ tokens, weights }, i) => {
    const rows = promptRows(weights);
    if (rows === 0) return;
    const { low, high } = hashTokens(tokens.subarray(0, rows));
    const name = `${rows},${low},${high}`;
    const candidates = byHash.get(name) ?? [];
    const found = candidates.find(([first]) => startsAlike(data[first].tokens, tokens, rows));
    if (found !== undefined) {
      found.push(i);
      return;
    }
    const group = [i];
    groups.push(group);
    byHash.set(name, [...candidates, group]);
  });
  return groups;
}

function startsAlike(a: Int32Array, b: Int32Array, length: number): boolean {
  for (let t = 0; t < length; t++) if (a[t] !== b[t]) return false;
  return true;
}

/** Rows that a group takes: its prompt once, then what each member adds. */
function groupRows(data: readonly Sequence[], group: readonly number[]): number {
  const shared = promptRows(data[group[0]].weights);
  return group.reduce((sum, i) => sum + trainedRows(data[i].weights) - shared, shared);
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
 * Splits data into micro-batches of at most `maxTokens` computed rows, as lists of indices; one longer sequence is a micro-batch of its
 * own. Sequences with one prompt stay together while they fit; a group too large is split, and each part computes its prompt.
 * The split changes memory and speed, not gradients (beyond the rounding of sums).
 */
export function packMicroBatches(data: readonly Sequence[], maxTokens: number): number[][] {
  const batches: number[][] = [];
  let batch: number[] = [];
  let used = 0;
  const close = (): void => {
    if (batch.length > 0) batches.push(batch);
    batch = [];
    used = 0;
  };
  for (const group of groupByPrompt(data)) {
    const shared = promptRows(data[group[0]].weights);
    if (used + groupRows(data, group) > maxTokens) close();
    let paid = false;
    for (const i of group) {
      const own = trainedRows(data[i].weights) - shared;
      if (used + own + (paid ? 0 : shared) > maxTokens) {
        close();
        paid = false;
      }
      used += own + (paid ? 0 : shared);
      paid = true;
      batch.push(i);
    }
  }
  // What has no weights costs nothing, but its place in the results must be filled.
  data.forEach(({ weights }, i) => {
    if (promptRows(weights) === 0) batch.push(i);
  });
  close();
  return batches;
}

/** Rows before the first completion token: up to the one whose logprob is the first wanted; 0 when none is. */
function promptRows(weights: Float32Array): number {
  return weights.findIndex((weight) => weight !== 0) + 1;
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
