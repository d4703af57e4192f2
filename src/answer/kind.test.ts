import { describe, expect, it } from "vitest";
import { canonicalKey, equivalent } from "./equivalent.ts";
import { type AnswerKind, isOfKind } from "./kind.ts";
import { vote } from "./vote.ts";

describe("isOfKind", () => {
  const cases: [AnswerKind, string[], string[]][] = [
    ["any", ["", "x", "1,2"], []],
    ["number", ["12", "-3/4", "0.5", "\\frac{1}{2}"], ["abc", "Monday", "x+1"]],
    ["text", ["abc", " 3 "], ["", "  "]],
    ["choice", ["B", "(c)", "D."], ["BC", "12", ""]],
    ["list", ["1,2", "a, b, c"], ["1", "1,,2", ","]],
  ];
  it.each(cases)("%s", (kind, right, wrong) => {
    expect(right.filter((answer) => !isOfKind(answer, kind))).toEqual([]);
    expect(wrong.filter((answer) => isOfKind(answer, kind))).toEqual([]);
  });
});

describe("the exact policy", () => {
  const options = { policy: "exact" } as const;
  it("compares letter by letter, where mathematics would multiply letters or round", () => {
    expect(equivalent({ predicted: "abd", truth: "adb" }, options).equivalent).toBe(false);
    expect(equivalent({ predicted: "7", truth: "7.0" }, options).equivalent).toBe(false);
    expect(equivalent({ predicted: " Mar  5", truth: "Mar 5" }, options).equivalent).toBe(true);
    expect(equivalent({ predicted: undefined, truth: "Mar" }, options).equivalent).toBe(false);
    expect(canonicalKey(" Mar  5", "exact")).toBe(canonicalKey("Mar 5", "exact"));
  });

  it("keeps a vote's classes apart", () => {
    const answers = ["adb", "abd", "abd"];
    expect(vote(answers, { missing: "no-vote", policy: "exact" })).toMatchObject({ majority: "abd", count: 2 });
  });
});
