// Numbers that are not finite never reach the weights, and the datum they came from is named.

import { expect, it } from "vitest";
import { ScriptedEngine } from "../engine/scripted.ts";
import type { AdamWParams, Completion, Trainer } from "../engine/types.ts";
import { type GrpoStepInput, grpoStep, type OptimizerStep } from "./step.ts";

const OPTIMIZER: AdamWParams = { learningRate: 1, beta1: 0, beta2: 0, epsilon: 0, weightDecay: 0, clipNorm: 0 };
const GRPO = { clipLow: 0.2, clipHigh: 0.3, clipDual: 3, klWeight: 0, lossNormalisation: "token-mean" } as const;
const prompt = { tokens: Int32Array.of(1, 2) };

function rollout(advantage: number, logprob = -1) {
  const completion: Completion = {
    tokens: Int32Array.of(3, 4, 5),
    logprobs: Float32Array.of(-1, logprob, -1),
    text: "",
    stopReason: "stop",
  };
  return { prompt, completion, advantage };
}

async function train(
  rollouts: GrpoStepInput["rollouts"],
  more: Partial<GrpoStepInput> = {},
  wrap = (trainer: Trainer) => trainer,
) {
  const engine = new ScriptedEngine(() => "");
  const steps: OptimizerStep[] = [];
  const metrics = await grpoStep(wrap(await engine.openTrainer("base")), undefined, {
    rollouts,
    grpo: GRPO,
    optimizer: OPTIMIZER,
    rolloutsPerOptimizerStep: 4,
    after: async (done) => void steps.splice(0, steps.length, ...done),
    ...more,
  });
  const updates = engine.calls.flatMap((call) => (call.kind === "optimStep" ? call.params.skipAbove : []));
  return { metrics, steps, updates };
}

const good = [rollout(1), rollout(-1), rollout(0.5), rollout(-0.5)];

it("a NaN among the sampling logprobs skips its optimizer step alone, and is named", async () => {
  const bad = good.with(2, rollout(0.5, Number.NaN));
  const { metrics, steps, updates } = await train([...good, ...bad]);
  expect(updates).toEqual([Number.POSITIVE_INFINITY, -1]);
  expect(steps[1].skipped).toEqual({ reason: "logprob", value: "NaN", datum: 6 });
  expect(metrics.skippedUpdates).toBe(1);
  expect(metrics.gradNorm).toBe(steps[0].metrics?.gradNorm);
});

it("an infinite advantage is a bad loss", async () => {
  const { steps } = await train(good.with(1, rollout(Number.POSITIVE_INFINITY)));
  expect(steps[0].skipped).toMatchObject({ reason: "loss", datum: 1 });
});

it("a gradient that only the engine sees to be infinite is traced to its datum by halves", async () => {
  // A trainer whose backward pass overflows on the datum with the largest advantage.
  const overflowing = (trainer: Trainer): Trainer =>
    Object.assign(Object.create(trainer) as Trainer, {
      forwardBackward: (data: Parameters<Trainer["forwardBackward"]>[0], loss: Parameters<Trainer["forwardBackward"]>[1]) =>
        trainer.forwardBackward(data, (logprobs, datum) => {
          const result = loss(logprobs, datum);
          return (datum.advantages?.at(-1) ?? 0) > 5 ? { ...result, dLogprobs: result.dLogprobs.fill(1e30) } : result;
        }),
      optimStep: async (params: AdamWParams) => {
        const { gradNorm, applied } = await trainer.optimStep({ ...params, skipAbove: Math.min(params.skipAbove ?? 0, 1e20) });
        return { gradNorm: gradNorm > 1e20 ? Number.POSITIVE_INFINITY : gradNorm, applied };
      },
    });
  const { steps } = await train(good.with(3, rollout(9)), {}, overflowing);
  expect(steps[0].skipped).toEqual({ reason: "gradient norm", value: "Infinity", datum: 3 });
});

it("a norm above the bound is a spike", async () => {
  const { steps, metrics } = await train(good, { largestNorm: () => 1e-9 });
  expect(steps[0].skipped).toMatchObject({ reason: "gradient spike", bound: 1e-9 });
  expect(metrics).toMatchObject({ loss: 0, gradNorm: 0, skippedUpdates: 1 });
});

it("goes on after the optimizer steps that were done before", async () => {
  const whole = await train([...good, ...good]);
  const { metrics, updates } = await train([...good, ...good], { done: whole.steps.slice(0, 1) });
  expect(updates).toHaveLength(1);
  expect(metrics.tokens).toBe(whole.metrics.tokens);
});
