// Watches the numbers of a training pass: a loss, a gradient or a logprob that is not finite is caught before the backward pass, and
// the datum it came from is found. Knows no phase and no rollout.

import type { AdamWParams, Datum, LossFn, Trainer } from "../engine/types.ts";
import { type MismatchMeasure, measureMismatch } from "./correction.ts";

/** Why an update was held back. `value` is a text, because JSON has no NaN. */
export interface SkippedUpdate {
  readonly reason: "logprob" | "loss" | "loss gradient" | "gradient norm" | "gradient spike";
  readonly value: string;
  /** Index of the datum it came from; absent when no single datum is to blame. */
  readonly datum?: number;
  /** Largest norm that was allowed, of a spike. */
  readonly bound?: number;
}

/** A loss under watch. Data are known by identity, so an engine may hand them over in any order. */
export interface WatchedLoss {
  /** The same loss; for a bad datum it gives a gradient of zeros, so that nothing bad is propagated. */
  readonly loss: LossFn;
  /** The first bad datum in data order, if there was one. */
  readonly offence: () => SkippedUpdate | undefined;
  /** Mismatch of the data that the loss has seen. */
  readonly mismatch: () => MismatchMeasure;
}

/** Puts a loss over `data` under watch. */
export function watchLoss(loss: LossFn, data: readonly Datum[]): WatchedLoss {
  const offences = new Map<Datum, SkippedUpdate>();
  const seen = new Map<Datum, Float32Array>();
  return {
    loss: (logprobs, datum) => {
      const result = loss(logprobs, datum);
      const offence = offenceOf(logprobs, datum, result);
      if (offence === undefined) {
        seen.set(datum, logprobs);
        return result;
      }
      offences.set(datum, offence);
      return { loss: 0, dLogprobs: new Float32Array(logprobs.length), metrics: {} };
    },
    offence: () => {
      const datum = data.findIndex((one) => offences.has(one));
      const offence = offences.get(data[datum]);
      return offence && { ...offence, datum };
    },
    mismatch: () => {
      const watched = data.filter((datum) => seen.has(datum));
      return measureMismatch(
        watched,
        watched.map((datum) => seen.get(datum) as Float32Array),
      );
    },
  };
}

function offenceOf(
  logprobs: Float32Array,
  { weights, samplingLogprobs, referenceLogprobs }: Datum,
  { loss, dLogprobs }: ReturnType<LossFn>,
): SkippedUpdate | undefined {
  for (const field of [logprobs, samplingLogprobs, referenceLogprobs])
    for (let t = 0; field !== undefined && t < weights.length; t++)
      if (weights[t] !== 0 && !Number.isFinite(field[t])) return { reason: "logprob", value: `${field[t]}` };
  if (!Number.isFinite(loss)) return { reason: "loss", value: `${loss}` };
  const bad = dLogprobs.find((value) => !Number.isFinite(value));
  return bad === undefined ? undefined : { reason: "loss gradient", value: `${bad}` };
}

/**
 * The datum whose gradient alone is not finite, found by halves at the price of about one more pass; undefined when each is finite.
 * Weights and optimizer are as before afterwards, and the gradient is cleared.
 */
export async function findOffender(
  trainer: Trainer,
  data: readonly Datum[],
  loss: LossFn,
  optimizer: AdamWParams,
): Promise<number | undefined> {
  const finite = async (from: number, to: number) => {
    await trainer.forwardBackward(data.slice(from, to), loss);
    return Number.isFinite((await trainer.optimStep({ ...optimizer, skipAbove: -1 })).gradNorm);
  };
  let [low, high] = [0, data.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (await finite(low, middle)) low = middle;
    else high = middle;
  }
  return (await finite(low, high)) ? undefined : low;
}
