// The Challenger's reward: uncertainty of the frozen Solver minus repetition in the batch, each part kept for the metrics.
// Knows parsed questions and vote shares, not how they came about. Source: R-Zero section 3.1; the released reward function.
// Departures, as options: 1. `paper`: malformed 0, clamp at 0, box needed. 2. `released`: −1 − r_rep, no clamp, tags enough.

import { measureRepetition } from "./repetition.ts";
import { type UncertaintyShape, uncertaintyReward } from "./uncertainty.ts";

/** Each row of the Challenger's reward table; the keys are those of the configuration. */
export interface ChallengerRewardOptions {
  /** Shape of r_unc over p̂. */
  readonly uncertainty: UncertaintyShape;
  readonly repetition: {
    /** λ: r_rep = λ · cluster share. */
    readonly weight: number;
    /** Clusters are cut at this distance 1 − BLEU; paper and released: 0.5. */
    readonly threshold: number;
  };
  /** Reward of a malformed question: `zero` (paper), or `penalty`: −1 − r_rep (released). */
  readonly malformed: "zero" | "penalty";
  /** max(0, r_unc − r_rep) for well-formed questions (paper), or no clamp (released). */
  readonly clampAtZero: boolean;
  /** A question needs its own boxed answer too (paper), or its tags only (released). */
  readonly wellFormed: "question-and-box" | "question";
  /** Further conditions; a question that fails one counts as malformed. */
  readonly gate?: {
    /** Longest question in tokens. */
    readonly maxTokens?: number;
  };
}

/** What makes a Challenger completion well-formed or not. */
export interface PosedQuestionInput {
  /** Text within the tags; undefined or blank: none was found. */
  readonly question: string | undefined;
  /** The Challenger's own boxed answer. */
  readonly ownAnswer: string | undefined;
  /** Tokens of the question; needed with a gate on them. */
  readonly questionTokens?: number;
}

/** A posed question with the frozen Solver's vote share p̂ in [0, 1], which is read only if it is well-formed. */
export interface VotedQuestionInput extends PosedQuestionInput {
  readonly voteShare: number | undefined;
}

/** Reward of one question and what it is made of. */
export interface QuestionReward {
  readonly total: number;
  readonly wellFormed: boolean;
  /** r_unc; 0 when malformed. */
  readonly uncertainty: number;
  /** r_rep, with λ; malformed ones have theirs too (each is a cluster of its own and counts in B). */
  readonly repetition: number;
  /** Cluster of the question within the batch. */
  readonly cluster: number;
}

/** Whether a completion poses a question under the rule and the gate; only these need the Solver's answers. */
export function isWellFormed(
  posed: PosedQuestionInput,
  { wellFormed, gate }: Pick<ChallengerRewardOptions, "wellFormed" | "gate">,
): boolean {
  if (!posed.question?.trim()) return false;
  if (wellFormed === "question-and-box" && posed.ownAnswer === undefined) return false;
  if (gate?.maxTokens === undefined) return true;
  if (posed.questionTokens === undefined) throw new Error("internal: a gate on tokens needs questionTokens");
  return posed.questionTokens <= gate.maxTokens;
}

/**
 * Rewards of one batch, in order; B is the whole batch, malformed questions included.
 * Errors: internal, when a well-formed question has no vote share in [0, 1].
 */
export function challengerRewards(batch: readonly VotedQuestionInput[], options: ChallengerRewardOptions): QuestionReward[] {
  const wellFormed = batch.map((posed) => isWellFormed(posed, options));
  const texts = batch.map(({ question }, index) => (wellFormed[index] ? (question ?? "").trim() : ""));
  const { shares, labels } = measureRepetition(texts, options.repetition.threshold);
  return batch.map(({ voteShare }, index) => {
    const repetition = options.repetition.weight * shares[index];
    const uncertainty = wellFormed[index] ? uncertaintyReward(voteShare ?? Number.NaN, options.uncertainty) : 0;
    const total = wellFormed[index] ? wellFormedTotal(uncertainty - repetition, options) : malformedTotal(repetition, options);
    return { total, wellFormed: wellFormed[index], uncertainty, repetition, cluster: labels[index] };
  });
}

function wellFormedTotal(difference: number, options: ChallengerRewardOptions): number {
  return options.clampAtZero ? Math.max(0, difference) : difference;
}

function malformedTotal(repetition: number, options: ChallengerRewardOptions): number {
  return options.malformed === "zero" ? 0 : -1 - repetition;
}
