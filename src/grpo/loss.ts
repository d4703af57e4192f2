// The GRPO loss as one pure function of logprobs: per-token value, exact derivative and metrics. Knows no model, no batch:
// masks and means are already in the datum's weights, so the loss of a step is the plain sum over its data.
// Source: R-Zero section 2 and appendix; verl's dual-clip policy loss and `low_var_kl` (the bounds 20 and 10 are theirs).
//   ρ = exp(training − sampling)   policy = −min(ρA, clip(ρ)A), for A < 0 at most −c·A   d = reference − training
//   loss = Σ_T w (policy + β k3)   k3 = exp(d) − d − 1, at most 10

import type { Datum, LossFn, Metrics } from "../engine/types.ts";

/** Constants of the loss. */
export interface GrpoLossOptions {
  /** Lower clip: the ratio's lower bound is 1 − clipLow. */
  readonly clipLow: number;
  /** Upper clip: the ratio's upper bound is 1 + clipHigh. */
  readonly clipHigh: number;
  /** Dual clip: for a negative advantage the loss is at most −clipDual · A; 0 switches it off, else above 1 + clipHigh. */
  readonly clipDual: number;
  /** β, weight of the KL penalty; with 0 the reference logprobs are not needed. */
  readonly klWeight: number;
}

/** Keys of the metrics: each is Σ_T weight · value, so summed over a step's data it is that value's mean. */
export interface GrpoMetrics extends Metrics {
  /** Clipped policy loss. */
  policyLoss: number;
  /** KL penalty k3 to the reference, without β; 0 when there are no reference logprobs. */
  kl: number;
  /** Share of tokens whose ratio was above the range with A > 0: no gradient. */
  clipFractionHigh: number;
  /** Share of tokens whose ratio was below the range with A < 0: no gradient. */
  clipFractionLow: number;
  /** Share of tokens stopped by the dual clip. */
  clipFractionDual: number;
  /** Mean ρ. */
  importanceRatio: number;
  /** Mean |training − sampling| in nats. */
  logprobDifference: number;
  /** Mean −training logprob of the sampled tokens, a rough entropy, in nats. */
  entropyEstimate: number;
}

const MAX_LOG_RATIO = 20;
const MAX_K3 = 10;

/** Policy loss of one token, its derivative by the training logprob, and which bound held. */
export interface TokenPolicyLoss {
  readonly loss: number;
  readonly derivative: number;
  readonly ratio: number;
  readonly bound: "none" | "low" | "high" | "dual";
}

/** Clipped policy loss of one token from `logRatio` = training − sampling logprob. */
export function policyLoss(logRatio: number, advantage: number, options: GrpoLossOptions): TokenPolicyLoss {
  const ratio = Math.exp(clamp(logRatio, MAX_LOG_RATIO));
  const clipped = Math.min(Math.max(ratio, 1 - options.clipLow), 1 + options.clipHigh);
  const plain = -ratio * advantage;
  if (advantage < 0 && options.clipDual > 0 && Math.max(plain, -clipped * advantage) > -options.clipDual * advantage)
    return { loss: -options.clipDual * advantage, derivative: 0, ratio, bound: "dual" };
  if (-clipped * advantage > plain)
    return { loss: -clipped * advantage, derivative: 0, ratio, bound: clipped < ratio ? "high" : "low" };
  // d(−ρA)/d training = −ρA, because dρ/d training = ρ.
  return { loss: plain, derivative: Math.abs(logRatio) > MAX_LOG_RATIO ? 0 : plain, ratio, bound: "none" };
}

/** k3 of one token and its derivative by the training logprob, from d = reference − training. Never negative. */
export function k3(d: number): { readonly value: number; readonly derivative: number } {
  const bounded = clamp(d, MAX_LOG_RATIO);
  // expm1 keeps k3 exact near d = 0, where exp(d) − 1 would cancel.
  const value = Math.expm1(bounded) - bounded;
  if (value > MAX_K3) return { value: MAX_K3, derivative: 0 };
  return { value, derivative: -Math.expm1(bounded) }; // d k3/d training = −(exp(d) − 1)
}

/** Per-token fields of one sequence, in any precision; all of one length. */
export interface LossFields {
  readonly weights: ArrayLike<number>;
  readonly advantages: ArrayLike<number>;
  readonly samplingLogprobs: ArrayLike<number>;
  /** Needed when β > 0; when given with β = 0, the KL is measured only. */
  readonly referenceLogprobs?: ArrayLike<number>;
}

