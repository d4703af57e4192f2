// The losses of the Tinker protocol as exact sums over tokens, with their derivatives by the logprob. lp is the training logprob, old the
// sampler's, A the advantage, w the weight, ρ = exp(lp − old). Pure; knows no model.
//   cross_entropy        −w·lp                                        w of either sign: −dC/dlp applies the gradient of any loss C
//   importance_sampling  −w·ρ·A
//   ppo                  −w·min(ρ·A, clip(ρ, low, high)·A)            low, high are bounds of the ratio
//   cispo                −w·sg(clip(ρ, low, high))·A·lp               sg: held fixed when differentiating
// Source: the public documentation of the Tinker service; ppo 1707.06347; cispo 2506.13585, eq. 4 and 5.

import type { Datum, LossFn } from "../../engine/types.ts";

/** The losses that this server knows. */
export const LOSSES = ["cross_entropy", "importance_sampling", "ppo", "cispo"] as const;
export type LossName = (typeof LOSSES)[number];

/** What a loss reads of one sequence, all of one length; `old` and `advantages` are needed by all but cross_entropy. */
export interface LossInputs {
  readonly weights: Float32Array;
  readonly advantages?: Float32Array;
  readonly old?: Float32Array;
}

/** Bounds of the importance ratio. */
export interface RatioBounds {
  readonly low: number;
  readonly high: number;
}

/** A sequence on its way through a loss. */
export interface LossDatum extends Datum {
  readonly loss: LossInputs;
}

/** What a loss left of one sequence. */
export interface LossOutput {
  readonly logprobs: Float32Array;
  readonly elementwise: Float32Array;
}

/** The loss as a trainer's function; what it saw of each datum is put into `outputs`. */
export function tinkerLoss(name: LossName, bounds: RatioBounds, outputs: Map<Datum, LossOutput>): LossFn {
  return (logprobs, datum) => {
    const elementwise = new Float32Array(logprobs.length);
    const dLogprobs = new Float32Array(logprobs.length);
    const { loss: inputs } = datum as LossDatum;
    let loss = 0;
    for (let t = 0; t < logprobs.length; t++) {
      if (inputs.weights[t] === 0 && name !== "cross_entropy") continue;
      const token = tokenLoss(name, bounds, inputs, t, logprobs[t]);
      loss += token.value;
      elementwise[t] = token.value;
      dLogprobs[t] = token.derivative;
    }
    outputs.set(datum, { logprobs: logprobs.slice(), elementwise });
    return { loss, dLogprobs, metrics: {} };
  };
}

/** Loss of one token and its derivative by the logprob, in double precision. */
function tokenLoss(
  name: LossName,
  { low, high }: RatioBounds,
  { weights, advantages, old }: LossInputs,
  t: number,
  logprob: number,
): { value: number; derivative: number } {
  const weight = weights[t];
  if (name === "cross_entropy") return { value: -weight * logprob, derivative: -weight };
  if (advantages === undefined || old === undefined) throw new Error("internal: a policy loss without advantages or logprobs");
  const gain = weight * advantages[t];
  // A ratio that overflows times nothing is nothing.
  if (gain === 0) return { value: 0, derivative: 0 };
  const ratio = Math.exp(logprob - old[t]);
  const plain = -ratio * gain;
  if (name === "importance_sampling") return { value: plain, derivative: plain };
  const clipped = -Math.min(Math.max(ratio, low), high) * gain;
  if (name === "cispo") return { value: clipped * logprob, derivative: clipped };
  return clipped > plain ? { value: clipped, derivative: 0 } : { value: plain, derivative: plain };
}
