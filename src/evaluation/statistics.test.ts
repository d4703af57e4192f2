import { describe, expect, it } from "vitest";
import { bootstrapMean, expandedTail, mean, meanAtK, pairedDifference, passAtK, studentMean } from "./statistics.ts";

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
  it("leaves out what Student's distribution asks for", () => {
    // 2.5 % for many questions; Φ(−t·√(n / (n − 1))) with t = 2.0452 for 30 and 2.2622 for 10.
    expect(expandedTail(1e6)).toBeCloseTo(0.025, 5);
    expect(expandedTail(30)).toBeCloseTo(0.01875, 4);
    expect(expandedTail(10)).toBeCloseTo(0.00855, 4);
    expect(expandedTail(1)).toBe(0);
  });
});

describe("simulated coverage of 95 % intervals, 2,000 trials each", () => {
  /** Share of trials whose interval holds the truth. */
  function coverage(truth: number, trial: (random: () => number) => readonly [number, number]): number {
    const random = randomOf(11);
    let covered = 0;
    for (let i = 0; i < 2000; i++) {
      const [low, high] = trial(random);
      if (low <= truth && truth <= high) covered++;
    }
    return covered / 2000;
  }
  const options = { resamples: 400 };
  /** mean@k of a question whose chance is uniform in [0, 2p]. */
  const shareOf = (random: () => number, p: number, k: number) => {
    const chance = 2 * p * random();
    let right = 0;
    for (let i = 0; i < k; i++) if (random() < chance) right++;
    return right / k;
  };
  const design = (n: number, p: number, k: number) => (random: () => number) =>
    bootstrapMean(
      Array.from({ length: n }, () => shareOf(random, p, k)),
      random,
      options,
    ).ci95;

  it.each([
    [30, 0.3, 32],
    [40, 0.4, 8],
    [100, 0.2, 1],
    [250, 0.45, 1],
  ])("%i questions, chance %d, mean@%i", (n, p, k) => {
    const share = coverage(p, design(n, p, k));
    expect(share).toBeGreaterThanOrEqual(0.93);
    expect(share).toBeLessThanOrEqual(0.97);
  });

  it("of a paired difference, and its p value under no difference", () => {
    let below = 0;
    const share = coverage(0.1, (random) => {
      const chances = Array.from({ length: 100 }, () => 0.2 + 0.5 * random());
      const a = chances.map((chance) => (random() < chance + 0.1 ? 1 : 0));
      const b = chances.map((chance) => (random() < chance ? 1 : 0));
      const c = chances.map((chance) => (random() < chance ? 1 : 0));
      if (pairedDifference(b, c, random, options).pValue < 0.05) below++;
      return pairedDifference(a, b, random, options).ci95;
    });
    expect(share).toBeGreaterThanOrEqual(0.93);
    expect(share).toBeLessThanOrEqual(0.97);
    expect(below / 2000).toBeGreaterThan(0.025);
    expect(below / 2000).toBeLessThan(0.075);
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

describe("pass@k of sampled questions", () => {
  it("is unbiased: its mean over draws of n samples is the chance that k independent ones hold a right one", () => {
    // All outcomes of n = 6 independent samples, each weighted by its probability: no simulation error.
    const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k);
    for (const chance of [0.05, 0.3, 0.9])
      for (let k = 1; k <= 6; k++) {
        let expected = 0;
        for (let c = 0; c <= 6; c++)
          expected += choose(6, c) * chance ** c * (1 - chance) ** (6 - c) * passAtK({ samples: 6, correct: c, k });
        expect(expected).toBeCloseTo(1 - (1 - chance) ** k, 12);
      }
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

describe("mean over seeds", () => {
  it("has Student's interval: 2.7764 · s / √5 for five values", () => {
    const { mean: average, ci95 } = studentMean([1, 2, 3, 4, 5]);
    const half = (2.7764 * Math.sqrt(2.5)) / Math.sqrt(5);
    expect(average).toBe(3);
    expect(ci95[0]).toBeCloseTo(3 - half, 10);
    expect(ci95[1]).toBeCloseTo(3 + half, 10);
  });
  it("takes 2.2281 for eleven values, beyond the table", () => {
    const values = Array.from({ length: 11 }, (_, index) => index);
    const { ci95 } = studentMean(values);
    expect((ci95[1] - 5) / (Math.sqrt(11) / Math.sqrt(11))).toBeCloseTo(2.2281, 3);
  });
  it("knows nothing from one value", () => {
    expect(studentMean([7])).toEqual({ mean: 7, ci95: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] });
  });
});
