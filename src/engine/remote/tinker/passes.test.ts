// Whatever a server makes of a request's tokens, the gradient that comes out is the one that was meant: hand-computed values, and servers
// of every reduction.

import { describe, expect, it } from "vitest";
import type { Datum } from "../../types.ts";
import { forwardDatum, type GradientForm, gradientData, REDUCTIONS } from "./passes.ts";

const data: Datum[] = [
  { tokens: Int32Array.of(1, 2, 3, 4), weights: Float32Array.of(0, 0.5, 0.5) },
  { tokens: Int32Array.of(5, 6), weights: Float32Array.of(0.25) },
];
const logprobs = [Float32Array.of(0, -1, -2), Float32Array.of(-3)];
const gradients = [Float32Array.of(9, 0.5, -0.25), Float32Array.of(2)];

it("a forward asks for the logprobs of the trained tokens, shifted by one", () => {
  const { tokens, inputs } = forwardDatum(data[0], true);
  expect([...tokens]).toEqual([1, 2, 3]);
  expect([...inputs.target_tokens.data]).toEqual([2, 3, 4]);
  expect([...inputs.weights.data]).toEqual([0, 1, 1]);
  expect(inputs.mask).toEqual(inputs.weights);
});

it("cross_entropy gets −dC/dlogprob as its weights, 0 where nothing is trained", () => {
  const sent = gradientData(data, logprobs, gradients, { loss: "cross_entropy", reduction: "sum", mask: false });
  expect(sent.map(({ inputs }) => [...inputs.weights.data])).toEqual([[0, -0.5, 0.25], [-2]]);
  expect(sent[0].inputs).not.toHaveProperty("mask");
});

/** d loss / d logprob as a server would have it, for its loss at its own logprobs. */
function applied({ loss, reduction, mask }: GradientForm): number[][] {
  const sent = gradientData(data, logprobs, gradients, { loss, reduction, mask });
  const counts = sent.map(({ inputs }) => inputs.weights.data.reduce((sum, weight) => sum + weight, 0));
  const all = counts.reduce((sum, count) => sum + count, 0);
  return sent.map(({ inputs }, i) => {
    const { weights, advantages, logprobs: old } = inputs;
    const divisor = reduction === "sum" ? 1 : reduction === "token-mean" ? all : counts[i] * sent.length;
    return [...weights.data].map((weight, t) => {
      const ratio = Math.exp(logprobs[i][t] - old.data[t]);
      return (-weight * ratio * advantages.data[t]) / divisor + 0;
    });
  });
}

describe("a server that takes advantages", () => {
  for (const loss of ["importance_sampling", "ppo"] as const)
    it.each(REDUCTIONS)(`applies the same gradient with ${loss} and reduction %s`, (reduction) => {
      expect(applied({ loss, reduction, mask: false })).toEqual([
        [0, expect.closeTo(0.5, 6), expect.closeTo(-0.25, 6)],
        [expect.closeTo(2, 6)],
      ]);
    });
});
