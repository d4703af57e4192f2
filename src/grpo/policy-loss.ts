// What one token costs under each policy loss, with its exact derivative by the training logprob. Pure; knows no sequence but GSPO's
// mean ratio. ρ = exp(training − sampling), A the advantage, sg() a value that is held fixed when differentiating.
//   ppo    −min(ρA, clip(ρ, 1 − low, 1 + high)·A), for A < 0 at most −dual·A     PPO, 1707.06347; dual clip, 1912.09729
//   cispo  −sg(clip(ρ, 1 − low, 1 + high))·A·training                            MiniMax-M1, 2506.13585, eq. 4 and 5
//   gspo   ppo with s = exp(mean over the sequence of training − sampling) for ρ, no dual clip     GSPO, 2507.18071, eq. 5 to 7
//   entropy  ½(training + h)²: its derivative training + h is −∇H's estimate at ρ = 1 for any baseline h (h: mean entropy of the batch)

/** Which policy loss. */
export type PolicyLossKind = "ppo" | "cispo" | "gspo";

/** Bounds of the ratio. */
export interface ClipOptions {
  /** Lower clip: the ratio's lower bound is 1 − clipLow. */
  readonly clipLow: number;
  /** Upper clip: the ratio's upper bound is 1 + clipHigh. */
  readonly clipHigh: number;
  /** Dual clip of `ppo`: for a negative advantage the loss is at most −clipDual · A; 0 switches it off, else above 1 + clipHigh. */
  readonly clipDual: number;
}

const MAX_LOG_RATIO = 20;

/** Policy loss of one token, its derivative by the training logprob, and which bound held. */
export interface TokenPolicyLoss {
  readonly loss: number;
  readonly derivative: number;
  readonly ratio: number;
  readonly bound: "none" | "low" | "high" | "dual";
}

/** `ppo`: clipped policy loss of one token from `logRatio` = training − sampling logprob. */
export function policyLoss(logRatio: number, advantage: number, options: ClipOptions): TokenPolicyLoss {
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

/** `cispo`: the ratio is a clipped weight that carries no gradient, so every token keeps its own. Bounds tell that the weight was clipped. */
export function cispoLoss(logRatio: number, logprob: number, advantage: number, options: ClipOptions): TokenPolicyLoss {
  const ratio = Math.exp(clamp(logRatio, MAX_LOG_RATIO));
  const weight = Math.min(Math.max(ratio, 1 - options.clipLow), 1 + options.clipHigh);
  const bound = weight < ratio ? "high" : weight > ratio ? "low" : "none";
  // d(−sg(w)·A·training)/d training = −w·A
  return { loss: -weight * advantage * logprob, derivative: -weight * advantage, ratio, bound };
}

/** log s of `gspo`: the mean of training − sampling over the tokens with a weight; and how many those are. */
export function sequenceLogRatio(
  logprobs: ArrayLike<number>,
  samplingLogprobs: ArrayLike<number>,
  weights: ArrayLike<number>,
): { readonly mean: number; readonly tokens: number } {
  let sum = 0;
  let tokens = 0;
  for (let t = 0; t < weights.length; t++) {
    if (weights[t] === 0) continue;
    sum += logprobs[t] - samplingLogprobs[t];
    tokens++;
  }
  return { mean: tokens === 0 ? 0 : sum / tokens, tokens };
}

/** Surrogate of the entropy bonus of one token, to be minimised; `baseline` is h, in nats. */
export function entropySurrogate(logprob: number, baseline: number): { readonly loss: number; readonly derivative: number } {
  const above = logprob + baseline;
  return { loss: (above * above) / 2, derivative: above };
}

/** The value moved into [−bound, bound]. */
export function clamp(value: number, bound: number): number {
  return Math.min(Math.max(value, -bound), bound);
}
