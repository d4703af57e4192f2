// The plan of a run: its memory against what a device holds when the same phase is carried out on the embedded base model, and how it
// answers to the options that save memory.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { createCpuDevice } from "./local/device/cpu/device.ts";
import type { Device } from "./local/device/types.ts";
import { readModelConfig } from "./local/hf-config.ts";
import { packMicroBatches } from "./local/packed-batch.ts";
import { BatchSampler } from "./local/scheduler.ts";
import { TrainerCore } from "./local/trainer-core.ts";
import type { Transformer } from "./local/transformer.ts";
import { type PhaseWork, type PlanOptions, PROCESS_BYTES, planRun, type RunWork } from "./plan.ts";
import type { Datum } from "./types.ts";

const BASE = join(fileURLToPath(import.meta.url), "..", "..", "..", "assets", "tiny-base");
const model = readModelConfig(BASE);
const rates = { gflops: 300, streamGBs: 30 };
const options: PlanOptions = {
  format: "f32",
  frozenFormat: "f32",
  optimizerDtype: "f32",
  recompute: "auto",
  slots: 64,
  maxTokensPerMicroBatch: 1024,
};
const [questions, groupSize, promptTokens, newTokens] = [16, 8, 20, 40];
const solver: PhaseWork = {
  name: "solver",
  times: 3,
  references: 1,
  voters: 0,
  sampling: [{ calls: 2, prompts: questions, completions: questions * groupSize, promptTokens, newTokens, frozen: false }],
  training: { steps: 2, rollouts: questions * groupSize, groupSize, promptTokens, newTokens, updates: 1, reference: true },
};
const work: RunWork = { trainers: 2, base: false, phases: [solver] };

/** A device that remembers the most it held. */
function watched(device: Device): { device: Device; peak: () => number } {
  let peak = 0;
  const alloc: Device["alloc"] = (dtype, length) => {
    const buffer = device.alloc(dtype, length);
    peak = Math.max(peak, device.allocatedBytes);
    return buffer;
  };
  return { device: Object.assign(Object.create(device) as Device, { alloc }), peak: () => peak };
}

/** Both trainers train once, as in a run; then a Solver step: sample from a copy, score with the reference, train. */
function solverStep(device: Device): void {
  const trainers = [TrainerCore.open(device, BASE), TrainerCore.open(device, BASE)];
  for (const trainer of trainers) train(trainer);
  const reference = trainers[1].snapshot();
  const copy = trainers[1].snapshot();
  const prompts = Array.from({ length: questions }, (_, q) => ({ tokens: tokens(q, promptTokens) }));
  const params = { n: groupSize, maxTokens: newTokens, temperature: 1, topP: 1, topK: 0, stopTokens: [], seed: 1 };
  const sampler = new BatchSampler(device, copy, undefined, prompts, params, {
    slots: options.slots,
    cacheBytes: 2 ** 30,
    prefillRows: 256,
  });
  while (sampler.step());
  sampler.dispose();
  copy.dispose();
  score(reference);
  train(trainers[1]);
  for (const open of [...trainers, reference]) open.dispose();
}

function tokens(first: number, length: number): Int32Array {
  return Int32Array.from({ length }, (_, t) => (first * 31 + t * 7) % model.vocabSize);
}

function data(): Datum[] {
  return Array.from({ length: questions * groupSize }, (_, index) => {
    const all = new Int32Array(promptTokens + newTokens);
    all.set(tokens(Math.floor(index / groupSize), promptTokens));
    all.set(tokens(index + 100, newTokens), promptTokens);
    return { tokens: all, weights: new Float32Array(all.length - 1).fill(1, promptTokens - 1) };
  });
}

function train(trainer: TrainerCore): void {
  const all = data();
  for (const indices of packMicroBatches(all, options.maxTokensPerMicroBatch)) {
    const logprobs = trainer.forward(indices.map((i) => all[i]));
    trainer.backward(logprobs.map((values) => values.map(() => 1e-3)));
  }
  trainer.optimStep({ learningRate: 1e-6, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 });
}

function score(reference: Transformer): void {
  const all = data();
  for (const indices of packMicroBatches(all, options.maxTokensPerMicroBatch)) reference.logprobs(indices.map((i) => all[i]));
}

describe("planRun", () => {
  it("predicts the memory of a phase to 15 %", () => {
    const { device, peak } = watched(createCpuDevice({ threads: 1 }));
    solverStep(device);
    device.dispose();
    const plan = planRun(model, options, work, rates);
    // The copy of the state is no device memory: weights and two moments, 4 bytes each.
    expect(plan.phases[0].copy).toBe(12 * 752_640);
    const predicted = plan.peakBytes - plan.phases[0].copy - PROCESS_BYTES;
    expect(predicted / peak()).toBeGreaterThan(0.85);
    expect(predicted / peak()).toBeLessThan(1.15);
  });

  it("counts every phase as often as it happens, in finite time", () => {
    const plan = planRun(model, options, work, rates);
    expect(plan.seconds).toBeGreaterThan(0);
    expect(plan.seconds).toBeCloseTo(3 * plan.phases[0].seconds, 9);
    expect(plan.phases[0].tokens).toBe(2 * 2 * questions * groupSize * newTokens);
    expect(plan.parameters).toBe(752_640);
  });

  it("needs less memory with every option that saves some, and half the time on twice the machine", () => {
    const peak = (change: Partial<PlanOptions>) => planRun(model, { ...options, ...change }, work, rates).peakBytes;
    const full = peak({});
    const saving: Partial<PlanOptions>[] = [
      { format: "bf16" },
      { optimizerDtype: "bf16" },
      { recompute: true },
      { maxTokensPerMicroBatch: 512 },
      { lora: { rank: 8 } },
    ];
    for (const change of saving) expect(peak(change), JSON.stringify(change)).toBeLessThan(full);
    const seconds = (gflops: number) => planRun(model, options, work, { ...rates, gflops }).seconds;
    expect(seconds(300)).toBeGreaterThan(seconds(600));
  });
});
