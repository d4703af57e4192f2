import { expect, it } from "vitest";
import { parseChallengerCompletion, renderChallengerCompletion } from "./challenger.ts";

it("parses what it renders", () => {
  const posed = { question: "What is 47+85?", ownAnswer: "\\frac{1}{2}" };
  expect(parseChallengerCompletion(renderChallengerCompletion(posed))).toEqual(posed);
});

it("takes the last complete question block and the answer after it", () => {
  const text = "\\boxed{1}<question>a</question>\\boxed{2}<question> b </question> so \\boxed{3}<question>cut";
  expect(parseChallengerCompletion(text)).toEqual({ question: "b", ownAnswer: "3" });
});

it("ignores an unclosed block before a closed one", () => {
  expect(parseChallengerCompletion("<question>a<question>b</question>").question).toBe("b");
});

it("finds no question in malformed text", () => {
  for (const text of ["", "<question></question>\\boxed{1}", "<question>a", "a</question>", "\\boxed{1}"])
    expect(parseChallengerCompletion(text)).toEqual({ question: undefined, ownAnswer: undefined });
});

it("leaves a missing answer undefined", () => {
  expect(parseChallengerCompletion("\\boxed{4}<question>a</question>")).toEqual({ question: "a", ownAnswer: undefined });
});
