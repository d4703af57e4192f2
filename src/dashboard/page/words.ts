// Names of the store as a reader reads them. Pure; an unknown name stands as it is.

const VERDICTS: Readonly<Record<string, string>> = {
  kept: "kept",
  malformed: "malformed",
  heldOut: "held out",
  quality: "quality gate",
  noVotes: "no votes",
  belowBand: "below the band",
  aboveBand: "above the band",
  questionWords: "words",
  textLabel: "label is text",
  earlier: "earlier question",
  unconfirmed: "base disagrees",
  duplicate: "duplicate",
  wellFormed: "well-formed",
};

/** Verdicts of a pool, as a filter offers them. */
export const POOL_VERDICTS = Object.keys(VERDICTS).filter((verdict) => verdict !== "wellFormed");
/** Verdicts of Challenger rollouts. */
export const ROLLOUT_VERDICTS = ["wellFormed", "malformed"];

/** "belowBand" → "below the band". */
export function verdictText(verdict: string): string {
  return VERDICTS[verdict] ?? verdict;
}

const MEASURES: Readonly<Record<string, readonly [string, "share" | "number"]>> = {
  selfConsistency: ["self-consistency", "share"],
  confirmed: ["confirmed by the base", "share"],
  agreement: ["agreement with the policy before", "share"],
  labelAccuracy: ["label accuracy (audit)", "share"],
  distinct: ["different texts per question", "share"],
  clusters: ["clusters per question", "share"],
  voteShare: ["vote share of the pool", "share"],
  inBand: ["share in the band", "share"],
  wellFormed: ["valid share", "share"],
  meanTokens: ["length of answers (tokens)", "number"],
  truncated: ["truncated answers", "share"],
  entropy: ["entropy (nats)", "number"],
  klToBase: ["KL to the base (nats)", "number"],
};

/** The name of a measure of the guard, and whether it is a share. */
export function measureText(measure: string): { readonly title: string; readonly share: boolean } {
  const [title, kind] = MEASURES[measure] ?? [measure, "number"];
  return { title, share: kind === "share" };
}
