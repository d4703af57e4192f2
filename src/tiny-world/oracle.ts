// The families of the tiny world and its oracle: the exact answer of any well-formed question. For reports and for
// making evaluation sets only: no training code may import it.

import { addition, multiplication, subtraction } from "./columns.ts";
import type { Family, Kind, Problem } from "./family.ts";
import { chain, clock, coins, digitSum, month, story, total, weekday } from "./sequences.ts";
import { sorting } from "./strings.ts";

/** Every family, the mathematical ones first. */
export const FAMILIES: readonly Family[] = [
  addition,
  subtraction,
  multiplication,
  chain,
  total,
  digitSum,
  story,
  month,
  weekday,
  clock,
  coins,
  sorting,
];

/** What the oracle says of a question. */
export interface Truth {
  readonly answer: string;
  readonly family: string;
  readonly kind: Kind;
  /** Number of steps, at least 1; questions made up by a Challenger may exceed the levels of the corpus. */
  readonly level: number;
}

/** Reads a question with the family whose grammar it fits; undefined when it fits none or has no answer. */
export function readProblem(question: string): { family: Family; problem: Problem } | undefined {
  for (const family of FAMILIES) {
    const problem = family.parse(question);
    if (problem) return { family, problem };
  }
  return undefined;
}

/** The exact answer of a question, its family and its level; undefined when the question is not well-formed. */
export function truth(question: string): Truth | undefined {
  const read = readProblem(question.trim());
  if (!read) return undefined;
  return { answer: read.problem.answer, family: read.family.name, kind: read.family.kind, level: read.problem.level };
}