/** The loss of one sequence in double precision; `dLogprobs` is written, one entry per token. */
export function grpoSequenceLoss(
  logprobs: ArrayLike<number>,
  fields: LossFields,
  options: GrpoLossOptions,
  dLogprobs: Float32Array | Float64Array,
): { loss: number; metrics: GrpoMetrics } {
  const metrics = emptyMetrics();
  const { weights, advantages, samplingLogprobs, referenceLogprobs } = fields;
  for (let t = 0; t < weights.length; t++) {
    const weight = weights[t];
    if (weight === 0) continue;
    const logRatio = logprobs[t] - samplingLogprobs[t];
    const policy = policyLoss(logRatio, advantages[t], options);
    const kl = referenceLogprobs ? k3(referenceLogprobs[t] - logprobs[t]) : NO_KL;
    dLogprobs[t] = weight * (policy.derivative + options.klWeight * kl.derivative);
    metrics.policyLoss += weight * policy.loss;
    metrics.kl += weight * kl.value;
    if (policy.bound === "high") metrics.clipFractionHigh += weight;
    else if (policy.bound === "low") metrics.clipFractionLow += weight;
    else if (policy.bound === "dual") metrics.clipFractionDual += weight;
    metrics.importanceRatio += weight * policy.ratio;
    metrics.logprobDifference += weight * Math.abs(logRatio);
    metrics.entropyEstimate -= weight * logprobs[t];
  }
  return { loss: metrics.policyLoss + options.klWeight * metrics.kl, metrics };
}

/**
 * The loss function for a Trainer. Its data need `advantages` and `samplingLogprobs`, and `referenceLogprobs` when β > 0.
 * Metrics are those of GrpoMetrics. Errors: internal, when a field is missing or has another length than the logprobs.
 */
export function grpoLoss(options: GrpoLossOptions): LossFn {
  return (logprobs, datum) => {
    const dLogprobs = new Float32Array(logprobs.length);
    return { ...grpoSequenceLoss(logprobs, lossFields(logprobs, datum, options), options, dLogprobs), dLogprobs };
  };
}

/** How far the sampler's logprobs are from the trainer's over the trained tokens of one sequence, in nats. */
export interface SamplerMismatch {
  readonly tokens: number;
  readonly meanDifference: number;
  readonly maxDifference: number;
}

/** Sampler mismatch over many sequences: |training − sampling| where the weight is not 0. All 0 when nothing is trained. */
export function samplerMismatch(
  sequences: readonly { readonly trainingLogprobs: ArrayLike<number>; readonly datum: Datum }[],
): SamplerMismatch {
  let tokens = 0;
  let sum = 0;
  let maxDifference = 0;
  for (const { trainingLogprobs, datum } of sequences) {
    if (!datum.samplingLogprobs) throw new Error("internal: samplerMismatch needs samplingLogprobs");
    for (let t = 0; t < datum.weights.length; t++) {
      if (datum.weights[t] === 0) continue;
      const difference = Math.abs(trainingLogprobs[t] - datum.samplingLogprobs[t]);
      tokens++;
      sum += difference;
      maxDifference = Math.max(maxDifference, difference); // a NaN shows
    }
  }
  return { tokens, meanDifference: tokens === 0 ? 0 : sum / tokens, maxDifference };
}

const NO_KL = { value: 0, derivative: 0 };

function lossFields(logprobs: Float32Array, datum: Datum, options: GrpoLossOptions): LossFields {
  const { weights, advantages, samplingLogprobs, referenceLogprobs } = datum;
  if (!advantages || !samplingLogprobs || (options.klWeight !== 0 && !referenceLogprobs))
    throw new Error(
      "internal: grpoLoss needs advantages and samplingLogprobs, and referenceLogprobs when the KL weight is not 0",
    );
  for (const field of [weights, advantages, samplingLogprobs, referenceLogprobs ?? weights])
    if (field.length !== logprobs.length)
      throw new Error(`internal: grpoLoss got a field of ${field.length} entries for ${logprobs.length} logprobs`);
  return { weights, advantages, samplingLogprobs, referenceLogprobs };
}

function emptyMetrics(): GrpoMetrics {
  return {
    policyLoss: 0,
    kl: 0,
    clipFractionHigh: 0,
    clipFractionLow: 0,
    clipFractionDual: 0,
    importanceRatio: 0,
    logprobDifference: 0,
    entropyEstimate: 0,
  };
}

function clamp(value: number, bound: number): number {
  return Math.min(Math.max(value, -bound), bound);
}
