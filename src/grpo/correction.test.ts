import { describe, expect, it } from "vitest";
import type { Datum } from "../engine/types.ts";
import { type CorrectionOptions, correct, isCorrecting, measureMismatch, withFactors } from "./correction.ts";
import { normaliseWeights } from "./datum.ts";

const LN2 = Math.log(2);
/** Two trained tokens with d = ln 2 and −ln 2 in the first sequence, one with d = ln 4 in the second; prompts are not trained. */
const data: Datum[] = [
  {
    tokens: Int32Array.of(1, 2, 3, 4),
    weights: Float32Array.of(0, 1, 1),
    advantages: Float32Array.of(0, 1, 1),
    samplingLogprobs: Float32Array.of(0, -2, -1),
  },
  {
    tokens: Int32Array.of(1, 2, 3),
    weights: Float32Array.of(0, 1),
    advantages: Float32Array.of(0, -1),
    samplingLogprobs: Float32Array.of(0, -3),
  },
];
const training = [Float32Array.of(-9, -2 + LN2, -1 - LN2), Float32Array.of(-9, -3 + 2 * LN2)];
const off: CorrectionOptions = { importance: "none", truncate: 2 };
const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 5));
const weights = (all: readonly Datum[]) => all.map((datum) => [...datum.weights]);

describe("mismatch", () => {
  it("is measured as mean, largest and k3 over the trained tokens", () => {
    // exp(d) − 1 − d: 2 − 1 − ln 2, ½ − 1 + ln 2, 4 − 1 − 2 ln 2
    const k3 = (1 - LN2 + (LN2 - 0.5) + (3 - 2 * LN2)) / 3;
    const { tokens, mean, max, k3: measured } = measureMismatch(data, training);
    expect([tokens, mean, max, measured]).toEqual([3, ...close([(4 * LN2) / 3, 2 * LN2, k3])]);
  });
  it("of nothing trained is 0, and a NaN shows", () => {
    expect(measureMismatch([], [])).toEqual({ tokens: 0, mean: 0, max: 0, k3: 0 });
    expect(measureMismatch(data, [training[0], Float32Array.of(0, Number.NaN)]).max).toBeNaN();
  });
});

describe("correction", () => {
  it("leaves everything as it is where sampler and trainer agree", () => {
    const exact = data.map(({ samplingLogprobs }) => samplingLogprobs as Float32Array);
    const result = correct(data, exact, { importance: "token", truncate: 2, tokenMask: [0.9, 1.1] });
    expect(result.data).toBe(data);
    expect(result.factors).toBeUndefined();
    expect(withFactors(data, undefined)).toBe(data);
  });
  it("token: min(r, C) of each token, after normalisation", () => {
    const { data: corrected, factors, meanFactor, masked } = correct(data, training, { ...off, importance: "token" });
    expect(factors?.map((row) => [...row])).toEqual([close([1, 2, 0.5]), close([1, 2])]);
    expect([meanFactor, masked]).toEqual(close([1.5, 0]));
    expect(corrected[0].samplingLogprobs).toBe(training[0]);
    const third = 1 / 3;
    expect(weights(withFactors(normaliseWeights(corrected, "token-mean"), factors))).toEqual([
      close([0, 2 * third, 0.5 * third]),
      close([0, 2 * third]),
    ]);
  });
  it("sequence: min(exp Σ d, C) for all its tokens", () => {
    const { factors } = correct(data, training, { ...off, importance: "sequence", truncate: 3 });
    expect(factors?.map((row) => [...row])).toEqual([close([1, 1, 1]), close([3, 3])]);
  });
  it("masked tokens leave the denominator", () => {
    const { data: corrected, factors, masked } = correct(data, training, { ...off, tokenMask: [0.5 - 1e-6, 2 + 1e-6] });
    expect(weights(corrected)).toEqual([
      [0, 1, 1],
      [0, 0],
    ]);
    expect(masked).toBeCloseTo(1 / 3);
    expect(weights(withFactors(normaliseWeights(corrected, "token-mean"), factors))).toEqual([
      [0, 0.5, 0.5],
      [0, 0],
    ]);
  });
  it("a masked sequence leaves it whole, by its geometric mean", () => {
    // exp(mean d): 1 and 4
    const { data: corrected, masked } = correct(data, training, { ...off, sequenceMask: [0.5, 3.9] });
    expect(weights(corrected)).toEqual([
      [0, 1, 1],
      [0, 0],
    ]);
    expect(masked).toBeCloseTo(1 / 3);
    expect(weights(normaliseWeights(corrected, "sequence-mean"))).toEqual([
      [0, 0.5, 0.5],
      [0, 0],
    ]);
  });
  it("is off without weights and masks", () => {
    expect(
      [undefined, off, { ...off, importance: "token" as const }, { ...off, tokenMask: [0, 2] as const }].map(isCorrecting),
    ).toEqual([false, false, true, true]);
  });
});
