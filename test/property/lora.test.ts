// Adapters against their definition: gradients of A and B against central differences in float64, equality with the merged model,
// and bits: the sampler's logprobs are the trainer's, whatever else sits on the same base.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCpuDevice } from "../../src/engine/local/device/cpu/device.ts";
import type { Device } from "../../src/engine/local/device/types.ts";
import { FrozenWeights } from "../../src/engine/local/frozen-weights.ts";
import { type ModelConfig, parseModelConfig } from "../../src/engine/local/hf-config.ts";
import { freshAdapter, LORA_TARGETS, type LoraShape, LoraWeights } from "../../src/engine/local/lora.ts";
import { mergedTensors } from "../../src/engine/local/lora-merge.ts";
import { openModelTensors, randomTensors } from "../../src/engine/local/model-files.ts";
import type { Sequence } from "../../src/engine/local/packed-batch.ts";
import type { TensorSource } from "../../src/engine/local/tensor-source.ts";
import { TrainerCore } from "../../src/engine/local/trainer-core.ts";
import { Transformer } from "../../src/engine/local/transformer.ts";
import { WeightStore } from "../../src/engine/local/weight-store.ts";
import { rngFrom } from "../../src/util/rng.ts";
import { ReferenceDevice, referenceData } from "../contract/reference-device.ts";
import { exactLoss } from "./exact-loss.ts";

const MICRO = {
  model_type: "qwen2",
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 2,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  initializer_range: 0.5,
  tie_word_embeddings: true,
};
const SHAPE: LoraShape = { rank: 3, alpha: 4, targets: LORA_TARGETS };
const EPSILON = 1e-5;
const GOLDEN = join(import.meta.dirname, "..", "golden", "tiny-qwen3");
const ADAMW = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 };

/** B away from zero, so that A has a gradient. */
const noisy: TensorSource = (spec) => {
  const rng = rngFrom(11, spec.name);
  return freshAdapter(5)(spec).map((value) => value + 0.2 * rng.normal());
};

function adapted(device: Device, config: ModelConfig, shape: LoraShape): Transformer {
  const base = { open: () => FrozenWeights.load(device, config, randomTensors(config, 3), "f32") };
  return Transformer.over(device, LoraWeights.trainable(device, base, shape, noisy, "f32"));
}

function sequences(vocab: number): Sequence[] {
  return [7, 4, 9].map((length, s) => {
    const rng = rngFrom(21, s);
    const weights = Float32Array.from({ length: length - 1 }, (_, t) => (t % 3 === 1 ? 0 : 1));
    return { tokens: Int32Array.from({ length }, () => rng.int(vocab)), weights };
  });
}

describe("gradients of an adapter", () => {
  const config = parseModelConfig(MICRO, "micro model");
  const model = adapted(new ReferenceDevice(), config, SHAPE);
  const data = sequences(config.vocabSize);
  const upstream = data.map(({ weights }, s) => weights.map((weight, t) => weight * (0.3 + 0.1 * s - 0.07 * t)));
  model.forward(data);
  model.backward(upstream);

  it.each(model.weights.specs.map(({ name }) => name))("%s", (name) => {
    const value = referenceData(model.weights.value(name));
    const gradient = referenceData(model.weights.gradient(name));
    for (const share of [0.1, 0.4, 0.9]) {
      const i = Math.floor(share * value.length);
      const difference = (lossAt(value, i, EPSILON) - lossAt(value, i, -EPSILON)) / (2 * EPSILON);
      expect(Math.abs(gradient[i] - difference)).toBeLessThan(1e-7 + 1e-6 * Math.abs(difference));
    }
    expect(Math.max(...gradient.map(Math.abs))).toBeGreaterThan(1e-6);
  });

  it("leave the base without any", () => {
    expect(model.weights.specs.every(({ name }) => name.includes(".lora_"))).toBe(true);
    expect(model.weights.tree.embedding.gradient).toBeUndefined();
    expect(model.weights.tree.layers[0].query.gradient).toBeUndefined();
  });

  function lossAt(value: Float64Array, i: number, change: number): number {
    const kept = value[i];
    value[i] = kept + change;
    model.weights.repack();
    const loss = exactLoss(model, data, upstream);
    value[i] = kept;
    return loss;
  }
});

