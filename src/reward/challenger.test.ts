import { describe, expect, it } from "vitest";
import { type ChallengerRewardOptions, challengerRewards, isWellFormed } from "./challenger.ts";
import { hasThinkFormat, solverReward, solverRewardParts } from "./solver.ts";
import { uncertaintyReward } from "./uncertainty.ts";

const repetition = { weight: 1, threshold: 0.5 };
const paper: ChallengerRewardOptions = {
  uncertainty: "tent",
  repetition,
  malformed: "zero",
  clampAtZero: true,
  wellFormed: "question-and-box",
};
const released: ChallengerRewardOptions = {
  uncertainty: "min",
  repetition,
  malformed: "penalty",
  clampAtZero: false,
  wellFormed: "question",
};
const batch = [
  { question: "How many ways are there to choose 2 of 9 people?", ownAnswer: "36", voteShare: 0.5 },
  { question: "How many ways are there to choose 3 of 9 people?", ownAnswer: "84", voteShare: 0.9 },
  { question: "What is 47 + 85?", ownAnswer: undefined, voteShare: 0.3 },
  { question: undefined, ownAnswer: "7", voteShare: undefined },
];
const totals = (options: ChallengerRewardOptions) => challengerRewards(batch, options).map(({ total }) => total);
const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 12));

describe("uncertainty", () => {
  it.each([
    [0, 0, 0],
    [0.25, 0.5, 0.25],
    [0.5, 1, 0.5],
    [0.9, 0.2, 0.1],
    [1, 0, 0],
  ])("at p̂ = %d is %d (tent) and %d (min)", (share, tent, min) => {
    expect(uncertaintyReward(share, "tent")).toBeCloseTo(tent, 12);
    expect(uncertaintyReward(share, "min")).toBeCloseTo(min, 12);
  });
  it("refuses what is no share", () => {
    expect(() => uncertaintyReward(1.1, "tent")).toThrow("internal");
    expect(() => uncertaintyReward(Number.NaN, "min")).toThrow("internal");
  });
});

describe("Challenger reward", () => {
  it("paper: tent − repetition, clamped; a missing box is malformed and gives 0", () => {
    // The first two are one cluster of 2 in 4.
    expect(totals(paper)).toEqual(close([1 - 0.5, 0, 0, 0]));
  });
  it("released: min − repetition, no clamp; only missing tags are malformed, −1 − r_rep", () => {
    expect(totals(released)).toEqual(close([0.5 - 0.5, 0.1 - 0.5, 0.3 - 0.25, -1 - 0.25]));
  });
  it("gives the parts", () => {
    const [first, , third, last] = challengerRewards(batch, released);
    expect(first).toEqual({ total: 0, wellFormed: true, uncertainty: 0.5, repetition: 0.5, novelty: 0, cluster: 0 });
    expect(third).toMatchObject({ wellFormed: true, repetition: 0.25, cluster: 1 });
    expect(last).toEqual({ total: -1.25, wellFormed: false, uncertainty: 0, repetition: 0.25, novelty: 0, cluster: 2 });
  });
  it("λ scales the repetition, in the malformed penalty too", () => {
    expect(totals({ ...released, repetition: { weight: 2, threshold: 0.5 } })).toEqual(close([-0.5, -0.9, -0.2, -1.5]));
    expect(totals({ ...released, repetition: { weight: 0, threshold: 0.5 } })).toEqual(close([0.5, 0.1, 0.3, -1]));
  });
  it("each option acts alone", () => {
    expect(totals({ ...paper, uncertainty: "min" })).toEqual(close([0, 0, 0, 0]));
    expect(totals({ ...paper, clampAtZero: false })).toEqual(close([0.5, 0.2 - 0.5, 0, 0]));
    expect(totals({ ...paper, malformed: "penalty" })).toEqual(close([0.5, 0, -1.25, -1.25]));
    expect(totals({ ...paper, wellFormed: "question" })).toEqual(close([0.5, 0, 0.6 - 0.25, 0]));
    expect(totals({ ...paper, repetition: { weight: 1, threshold: 0.01 } })).toEqual(close([0.75, 0, 0, 0]));
  });
  it("malformed questions are no cluster of each other", () => {
    const none = { question: undefined, ownAnswer: undefined, voteShare: undefined };
    expect(challengerRewards([none, none, none, none], released).map(({ total }) => total)).toEqual([-1.25, -1.25, -1.25, -1.25]);
  });
  it("refuses a well-formed question without a vote share", () => {
    expect(() => challengerRewards([{ question: "a", ownAnswer: "1", voteShare: undefined }], paper)).toThrow("internal");
  });
  it("a gate makes long questions malformed", () => {
    const gated = { ...paper, gate: { maxTokens: 5 } };
    expect(isWellFormed({ question: "a", ownAnswer: "1", questionTokens: 5 }, gated)).toBe(true);
    expect(isWellFormed({ question: "a", ownAnswer: "1", questionTokens: 6 }, gated)).toBe(false);
    expect(() => isWellFormed({ question: "a", ownAnswer: "1" }, gated)).toThrow("internal");
    expect(isWellFormed({ question: "  ", ownAnswer: "1" }, paper)).toBe(false);
  });
});

describe("Solver reward", () => {
  const thinking = "<think>5+5</think>It is \\boxed{10}";
  it("weighs correctness and format", () => {
    expect(solverReward({ completion: "\\boxed{20/2}", pseudoLabel: "10" }, { correct: 1, format: 0 })).toBe(1);
    expect(solverReward({ completion: "\\boxed{11}", pseudoLabel: "10" }, { correct: 1, format: 0 })).toBe(0);
    expect(solverReward({ completion: thinking, pseudoLabel: "10" }, { correct: 0.9, format: 0.1 })).toBeCloseTo(1, 12);
    expect(solverReward({ completion: thinking, pseudoLabel: "11" }, { correct: 0.9, format: 0.1 })).toBe(0.1);
    expect(solverRewardParts({ completion: "10", pseudoLabel: "10" }, { correct: 0.9, format: 0.1 })).toEqual({
      total: 0,
      correct: false,
      wellFormatted: false,
    });
  });
  it.each([
    [thinking, true],
    [`\n${thinking} more`, true],
    [`So ${thinking}`, false],
    ["<think>a \\boxed{1}", false],
    ["<think>\\boxed{1}</think>", false],
    ["</think><think>\\boxed{1}", false],
    ["<think></think>\\boxed{1", false],
  ])("format of %j is %s", (text, expected) => expect(hasThinkFormat(text)).toBe(expected));
});
