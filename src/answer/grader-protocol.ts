// What the grader's two sides share: a pair, how it is graded, and which pairs are cheap. Knows no threads.

import { equivalent, type GradingOptions, type Verdict } from "./equivalent.ts";
import { gradeTexts } from "./grade-texts.ts";

/** A pair to compare; `texts`: whole texts in which the answers have to be found first. */
export interface GradeRequest {
  readonly predicted: string | undefined;
  readonly truth: string | undefined;
  readonly texts?: boolean;
}

/** The verdict on a pair. */
export function gradePair({ predicted, truth, texts }: GradeRequest, options: GradingOptions): Verdict {
  if (!texts || predicted === undefined || truth === undefined) return equivalent({ predicted, truth }, options);
  return gradeTexts({ predicted, truth }, options);
}

const CHEAP = /^[\w\s.,:;()[\]{}+\-*/=<>|$%"'°√±²³\\^]*$/;
const COSTLY = /[!]|[)}\]] ?\^ ?\{?-?\d{2}|\^ ?\{?-?\d{4}|\\(?:binom|sum|prod|int|begin)|\^.*\^|\d{40}|(?:[({[|].*){8}/;
const CHEAP_LENGTH = 160;

/** Whether a pair may be compared on the calling thread: short, without factorials, sums, towers of powers or deep nesting. */
export function isCheap({ predicted, truth, texts }: GradeRequest): boolean {
  return !texts && isCheapAnswer(predicted) && isCheapAnswer(truth);
}

function isCheapAnswer(answer: string | undefined): boolean {
  return answer === undefined || (answer.length <= CHEAP_LENGTH && CHEAP.test(answer) && !COSTLY.test(answer));
}
