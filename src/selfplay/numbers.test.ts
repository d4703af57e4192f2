import { expect, it } from "vitest";
import { largestNorm } from "./numbers.ts";

const on = { skipsInARow: 3, spikeZScore: 4 };

it("bounds the norm by the mean and deviation of the last ones", () => {
  const norms = [1, 2, 3, 4, 5, 1, 2, 3, 4, 5];
  expect(largestNorm(norms, on)).toBeCloseTo(3 + 4 * Math.sqrt(20 / 9), 12);
  expect(largestNorm(norms.slice(1), on)).toBe(Number.POSITIVE_INFINITY);
  expect(largestNorm(norms, { ...on, spikeZScore: 0 })).toBe(Number.POSITIVE_INFINITY);
});
