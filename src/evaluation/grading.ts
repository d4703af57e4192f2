// Whether one answer to a benchmark question is right: the single place of an evaluation where a completion is read and compared.
// No guessing: an answer without a box is wrong and counted, and so is one cut at the token limit, whatever it held by then.
// Knows nothing of models and scores. A Grader may answer later, so that a pool of workers can stand in for this one.

import { equivalent, type GradingPolicy } from "../answer/equivalent.ts";
import { extractBoxed } from "../answer/extract.ts";
import type { Completion } from "../engine/types.ts";
import type { BenchQuestion } from "./benchmarks.ts";

/** What a grader reads of a completion. */
export type AnswerText = Pick<Completion, "text" | "stopReason">;

/** One graded answer. */
export interface GradedAnswer {
  /** Content of the last box; undefined when there is none. */
  readonly answer: string | undefined;
  readonly correct: boolean;
  readonly truncated: boolean;
  readonly text: string;
}

/** Grades one completion of one question. */
export type Grader = (completion: AnswerText, question: BenchQuestion) => GradedAnswer | Promise<GradedAnswer>;

/** The grader of this program: last box, then equivalence; for a multiple choice its letter, or the text of the right choice. */
export function gradeAnswer(completion: AnswerText, question: BenchQuestion): GradedAnswer {
  return graded(completion, question, "math-verify");
}

/** As gradeAnswer, with answers compared by a policy. */
export function gradeBy(policy: GradingPolicy): (completion: AnswerText, question: BenchQuestion) => GradedAnswer {
  return (completion, question) => graded(completion, question, policy);
}

function graded({ text, stopReason }: AnswerText, question: BenchQuestion, policy: GradingPolicy): GradedAnswer {
  const answer = extractBoxed(text);
  const truncated = stopReason === "length";
  return { answer, correct: !truncated && answer !== undefined && isRight(answer, question, policy), truncated, text };
}

function isRight(answer: string, { answer: truth, choices }: BenchQuestion, policy: GradingPolicy): boolean {
  const index = choices ? letterIndex(truth, choices.length) : undefined;
  if (choices === undefined || index === undefined) return equivalent({ predicted: answer, truth }, { policy }).equivalent;
  const chosen = letterIndex(answer, choices.length);
  if (chosen !== undefined) return chosen === index;
  // A choice may read like another one's number or word: its text counts only when it names the right choice alone.
  const named = choices.flatMap((choice, at) =>
    equivalent({ predicted: answer, truth: choice }, { policy }).equivalent ? at : [],
  );
  return named.length === 1 && named[0] === index;
}

/** Index of the choice that `A`, `(A)`, `A.`, `\text{A}` or `A) its text` names; undefined when the text is no letter of a choice. */
export function letterIndex(text: string, choices: number): number | undefined {
  const bare = text.replace(/\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}/g, "$1").trim();
  const letter = /^\(?\s*([A-Za-z])\s*(?:$|[).:](?:\s|$))/.exec(bare)?.[1].toUpperCase();
  const index = letter === undefined ? -1 : letter.charCodeAt(0) - "A".charCodeAt(0);
  return index >= 0 && index < choices ? index : undefined;
}

/** The letter of a choice: 0 is A. */
export function letterOf(index: number): string {
  return String.fromCharCode("A".charCodeAt(0) + index);
}
