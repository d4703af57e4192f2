import { describe, expect, it } from "vitest";
import { QuestionArchive } from "./novelty.ts";
import { QualityGate, type QualityOptions } from "./quality.ts";

const open: QualityOptions = { ownAnswer: "any", agreement: false, minTokens: 0, maxTokens: 0, promptCopy: 1, archiveCopy: 1 };
const PROMPT = ["You set problems.\nWrite one new, challenging problem now."];
const gateOf = (options: Partial<QualityOptions>, archived: string[] = []) =>
  new QualityGate({ ...open, ...options }, PROMPT, new QuestionArchive(archived));
const posed = { question: "What is 47 + 85?", ownAnswer: "132" as string | undefined, questionTokens: 10 };

describe("the quality gate", () => {
  it("lets everything through when nothing is asked for", () => {
    expect(gateOf({}).fault({ question: "?", ownAnswer: undefined, questionTokens: 1 })).toBeUndefined();
  });
  it("bounds the length, ends included", () => {
    const gate = gateOf({ minTokens: 5, maxTokens: 10 });
    expect([4, 5, 10, 11].map((questionTokens) => gate.fault({ ...posed, questionTokens }))).toEqual([
      "length",
      undefined,
      undefined,
      "length",
    ]);
  });
  it.each([
    ["132", undefined, undefined],
    ["\\frac{1}{2}", undefined, undefined],
    ["it depends on x", undefined, "ownAnswer"],
    [" ", "ownAnswer", "ownAnswer"],
    [undefined, "ownAnswer", "ownAnswer"],
  ])("an own answer %j: boxed %s, value %s", (ownAnswer, boxed, value) => {
    expect(gateOf({ ownAnswer: "boxed" }).fault({ ...posed, ownAnswer })).toBe(boxed);
    expect(gateOf({ ownAnswer: "value" }).fault({ ...posed, ownAnswer })).toBe(value);
  });
  it("asks for the recipe's form", () => {
    const gate = gateOf({ wellPosed: "[?.]$" });
    expect(gate.fault(posed)).toBeUndefined();
    expect(gate.fault({ ...posed, question: "What is 47 + 85" })).toBe("illPosed");
    expect(() => gateOf({ wellPosed: "(a)\\1" })).toThrow("matched in linear time");
  });
  it("stops near copies of the prompt and of archived questions", () => {
    const copy = { ...posed, question: "Write one new, challenging problem now." };
    expect(gateOf({ promptCopy: 0.8 }).fault(copy)).toBe("promptCopy");
    expect(gateOf({ promptCopy: 0.8 }).fault(posed)).toBeUndefined();
    expect(gateOf({}).fault(copy)).toBeUndefined();
    expect(gateOf({ archiveCopy: 0.9 }, [posed.question]).fault(posed)).toBe("archiveCopy");
    expect(gateOf({ archiveCopy: 0.9 }, ["What is 47 + 86?"]).fault(posed)).toBeUndefined();
  });
  it("compares the own answer with the majority by meaning", () => {
    const gate = gateOf({ agreement: true });
    expect(gate.disagreement("0.5", "\\frac{1}{2}", "math-verify")).toBeUndefined();
    expect(gate.disagreement("0.5", "2", "math-verify")).toBe("disagreement");
    expect(gate.disagreement("0.5", undefined, "math-verify")).toBe("disagreement");
    expect(gate.disagreement(undefined, "2", "math-verify")).toBe("disagreement");
    expect(gateOf({}).disagreement("0.5", "2", "math-verify")).toBeUndefined();
  });
});
