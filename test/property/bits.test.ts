// Exactness on the CPU device: equal bits where the mathematics is equal. Cached decoding = full forward, a shared prefix = own rows,
// batch = singles, one thread = two threads, kept activations = none kept.

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCpuDevice } from "../../src/engine/local/device/cpu/device.ts";
import type { Buffer, Device } from "../../src/engine/local/device/types.ts";
import { readModelConfig } from "../../src/engine/local/hf-config.ts";
import type { CachedRows } from "../../src/engine/local/inference.ts";
import { openModelTensors } from "../../src/engine/local/model-files.ts";
import { packMicroBatches, type Sequence } from "../../src/engine/local/packed-batch.ts";
import { TrainerCore } from "../../src/engine/local/trainer-core.ts";
import { Transformer } from "../../src/engine/local/transformer.ts";
import { rngFrom } from "../../src/util/rng.ts";

const MODELS = ["tiny-qwen3", "tiny-llama3", "tiny-qwen2"];
const FORMATS = ["f32", "bf16"] as const;
const VOCAB = 160;
const ADAMW = { learningRate: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 };
const modelDir = (name: string): string => join(import.meta.dirname, "../golden", name);

/** One row of a cached pass: a token of a sequence whose first `shared` tokens lie at cache row `prefix`, the rest at `own`. */
interface RowPlan {
  readonly token: number;
  readonly position: number;
  readonly prefix: number;
  readonly shared: number;
  readonly own: number;
}

let device: Device;
beforeAll(() => {
  device = createCpuDevice({ threads: 2 });
});
afterAll(() => device.dispose());

describe.each(MODELS)("%s", (name) => {
  const data = sequences([23, 2, 31, 9, 17]);

  it("a sequence's logprobs do not depend on its batch, nor on whether activations are kept", () => {
    const core = TrainerCore.open(device, modelDir(name));
    const together = core.forward(data);
    const frozen = core.snapshot();
    expect(frozen.logprobs(data)).toEqual(together);
    data.forEach((sequence, i) => {
      expect(core.forward([sequence])[0]).toEqual(together[i]);
    });
    expect(together[2].every((value) => value < 0)).toBe(true);
    frozen.dispose();
    core.dispose();
  });

  it("leaves logprobs of weight 0 at 0 and the others unchanged", () => {
    const core = TrainerCore.open(device, modelDir(name));
    const masked = data.map(({ tokens, weights }) => ({ tokens, weights: weights.map((_, t) => (t % 3 === 0 ? 1 : 0)) }));
    const full = core.forward(data);
    const expected = full.map((logprobs) => logprobs.map((value, t) => (t % 3 === 0 ? value : 0)));
    expect(core.forward(masked)).toEqual(expected);
    expect(core.forward([{ tokens: data[0].tokens, weights: new Float32Array(22) }])).toEqual([new Float32Array(22)]);
    core.dispose();
  });

  it.each(FORMATS)("cached decoding in %s, token by token behind a shared prefix, equals the training forward", (format) => {
    const core = TrainerCore.open(device, modelDir(name), { format });
    const prompt = Array.from(sequences([13])[0].tokens);
    const tails = [sequences([7])[0], sequences([12])[0]].map(({ tokens }, i) => Array.from(tokens, (t) => (t + i) % VOCAB));
    const whole = tails.map((tail) => trained([...prompt, ...tail]));
    const expected = core.forward(whole);
    const frozen = core.snapshot();
    for (const model of [core.model, frozen]) {
      decodeBehindPrefix(model, prompt, tails).forEach((logprobs, i) => {
        expect(logprobs).toEqual(Array.from(expected[i].subarray(prompt.length - 1)));
      });
    }
    frozen.dispose();
    core.dispose();
  });

  it("three steps leave the same weights on one and on two threads", () => {
    const single = createCpuDevice({ threads: 1 });
    const [a, b] = [single, device].map((d) => threeSteps(d, modelDir(name), data));
    single.dispose();
    expect(a.gradient.some((value) => value !== 0)).toBe(true);
    expect(sameBits(a.gradient, b.gradient)).toBe(true);
    expect(sameBits(a.weights, b.weights)).toBe(true);
    expect(b.gradNorms).toEqual(a.gradNorms);
  });
});

describe("memory", () => {
  it("is not allocated anew by a second pass, and all freed at the end", () => {
    const before = device.allocatedBytes;
    const core = TrainerCore.open(device, modelDir("tiny-qwen3"));
    const data = sequences([23, 2, 31]);
    backwardOnes(core, data);
    core.optimStep(ADAMW);
    const warm = device.allocatedBytes;
    backwardOnes(core, data.slice(0, 2));
    backwardOnes(core, data);
    core.optimStep(ADAMW);
    expect(device.allocatedBytes).toBe(warm);
    const frozen = core.snapshot();
    // Frozen weights: one copy and the packed head, no gradient and no moments.
    expect(device.allocatedBytes - warm).toBeLessThan(4 * core.model.weights.parameterCount * 1.5);
    frozen.dispose();
    core.dispose();
    expect(device.allocatedBytes).toBe(before);
  });
});

