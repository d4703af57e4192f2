// Whole models against transformers: logits, logprobs, gradients, ten AdamW steps, greedy decoding. Each directory holds a model
// and what transformers gave for it (expected.json). The golden loss is the mean cross-entropy over all tokens of all sequences.
// tiny-qwen2 is f32 and sharded, tiny-qwen2-tied is f16; make-qwen2.py made both.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCpuDevice } from "../../src/engine/local/device/cpu/device.ts";
import type { Device } from "../../src/engine/local/device/types.ts";
import type { CachedRows, KvCache } from "../../src/engine/local/inference.ts";
import { parameterSpecs } from "../../src/engine/local/parameters.ts";
import type { Sequence } from "../../src/engine/local/packed-batch.ts";
import { TrainerCore } from "../../src/engine/local/trainer-core.ts";
import type { Transformer } from "../../src/engine/local/transformer.ts";

interface Expected {
  sequences: number[][];
  logits_last: number[][];
  logits_checksum: [number, number][];
  logprobs: number[][];
  greedy_24_from_sequence_0: number[];
  grad_norm_per_parameter: Record<string, number>;
  grad_first4_per_parameter: Record<string, number[]>;
  train: { losses: number[]; grad_norms: number[] };
}

const ADAMW = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 };
const MODELS = ["tiny-qwen3", "tiny-llama3", "tiny-qwen2", "tiny-qwen2-tied"];

let device: Device;
beforeAll(() => {
  device = createCpuDevice({ threads: 2 });
});
afterAll(() => device.dispose());

describe.each(MODELS)("%s", (name) => {
  const dir = join(import.meta.dirname, name);
  const expected = JSON.parse(readFileSync(join(dir, "expected.json"), "utf8")) as Expected;
  const data = allTrained(expected.sequences);

  it("gives transformers' logits", () => {
    const model = TrainerCore.open(device, dir);
    expected.sequences.forEach((tokens, i) => {
      const logits = allLogits(device, model.model, tokens);
      const vocab = model.model.vocabSize;
      const last = logits.subarray((tokens.length - 1) * vocab, (tokens.length - 1) * vocab + 16);
      expect(furthest(last, expected.logits_last[i])).toBeLessThan(1e-5);
      const sum = logits.reduce((total, value) => total + value, 0);
      const squares = logits.reduce((total, value) => total + value * value, 0);
      expect(Math.abs(sum - expected.logits_checksum[i][0])).toBeLessThan(1e-3);
      expect(Math.abs(squares / expected.logits_checksum[i][1] - 1)).toBeLessThan(1e-5);
    });
    model.dispose();
  });

  it("gives transformers' logprobs within 2e-5", () => {
    const core = TrainerCore.open(device, dir);
    const got = core.forward(data);
    got.forEach((logprobs, i) => {
      expect(logprobs.length).toBe(expected.logprobs[i].length);
      expect(furthest(logprobs, expected.logprobs[i])).toBeLessThan(2e-5);
    });
    core.dispose();
  });

  it("gives transformers' gradients within 1e-4", () => {
    const core = TrainerCore.open(device, dir);
    meanLossAndBackward(core, data);
    const specs = parameterSpecs(core.model.config);
    expect(specs.map((spec) => spec.name).sort()).toEqual(Object.keys(expected.grad_norm_per_parameter).sort());
    for (const spec of specs) {
      const gradient = device.download(core.model.weights.gradient(spec.name));
      const norm = Math.hypot(...gradient);
      expect(Math.abs(norm / expected.grad_norm_per_parameter[spec.name] - 1), spec.name).toBeLessThan(1e-4);
      // A single element may be near zero: its error is measured against the parameter's root mean square.
      const scale = norm / Math.sqrt(gradient.length);
      const first = gradient.subarray(0, 4);
      expect(furthest(first, expected.grad_first4_per_parameter[spec.name]) / scale, spec.name).toBeLessThan(1e-4);
    }
    core.dispose();
  });

  it("takes transformers' ten AdamW steps: losses within 1e-5, gradient norms within 1e-4", () => {
    const core = TrainerCore.open(device, dir);
    expected.train.losses.forEach((loss, step) => {
      expect(Math.abs(meanLossAndBackward(core, data) / loss - 1), `loss of step ${step}`).toBeLessThan(1e-5);
      const { gradNorm } = core.optimStep(ADAMW);
      expect(Math.abs(gradNorm / expected.train.grad_norms[step] - 1), `gradient norm of step ${step}`).toBeLessThan(1e-4);
    });
    core.dispose();
  });

  it("decodes transformers' 24 greedy tokens from its cache", () => {
    const core = TrainerCore.open(device, dir);
    const model = core.snapshot();
    expect(greedy(device, model, expected.sequences[0], 24)).toEqual(expected.greedy_24_from_sequence_0);
    model.dispose();
    core.dispose();
  });
});

function allTrained(sequences: number[][]): Sequence[] {
  return sequences.map((tokens) => ({ tokens: Int32Array.from(tokens), weights: new Float32Array(tokens.length - 1).fill(1) }));
}

/** Mean cross-entropy over all tokens; adds its gradient. */
function meanLossAndBackward(core: TrainerCore, data: readonly Sequence[]): number {
  const logprobs = core.forward(data);
  const count = logprobs.reduce((sum, values) => sum + values.length, 0);
  core.backward(logprobs.map((values) => new Float32Array(values.length).fill(-1 / count)));
  return -logprobs.reduce((sum, values) => sum + values.reduce((a, b) => a + b, 0), 0) / count;
}

function furthest(got: ArrayLike<number>, want: readonly number[]): number {
  expect(got.length).toBe(want.length);
  return Math.max(...want.map((value, i) => Math.abs(got[i] - value)));
}

/** One sequence in cache rows from 0 on: tokens[from..] are new. */
function rowsOf(tokens: readonly number[], from: number, outputs: readonly number[]): CachedRows {
  const count = tokens.length - from;
  const positions = Int32Array.from({ length: count }, (_, i) => from + i);
  return {
    tokens: Int32Array.from(tokens.slice(from)),
    positions,
    writeRows: positions,
    prefixStart: new Int32Array(count),
    prefixLength: new Int32Array(count),
    start: new Int32Array(count),
    length: positions.map((position) => position + 1),
    outputRows: Int32Array.from(outputs),
  };
}

function allLogits(device: Device, model: Transformer, tokens: readonly number[]): Float32Array {
  const cache = model.newCache(tokens.length);
  const outputs = tokens.map((_, i) => i);
  const logits = device.download(model.forwardCached(rowsOf(tokens, 0, outputs), cache), 0, tokens.length * model.vocabSize);
  cache.dispose();
  return logits as Float32Array;
}

function greedy(device: Device, model: Transformer, prompt: readonly number[], count: number): number[] {
  const cache: KvCache = model.newCache(prompt.length + count);
  const tokens = [...prompt];
  let from = 0;
  while (tokens.length < prompt.length + count) {
    const rows = rowsOf(tokens, from, [tokens.length - from - 1]);
    const logits = device.download(model.forwardCached(rows, cache), 0, model.vocabSize);
    from = tokens.length;
    tokens.push(logits.indexOf(Math.max(...logits)));
  }
  cache.dispose();
  return tokens.slice(prompt.length);
}
