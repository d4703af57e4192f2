// A prompt computed once for a group, on the CPU device: logprobs equal those of each sequence alone to the bit, gradients to
// rounding, for drawn groups of many shapes, in f32 and bf16; and recomputed layers change no bit.

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCpuDevice } from "../../src/engine/local/device/cpu/device.ts";
import type { Buffer, Device } from "../../src/engine/local/device/types.ts";
import { planBatch, type Sequence } from "../../src/engine/local/packed-batch.ts";
import { Transformer, type TransformerOptions } from "../../src/engine/local/transformer.ts";
import { type Rng, rngFrom } from "../../src/util/rng.ts";

const MODELS = ["tiny-qwen3", "tiny-llama3", "tiny-qwen2"];
const VOCAB = 160;

let device: Device;
beforeAll(() => {
  device = createCpuDevice({ threads: 2 });
});
afterAll(() => device.dispose());

const load = (name: string, options: TransformerOptions = {}): Transformer =>
  Transformer.load(device, join(import.meta.dirname, "../golden", name), "trainable", options);

describe.each(MODELS)("%s", (name) => {
  it.each([1, 2, 3, 4])("batch %i: logprobs to the bit, gradients to rounding", (seed) => {
    const rng = rngFrom(11, name, seed);
    const data = groups(rng, seed);
    const dLogprobs = data.map(({ weights }) => weights.map((weight) => 0.02 * weight * rng.normal()));
    const together = passes(load(name), [data], [dLogprobs]);
    const alone = passes(
      load(name),
      data.map((sequence) => [sequence]),
      dLogprobs.map((values) => [values]),
    );
    expect(together.logprobs).toEqual(alone.logprobs);
    const largest = alone.gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBeGreaterThan(1e-3);
    expect(furthest(together.gradient, alone.gradient)).toBeLessThan(2e-6 * Math.max(1, largest));
  });

  it("in bf16: logprobs to the bit, gradients to the rounding of operands", () => {
    const rng = rngFrom(14, name);
    const data = groups(rng, 3);
    const dLogprobs = data.map(({ weights }) => weights.map((weight) => 0.02 * weight * rng.normal()));
    const [one, other] = [load(name, { format: "bf16" }), load(name, { format: "bf16", recompute: true })];
    const together = passes(one, [data], [dLogprobs]);
    const alone = passes(
      other,
      data.map((sequence) => [sequence]),
      dLogprobs.map((values) => [values]),
    );
    expect(together.logprobs).toEqual(alone.logprobs);
    expect(distance(together.gradient, alone.gradient)).toBeLessThan(0.01);
    const exact = passes(load(name), [data], [dLogprobs]);
    expect(distance(together.gradient, exact.gradient)).toBeLessThan(0.05);
    expect(furthest(together.gradient, exact.gradient)).toBeGreaterThan(0);
  });

  it("scores as it trains, and computes layers again to the same bits", () => {
    const rng = rngFrom(12, name);
    const data = groups(rng, 5);
    const dLogprobs = data.map(({ weights }) => weights.map((weight) => weight * rng.normal()));
    const kept = passes(load(name), [data], [dLogprobs]);
    const recomputed = passes(load(name, { recompute: true }), [data], [dLogprobs]);
    expect(recomputed.logprobs).toEqual(kept.logprobs);
    expect(furthest(recomputed.gradient, kept.gradient)).toBe(0);
    const model = load(name);
    expect(model.logprobs(data)).toEqual(kept.logprobs);
    model.dispose();
  });
});

it("saves rows: a group's prompt counts once", () => {
  const data = groups(rngFrom(13), 1);
  const rows = data.reduce((sum, { weights }) => sum + weights.length, 0);
  const plan = planBatch(data, { vocabSize: VOCAB, maxPositions: 512 });
  expect(plan.rows).toBeLessThan(rows);
  expect(plan.prefix.some((parent) => parent >= 0)).toBe(true);
});

/** Several groups and lone sequences, shuffled: prompts from 1 token, weights that start late or are 0, whole sequences twice. */
function groups(rng: Rng, count: number): Sequence[] {
  const draw = (length: number): number[] => Array.from({ length }, () => rng.int(VOCAB));
  const data: Sequence[] = [];
  for (let group = 0; group <= count; group++) {
    const prompt = draw(group === 0 ? 1 : 1 + rng.int(40));
    const late = rng.int(3) === 0 ? 2 : 0;
    const forced = draw(late);
    const members = group === count ? 1 : 2 + rng.int(6);
    for (let i = 0; i < members; i++) {
      const tokens = [...prompt, ...forced, ...draw(1 + rng.int(20))];
      const weights = Float32Array.from({ length: tokens.length - 1 }, (_, t) => (t < prompt.length + late - 1 ? 0 : 1));
      if (i === 3) weights.fill(0);
      data.push({ tokens: Int32Array.from(tokens), weights });
      if (i === 1) data.push({ tokens: Int32Array.from(tokens), weights });
    }
  }
  return rng.shuffle(data);
}

function passes(model: Transformer, batches: readonly Sequence[][], dLogprobs: readonly Float32Array[][]) {
  const logprobs = batches.flatMap((data, i) => {
    const out = model.forward(data);
    model.backward(dLogprobs[i]);
    return out;
  });
  const gradient = device.download(model.weights.gradients as Buffer) as Float32Array;
  model.dispose();
  return { logprobs, gradient };
}

/** Euclidean distance relative to the length of b. */
function distance(a: Float32Array, b: Float32Array): number {
  const norm = (of: (i: number) => number): number => Math.sqrt(b.reduce((sum, _, i) => sum + of(i) ** 2, 0));
  return norm((i) => a[i] - b[i]) / norm((i) => b[i]);
}

function furthest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}
