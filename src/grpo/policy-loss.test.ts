import { describe, expect, it } from "vitest";
import { grpoSequenceLoss } from "./loss.ts";
import { cispoLoss, entropySurrogate, sequenceLogRatio } from "./policy-loss.ts";

const clip = { clipLow: 0.2, clipHigh: 0.3, clipDual: 0 };

describe("cispo", () => {
  // ratio, weight after the clip, bound
  it.each([
    [1, 1, "none"],
    [1.2, 1.2, "none"],
    [2, 1.3, "high"],
    [0.5, 0.8, "low"],
  ])("weights a ratio of %d by %d", (ratio, weight, bound) => {
    for (const advantage of [2, -2]) {
      const token = cispoLoss(Math.log(ratio), -1.5, advantage, clip);
      expect(token.derivative).toBeCloseTo(-weight * advantage, 12);
      expect(token.loss).toBeCloseTo(weight * advantage * 1.5, 12);
      expect(token.bound).toBe(bound);
    }
  });
  it("is REINFORCE when nothing is clipped: the gradient is −ρA, as of ppo", () => {
    const fields = { weights: [0.5, 0.5], advantages: [2, -1], samplingLogprobs: [-1, -2] };
    const gradients = (["ppo", "cispo"] as const).map((loss) => {
      const gradient = new Float64Array(2);
      grpoSequenceLoss([-1.1, -1.95], fields, { ...clip, loss, klWeight: 0 }, gradient);
      return [...gradient];
    });
    expect(gradients[0]).toEqual(gradients[1].map((value) => expect.closeTo(value, 12)));
  });
});

describe("gspo", () => {
  const fields = { weights: [0, 0.25, 0.25, 0], advantages: [9, 2, 2, 9], samplingLogprobs: [9, -1, -2, 9] };
  const run = (logprobs: number[], clipHigh: number) => {
    const gradient = new Float64Array(4);
    const options = { clipLow: 0.2, clipHigh, clipDual: 3, klWeight: 0, loss: "gspo" } as const;
    return { ...grpoSequenceLoss(logprobs, fields, options, gradient), gradient: [...gradient] };
  };
  it("has one ratio per sequence, the geometric mean of its tokens', and shares the gradient out evenly", () => {
    const { loss, gradient, metrics } = run([0, -0.8, -2.1, 0], 0.3);
    const s = Math.exp((0.2 - 0.1) / 2);
    expect(loss).toBeCloseTo(-0.5 * s * 2, 12);
    expect(gradient).toEqual([0, expect.closeTo(-0.5 * s, 12), expect.closeTo(-0.5 * s, 12), 0]);
    expect(metrics.importanceRatio).toBeCloseTo(0.5 * s, 12);
  });
  it("clips whole sequences", () => {
    const { loss, gradient, metrics } = run([0, -0.8, -2.1, 0], 0.01);
    expect(loss).toBeCloseTo(-0.5 * 1.01 * 2, 12);
    expect(gradient).toEqual([0, expect.closeTo(0, 12), expect.closeTo(0, 12), 0]);
    expect(metrics.clipFractionHigh).toBeCloseTo(0.5, 12);
  });
  it("leaves out what is not trained", () => {
    expect(sequenceLogRatio([5, -1], [0, -1.5], [0, 1])).toEqual({ mean: 0.5, tokens: 1 });
    expect(sequenceLogRatio([5], [0], [0])).toEqual({ mean: 0, tokens: 0 });
  });
});

describe("entropy bonus", () => {
  it("raises rare tokens against the mean, and lowers common ones", () => {
    expect(entropySurrogate(-3, 1)).toEqual({ loss: 2, derivative: -2 });
    expect(entropySurrogate(-0.5, 1).derivative).toBe(0.5);
  });
  it("is the gradient of the entropy in expectation, whatever the baseline", () => {
    // Softmax over three tokens: dH/dz_k = −p_k (log p_k + H); the estimate is Σ p_i · surrogate'(log p_i) · d log p_i/dz_k.
    const logits = [0.3, -1, 2];
    const norm = Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0));
    const logp = logits.map((z) => z - norm);
    const p = logp.map(Math.exp);
    const entropy = -p.reduce((sum, value, i) => sum + value * logp[i], 0);
    for (const baseline of [0, 1.7])
      for (let k = 0; k < 3; k++) {
        const estimate = p.reduce(
          (sum, value, i) => sum + value * entropySurrogate(logp[i], baseline).derivative * (Number(i === k) - p[k]),
          0,
        );
        expect(-estimate).toBeCloseTo(-p[k] * (logp[k] + entropy), 12);
      }
  });
  it("adds to loss and gradient with its weight", () => {
    const fields = { weights: [0.5], advantages: [0], samplingLogprobs: [-2] };
    const gradient = new Float64Array(1);
    const options = { ...clip, klWeight: 0, entropyWeight: 0.1, entropyBaseline: 1.5 };
    expect(grpoSequenceLoss([-2], fields, options, gradient).loss).toBeCloseTo(0.5 * 0.1 * 0.125, 12);
    expect(gradient[0]).toBeCloseTo(0.5 * 0.1 * -0.5, 12);
  });
});
