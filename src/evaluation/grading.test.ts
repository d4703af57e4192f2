import { describe, expect, it } from "vitest";
import { gradeAnswer, letterIndex } from "./grading.ts";

const grade = (text: string, question: { answer: string; choices?: string[] }, stopReason: "stop" | "length" = "stop") =>
  gradeAnswer({ text, stopReason }, { question: "q", ...question });

describe("gradeAnswer", () => {
  it("compares the last box with the truth", () => {
    expect(grade("first \\boxed{3}, no: \\boxed{0.5}", { answer: "1/2" })).toMatchObject({ answer: "0.5", correct: true });
    expect(grade("\\boxed{33}", { answer: "033" }).correct).toBe(true);
    expect(grade("\\boxed{34}", { answer: "33" }).correct).toBe(false);
  });
  it("counts no box as no answer, and a cut answer as wrong even with the right box", () => {
    expect(grade("it is 2", { answer: "2" })).toMatchObject({ answer: undefined, correct: false, truncated: false });
    expect(grade("\\boxed{2} and", { answer: "2" }, "length")).toMatchObject({ answer: "2", correct: false, truncated: true });
  });
  const choices = ["12", "7", "nine", "none of these"];
  it.each(["B", "b", "(B)", "B.", "B) 7", "\\text{B}", "\\text{(B)}", "\\mathbf{B}", "7"])(
    "takes %s as the second choice",
    (box) => {
      expect(grade(`\\boxed{${box}}`, { answer: "B", choices }).correct).toBe(true);
    },
  );
  it.each(["A", "12", "Bob", "E", "none of these"])("does not take %s as the second choice", (box) => {
    expect(grade(`\\boxed{${box}}`, { answer: "B", choices }).correct).toBe(false);
  });
  it("a text that two choices share names neither", () => {
    expect(grade("\\boxed{7}", { answer: "A", choices: ["7", "7.0", "8"] }).correct).toBe(false);
  });
  it("letters end where the choices end", () => {
    expect(letterIndex("D", 4)).toBe(3);
    expect(letterIndex("E", 4)).toBeUndefined();
  });
});
