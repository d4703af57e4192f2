// What must hold for any rewards and logprobs: advantages sum to 0, constant rewards give 0, and the derivative is the slope.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { batchAdvantages, groupAdvantages } from "../../src/grpo/advantage.ts";
import { type GrpoLossOptions, grpoSequenceLoss } from "../../src/grpo/loss.ts";
import { sequenceLogRatio } from "../../src/grpo/policy-loss.ts";

const reward = fc.double({ min: -3, max: 3, noNaN: true });
const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);

describe("advantages", () => {
  it("sum to 0 in every group, and over a pooled batch", () => {
    fc.assert(
      fc.property(fc.array(reward, { minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 9 }), (rewards, size) => {
        const { advantages } = groupAdvantages(rewards, size);
        for (let start = 0; start < rewards.length; start += size)
          expect(Math.abs(sum(advantages.subarray(start, start + size)))).toBeLessThan(1e-8);
        expect(Math.abs(sum(batchAdvantages(rewards).advantages))).toBeLessThan(1e-8);
      }),
    );
  });
  it("are exactly 0 for constant rewards", () => {
    fc.assert(
      fc.property(reward, fc.integer({ min: 1, max: 20 }), (value, n) => {
        const rewards = new Array(n).fill(value);
        expect(groupAdvantages(rewards, n)).toEqual({ advantages: new Float64Array(n), groups: 1, zeroVarianceGroups: 1 });
        expect(batchAdvantages(rewards).advantages).toEqual(new Float64Array(n));
      }),
    );
  });
  it("keep the order of the rewards and ignore shift and scale", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 2, maxLength: 12 }), (rewards) => {
        const { advantages } = groupAdvantages(rewards, rewards.length);
        const moved = groupAdvantages(
          rewards.map((value) => 2 * value + 7),
          rewards.length,
        ).advantages;
        for (let i = 0; i < rewards.length; i++) {
          expect(moved[i]).toBeCloseTo(advantages[i], 4);
          for (let j = 0; j < i; j++) if (rewards[i] > rewards[j]) expect(advantages[i]).toBeGreaterThan(advantages[j]);
        }
      }),
    );
  });
});

describe("loss", () => {
  const token = fc.record({
    training: fc.double({ min: -6, max: -0.01, noNaN: true }),
    sampling: fc.double({ min: -6, max: -0.01, noNaN: true }),
    reference: fc.double({ min: -6, max: -0.01, noNaN: true }),
    advantage: fc.double({ min: -2, max: 2, noNaN: true }),
    weight: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  const options = fc.constantFrom<GrpoLossOptions>(
    { clipLow: 0.2, clipHigh: 0.3, clipDual: 3, klWeight: 0.01 },
    { clipLow: 0.2, clipHigh: 0.2, clipDual: 0, klWeight: 0 },
    { clipLow: 0.1, clipHigh: 0.5, clipDual: 2, klWeight: 1 },
    { clipLow: 0.2, clipHigh: 0.3, clipDual: 3, klWeight: 0.1, entropyWeight: 0.3, entropyBaseline: 1.2 },
    { clipLow: 0.2, clipHigh: 0.3, clipDual: 3, klWeight: 0.1, loss: "gspo" },
    { clipLow: 0.01, clipHigh: 0.02, clipDual: 0, klWeight: 0, loss: "gspo", entropyWeight: 0.1 },
  );
  type Token = typeof token extends fc.Arbitrary<infer T> ? T : never;

  function lossOf(tokens: readonly Token[], shift: number, at: number, constants: GrpoLossOptions) {
    const gradient = new Float64Array(tokens.length);
    const logprobs = tokens.map(({ training }, t) => (t === at ? training + shift : training));
    const fields = {
      weights: tokens.map(({ weight }) => weight),
      advantages: tokens.map(({ advantage }) => advantage),
      samplingLogprobs: tokens.map(({ sampling }) => sampling),
      referenceLogprobs: tokens.map(({ reference }) => reference),
    };
    return { ...grpoSequenceLoss(logprobs, fields, constants, gradient), gradient };
  }

  function isNearKink(tokens: readonly Token[], t: number, options: GrpoLossOptions): boolean {
    const { clipLow, clipHigh, clipDual, loss } = options;
    const { training, sampling, reference } = tokens[t];
    const sequence = sequenceLogRatio(
      tokens.map((token) => token.training),
      tokens.map((token) => token.sampling),
      tokens.map(({ weight }) => weight),
    );
    const logRatio = loss === "gspo" ? sequence.mean : training - sampling;
    const kinks = [Math.log(1 - clipLow), Math.log(1 + clipHigh), Math.log(clipDual || 1)];
    const d = reference - training;
    return kinks.some((kink) => Math.abs(logRatio - kink) < 1e-4) || Math.abs(Math.expm1(d) - d - 10) < 1e-2;
  }

  it("has the finite difference as derivative away from kinks", () => {
    const step = 1e-6;
    fc.assert(
      fc.property(fc.array(token, { minLength: 1, maxLength: 5 }), options, (tokens, constants) => {
        const { gradient } = lossOf(tokens, 0, 0, constants);
        tokens.forEach((_, t) => {
          if (isNearKink(tokens, t, constants)) return;
          const slope = (lossOf(tokens, step, t, constants).loss - lossOf(tokens, -step, t, constants).loss) / (2 * step);
          expect(Math.abs(gradient[t] - slope)).toBeLessThan(1e-6 * (1 + Math.abs(slope)));
        });
      }),
      { numRuns: 300 },
    );
  });
  it("of cispo has it too, where the clipped ratio is held", () => {
    fc.assert(
      fc.property(fc.array(token, { minLength: 1, maxLength: 5 }), (tokens) => {
        const constants = { clipLow: 0.2, clipHigh: 0.3, clipDual: 0, klWeight: 0, loss: "cispo" } as const;
        const { gradient } = lossOf(tokens, 0, 0, constants);
        tokens.forEach(({ training, sampling, advantage, weight }, t) => {
          const held = Math.min(Math.max(Math.exp(training - sampling), 0.8), 1.3);
          const loss = (logprob: number) => -weight * held * advantage * logprob;
          const slope = (loss(training + 1e-3) - loss(training - 1e-3)) / 2e-3;
          expect(Math.abs(gradient[t] - slope)).toBeLessThan(1e-9 * (1 + Math.abs(slope)));
        });
      }),
    );
  });
  it("is never above the unclipped loss for A < 0 beyond the dual clip, and its KL is never negative", () => {
    fc.assert(
      fc.property(token, options, (entry, constants) => {
        const ppo = { ...constants, loss: "ppo" } as const;
        const { metrics } = lossOf([{ ...entry, weight: 1 }], 0, 0, ppo);
        expect(metrics.kl).toBeGreaterThanOrEqual(0);
        const bound = constants.clipDual > 0 ? constants.clipDual * Math.max(0, -entry.advantage) : Number.POSITIVE_INFINITY;
        expect(metrics.policyLoss).toBeLessThanOrEqual(bound + 1e-12);
      }),
    );
  });
});
