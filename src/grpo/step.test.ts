// A rollout step whose sampler is another program than its trainer.

import { expect, it } from "vitest";
import { ScriptedEngine } from "../engine/scripted.ts";
import type { AdamWParams, Completion } from "../engine/types.ts";
import type { CorrectionOptions } from "./correction.ts";
import { grpoStep } from "./step.ts";

const OPTIMIZER: AdamWParams = { learningRate: 1, beta1: 0, beta2: 0, epsilon: 0, weightDecay: 0, clipNorm: 0 };
const GRPO = { clipLow: 0.2, clipHigh: 0.3, clipDual: 3, klWeight: 0, lossNormalisation: "token-mean" } as const;
const prompt = { tokens: Int32Array.of(1, 2) };

/** Two rollouts whose sampling logprobs are the trainer's minus `mismatch` on one token. */
async function step(mismatch: number, correction?: CorrectionOptions, done?: []) {
  const engine = new ScriptedEngine(() => "");
  const trainer = await engine.openTrainer("base");
  const seen: number[][] = [];
  await trainer.forwardBackward(
    [{ tokens: Int32Array.of(1, 2, 3, 4), weights: Float32Array.of(0, 1, 1) }],
    (logprobs, { weights }) => {
      seen.push([...logprobs]);
      return { loss: 0, dLogprobs: new Float32Array(weights.length), metrics: {} };
    },
  );
  const [, a, b] = seen[0];
  const completion = (logprobs: number[]): Completion => ({
    tokens: Int32Array.of(3, 4),
    logprobs: Float32Array.from(logprobs),
    text: "",
    stopReason: "stop",
  });
  const rollouts = [
    { prompt, completion: completion([a - mismatch, b]), advantage: 1 },
    { prompt, completion: completion([a, b]), advantage: -1 },
  ];
  return grpoStep(trainer, undefined, {
    rollouts,
    grpo: { ...GRPO, correction },
    optimizer: OPTIMIZER,
    rolloutsPerOptimizerStep: 2,
    done,
  });
}

const TOKEN: CorrectionOptions = { importance: "token", truncate: 2 };

it("measures mismatch as largest, mean and k3, and only where there is some", async () => {
  const metrics = await step(0.5);
  expect(metrics.samplerMismatch).toBeCloseTo(0.5, 5);
  expect(metrics.samplerMismatchMean).toBeCloseTo(0.5 / 4, 5);
  expect(metrics.samplerMismatchK3).toBeCloseTo((Math.expm1(0.5) - 0.5) / 4, 5);
  expect(metrics).not.toHaveProperty("correctionWeight");
  const exact = await step(0);
  expect(exact).not.toHaveProperty("samplerMismatchMean");
  expect(await step(0, TOKEN)).toEqual(exact);
});

it("weights each token by its truncated ratio", async () => {
  const metrics = await step(0.5, TOKEN);
  expect(metrics.correctionWeight).toBeCloseTo((Math.exp(0.5) + 3) / 4, 5);
  expect(metrics.correctionMasked).toBe(0);
  // −(e^½ + 1)/4 + 2/4: the ratio to the trainer's logprobs is 1, the mismatch is in the weights.
  expect(metrics.loss).toBeCloseTo((-Math.exp(0.5) - 1 + 2) / 4, 5);
  expect((await step(1, TOKEN)).correctionWeight).toBeCloseTo(5 / 4, 5);
});

it("takes masked tokens out of the denominator", async () => {
  const metrics = await step(0.5, { importance: "none", truncate: 2, tokenMask: [0.8, 1.25] });
  expect(metrics.correctionMasked).toBe(0.25);
  expect(metrics.loss).toBeCloseTo((-1 + 2) / 3, 5);
  expect(metrics.tokens).toBe(4);
});
