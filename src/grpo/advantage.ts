// Advantages: how much better a rollout's reward is than its baseline, in units of the rewards' spread. Pure numbers.
// Knows no tokens. Source: GRPO as in R-Zero section 2 (unbiased standard deviation, epsilon 1e-6).
// Departure: 1. `batchAdvantages` pools baseline and spread, for a Challenger whose prompts are all one text.

/** Added to the standard deviation. */
export const ADVANTAGE_EPSILON = 1e-6;

/** Advantages of a batch, in the order of its rewards. */
export interface Advantages {
  readonly advantages: Float64Array;
  /** Groups with a baseline of their own; 1 for the pooled batch. */
  readonly groups: number;
  /** Groups whose rewards are all equal: they bring no policy gradient. */
  readonly zeroVarianceGroups: number;
}

/**
 * A_i = (r_i − mean(r)) / (std(r) + 1e-6) within each run of `groupSize` rewards (a shorter last group is kept). They sum
 * to 0 in each group up to rounding; equal rewards, or a single one, give exactly 0.
 */
export function groupAdvantages(rewards: ArrayLike<number>, groupSize: number): Advantages {
  if (!(groupSize >= 1)) throw new Error(`internal: group size ${groupSize}`);
  const all = Float64Array.from(rewards);
  const advantages = new Float64Array(all.length);
  let groups = 0;
  let zeroVarianceGroups = 0;
  for (let start = 0; start < all.length; start += groupSize) {
    const rewards_G = all.subarray(start, start + groupSize);
    groups++;
    if (isConstant(rewards_G)) zeroVarianceGroups++;
    else advantages.set(standardise(rewards_G, 1), start);
  }
  return { advantages, groups, zeroVarianceGroups };
}

/**
 * One baseline for the whole batch of B rewards: A_i = (r_i − mean of the others) / (std(r) + 1e-6). The leave-one-out
 * mean is unbiased and makes the numerator B/(B − 1) times r_i − mean(r), so these sum to 0 too.
 */
export function batchAdvantages(rewards: ArrayLike<number>): Advantages {
  const all = Float64Array.from(rewards);
  if (isConstant(all)) return { advantages: new Float64Array(all.length), groups: 1, zeroVarianceGroups: 1 };
  return { advantages: standardise(all, all.length / (all.length - 1)), groups: 1, zeroVarianceGroups: 0 };
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
