// A question and what the frozen Solver's votes say about it. Values only; how they are sampled is selfplay's matter.
// Source: R-Zero section 3.2.

import type { Vote } from "../answer/vote.ts";

/** A question the Challenger posed. */
export interface Question {
  readonly text: string;
  /** The Challenger's own boxed answer, if it gave one; never used as a label. */
  readonly ownAnswer?: string;
  /** Whether it met the well-formed rule of the run. */
  readonly wellFormed: boolean;
  /** What the quality gate holds against it, where the run filters by it. */
  readonly fault?: string;
}

/** A question with its pseudo-label. */
export interface LabelledQuestion {
  readonly question: Question;
  /** Majority answer as first written; undefined when nobody voted. */
  readonly pseudoLabel: string | undefined;
  /** p̂ = count / m, in [0, 1]. */
  readonly voteShare: number;
  /** Answers equivalent to the pseudo-label. */
  readonly count: number;
  /** Answers that had a vote. */
  readonly votes: number;
  /** Answers asked for, the denominator. */
  readonly m: number;
  /** Answers without a box. */
  readonly missing: number;
  /** Truncated answers. */
  readonly truncated: number;
}

/** Joins a question with the outcome of its vote. */
export function labelQuestion(question: Question, vote: Vote): LabelledQuestion {
  const { majority, share, count, votes, m, missing, truncated } = vote;
  return { question, pseudoLabel: majority, voteShare: share, count, votes, m, missing, truncated };
}
