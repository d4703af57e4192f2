// Sampler mismatch: rollouts come from one program (vLLM, SGLang, a served model), gradients from another, and their logprobs of the same
// tokens under the same weights differ. Here it is measured, and corrected by truncated importance weights and by masks. Pure; what has
// no mismatch is left as it is, to the bit. d = training − sampling logprob, both before the step's first update; r = exp(d).
//   token     w_t = min(r_t, C)                       truncated importance sampling, Yao et al. 2025 (fengyao.notion.site/off-policy-rl)
//   sequence  w = min(exp(Σ_t d_t), C)                the same of whole sequences: no bias, more variance
//   masks     tokens with r_t, sequences with exp(mean_t d_t), outside [low, high] are not trained on and leave the denominator
// With any of them on, the loss's importance ratio is taken to the trainer's logprobs, so that it holds the policy's change alone.

import type { Datum } from "../engine/types.ts";
import { clamp } from "./policy-loss.ts";

/** [low, high] of a probability ratio; outside is masked. */
export type RatioBand = readonly [low: number, high: number];

/** How mismatch is corrected. */
export interface CorrectionOptions {
  /** Which importance weights; `none`: 1. */
  readonly importance: "none" | "token" | "sequence";
  /** C, the largest importance weight. */
  readonly truncate: number;
  /** Band of a token's ratio; absent: no token is masked. */
  readonly tokenMask?: RatioBand;
  /** Band of a sequence's geometric mean ratio; absent: no sequence is masked. */
  readonly sequenceMask?: RatioBand;
}

/** Mismatch over the trained tokens of a rollout step, in nats; all 0 when sampler and trainer agree. */
export interface MismatchMeasure {
  readonly tokens: number;
  /** Means and largest value of |d|. */
  readonly mean: number;
  readonly max: number;
  /** Mean of exp(d) − 1 − d, an estimate of KL(sampler ‖ trainer) that is never negative. */
  readonly k3: number;
}

/** Corrected data: weights are 0 where masked, `factors` are the importance weights, to be multiplied in after normalisation. */
export interface Corrected {
  readonly data: readonly Datum[];
  readonly factors: readonly Float32Array[] | undefined;
  readonly mismatch: MismatchMeasure;
  /** Share of the trained tokens that were masked, and mean importance weight of the others. */
  readonly masked: number;
  readonly meanFactor: number;
}

const MAX_LOG_RATIO = 20;

/** Whether the options change anything at all. */
export function isCorrecting(options: CorrectionOptions | undefined): options is CorrectionOptions {
  if (options === undefined) return false;
  return options.importance !== "none" || options.tokenMask !== undefined || options.sequenceMask !== undefined;
}

/** Mismatch of some sequences. Their data need samplingLogprobs. Errors: internal without them. */
export function measureMismatch(data: readonly Datum[], trainingLogprobs: readonly Float32Array[]): MismatchMeasure {
  let [tokens, sum, max, k3] = [0, 0, 0, 0];
  data.forEach((datum, i) => {
    const sampling = samplingOf(datum);
    for (let t = 0; t < datum.weights.length; t++) {
      if (datum.weights[t] === 0) continue;
      const d = trainingLogprobs[i][t] - sampling[t];
      tokens++;
      sum += Math.abs(d);
      max = Math.max(max, Math.abs(d)); // a NaN shows
      k3 += Math.expm1(clamp(d, MAX_LOG_RATIO)) - clamp(d, MAX_LOG_RATIO);
    }
  });
  return { tokens, mean: tokens === 0 ? 0 : sum / tokens, max, k3: tokens === 0 ? 0 : k3 / tokens };
}

/** Measures and corrects the data of a rollout step, given the trainer's logprobs before its first update. */
export function correct(
  data: readonly Datum[],
  trainingLogprobs: readonly Float32Array[],
  options: CorrectionOptions,
): Corrected {
  const mismatch = measureMismatch(data, trainingLogprobs);
  if (mismatch.max === 0) return { data, factors: undefined, mismatch, masked: 0, meanFactor: 1 };
  const factors = data.map((datum, i) => importanceWeights(datum, trainingLogprobs[i], options));
  const corrected = data.map((datum, i) => ({
    ...datum,
    weights: maskedWeights(datum, trainingLogprobs[i], options),
    samplingLogprobs: trainingLogprobs[i],
  }));
  let [kept, sum] = [0, 0];
  corrected.forEach(({ weights }, i) => {
    for (let t = 0; t < weights.length; t++) {
      if (weights[t] === 0) continue;
      kept++;
      sum += factors[i][t];
    }
  });
  const masked = (mismatch.tokens - kept) / mismatch.tokens;
  return { data: corrected, factors, mismatch, masked, meanFactor: kept === 0 ? 0 : sum / kept };
}

/** Data whose normalised weights are multiplied by their importance weights. */
export function withFactors(data: readonly Datum[], factors: readonly Float32Array[] | undefined): readonly Datum[] {
  if (factors === undefined) return data;
  return data.map((datum, i) => ({ ...datum, weights: datum.weights.map((weight, t) => weight * factors[i][t]) }));
}

function importanceWeights(datum: Datum, training: Float32Array, { importance, truncate }: CorrectionOptions): Float32Array {
  const ratio = (logRatio: number) => Math.min(Math.exp(clamp(logRatio, MAX_LOG_RATIO)), truncate);
  const factors = new Float32Array(training.length).fill(1);
  if (importance === "none") return factors;
  if (importance === "sequence") return factors.fill(ratio(sumOfDifferences(datum, training).sum));
  const sampling = samplingOf(datum);
  return factors.map((_, t) => (datum.weights[t] === 0 ? 1 : ratio(training[t] - sampling[t])));
}

function maskedWeights(datum: Datum, training: Float32Array, { tokenMask, sequenceMask }: CorrectionOptions): Float32Array {
  const { weights } = datum;
  const sampling = samplingOf(datum);
  const { sum, tokens } = sumOfDifferences(datum, training);
  if (sequenceMask !== undefined && tokens > 0 && isOutside(Math.exp(sum / tokens), sequenceMask))
    return new Float32Array(weights.length);
  if (tokenMask === undefined) return weights;
  return weights.map((weight, t) => (weight !== 0 && isOutside(Math.exp(training[t] - sampling[t]), tokenMask) ? 0 : weight));
}

function isOutside(ratio: number, [low, high]: RatioBand): boolean {
  return ratio < low || ratio > high;
}

/** Σ d over the trained tokens, and how many those are. */
function sumOfDifferences(datum: Datum, training: Float32Array): { sum: number; tokens: number } {
  const sampling = samplingOf(datum);
  let [sum, tokens] = [0, 0];
  for (let t = 0; t < datum.weights.length; t++) {
    if (datum.weights[t] === 0) continue;
    sum += training[t] - sampling[t];
    tokens++;
  }
  return { sum, tokens };
}

function samplingOf({ samplingLogprobs }: Datum): Float32Array {
  if (samplingLogprobs === undefined) throw new Error("internal: sampler mismatch needs samplingLogprobs");
  return samplingLogprobs;
}
