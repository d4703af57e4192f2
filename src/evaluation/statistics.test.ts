import { describe, expect, it } from "vitest";
import { bootstrapMean, mean, meanAtK, pairedDifference, passAtK } from "./statistics.ts";

/** mulberry32, a small seeded generator. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

describe("bootstrap of a mean", () => {
  it("has the width that the normal approximation gives", () => {
    const values = Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? 1 : 0));
    const { mean: average, ci95 } = bootstrapMean(values, randomOf(1));
    const halfWidth = 1.96 * Math.sqrt((0.25 * 0.75) / 400);
    expect(average).toBe(0.25);
    expect(ci95[0]).toBeCloseTo(0.25 - halfWidth, 2);
    expect(ci95[1]).toBeCloseTo(0.25 + halfWidth, 2);
  });
  it("is a point for equal values, the same for the same seed, and refuses none", () => {
    expect(bootstrapMean([0.5, 0.5], randomOf(1))).toEqual({ mean: 0.5, ci95: [0.5, 0.5] });
    expect(bootstrapMean([0, 1, 2], randomOf(7))).toEqual(bootstrapMean([0, 1, 2], randomOf(7)));
    expect(() => bootstrapMean([], randomOf(1))).toThrow("internal");
  });
  it("covers the truth about 95 times in 100", () => {
    const random = randomOf(3);
    let covered = 0;
    for (let trial = 0; trial < 200; trial++) {
      const values = Array.from({ length: 60 }, () => (random() < 0.4 ? 1 : 0));
      const { ci95 } = bootstrapMean(values, random, { resamples: 400 });
      if (ci95[0] <= 0.4 && 0.4 <= ci95[1]) covered++;
    }
    expect(covered).toBeGreaterThan(176);
    expect(covered).toBeLessThan(200);
  });
});

describe("paired difference", () => {
  const a = Array.from({ length: 100 }, (_, i) => (i < 70 ? 1 : 0));
  it("uses the pairing: a constant gain has no spread", () => {
    const b = a.map((value) => value - 0.1);
    const { difference, ci95, pValue } = pairedDifference(a, b, randomOf(1), { resamples: 999 });
    expect(difference).toBeCloseTo(0.1, 12);
    expect(ci95[0]).toBeCloseTo(0.1, 12);
    expect(ci95[1]).toBeCloseTo(0.1, 12);
    expect(pValue).toBeCloseTo(0.002, 12);
  });
  it("has p = 1 for equal scores and changes sign with the order", () => {
    expect(pairedDifference(a, a, randomOf(1))).toEqual({ difference: 0, ci95: [0, 0], pValue: 1 });
    const b = a.map((value, i) => (i % 9 === 0 ? 1 - value : value));
    const forward = pairedDifference(a, b, randomOf(5));
    const backward = pairedDifference(b, a, randomOf(5));
    expect(backward.difference).toBe(-forward.difference);
    expect(backward.ci95[0]).toBeCloseTo(-forward.ci95[1], 12);
  });
  it("agrees with the normal test on a noisy gain", () => {
    // 20 gains and 8 losses in 200: z = 12 / sqrt(28 - 144/200) = 2.30, p = 0.022.
    const before = new Array(200).fill(0.5);
    const after = before.map((value, i) => (i < 20 ? value + 1 : i < 28 ? value - 1 : value));
    const { difference, ci95, pValue } = pairedDifference(after, before, randomOf(2));
    expect(difference).toBeCloseTo(0.06, 12);
    expect(ci95[0]).toBeGreaterThan(0);
    expect(pValue).toBeGreaterThan(0.01);
    expect(pValue).toBeLessThan(0.04);
  });
  it("refuses different numbers of questions", () => {
    expect(() => pairedDifference([1], [1, 2], randomOf(1))).toThrow("internal: pairedDifference got 1 and 2");
  });
});

describe("pass@k", () => {
  const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k);
  it("equals 1 − C(n − c, k) / C(n, k)", () => {
    for (let n = 1; n <= 12; n++)
      for (let c = 0; c <= n; c++)
        for (let k = 1; k <= n; k++) {
          const expected = n - c < k ? 1 : 1 - choose(n - c, k) / choose(n, k);
          expect(passAtK({ samples: n, correct: c, k })).toBeCloseTo(expected, 12);
        }
  });
  it("is c/n at k = 1, and refuses k > n", () => {
    expect(passAtK({ samples: 8, correct: 3, k: 1 })).toBeCloseTo(3 / 8, 12);
    expect(() => passAtK({ samples: 4, correct: 1, k: 5 })).toThrow("internal");
  });
});

it("mean@k averages questions, not samples", () => {
  expect(
    meanAtK([
      [true, false],
      [true, true],
      [false, false, false],
    ]),
  ).toBeCloseTo(0.5, 12);
  expect(mean([1, 2, 6])).toBe(3);
});
