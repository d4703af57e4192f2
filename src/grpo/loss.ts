// The GRPO loss as one pure function of logprobs: per-token value, exact derivative and metrics. Knows no model, no batch:
// masks and means are already in the datum's weights, so the loss of a step is the plain sum over its data.
// Source: R-Zero section 2 and appendix; verl's dual-clip policy loss and `low_var_kl` (the bounds 20 and 10 are theirs).
//   loss = Σ_T w (policy + β k3 + ε entropy)   policy, entropy: policy-loss.ts   k3 = exp(d) − d − 1, at most 10   d = reference − training

import type { Datum, LossFn, Metrics } from "../engine/types.ts";
import {
  type ClipOptions,
  cispoLoss,
  clamp,
  entropySurrogate,
  type PolicyLossKind,
  policyLoss,
  sequenceLogRatio,
  type TokenPolicyLoss,
} from "./policy-loss.ts";

/** Constants of the loss. */
export interface GrpoLossOptions extends ClipOptions {
  /** Policy loss; default `ppo`. */
  readonly loss?: PolicyLossKind;
  /** β, weight of the KL penalty; with 0 the reference logprobs are not needed. */
  readonly klWeight: number;
  /** ε, weight of the entropy bonus; default 0. */
  readonly entropyWeight?: number;
  /** h, the baseline of the entropy bonus in nats: mean −sampling logprob of the optimizer step; default 0. */
  readonly entropyBaseline?: number;
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

/** Bound of d before its exponential. */
const MAX_LOG_RATIO = 20;
const MAX_K3 = 10;

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
  const { weights, samplingLogprobs, referenceLogprobs } = fields;
  const { entropyWeight = 0, entropyBaseline = 0 } = options;
  const policyOf = policyLossOf(logprobs, fields, options);
  let bonus = 0;
  for (let t = 0; t < weights.length; t++) {
    const weight = weights[t];
    if (weight === 0) continue;
    const logRatio = logprobs[t] - samplingLogprobs[t];
    const policy = policyOf(t);
    const kl = referenceLogprobs ? k3(referenceLogprobs[t] - logprobs[t]) : NO_KL;
    dLogprobs[t] = policy.gradient + weight * options.klWeight * kl.derivative;
    if (entropyWeight !== 0) {
      const entropy = entropySurrogate(logprobs[t], entropyBaseline);
      dLogprobs[t] += weight * entropyWeight * entropy.derivative;
      bonus += weight * entropyWeight * entropy.loss;
    }
    metrics.policyLoss += weight * policy.loss;
    metrics.kl += weight * kl.value;
    if (policy.bound === "high") metrics.clipFractionHigh += weight;
    else if (policy.bound === "low") metrics.clipFractionLow += weight;
    else if (policy.bound === "dual") metrics.clipFractionDual += weight;
    metrics.importanceRatio += weight * policy.ratio;
    metrics.logprobDifference += weight * Math.abs(logRatio);
    metrics.entropyEstimate -= weight * logprobs[t];
  }
  return { loss: metrics.policyLoss + options.klWeight * metrics.kl + bonus, metrics };
}

/** Policy loss of a token before its weight, and the gradient of the sequence's weighted loss by that token's logprob. */
type WeightedPolicyLoss = TokenPolicyLoss & { readonly gradient: number };

/** The policy loss of token t of a sequence. */
function policyLossOf(
  logprobs: ArrayLike<number>,
  { weights, advantages, samplingLogprobs }: LossFields,
  options: GrpoLossOptions,
): (t: number) => WeightedPolicyLoss {
  const { loss = "ppo" } = options;
  if (loss !== "gspo")
    return (t) => {
      const logRatio = logprobs[t] - samplingLogprobs[t];
      const policy =
        loss === "cispo"
          ? cispoLoss(logRatio, logprobs[t], advantages[t], options)
          : policyLoss(logRatio, advantages[t], options);
      return { ...policy, gradient: weights[t] * policy.derivative };
    };
  const { mean, tokens } = sequenceLogRatio(logprobs, samplingLogprobs, weights);
  const each = Array.from({ length: weights.length }, (_, t) =>
    policyLoss(mean, weights[t] === 0 ? 0 : advantages[t], { ...options, clipDual: 0 }),
  );
  // d(log s)/d training_t = 1 / tokens, for every token's loss: the weighted sum of the derivatives is shared out evenly.
  const slope = each.reduce((sum, { derivative }, t) => sum + weights[t] * derivative, 0) / tokens;
  return (t) => ({ ...each[t], gradient: slope });
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
