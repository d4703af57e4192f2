// The Challenger's reward: uncertainty of the frozen Solver minus repetition in the batch, each part kept for the metrics.
// Knows parsed questions and vote shares, not how they came about. Source: R-Zero section 3.1; the released reward function.
//   total = quality · r_unc − r_rep − r_nov, clamped or not, + r_len     quality in {0, 1}: quality.ts; r_nov: novelty.ts; r_len: overlong.ts
// Departures, as options: 1. `paper`: malformed 0, clamp at 0, box needed. 2. `released`: −1 − r_rep, no clamp, tags enough.

import type { QualityFault } from "./quality.ts";
import { measureRepetition } from "./repetition.ts";
import { type UncertaintyShape, uncertaintyReward } from "./uncertainty.ts";

/** Each row of the Challenger's reward table; the keys are those of the configuration. */
export interface ChallengerRewardOptions {
  /** Shape of r_unc over p̂. */
  readonly uncertainty: UncertaintyShape;
  /** Ends of the shape `window`. */
  readonly window?: readonly [number, number];
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
  /** What quality.ts holds against it: the uncertainty counts 0, and no vote share is needed. */
  readonly fault?: QualityFault;
  /** r_nov, 0 or more; default 0. */
  readonly novelty?: number;
  /** r_len, 0 or less; default 0. Malformed ones have it too. */
  readonly overlong?: number;
}

/** Reward of one question and what it is made of. */
export interface QuestionReward {
  readonly total: number;
  readonly wellFormed: boolean;
  /** r_unc with the gate; 0 when malformed. */
  readonly uncertainty: number;
  /** r_rep, with λ; malformed ones have theirs too (each is a cluster of its own and counts in B). */
  readonly repetition: number;
  /** r_nov; 0 when malformed. */
  readonly novelty: number;
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
  return batch.map((posed, index) => {
    const repetition = options.repetition.weight * shares[index];
    const uncertainty = wellFormed[index] ? gatedUncertainty(posed, options) : 0;
    const novelty = wellFormed[index] ? (posed.novelty ?? 0) : 0;
    const shaped = wellFormed[index]
      ? wellFormedTotal(uncertainty - repetition - novelty, options)
      : malformedTotal(repetition, options);
    const total = shaped + (posed.overlong ?? 0);
    return { total, wellFormed: wellFormed[index], uncertainty, repetition, novelty, cluster: labels[index] };
  });
}

function gatedUncertainty({ voteShare, fault }: VotedQuestionInput, { uncertainty, window }: ChallengerRewardOptions): number {
  return fault === undefined ? uncertaintyReward(voteShare ?? Number.NaN, uncertainty, window) : 0;
}

function wellFormedTotal(difference: number, options: ChallengerRewardOptions): number {
  return options.clampAtZero ? Math.max(0, difference) : difference;
}

function malformedTotal(repetition: number, options: ChallengerRewardOptions): number {
  return options.malformed === "zero" ? 0 : -1 - repetition;
}
