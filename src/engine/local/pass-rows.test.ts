// Passes of a real model stay below their bound whatever the configured micro-batch, and small models are not cut.

import { describe, expect, it } from "vitest";
import { parseModelConfig } from "./hf-config.ts";
import { activationBytes, PASS_BYTES, passRows, recomputes } from "./memory-plan.ts";

const QWEN3_600M = parseModelConfig(
  {
    model_type: "qwen3",
    vocab_size: 151_936,
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    max_position_embeddings: 40_960,
    tie_word_embeddings: true,
  },
  "qwen3-0.6b",
);
const TINY = { ...QWEN3_600M, hiddenSize: 128, intermediateSize: 352, layers: 4, queryHeads: 4, kvHeads: 2, headDim: 32 };

describe("passes bounded by memory", () => {
  it("a whole group of 8 × 768 tokens of a 0.6B model is one pass, computed again in the backward pass", () => {
    const rows = 512 + 8 * 256;
    expect(passRows(QWEN3_600M, "bf16", "auto")).toBeGreaterThan(rows);
    expect(recomputes(QWEN3_600M, "bf16", rows, "auto")).toBe(true);
    expect(rows * activationBytes(QWEN3_600M, { format: "bf16", recompute: true })).toBeLessThan(PASS_BYTES);
  });

  it("a short pass keeps its activations, and so does every pass of a tiny model", () => {
    expect(recomputes(QWEN3_600M, "bf16", 256, "auto")).toBe(false);
    expect(recomputes(TINY, "f32", 8192, "auto")).toBe(false);
    expect(passRows(TINY, "f32", "auto")).toBeGreaterThan(8192);
  });

  it("with recomputing refused a pass has fewer rows, never fewer than a product needs", () => {
    expect(passRows(QWEN3_600M, "bf16", false)).toBeLessThan(1200);
    expect(passRows({ ...QWEN3_600M, layers: 10_000 }, "bf16", false)).toBe(256);
  });
});
