// The Challenger's uncertainty reward: how undecided the frozen Solver is about a question, from its vote share alone.
// Knows nothing of votes' meaning or of repetition. Source: R-Zero section 3.1, equation for r_unc; released code for `min`.

/** `tent`: 1 − 2·|p̂ − 1/2| (paper). `min`: min(p̂, 1 − p̂) (released), half that scale. Both peak at p̂ = 1/2. */
export type UncertaintyShape = "tent" | "min";

/** Uncertainty reward of a vote share p̂ in [0, 1]: in [0, 1] for `tent`, in [0, 1/2] for `min`. */
export function uncertaintyReward(voteShare: number, shape: UncertaintyShape): number {
  if (!(voteShare >= 0 && voteShare <= 1)) throw new Error(`internal: vote share ${voteShare} is not in [0, 1]`);
  return shape === "tent" ? 1 - 2 * Math.abs(voteShare - 0.5) : Math.min(voteShare, 1 - voteShare);
}
