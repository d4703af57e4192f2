import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DataError } from "../../util/errors.ts";
import { parseModelConfig, readModelConfig } from "./hf-config.ts";
import { parameterSpecs } from "./parameters.ts";

const dir = mkdtempSync(join(tmpdir(), "rzero-config-"));
afterAll(() => rmSync(dir, { recursive: true }));

const QWEN2 = {
  model_type: "qwen2",
  vocab_size: 100,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
};
const LLAMA3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
const parse = (changes: Record<string, unknown>) => parseModelConfig({ ...QWEN2, ...changes }, "config.json");

describe("parseModelConfig", () => {
  it("fills what transformers fills", () => {
    const config = parse({});
    expect(config).toMatchObject({
      headDim: 8,
      ropeTheta: 10000,
      tiedEmbeddings: false,
      qkvBias: true,
      outputBias: false,
      qkNorm: false,
    });
    expect(config.ropeScaling).toBeUndefined();
    expect(parse({ num_key_value_heads: undefined }).kvHeads).toBe(4);
    expect(parse({ model_type: "qwen3" })).toMatchObject({ headDim: 128, qkNorm: true, qkvBias: false });
    expect(parse({ model_type: "llama", attention_bias: true })).toMatchObject({ qkvBias: true, outputBias: true });
  });

  it("reads both spellings of RoPE alike", () => {
    const scaling = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 64 };
    const older = parse({ rope_theta: 5e5, rope_scaling: { type: "llama3", ...LLAMA3 } });
    const newer = parse({ rope_theta: 1, rope_parameters: { rope_type: "llama3", rope_theta: 5e5, ...LLAMA3 } });
    for (const config of [older, newer]) expect(config).toMatchObject({ ropeTheta: 5e5, ropeScaling: scaling });
    expect(parse({ rope_theta: 5e5, rope_scaling: null }).ropeScaling).toBeUndefined();
  });

  it.each([
    [{ model_type: "gpt2" }, 'expected a supported model_type, got "gpt2". Supported model types: qwen3, qwen2, llama.'],
    [{ model_type: undefined }, "expected a supported model_type, got nothing"],
    [{ rope_scaling: { rope_type: "yarn", factor: 4 } }, 'rope_scaling: expected rope_type "default" or "llama3", got "yarn"'],
    [{ rope_parameters: { rope_type: "llama3" } }, "rope_parameters.factor: expected a positive number, got nothing"],
    [{ use_sliding_window: true }, "expected use_sliding_window false, got true"],
    [{ layer_types: ["full_attention", "sliding_attention"] }, 'got "sliding_attention"'],
    [{ mlp_bias: true }, "expected mlp_bias false, got true"],
    [{ hidden_act: "gelu" }, 'expected hidden_act "silu", got "gelu"'],
    [{ quantization_config: { bits: 4 } }, 'expected no quantization_config, got {"bits":4}'],
    [{ num_key_value_heads: 3 }, "expected num_key_value_heads that divide num_attention_heads 4, got 3"],
    [{ hidden_size: undefined }, "hidden_size: expected a positive integer up to 2^30, got nothing"],
    [{ vocab_size: 1e12 }, "got 1000000000000"],
    [{ head_dim: 7 }, "expected an even head_dim, got 7"],
    [{ tie_word_embeddings: "yes" }, 'expected tie_word_embeddings true or false, got "yes"'],
    [{ eos_token_id: -1 }, "expected eos_token_id as a token id or a list of them, got -1"],
  ])("refuses %j", (changes, message) => {
    expect(() => parse(changes)).toThrow(DataError);
    expect(() => parse(changes)).toThrow(message);
  });

  it("names every parameter once", () => {
    const names = parameterSpecs(parse({ tie_word_embeddings: true })).map((spec) => spec.name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toHaveLength(1 + 2 * 12 + 1);
    expect(names).not.toContain("lm_head.weight");
  });
});

describe("readModelConfig", () => {
  it("joins the end-of-text ids of both files", () => {
    writeFileSync(join(dir, "config.json"), JSON.stringify({ ...QWEN2, eos_token_id: 5 }));
    writeFileSync(join(dir, "generation_config.json"), JSON.stringify({ eos_token_id: [7, 5, 2] }));
    expect(readModelConfig(dir).eosTokenIds).toEqual([2, 5, 7]);
  });

  it("refuses missing and damaged files in one line", () => {
    expect(() => readModelConfig(join(dir, "none"))).toThrow(
      /config\.json: expected a readable file, got ENOENT.*A model directory holds/,
    );
    writeFileSync(join(dir, "config.json"), "{");
    expect(() => readModelConfig(dir)).toThrow(/config\.json: expected JSON, got .*A model directory holds/);
  });
});
