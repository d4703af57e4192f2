// Advantages: how much better a rollout's reward is than its baseline, in units of the rewards' spread. Pure numbers.
// Knows no tokens. Source: GRPO as in R-Zero section 2 (unbiased standard deviation, epsilon 1e-6).
//   grpo     (r − mean) / (std + 1e-6)                                  DeepSeekMath, 2402.03300
//   dr-grpo  r − mean                                                   Dr. GRPO, 2503.20783, section 3.2
//   rloo     r − mean of the others = G/(G − 1) · (r − mean)            RLOO, 2402.14740
// Departure: 1. `batchAdvantages` pools baseline and spread, for a Challenger whose prompts are all one text.

/** Added to the standard deviation. */
export const ADVANTAGE_EPSILON = 1e-6;

/** How a reward becomes an advantage; see the file's header. */
export type AdvantageEstimator = "grpo" | "dr-grpo" | "rloo";

/** Advantages of a batch, in the order of its rewards. */
export interface Advantages {
  readonly advantages: Float64Array;
  /** Groups with a baseline of their own; 1 for the pooled batch. */
  readonly groups: number;
  /** Groups whose rewards are all equal: they bring no policy gradient. */
  readonly zeroVarianceGroups: number;
}

/**
 * Advantages by `estimator` (default `grpo`) within each run of `groupSize` rewards (a shorter last group is kept). They sum
 * to 0 in each group up to rounding; equal rewards, or a single one, give exactly 0.
 */
export function groupAdvantages(
  rewards: ArrayLike<number>,
  groupSize: number,
  estimator: AdvantageEstimator = "grpo",
): Advantages {
  if (!(groupSize >= 1)) throw new Error(`internal: group size ${groupSize}`);
  const all = Float64Array.from(rewards);
  const advantages = new Float64Array(all.length);
  let groups = 0;
  let zeroVarianceGroups = 0;
  for (let start = 0; start < all.length; start += groupSize) {
    const rewards_G = all.subarray(start, start + groupSize);
    groups++;
    if (isConstant(rewards_G)) zeroVarianceGroups++;
    else advantages.set(estimate(rewards_G, estimator), start);
  }
  return { advantages, groups, zeroVarianceGroups };
}

/**
 * One baseline for the whole batch of B rewards: A_i = (r_i − mean of the others) / (std(r) + 1e-6). The leave-one-out
 * mean is unbiased and makes the numerator B/(B − 1) times r_i − mean(r), so these sum to 0 too. Other estimators than `grpo`
 * are as in a group of B.
 */
export function batchAdvantages(rewards: ArrayLike<number>, estimator: AdvantageEstimator = "grpo"): Advantages {
  const all = Float64Array.from(rewards);
  if (isConstant(all)) return { advantages: new Float64Array(all.length), groups: 1, zeroVarianceGroups: 1 };
  const advantages = estimator === "grpo" ? standardise(all, all.length / (all.length - 1)) : estimate(all, estimator);
  return { advantages, groups: 1, zeroVarianceGroups: 0 };
}

function estimate(rewards_G: Float64Array, estimator: AdvantageEstimator): Float64Array {
  if (estimator === "grpo") return standardise(rewards_G, 1);
  const n = rewards_G.length;
  const mean = rewards_G.reduce((sum, reward) => sum + reward, 0) / n;
  const scale = estimator === "rloo" ? n / (n - 1) : 1;
  return rewards_G.map((reward) => scale * (reward - mean));
}

function standardise(rewards: Float64Array, scale: number): Float64Array {
  const n = rewards.length;
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / n;
  const squares = rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / (n - 1)) + ADVANTAGE_EPSILON;
  return rewards.map((reward) => (scale * (reward - mean)) / deviation);
}

function isConstant(rewards: Float64Array): boolean {
  return rewards.every((reward) => reward === rewards[0]);
}
