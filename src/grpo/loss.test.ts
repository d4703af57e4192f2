import { describe, expect, it } from "vitest";
import { type GrpoLossOptions, grpoLoss, k3 } from "./loss.ts";
import { policyLoss } from "./policy-loss.ts";

const options: GrpoLossOptions = { clipLow: 0.2, clipHigh: 0.3, clipDual: 3, klWeight: 0.1 };

describe("policy loss of a token", () => {
  // ratio, advantage, loss, derivative, bound
  it.each([
    [1, 2, -2, -2, "none"],
    [1.2, 2, -2.4, -2.4, "none"],
    [1.5, 2, -2.6, 0, "high"],
    [0.5, 2, -1, -1, "none"],
    [1, -2, 2, 2, "none"],
    [0.5, -2, 1.6, 0, "low"],
    [1.5, -2, 3, 3, "none"],
    [4, -2, 6, 0, "dual"],
    [1.5, 0, 0, 0, "none"],
  ])("at ratio %d with advantage %d is %d", (ratio, advantage, loss, derivative, bound) => {
    const token = policyLoss(Math.log(ratio), advantage, options);
    expect(token.loss).toBeCloseTo(loss, 12);
    expect(token.derivative).toBeCloseTo(derivative, 12);
    expect(token.ratio).toBeCloseTo(ratio, 12);
    expect(token.bound).toBe(bound);
  });
  it("has no dual clip when that is 0", () => {
    expect(policyLoss(Math.log(4), -2, { ...options, clipDual: 0 })).toMatchObject({ loss: expect.closeTo(8, 9), bound: "none" });
  });
  it("stays finite for any ratio", () => {
    expect(policyLoss(1e6, 1, options).loss).toBeCloseTo(-1.3, 12);
    expect(Number.isFinite(policyLoss(1e6, -1, { ...options, clipDual: 0 }).loss)).toBe(true);
    expect(policyLoss(-1e6, 1, options).loss).toBeCloseTo(0, 6);
  });
});

describe("k3", () => {
  it("is 0 with no slope at d = 0, positive elsewhere, and bounded", () => {
    expect(k3(0).value).toBe(0);
    expect(Math.abs(k3(0).derivative)).toBe(0);
    expect(k3(1).value).toBeCloseTo(Math.E - 2, 12);
    expect(k3(1).derivative).toBeCloseTo(1 - Math.E, 12);
    expect(k3(-1).value).toBeCloseTo(Math.exp(-1), 12);
    expect(k3(5)).toEqual({ value: 10, derivative: 0 });
    expect(k3(1e-8).value).toBeCloseTo(5e-17, 20);
  });
});

describe("grpoLoss", () => {
  const datum = {
    tokens: new Int32Array(5),
    weights: Float32Array.of(0, 0.5, 0.25, 0.25),
    advantages: Float32Array.of(9, 2, 2, -2),
    samplingLogprobs: Float32Array.of(9, -1, -1, -1),
    referenceLogprobs: Float32Array.of(9, -1, -2, -1),
  };
  const logprobs = Float32Array.of(0, -1, 0, -2);

  it("weights every token and adds up metrics", () => {
    const { loss, dLogprobs, metrics } = grpoLoss(options)(logprobs, datum);
    const ratio = Math.exp(-1);
    const policy = 0.5 * -2 + 0.25 * -2.6 + 0.25 * 1.6;
    const kl = 0.25 * (Math.exp(-2) + 1) + 0.25 * (Math.E - 2);
    expect(metrics).toEqual({
      policyLoss: expect.closeTo(policy, 6),
      kl: expect.closeTo(kl, 6),
      clipFractionHigh: 0.25,
      clipFractionLow: 0.25,
      clipFractionDual: 0,
      importanceRatio: expect.closeTo(0.5 + 0.25 * Math.E + 0.25 * ratio, 6),
      logprobDifference: 0.5,
      entropyEstimate: 1,
    });
    expect(loss).toBeCloseTo(policy + 0.1 * kl, 6);
    const expected = [0, 0.5 * -2, 0.25 * 0.1 * (1 - Math.exp(-2)), 0.25 * 0.1 * (1 - Math.E)];
    expect([...dLogprobs]).toEqual(expected.map((value) => expect.closeTo(value, 6)));
  });
  it("needs no reference without a KL weight, and measures the KL when it has one", () => {
    const { referenceLogprobs, ...bare } = datum;
    expect(grpoLoss({ ...options, klWeight: 0 })(logprobs, bare).metrics.kl).toBe(0);
    const measured = grpoLoss({ ...options, klWeight: 0 })(logprobs, datum);
    expect(measured.metrics.kl).toBeGreaterThan(0.2);
    expect(measured.loss).toBe(measured.metrics.policyLoss);
    expect(referenceLogprobs.length).toBe(4);
    expect(() => grpoLoss(options)(logprobs, bare)).toThrow("internal: grpoLoss needs");
    expect(() => grpoLoss(options)(logprobs.subarray(1), datum)).toThrow("internal: grpoLoss got a field of 4");
  });
});
