// Reads a Hugging Face config.json into the few numbers the transformer needs, and refuses what it cannot compute faithfully.
// Knows the families qwen3, qwen2 and llama, with the old RoPE keys (rope_theta, rope_scaling) and the new one (rope_parameters).
// It knows no tensor and no device. Source: the configuration classes of transformers 4 and 5.

import { statSync } from "node:fs";
import { join } from "node:path";
import { DataError, errorText } from "../../util/errors.ts";
import { expectObject, preview, readJsonFile } from "../../util/json.ts";
import { readModelDirectory } from "./model-directory.ts";

/** Model families, by `model_type`. */
export type Family = "qwen3" | "qwen2" | "llama";

/** Llama 3's stretching of low RoPE frequencies. */
export interface Llama3Rope {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositions: number;
}

/** Everything the computation depends on; sizes are element counts. */
export interface ModelConfig {
  readonly family: Family;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly normEps: number;
  readonly ropeTheta: number;
  /** Absent: plain RoPE. */
  readonly ropeScaling?: Llama3Rope;
  /** Longest sequence, in tokens. */
  readonly maxPositions: number;
  /** The output head is the embedding table. */
  readonly tiedEmbeddings: boolean;
  /** RMSNorm of each query and key head before RoPE (Qwen3). */
  readonly qkNorm: boolean;
  /** Biases on the query, key and value projections. */
  readonly qkvBias: boolean;
  /** Bias on the attention's output projection. */
  readonly outputBias: boolean;
  /** Standard deviation of fresh weights. */
  readonly initializerRange: number;
  /** Ids that end a text, from config.json and generation_config.json, ascending. */
  readonly eosTokenIds: readonly number[];
  /** config.json as read, so that an export writes every key back. */
  readonly raw: Readonly<Record<string, unknown>>;
}

type Json = Record<string, unknown>;

const MAX_CONFIG_BYTES = 4 << 20;
const FAMILIES: readonly Family[] = ["qwen3", "qwen2", "llama"];
const SUPPORTED = "Supported model types: qwen3, qwen2, llama.";

/** Reads config.json (and generation_config.json when there) of a model, or of an adapter's base. Errors: DataError that names the file, the value and what is supported. */
export function readModelConfig(model: string): ModelConfig {
  const dir = readModelDirectory(model).base;
  const path = join(dir, "config.json");
  const config = parseModelConfig(readJsonObject(path), path);
  const generationPath = join(dir, "generation_config.json");
  if (statSync(generationPath, { throwIfNoEntry: false }) === undefined) return config;
  const more = eosIds(readJsonObject(generationPath), generationPath);
  return { ...config, eosTokenIds: ascending([...config.eosTokenIds, ...more]) };
}

/** Checks and translates a parsed config.json; `where` opens every error message. Errors: DataError. */
export function parseModelConfig(value: unknown, where: string): ModelConfig {
  const raw = asObject(value, where);
  const family = FAMILIES.find((name) => name === raw.model_type);
  if (family === undefined) throw bad(where, "a supported model_type", raw.model_type, SUPPORTED);
  refuseUnsupported(raw, where);
  const size = (key: string, fallback?: number): number => positiveInteger(raw[key] ?? fallback, `${where} ${key}`);
  const hiddenSize = size("hidden_size");
  const queryHeads = size("num_attention_heads");
  const kvHeads = size("num_key_value_heads", queryHeads);
  // Qwen3Config's class default is 128 whatever the hidden size; the other families derive it.
  const headDim = size("head_dim", family === "qwen3" ? 128 : hiddenSize / queryHeads);
  if (queryHeads % kvHeads !== 0) {
    throw bad(
      where,
      `num_key_value_heads that divide num_attention_heads ${queryHeads}`,
      kvHeads,
      "The configuration is damaged.",
    );
  }
  if (headDim % 2 !== 0) throw bad(where, "an even head_dim", headDim, "RoPE rotates pairs.");
  const attentionBias = flag(raw, "attention_bias", where);
  return {
    family,
    vocabSize: size("vocab_size"),
    hiddenSize,
    intermediateSize: size("intermediate_size"),
    layers: size("num_hidden_layers"),
    queryHeads,
    kvHeads,
    headDim,
    normEps: positive(raw.rms_norm_eps ?? 1e-6, `${where} rms_norm_eps`),
    ...ropeOf(raw, where),
    maxPositions: size("max_position_embeddings"),
    tiedEmbeddings: flag(raw, "tie_word_embeddings", where),
    qkNorm: family === "qwen3",
    qkvBias: family === "qwen2" || attentionBias,
    outputBias: family !== "qwen2" && attentionBias,
    initializerRange: positive(raw.initializer_range ?? 0.02, `${where} initializer_range`),
    eosTokenIds: ascending(eosIds(raw, where)),
    raw,
  };
}

