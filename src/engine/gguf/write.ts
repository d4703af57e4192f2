// A model as one GGUF file that llama.cpp runs: names, shapes and layouts of its qwen3, qwen2 and llama architectures.
// Source: llama.cpp's gguf-py/gguf/{constants,tensor_mapping}.py and convert_hf_to_gguf.py (the permutation of Llama's heads).

import type { ModelConfig } from "../local/hf-config.ts";
import { EMBEDDING, FINAL_NORM, HEAD, type ParameterSpec, parameterSpecs } from "../local/parameters.ts";
import { inverseFrequencies } from "../local/rope.ts";
import { elements } from "../local/safetensors.ts";
import type { TensorSource } from "../local/tensor-source.ts";
import { encodeGgml, ggmlBytes, Q8_BLOCK } from "./encode.ts";
import { type GgmlType, type GgufTensor, type GgufValue, writeGguf } from "./file.ts";
import { tokenizerMetadata } from "./tokenizer.ts";

/** Element types of the matrices; vectors are f32 always. */
export type GgufDType = "float32" | "float16" | "bfloat16" | "q8_0";

/** What a file is written from. */
export interface GgufModel {
  /** For people; shown by llama.cpp. */
  readonly name: string;
  readonly config: ModelConfig;
  readonly tensors: TensorSource;
  readonly dtype: GgufDType;
  /** Directory with the tokenizer's files. */
  readonly tokenizerFrom: string;
}

const MATRIX_TYPES: Readonly<Record<GgufDType, GgmlType>> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  q8_0: "Q8_0",
};
/** ggml's numbers for `general.file_type`. */
const FILE_TYPES: Readonly<Record<GgufDType, number>> = { float32: 0, float16: 1, q8_0: 7, bfloat16: 32 };

/** Writes the file, whole or not at all; holds one tensor at a time. Errors: DataError (tokenizer), DiskError, those of the source. */
export function writeGgufModel(path: string, model: GgufModel): void {
  const { config, dtype } = model;
  const tokenizer = tokenizerMetadata(model.tokenizerFrom, config.vocabSize, config.eosTokenIds);
  const metadata = new Map([...architecture(model), ...tokenizer]);
  const weights = parameterSpecs(config).map((spec) => toTensor(model, spec, MATRIX_TYPES[dtype]));
  writeGguf(path, metadata, [...ropeFactors(config), ...weights]);
}

function architecture({ name, config: c, dtype }: GgufModel): [string, GgufValue][] {
  const u32 = (value: number): GgufValue => ({ type: "u32", value });
  const f32 = (value: number): GgufValue => ({ type: "f32", value });
  const own: [string, GgufValue][] = [
    ["vocab_size", u32(c.vocabSize)],
    ["block_count", u32(c.layers)],
    ["context_length", u32(c.maxPositions)],
    ["embedding_length", u32(c.hiddenSize)],
    ["feed_forward_length", u32(c.intermediateSize)],
    ["attention.head_count", u32(c.queryHeads)],
    ["attention.head_count_kv", u32(c.kvHeads)],
    ["attention.key_length", u32(c.headDim)],
    ["attention.value_length", u32(c.headDim)],
    ["attention.layer_norm_rms_epsilon", f32(c.normEps)],
    ["rope.dimension_count", u32(c.headDim)],
    ["rope.freq_base", f32(c.ropeTheta)],
  ];
  return [
    ["general.architecture", { type: "string", value: c.family }],
    ["general.name", { type: "string", value: name }],
    ["general.file_type", u32(FILE_TYPES[dtype])],
    ["general.quantization_version", u32(2)],
    ...own.map(([key, value]): [string, GgufValue] => [`${c.family}.${key}`, value]),
  ];
}

function toTensor({ config, tensors }: GgufModel, spec: ParameterSpec, matrixType: GgmlType): GgufTensor {
  const inDim = spec.shape.at(-1) ?? 1;
  const isMatrix = spec.shape.length > 1;
  // As llama.cpp does with rows that are no whole number of blocks.
  const wanted = matrixType === "Q8_0" && inDim % Q8_BLOCK !== 0 ? "F16" : matrixType;
  const type = isMatrix ? wanted : "F32";
  const bytes = ggmlBytes(type, elements(spec.shape));
  const heads = config.family === "llama" ? headsOf(config, spec.name) : undefined;
  const values = () => (heads === undefined ? tensors(spec) : interleaveHalves(tensors(spec), heads, config.headDim));
  return { name: tensorName(spec.name), shape: spec.shape, type, bytes, read: () => encodeGgml(values(), type) };
}

const LAYER_NAMES: Readonly<Record<string, string>> = {
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
  input_layernorm: "attn_norm",
  post_attention_layernorm: "ffn_norm",
};
const OTHER_NAMES: Readonly<Record<string, string>> = {
  [EMBEDDING]: "token_embd.weight",
  [FINAL_NORM]: "output_norm.weight",
  [HEAD]: "output.weight",
};

function tensorName(name: string): string {
  const [, layer, part, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
  const known = layer === undefined ? OTHER_NAMES[name] : LAYER_NAMES[part];
  if (known === undefined) throw new Error(`internal: no GGUF name for ${name}`);
  return layer === undefined ? known : `blk.${layer}.${known}.${kind}`;
}

/** Heads of a projection whose output is rotated; undefined for all else. */
function headsOf({ queryHeads, kvHeads }: ModelConfig, name: string): number | undefined {
  if (name.includes(".q_proj.")) return queryHeads;
  return name.includes(".k_proj.") ? kvHeads : undefined;
}

/**
 * llama.cpp's Llama rotates neighbours, Hugging Face's halves: row d of the first half of a head's `headDim` rows goes to 2d, row d of the
 * second to 2d + 1.
 */
function interleaveHalves(data: Float32Array, heads: number, headDim: number): Float32Array {
  const out = new Float32Array(data.length);
  const width = data.length / (heads * headDim);
  for (let row = 0; row < heads * headDim; row++) {
    const inHead = row % headDim;
    const pair = inHead % (headDim / 2);
    const to = row - inHead + 2 * pair + (inHead < headDim / 2 ? 0 : 1);
    out.set(data.subarray(row * width, (row + 1) * width), to * width);
  }
  return out;
}

/** Llama 3's stretched frequencies, as what llama.cpp divides the plain ones by. */
function ropeFactors(config: ModelConfig): GgufTensor[] {
  if (config.ropeScaling === undefined) return [];
  const stretched = inverseFrequencies(config);
  const plain = inverseFrequencies({ ...config, ropeScaling: undefined });
  const factors = plain.map((frequency, pair) => frequency / stretched[pair]);
  const shape = [factors.length];
  return [{ name: "rope_freqs.weight", shape, type: "F32", bytes: 4 * factors.length, read: () => encodeGgml(factors, "F32") }];
}
