// What shares of what documents the embedded base model is made from: two mixes, one after the other. docs/tiny-base.md says what each
// share is for. Knows no document.

/** Shares that make the world what it is; lists are by level, 1 to 4, all shares in [0, 1]. */
export interface WorldMix {
  /** Share of Challenger documents, and of documents that only copy a line: they teach to copy far, which long questions need. */
  readonly challenger: number;
  readonly copy: number;
  /** A line is copied in one piece, or taken along step by step as worked solutions do. */
  readonly copying: "line" | "steps";
  readonly solverLevels: readonly number[];
  /** Share of Solver documents that answer at once, and of those the share that answers wrongly. */
  readonly direct: readonly number[];
  readonly directWrong: readonly number[];
  /** Share of worked solutions that give up after two steps and guess, never rightly; absent: none. */
  readonly giveUp?: readonly number[];
  /** Share of the other worked solutions with one wrong step. */
  readonly slip: readonly number[];
  readonly challengerLevels: readonly number[];
  /** Share of Challenger documents that are malformed, and of the others the share whose own answer is wrong. */
  readonly malformed: number;
  readonly ownAnswerWrong: number;
}

/** Pretraining: the grammar, the arithmetic, and worked solutions that are mostly right above level 1. */
export const PRETRAINING_MIX: WorldMix = {
  challenger: 0.12,
  copy: 0.08,
  copying: "line",
  solverLevels: [0.27, 0.28, 0.25, 0.2],
  direct: [0.85, 0.63, 0.61, 0.59],
  directWrong: [0.015, 0.2, 0.3, 0.4],
  slip: [0.42, 0.03, 0.04, 0.06],
  challengerLevels: [0.964, 0.021, 0.01, 0.005],
  malformed: 0.12,
  ownAnswerWrong: 0.3,
};

/** Mid-training, the habits that the loop has to mend: hard questions are given up, though carrying them on is learned beyond any level. */
export const MIDTRAINING_MIX: WorldMix = {
  ...PRETRAINING_MIX,
  copy: 0.2,
  copying: "steps",
  solverLevels: [0.24, 0.24, 0.26, 0.26],
  direct: [0.8, 0.63, 0.58, 0.55],
  giveUp: [0, 0, 0.55, 0.55],
  challengerLevels: [0.93, 0.045, 0.017, 0.008],
};
