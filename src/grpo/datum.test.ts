import { describe, expect, it } from "vitest";
import type { Datum } from "../engine/types.ts";
import { attachReference, countTrainedTokens, makeDatum, normaliseWeights } from "./datum.ts";

const rollout = {
  prompt: { tokens: Int32Array.of(10, 11, 12) },
  completion: { tokens: Int32Array.of(20, 21), logprobs: Float32Array.of(-0.5, -0.25) },
  advantage: -1.5,
};
const weighted = (...weights: number[]): Datum => ({
  tokens: new Int32Array(weights.length + 1),
  weights: Float32Array.from(weights),
});
const weightsOf = (data: readonly Datum[]) => data.map(({ weights }) => [...weights]);

describe("makeDatum", () => {
  it("puts entry i at the logprob of token i + 1", () => {
    expect(makeDatum(rollout)).toEqual({
      tokens: Int32Array.of(10, 11, 12, 20, 21),
      weights: Float32Array.of(0, 0, 1, 1),
      advantages: Float32Array.of(0, 0, -1.5, -1.5),
      samplingLogprobs: Float32Array.of(0, 0, -0.5, -0.25),
    });
  });
  it("refuses what cannot be trained on", () => {
    const empty = new Int32Array(0);
    expect(() => makeDatum({ ...rollout, prompt: { tokens: empty } })).toThrow("internal: datum of 0 prompt");
    expect(() => makeDatum({ ...rollout, completion: { tokens: empty, logprobs: new Float32Array(0) } })).toThrow("internal");
    expect(() => makeDatum({ ...rollout, completion: { ...rollout.completion, logprobs: new Float32Array(1) } })).toThrow(
      "internal",
    );
  });
  it("takes the reference of the same length only", () => {
    const reference = Float32Array.of(-1, -2, -3, -4);
    expect(attachReference(makeDatum(rollout), reference).referenceLogprobs).toBe(reference);
    expect(() => attachReference(makeDatum(rollout), new Float32Array(5))).toThrow("internal");
  });
});

describe("normaliseWeights", () => {
  const data = [weighted(0, 1, 1, 1), weighted(0, 0, 1), weighted(0, 0)];
  it("token mean: every trained token of the step counts the same", () => {
    expect(weightsOf(normaliseWeights(data, "token-mean"))).toEqual([
      [0, 0.25, 0.25, 0.25],
      [0, 0, 0.25],
      [0, 0],
    ]);
  });
  it("sequence mean: every sequence with a trained token counts the same", () => {
    const third = Math.fround(1 / 6);
    expect(weightsOf(normaliseWeights(data, "sequence-mean"))).toEqual([
      [0, third, third, third],
      [0, 0, 0.5],
      [0, 0],
    ]);
  });
  it("constant: a token counts the same however long its sequence is", () => {
    const weights = weightsOf(normaliseWeights(data, "constant", { maxTokens: 8 }));
    expect(weights).toEqual([
      [0, 1 / 16, 1 / 16, 1 / 16],
      [0, 0, 1 / 16],
      [0, 0],
    ]);
    expect(() => normaliseWeights(data, "constant")).toThrow("internal: loss normalisation constant needs maxTokens");
  });
  it("micro-batch mean: token mean within each part, then the mean of the parts", () => {
    const four = [weighted(1, 1, 1), weighted(1), weighted(0, 1), weighted(0)];
    expect(weightsOf(normaliseWeights(four, "micro-batch-mean", { microBatch: 2 }))).toEqual([
      [0.125, 0.125, 0.125],
      [0.125],
      [0, 0.5],
      [0],
    ]);
    expect(weightsOf(normaliseWeights(four, "micro-batch-mean", { microBatch: 4 }))).toEqual(
      weightsOf(normaliseWeights(four, "token-mean")),
    );
    expect(() => normaliseWeights(four, "micro-batch-mean")).toThrow("internal");
  });
  it("leaves its input alone, keeps the other fields, and takes a step without any weight", () => {
    const [normalised] = normaliseWeights([makeDatum(rollout)], "token-mean");
    expect(normalised).toEqual({ ...makeDatum(rollout), weights: Float32Array.of(0, 0, 0.5, 0.5) });
    expect([...data[0].weights]).toEqual([0, 1, 1, 1]);
    expect(weightsOf(normaliseWeights([weighted(0, 0)], "sequence-mean"))).toEqual([[0, 0]]);
  });
  it("counts trained tokens", () => expect(data.map(countTrainedTokens)).toEqual([3, 1, 0]));
});
