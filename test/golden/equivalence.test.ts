// Math-Verify's own test cases, each a gold text and a predicted text. With each case's own settings all must come out as
// Math-Verify says; with our defaults, as the command line grades, all but the listed ones; and nothing that Math-Verify tells
// apart may ever be called equivalent.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import type { AnswerKind } from "../../src/answer/extract-answer.ts";
import { gradeTexts } from "../../src/answer/grade-texts.ts";

interface Case {
  readonly gold: string;
  readonly prediction: string;
  readonly expected: boolean;
  readonly match_types: readonly ("latex" | "expr")[];
  readonly precision: number;
}

const { cases } = JSON.parse(readFileSync(new URL("equivalence.json", import.meta.url), "utf8")) as { cases: Case[] };

/** Cases that need their own settings: 23 rounds to two digits. */
const NEED_SETTINGS = [23];

function kindsOf({ match_types }: Case): AnswerKind[] {
  return match_types.flatMap((type): AnswerKind[] => (type === "latex" ? ["box", "formula"] : ["plain"]));
}

function differences(verdict: (entry: Case) => boolean): number[] {
  return cases.map((_, index) => index).filter((index) => verdict(cases[index]) !== cases[index].expected);
}

it("agrees with Math-Verify on all 102 cases", () => {
  expect(cases.length).toBe(102);
  const verdict = (entry: Case) =>
    gradeTexts({ predicted: entry.prediction, truth: entry.gold }, { kinds: kindsOf(entry), precision: entry.precision }).equivalent;
  expect(differences(verdict)).toEqual([]);
});

it("agrees with Math-Verify under our defaults, but for the listed cases, and never calls different answers equivalent", () => {
  const verdict = ({ prediction, gold }: Case) => gradeTexts({ predicted: prediction, truth: gold }).equivalent;
  expect(differences(verdict)).toEqual(NEED_SETTINGS);
  expect(cases.filter((entry) => !entry.expected).length).toBe(14);
  expect(cases.filter((entry) => !entry.expected && verdict(entry))).toEqual([]);
});