function refuseUnsupported(raw: Json, where: string): void {
  const hidden = raw.hidden_act ?? "silu";
  if (hidden !== "silu") throw bad(where, 'hidden_act "silu"', hidden, "Other activations are not supported.");
  for (const key of ["use_sliding_window", "mlp_bias"]) {
    if (flag(raw, key, where))
      throw bad(where, `${key} false`, true, "Only full attention and bias-free feed-forwards are supported.");
  }
  const layerTypes = raw.layer_types;
  if (Array.isArray(layerTypes)) {
    const odd: unknown = layerTypes.find((type) => type !== "full_attention");
    if (odd !== undefined) throw bad(where, 'layer_types "full_attention"', odd, "Only full attention is supported.");
  }
  if (raw.quantization_config !== undefined && raw.quantization_config !== null) {
    throw bad(where, "no quantization_config", raw.quantization_config, "Use the unquantised weights (f32, f16 or bf16).");
  }
  const partial = raw.partial_rotary_factor ?? 1;
  if (partial !== 1) throw bad(where, "partial_rotary_factor 1", partial, "Only RoPE over the whole head is supported.");
}

/** Both spellings: `rope_parameters` (transformers 5), else `rope_theta` and `rope_scaling` (transformers 4). */
function ropeOf(raw: Json, where: string): { ropeTheta: number; ropeScaling?: Llama3Rope } {
  const newer = raw.rope_parameters;
  const key = newer === undefined || newer === null ? "rope_scaling" : "rope_parameters";
  const rope = raw[key] === undefined || raw[key] === null ? {} : asObject(raw[key], `${where} ${key}`);
  const ropeTheta = positive(rope.rope_theta ?? raw.rope_theta ?? 10000, `${where} rope_theta`);
  const type = rope.rope_type ?? rope.type ?? "default";
  if (type === "default") return { ropeTheta };
  if (type !== "llama3")
    throw bad(`${where} ${key}`, 'rope_type "default" or "llama3"', type, "Other RoPE scalings are not supported.");
  const number = (name: string): number => positive(rope[name], `${where} ${key}.${name}`);
  const ropeScaling = {
    factor: number("factor"),
    lowFreqFactor: number("low_freq_factor"),
    highFreqFactor: number("high_freq_factor"),
    originalMaxPositions: number("original_max_position_embeddings"),
  };
  if (ropeScaling.highFreqFactor <= ropeScaling.lowFreqFactor) {
    throw bad(
      `${where} ${key}`,
      "high_freq_factor above low_freq_factor",
      ropeScaling.highFreqFactor,
      "The configuration is damaged.",
    );
  }
  return { ropeTheta, ropeScaling };
}

function eosIds(raw: Json, where: string): number[] {
  const value = raw.eos_token_id;
  if (value === undefined || value === null) return [];
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  return ids.map((id) => {
    if (typeof id === "number" && Number.isInteger(id) && id >= 0) return id;
    throw bad(where, "eos_token_id as a token id or a list of them", id, "The configuration is damaged.");
  });
}

function ascending(ids: readonly number[]): number[] {
  return [...new Set(ids)].sort((a, b) => a - b);
}

function flag(raw: Json, key: string, where: string): boolean {
  const value = raw[key] ?? false;
  if (typeof value !== "boolean") throw bad(where, `${key} true or false`, value, "The configuration is damaged.");
  return value;
}

function positive(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  throw bad(where, "a positive number", value, "The configuration is damaged or incomplete.");
}

function positiveInteger(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value > 0 && value <= 1 << 30) return value;
  throw bad(where, "a positive integer up to 2^30", value, "The configuration is damaged or incomplete.");
}

function asObject(value: unknown, where: string): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw bad(where, "a JSON object", value, "The configuration is damaged.");
}

function readJsonObject(path: string): Json {
  try {
    return expectObject(readJsonFile(path, MAX_CONFIG_BYTES), path);
  } catch (error) {
    throw new DataError(`${errorText(error)} A model directory holds config.json, *.safetensors and tokenizer.json.`);
  }
}

function bad(where: string, expected: string, got: unknown, hint: string): DataError {
  return new DataError(`${where}: expected ${expected}, got ${preview(got)}. ${hint}`);
}
