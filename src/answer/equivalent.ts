// Says whether two answers mean the same. Answers are read once (reading.ts); equal keys decide at once, else shapes are compared
// (compare.ts). Symmetric and reflexive. Bounded in work, so it always returns; grader-pool.ts adds a deadline in time.
// Choices where graders differ: 50% is 1/2 (never 50); a unit counts only where both have one; 0.333 is not 1/3, but a decimal
// with at least `precision` digits stands for the value that rounds to it.

import { sameReading } from "./compare.ts";
import { BudgetError, resetBudget } from "./expression/budget.ts";
import { mathrulerEquivalent, mathrulerKey } from "./mathruler.ts";
import { type Reading, readAnswer } from "./reading.ts";

/** Verdict on a pair of answers; `reason` is one short sentence for people. */
export interface Verdict {
  readonly equivalent: boolean;
  readonly reason: string;
}

/**
 * `math-verify`: by meaning, as Math-Verify grades. `mathruler`: by normalised text first, as the released R-Zero grades. `exact`: by text
 * alone, runs of white space made one space.
 */
export type GradingPolicy = "math-verify" | "mathruler" | "exact";

/** How to compare. */
export interface GradingOptions {
  /** Default `math-verify`. */
  readonly policy?: GradingPolicy;
  /** Digits after the point from which on a rounded decimal counts as the value it rounds; default 6. */
  readonly precision?: number;
}

/** Digits after the point from which on a rounded decimal counts, unless said otherwise; Math-Verify's default. */
export const DEFAULT_PRECISION = 6;

/** Two answers with equal keys are equivalent; answers with different keys still may be. */
export function canonicalKey(raw: string, policy: GradingPolicy = "math-verify"): string {
  if (policy === "mathruler") return mathrulerKey(raw);
  if (policy === "exact") return `exact:${evenSpaces(raw)}`;
  const { kind, canonical } = readAnswer(raw);
  return `${kind}:${canonical}`;
}

/** Whether two values of `canonicalKey` surely differ in meaning, so that a comparison is not needed: two plain numbers. */
export function surelyDiffer(a: string, b: string): boolean {
  return a !== b && EXACT_NUMBER.test(a) && EXACT_NUMBER.test(b);
}

const EXACT_NUMBER = /^number:-?\d+$/;

/** Compares an answer with the truth (or a pseudo-label). A missing answer is equivalent to nothing. */
export function equivalent(
  { predicted, truth }: { predicted: string | undefined; truth: string | undefined },
  { policy = "math-verify", precision = DEFAULT_PRECISION }: GradingOptions = {},
): Verdict {
  if (predicted === undefined || truth === undefined)
    return { equivalent: false, reason: predicted === undefined ? "no answer was given" : "no truth was given" };
  if (policy === "mathruler") return mathrulerEquivalent({ predicted, truth });
  if (policy === "exact") {
    const same = evenSpaces(predicted) === evenSpaces(truth);
    return { equivalent: same, reason: same ? "the same text" : "different texts" };
  }
  const [left, right] = [readAnswer(predicted), readAnswer(truth)];
  if (left.kind === right.kind && left.canonical === right.canonical)
    return { equivalent: true, reason: `both are the ${show(left)}` };
  const shown = `${show(left)} and ${show(right)}`;
  try {
    resetBudget();
    if (sameReading(left, right, precision)) return { equivalent: true, reason: `equal: ${shown}` };
  } catch (error) {
    if (!(error instanceof BudgetError) && !(error instanceof RangeError)) throw error;
    return { equivalent: false, reason: `not decided within the budget: ${shown}` };
  }
  return { equivalent: false, reason: `${left.kind === right.kind ? "not equal" : "different kinds"}: ${shown}` };
}

function evenSpaces(text: string): string {
  return text.normalize("NFC").trim().replace(/\s+/g, " ");
}

function show({ kind, canonical }: Reading): string {
  return `${kind} ${canonical.length > 60 ? `${canonical.slice(0, 57)}...` : canonical}`;
}