describe("an adapter", () => {
  let device: Device;
  const root = mkdtempSync(join(tmpdir(), "rzero-lora-"));
  beforeAll(() => {
    device = createCpuDevice({ threads: 2 });
  });
  afterAll(() => {
    device.dispose();
    rmSync(root, { recursive: true });
  });

  const open = (store: WeightStore, seed: number, dir = GOLDEN) =>
    TrainerCore.open(device, dir, { lora: { ...SHAPE, rank: 4, seed }, store });
  const data = sequences(512);
  const train = (core: TrainerCore, steps = 2) => {
    for (let step = 0; step < steps; step++) {
      core.backward(core.forward(data).map((row) => new Float32Array(row.length).fill(-0.1)));
      core.optimStep(ADAMW);
    }
  };
  const bits = (rows: Float32Array[]) => rows.map((row) => [...row]);

  it("computes what the merged model does", () => {
    const config = parseModelConfig({ ...MICRO, attention_bias: true, hidden_size: 32, head_dim: 8 }, "micro model");
    const model = adapted(device, config, SHAPE);
    const tensors: TensorSource = (spec) => model.weights.download(spec);
    const merged = mergedTensors(device, config, randomTensors(config, 3), { shape: SHAPE, tensors });
    const whole = Transformer.create(device, config, merged, "frozen");
    const base = Transformer.random(device, config, 3, "frozen");
    const [a, b, c] = [model, whole, base].map((each) =>
      each.logprobs(data.map((d) => ({ ...d, tokens: d.tokens.map((t) => t % 11) }))),
    );
    const furthest = (x: Float32Array[], y: Float32Array[]) =>
      Math.max(...x.flatMap((row, s) => [...row].map((value, t) => Math.abs(value - y[s][t]))));
    expect(furthest(a, b)).toBeLessThan(1e-5);
    expect(furthest(a, c)).toBeGreaterThan(1e-2);
    for (const each of [model, whole, base]) each.dispose();
  });

  it("starts as its base, learns, and leaves base and other adapters as they are", () => {
    const store = new WeightStore(device);
    const before = device.allocatedBytes;
    const reference = Transformer.over(device, store.open(GOLDEN, "f32"));
    const baseBytes = device.allocatedBytes - before;
    const [one, two] = [open(store, 1), open(store, 2)];
    const users = [store.open(GOLDEN, "f32"), store.open(GOLDEN, "f32")];
    expect(device.allocatedBytes - before).toBeLessThan(3 * baseBytes);
    for (const user of users) user.dispose();
    const origin = bits(reference.logprobs(data));
    expect(bits(one.forward(data))).toEqual(origin);
    train(one);
    const trained = bits(one.forward(data));
    expect(trained).not.toEqual(origin);
    expect(bits(two.forward(data))).toEqual(origin);
    expect(bits(reference.logprobs(data))).toEqual(origin);
    train(two);
    expect(bits(one.forward(data))).toEqual(trained);
    const frozen = one.snapshot();
    train(one);
    expect(bits(frozen.logprobs(data))).toEqual(trained);
    for (const each of [one, two, frozen]) each.dispose();
    expect(bits(reference.logprobs(data))).toEqual(origin);
    reference.dispose();
    expect(device.allocatedBytes).toBe(before);
  });

  it("goes on from its state, and from its directory, to the same bits", () => {
    const store = new WeightStore(device);
    const one = open(store, 1);
    train(one);
    one.saveState(join(root, "state"));
    one.exportModel(join(root, "adapter"));
    const expected = bits(one.forward(data));
    const [restored, continued] = [open(store, 9), open(store, 9, join(root, "adapter"))];
    restored.loadState(join(root, "state"));
    expect(bits(restored.forward(data))).toEqual(expected);
    expect(bits(continued.forward(data))).toEqual(expected);
    train(one);
    train(restored);
    expect(bits(restored.forward(data))).toEqual(bits(one.forward(data)));
    for (const each of [one, restored, continued]) each.dispose();
  });

  it("is written merged as a whole model", () => {
    const one = open(new WeightStore(device), 1);
    train(one);
    const dir = join(root, "merged");
    one.exportModel(dir, { merged: true });
    const whole = Transformer.load(device, dir, "frozen");
    const [a, b] = [one.forward(data), whole.logprobs(data)];
    a.forEach((row, s) => {
      row.forEach((value, t) => {
        expect(Math.abs(value - b[s][t])).toBeLessThan(1e-5);
      });
    });
    expect(openModelTensors(dir).locate).toBeDefined();
    for (const each of [one, whole]) each.dispose();
  });
});
