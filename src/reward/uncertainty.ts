// The Challenger's uncertainty reward: how undecided the frozen Solver is about a question, from its vote share alone.
// Knows nothing of votes' meaning or of repetition. Sources: R-Zero section 3.1, equation for r_unc; released code for `min`;
// OpenSIR (2511.00602) for `window`: below its lower end questions are mostly broken, not hard.

/** `tent`: 1 − 2·|p̂ − 1/2| (paper). `min`: min(p̂, 1 − p̂) (released), half that scale. `window`: a triangle over a window. */
export type UncertaintyShape = "tent" | "min" | "window";

/** Ends of `window` by default: OpenSIR's best floor, and its ceiling. */
export const DEFAULT_WINDOW: readonly [number, number] = [0.5, 0.9];

/**
 * Uncertainty reward of a vote share p̂ in [0, 1]: in [0, 1], peak at 1/2 for `tent`; in [0, 1/2] for `min`; for `window` 1 in the
 * middle of [low, high] and 0 at its ends and outside.
 */
export function uncertaintyReward(
  voteShare: number,
  shape: UncertaintyShape,
  [low, high]: readonly [number, number] = DEFAULT_WINDOW,
): number {
  if (!(voteShare >= 0 && voteShare <= 1)) throw new Error(`internal: vote share ${voteShare} is not in [0, 1]`);
  if (shape === "tent") return 1 - 2 * Math.abs(voteShare - 0.5);
  if (shape === "min") return Math.min(voteShare, 1 - voteShare);
  const [middle, half] = [(low + high) / 2, (high - low) / 2];
  if (half === 0) return voteShare === low ? 1 : 0;
  return Math.max(0, 1 - Math.abs(voteShare - middle) / half);
}

/** Pseudo-counts of a Beta(a, b) prior: of answers that agree with the majority, and of others. */
export interface SharePrior {
  readonly a: number;
  readonly b: number;
}

/** The posterior mean (count + a) / (m + a + b) of p̂; a share of few answers moves most. Without a prior: count / m. */
export function shrunkShare({ count, m }: { readonly count: number; readonly m: number }, { a, b }: SharePrior): number {
  const total = m + a + b;
  return total === 0 ? 0 : (count + a) / total;
}
