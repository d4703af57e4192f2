// The formulas of memory-plan.ts against what the device has allocated after real passes: within 3 %.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rngFrom } from "../../util/rng.ts";
import { createCpuDevice } from "./device/cpu/device.ts";
import type { Device } from "./device/types.ts";
import { parseModelConfig } from "./hf-config.ts";
import type { CachedRows } from "./inference.ts";
import * as plan from "./memory-plan.ts";
import { planBatch, type Sequence } from "./packed-batch.ts";
import { Transformer } from "./transformer.ts";

const SIZES = {
  vocab_size: 2048,
  hidden_size: 128,
  intermediate_size: 384,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 64,
  max_position_embeddings: 512,
};
const QWEN3 = parseModelConfig({ ...SIZES, model_type: "qwen3", tie_word_embeddings: true }, "test model");
const LLAMA = parseModelConfig({ ...SIZES, model_type: "llama", tie_word_embeddings: false }, "test model");
const FORMATS = ["f32", "bf16"] as const;

let device: Device;
beforeAll(() => {
  device = createCpuDevice({ threads: 2 });
});
afterAll(() => device.dispose());

const expectClose = (measured: number, planned: number): void => {
  expect(planned / measured).toBeGreaterThan(0.97);
  expect(planned / measured).toBeLessThan(1.03);
};

/** Bytes that `work` leaves allocated. */
function allocated(work: () => void): number {
  const before = device.allocatedBytes;
  work();
  return device.allocatedBytes - before;
}

/** A group behind a prompt of 200 tokens, and a long sequence with few weights. */
function batch(): Sequence[] {
  const rng = rngFrom(3);
  const draw = (length: number): number[] => Array.from({ length }, () => rng.int(SIZES.vocab_size));
  const sequence = (tokens: number[], from: number): Sequence => ({
    tokens: Int32Array.from(tokens),
    weights: new Float32Array(tokens.length - 1).fill(1, from),
  });
  const prompt = draw(200);
  return [...Array.from({ length: 4 }, () => sequence([...prompt, ...draw(40)], 199)), sequence(draw(400), 380)];
}

describe.each([
  ["qwen3", QWEN3],
  ["llama", LLAMA],
] as const)("%s", (_, config) => {
  describe.each(FORMATS)("%s", (format) => {
    it("weights and gradients in training, and a snapshot", () => {
      let model: Transformer | undefined;
      const weights = { format, mode: "full" } as const;
      const measured = allocated(() => {
        model = Transformer.random(device, config, 1, "trainable", { format });
      });
      expectClose(measured, plan.weightBytes(config, weights).resident + plan.gradientBytes(config, weights));
      let frozen: Transformer | undefined;
      const copied = allocated(() => {
        frozen = model?.freeze();
      });
      expectClose(copied, plan.weightBytes(config, { format, mode: "snapshot" }).resident);
      frozen?.dispose();
      model?.dispose();
    });

    it.each([false, true])("activations in training, recompute %s", (recompute) => {
      const data = batch();
      const { rows, selectedRows_S } = planBatch(data, config);
      for (const logitElements of [undefined, 1]) {
        const model = Transformer.random(device, config, 1, "trainable", { format, recompute, logitElements });
        const measured = allocated(() => model.backward(model.forward(data)));
        const planned = plan.trainingBytes(
          config,
          { rows, selected: selectedRows_S.length },
          { format, recompute, logitElements },
        );
        expectClose(measured, planned);
        expect(allocated(() => model.trim())).toBe(0);
        model.dispose();
      }
    });

    it("scoring, a step of sampling, and its cache", () => {
      const data = batch();
      const { rows, selectedRows_S } = planBatch(data, config);
      const model = Transformer.random(device, config, 1, "trainable", { format });
      const scoring = allocated(() => void model.logprobs(data));
      expectClose(scoring, plan.scoringBytes(config, { rows, selected: selectedRows_S.length }, { format }));
      const other = Transformer.random(device, config, 1, "trainable", { format });
      const cacheBytes = allocated(() => other.newCache(100).dispose());
      expect(cacheBytes).toBe(100 * plan.cacheBytesPerRow(config, format));
      expect(cacheBytes).toBe(100 * other.cacheRowBytes);
      const cache = other.newCache(500);
      const step = allocated(() => void other.forwardCached(prefill(500), cache));
      expectClose(step, plan.samplingBytes(config, format, { rows: 500, outputs: 250 }));
      cache.dispose();
      model.dispose();
      other.dispose();
    });
  });
});

it("recomputing keeps a layer's input alone; keys and values in bf16 take half", () => {
  const per = (layers: number, recompute: boolean): number =>
    plan.activationBytes({ ...QWEN3, layers }, { format: "f32", recompute });
  expect(per(11, true) - per(10, true)).toBe(4 * QWEN3.hiddenSize);
  expect(per(11, false) - per(10, false)).toBeGreaterThan(10 * 4 * QWEN3.hiddenSize);
  expect(plan.cacheBytesPerRow(QWEN3, "bf16")).toBe(plan.cacheBytesPerRow(QWEN3, "f32") / 2);
  expect(plan.cacheBytesPerRow(QWEN3, "int8")).toBe(plan.cacheBytesPerRow(QWEN3, "bf16"));
});

it("an adapter is a small share of what it adapts", () => {
  const lora = { format: "bf16", mode: "lora", rank: 8, targets: ["q_proj", "v_proj"] } as const;
  // Per layer: A and B of q [256, 128] and v [128, 128].
  const parameters = 3 * 8 * (256 + 128 + 128 + 128);
  expect(plan.trainedParameters(QWEN3, lora)).toBe(parameters);
  expect(plan.gradientBytes(QWEN3, lora)).toBe(4 * parameters);
  expect(plan.momentBytes(QWEN3, lora, "bf16")).toBe(4 * parameters);
  const base = plan.weightBytes(QWEN3, { format: "bf16", mode: "frozen" });
  const whole = plan.weightBytes(QWEN3, lora);
  expect(whole.mapped).toBe(base.mapped);
  // f32 values, and bf16 panels whose 8 rows of A are padded to 32.
  expect(whole.resident - base.resident).toBe(4 * parameters + 2 * 3 * (32 * (128 + 128) + 8 * (256 + 128)));
});

/** `rows` tokens of one prompt; logits of the last half. */
function prefill(rows: number): CachedRows {
  const column = (of: (r: number) => number): Int32Array => Int32Array.from({ length: rows }, (_, r) => of(r));
  return {
    tokens: column((r) => r),
    positions: column((r) => r),
    writeRows: column((r) => r),
    prefixStart: column(() => 0),
    prefixLength: column(() => 0),
    start: column(() => 0),
    length: column((r) => r + 1),
    outputRows: Int32Array.from({ length: rows / 2 }, (_, i) => rows / 2 + i),
  };
}
