// Small shapes of reward: the window, the prior, the penalty for length, and how the Challenger's total joins them.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ChallengerRewardOptions, challengerRewards } from "./challenger.ts";
import { overlongPenalty } from "./overlong.ts";
import { shrunkShare, uncertaintyReward } from "./uncertainty.ts";

describe("window", () => {
  it.each([
    [0.4, 0],
    [0.5, 0],
    [0.6, 0.5],
    [0.7, 1],
    [0.8, 0.5],
    [0.95, 0],
  ])("of 0.5 to 0.9 at p̂ = %d is %d", (share, expected) => {
    expect(uncertaintyReward(share, "window", [0.5, 0.9])).toBeCloseTo(expected, 12);
    expect(uncertaintyReward(share, "window")).toBeCloseTo(expected, 12);
  });
  it("of 0 to 1 is the tent, and of one point a point", () => {
    for (let count = 0; count <= 10; count++)
      expect(uncertaintyReward(count / 10, "window", [0, 1])).toBeCloseTo(uncertaintyReward(count / 10, "tent"), 12);
    expect([0.5, 0.6].map((share) => uncertaintyReward(share, "window", [0.5, 0.5]))).toEqual([1, 0]);
  });
});

describe("prior", () => {
  it("moves a share towards its mean, less the more answers there are, and none leaves it", () => {
    expect(shrunkShare({ count: 4, m: 4 }, { a: 1, b: 1 })).toBeCloseTo(5 / 6, 12);
    expect(shrunkShare({ count: 40, m: 40 }, { a: 1, b: 1 })).toBeCloseTo(41 / 42, 12);
    expect(shrunkShare({ count: 3, m: 7 }, { a: 0, b: 0 })).toBe(3 / 7);
    expect(shrunkShare({ count: 0, m: 0 }, { a: 0, b: 0 })).toBe(0);
  });
  it("stays a share", () => {
    fc.assert(
      fc.property(fc.nat(50), fc.nat(50), fc.double({ min: 0, max: 9, noNaN: true }), (count, rest, a) => {
        const share = shrunkShare({ count, m: count + rest }, { a, b: 2 });
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(1);
      }),
    );
  });
});

it("overlong: nothing up to the buffer, then down to −weight at the limit", () => {
  const at = (tokens: number) => overlongPenalty(tokens, 100, { buffer: 20, weight: 0.5 });
  expect([0, 80, 90, 100, 120].map(at)).toEqual([0, 0, -0.25, -0.5, -0.5]);
  expect(overlongPenalty(100, 100, { buffer: 0, weight: 1 })).toBe(0);
});

describe("the Challenger's total", () => {
  const options: ChallengerRewardOptions = {
    uncertainty: "tent",
    repetition: { weight: 0, threshold: 0.5 },
    malformed: "zero",
    clampAtZero: true,
    wellFormed: "question",
  };
  const posed = { question: "What is 47 + 85?", ownAnswer: "1", voteShare: 0.5 };
  const total = (more: object, changed: Partial<ChallengerRewardOptions> = {}) =>
    challengerRewards([{ ...posed, ...more }], { ...options, ...changed })[0].total;
  it("multiplies the gate in, without asking for votes", () => {
    expect(total({})).toBe(1);
    expect(total({ fault: "length", voteShare: undefined })).toBe(0);
    expect(total({ fault: "length", novelty: 0.3 }, { clampAtZero: false })).toBeCloseTo(-0.3, 12);
  });
  it("takes novelty before the clamp and length after it", () => {
    expect(total({ novelty: 0.4 })).toBeCloseTo(0.6, 12);
    expect(total({ novelty: 1.4, overlong: -0.2 })).toBeCloseTo(-0.2, 12);
    expect(total({ question: undefined, overlong: -0.2, novelty: 5 })).toBeCloseTo(-0.2, 12);
  });
  it("rewards within the window", () => {
    expect(total({ voteShare: 0.7 }, { uncertainty: "window", window: [0.5, 0.9] })).toBeCloseTo(1, 12);
  });
});
