// Math-Verify's own test cases. Scope here: the gold answer is a number or words, and the prediction has a box or is short
// (20 characters), so that no answer has to be found in prose. Within the scope every case must come out as Math-Verify
// says, but for the listed differences; and over all cases nothing that Math-Verify tells apart may be called equivalent.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { equivalent } from "../../src/answer/equivalent.ts";
import { extractBoxed } from "../../src/answer/extract.ts";
import { parseAnswer } from "../../src/answer/parse.ts";

interface Case {
  readonly index: number;
  readonly gold: string;
  readonly prediction: string;
  readonly expected: boolean;
}

const golden = JSON.parse(readFileSync(new URL("equivalence.json", import.meta.url), "utf8")) as { cases: Omit<Case, "index">[] };
const cases: Case[] = golden.cases.map((entry, index) => ({ ...entry, index }));

/** Cases in scope that are not called equivalent although Math-Verify does. */
const DIFFERENCES = [
  7, // "Answer $$ 9 $$": prose, no box
  13, // "x=1/3\approx1.3": a chain
  24, // "Answer $ 9 $": prose, no box
  32, // the last box holds an intermediate result
  40, // several boxes, of which the last counts
  42, // "\boxed{28} pct": the percent stands outside the box
  68, // "Soucis : 2,74 $ a..": prose and a decimal comma
  81, // "\boxed{20} percent": the percent stands outside the box
];

function answerOf(text: string): string {
  return extractBoxed(text) ?? text;
}

function verdict({ gold, prediction }: Case): boolean {
  return equivalent({ predicted: answerOf(prediction), truth: answerOf(gold) }).equivalent;
}

function isInScope({ gold, prediction }: Case): boolean {
  const isAlone = extractBoxed(prediction) !== undefined || prediction.length <= 20;
  return isAlone && parseAnswer(answerOf(gold)).kind !== "expression";
}

it("agrees with Math-Verify within the scope but for the listed differences", () => {
  const scope = cases.filter(isInScope);
  expect(scope.length).toBe(35);
  expect(scope.filter((entry) => verdict(entry) !== entry.expected).map(({ index }) => index)).toEqual(DIFFERENCES);
});

it("calls nothing equivalent that Math-Verify tells apart, over all 102 cases", () => {
  expect(cases.length).toBe(102);
  expect(cases.filter((entry) => !entry.expected).length).toBe(14);
  expect(cases.filter((entry) => !entry.expected && verdict(entry))).toEqual([]);
});

it("agrees on 52 of all 102 cases", () => {
  expect(cases.filter((entry) => verdict(entry) === entry.expected).length).toBe(52);
});
