// Which lines each step trains on, and at which rate: pure functions of sizes, options and a seed.

import type { Rng } from "../util/rng.ts";

/** Learning rate over a run: linear warm-up, constant, linear decay over the last steps. */
export interface RateSchedule {
  readonly learningRate: number;
  /** Steps of linear warm-up from 0; step `warmup` is the first at the full rate. */
  readonly warmup: number;
  /** Final rate as a share of the full one; used when decaySteps > 0. */
  readonly decayTo: number;
  /** Number of last steps over which the rate falls linearly. */
  readonly decaySteps: number;
}

/** The rate of a step in 1 … steps. */
export function rateAt(step: number, steps: number, schedule: RateSchedule): number {
  const { learningRate, warmup, decayTo, decaySteps } = schedule;
  if (step <= warmup) return (learningRate * step) / warmup;
  const into = step - (steps - decaySteps);
  if (into <= 0) return learningRate;
  return learningRate * (1 - (1 - decayTo) * (into / decaySteps));
}

/** How lines become batches. */
export type Batching =
  | { readonly kind: "all" }
  /** This many lines a step. */
  | { readonly kind: "lines"; readonly lines: number }
  /** As many lines as fit this many tokens, at least one. */
  | { readonly kind: "tokens"; readonly tokens: number };

/** Line indices of each step of one pass over the data. "all" keeps the order; the others shuffle by `rng`. */
export function batchesOf(lengths: readonly number[], batching: Batching, rng: Rng): number[][] {
  const order = lengths.map((_, index) => index);
  if (batching.kind === "all") return [order];
  rng.shuffle(order);
  const batches: number[][] = [];
  let batch: number[] = [];
  let tokens = 0;
  for (const index of order) {
    const full = batching.kind === "lines" ? batch.length >= batching.lines : tokens + lengths[index] > batching.tokens;
    if (full && batch.length > 0) {
      batches.push(batch);
      batch = [];
      tokens = 0;
    }
    batch.push(index);
    tokens += lengths[index];
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
