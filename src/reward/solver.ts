// The Solver's reward: is the answer equivalent to the pseudo-label, and, where asked, does the completion think first?
// Knows one completion and one label. Source: R-Zero section 3.3 (weights 1 and 0); released code (0.9 and 0.1).

import { equivalent, type GradingPolicy } from "../answer/equivalent.ts";
import { extractBoxed } from "../answer/extract.ts";

/** Weights of the two parts; the total is in [0, their sum]. */
export interface SolverRewardOptions {
  /** Weight of "equivalent to the pseudo-label". */
  readonly correct: number;
  /** Weight of the format. */
  readonly format: number;
  /** How the answer is compared with the pseudo-label; default `math-verify`. */
  readonly policy?: GradingPolicy;
}

/** One completion's text and the pseudo-label of its question. */
export interface LabelledCompletion {
  readonly completion: string;
  readonly pseudoLabel: string;
}

/** Reward of one completion and its parts. */
export interface SolverRewardParts {
  readonly total: number;
  readonly correct: boolean;
  /** Whether the text has the asked form, whatever its weight. */
  readonly wellFormatted: boolean;
}

/** Scores one completion against the pseudo-label; without a box it is wrong. */
export function solverRewardParts(
  { completion, pseudoLabel }: LabelledCompletion,
  options: SolverRewardOptions,
): SolverRewardParts {
  const predicted = extractBoxed(completion);
  const correct = equivalent({ predicted, truth: pseudoLabel }, { policy: options.policy }).equivalent;
  const wellFormatted = hasThinkFormat(completion);
  return { total: options.correct * Number(correct) + options.format * Number(wellFormatted), correct, wellFormatted };
}

/** The total of `solverRewardParts`. */
export function solverReward(labelled: LabelledCompletion, options: SolverRewardOptions): number {
  return solverRewardParts(labelled, options).total;
}

/** The released format rule: `<think>…</think>…\boxed{…}` from the start of the text. */
export function hasThinkFormat(text: string): boolean {
  const start = text.trimStart();
  if (!start.startsWith("<think>")) return false;
  const close = start.indexOf("</think>");
  const box = close < 0 ? -1 : start.indexOf("\\boxed{", close);
  return box >= 0 && start.includes("}", box);
}
