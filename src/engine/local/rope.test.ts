import { describe, expect, it } from "vitest";
import { inverseFrequencies } from "./rope.ts";

describe("inverseFrequencies", () => {
  it("are theta^(-2i/E)", () => {
    const got = inverseFrequencies({ headDim: 8, ropeTheta: 10000 });
    [1, 0.1, 0.01, 0.001].forEach((value, i) => {
      expect(got[i]).toBeCloseTo(value, 7);
    });
  });

  it("stretch long waves by the factor, keep short ones, interpolate between", () => {
    // Wavelengths: 6.28 (kept), 62.8 (between 50 and 200), 628 (long).
    const ropeScaling = { factor: 4, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 200 };
    const got = inverseFrequencies({ headDim: 6, ropeTheta: 1000, ropeScaling });
    const share = (200 / (20 * Math.PI) - 1) / 3;
    [1, 0.1 * ((1 - share) / 4 + share), 0.01 / 4].forEach((value, i) => {
      expect(Math.abs(got[i] / value - 1)).toBeLessThan(1e-6);
    });
  });
});