describe("micro-batches", () => {
  it("change the gradient by no more than rounding", () => {
    const data = sequences([23, 2, 31, 9, 17]);
    const runs = packMicroBatches(data, 33);
    expect(runs).toEqual([[0, 1], [2], [3, 4]]);
    const [whole, split] = [[[0, 1, 2, 3, 4]], runs].map((parts) => {
      const core = TrainerCore.open(device, modelDir("tiny-qwen3"));
      for (const indices of parts)
        backwardOnes(
          core,
          indices.map((i) => data[i]),
        );
      const gradient = device.download(core.model.weights.gradients as Buffer) as Float32Array;
      core.dispose();
      return gradient;
    });
    expect(furthest(whole, split)).toBeLessThan(1e-6);
    expect(furthest(whole, new Float32Array(whole.length))).toBeGreaterThan(0.1);
  });
});

describe("chunks of the vocabulary's logits", () => {
  it("change no logprob, and the gradient by no more than rounding", () => {
    const dir = modelDir("tiny-qwen3");
    const data = sequences([23, 40, 31, 9]);
    const [whole, chunked] = [1 << 24, 1].map((logitElements) => {
      const model = Transformer.create(device, readModelConfig(dir), openModelTensors(dir), "trainable", { logitElements });
      const logprobs = model.forward(data);
      model.backward(logprobs.map((values) => new Float32Array(values.length).fill(-1 / 99)));
      const gradient = device.download(model.weights.gradients as Buffer) as Float32Array;
      model.dispose();
      return { logprobs, gradient };
    });
    expect(chunked.logprobs).toEqual(whole.logprobs);
    expect(furthest(chunked.gradient, whole.gradient)).toBeLessThan(1e-6);
    expect(furthest(chunked.gradient, new Float32Array(whole.gradient.length))).toBeGreaterThan(0.1);
  });
});

function furthest(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}

function trained(tokens: readonly number[]): Sequence {
  return { tokens: Int32Array.from(tokens), weights: new Float32Array(tokens.length - 1).fill(1) };
}

function sequences(lengths: readonly number[]): Sequence[] {
  return lengths.map((length, i) => {
    const rng = rngFrom(7, i, length);
    return trained(Array.from({ length }, () => rng.int(VOCAB)));
  });
}

function backwardOnes(core: TrainerCore, data: readonly Sequence[]): void {
  core.backward(core.forward(data).map((values) => new Float32Array(values.length).fill(-1 / 77)));
}

/** Element by element; `toEqual` takes seconds on whole models. */
function sameBits(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a.length === b.length && Array.from({ length: a.length }, (_, i) => i).every((i) => Object.is(a[i], b[i]));
}

function threeSteps(on: Device, dir: string, data: readonly Sequence[]) {
  const core = TrainerCore.open(on, dir);
  const { weights } = core.model;
  const gradNorms: number[] = [];
  let gradient = new Float32Array();
  for (let step = 0; step < 3; step++) {
    backwardOnes(core, data);
    gradient = on.download(weights.gradients as Buffer) as Float32Array<ArrayBuffer>;
    gradNorms.push(core.optimStep(ADAMW).gradNorm);
  }
  const result = { gradient, gradNorms, weights: on.download(weights.values) };
  core.dispose();
  return result;
}

/** Logprobs of each tail's tokens: the prompt prefilled once at row 0, the tails decoded together, one token of each at a time. */
function decodeBehindPrefix(model: Transformer, prompt: readonly number[], tails: readonly number[][]): number[][] {
  const P = prompt.length;
  const room = Math.max(...tails.map((tail) => tail.length));
  const cache = model.newCache(P + room * tails.length + 5);
  const out: number[][] = tails.map(() => []);
  const prefill = prompt.map((token, position) => ({ token, position, prefix: 0, shared: 0, own: 0 }));
  const first = pass(model, prefill, [P - 1], cache);
  tails.forEach((tail, i) => {
    out[i].push(logprobOf(first, 0, tail[0], model.vocabSize));
  });
  for (let t = 0; t + 1 < room; t++) {
    const live = tails.map((_, i) => i).filter((i) => t + 1 < tails[i].length);
    const rows = live.map((i) => ({ token: tails[i][t], position: P + t, prefix: 0, shared: P, own: P + 3 + i * room }));
    const logits = pass(
      model,
      rows,
      rows.map((_, r) => r),
      cache,
    );
    live.forEach((i, r) => {
      out[i].push(logprobOf(logits, r, tails[i][t + 1], model.vocabSize));
    });
  }
  cache.dispose();
  return out;
}

function pass(
  model: Transformer,
  rows: readonly RowPlan[],
  outputs: readonly number[],
  cache: ReturnType<Transformer["newCache"]>,
) {
  const column = (of: (row: RowPlan) => number): Int32Array => Int32Array.from(rows, of);
  const step: CachedRows = {
    tokens: column((row) => row.token),
    positions: column((row) => row.position),
    writeRows: column((row) => row.own + row.position - row.shared),
    prefixStart: column((row) => row.prefix),
    prefixLength: column((row) => row.shared),
    start: column((row) => row.own),
    length: column((row) => row.position - row.shared + 1),
    outputRows: Int32Array.from(outputs),
  };
  return model.forwardCached(step, cache);
}

/** The device's own logprob, the op that training uses. */
function logprobOf(logits: ReturnType<Transformer["forwardCached"]>, row: number, target: number, vocab: number): number {
  const [targets, logprobs, lse] = [device.alloc("i32", 1), device.alloc("f32", 1), device.alloc("f32", 1)];
  device.upload(targets, Int32Array.of(target));
  device.logprob(logprobs, lse, device.view(logits, row * vocab, vocab), targets, 1, vocab);
  const value = device.download(logprobs)[0];
  for (const buffer of [targets, logprobs, lse]) device.free(buffer);
  return value;
}
