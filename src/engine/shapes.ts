// Named model shapes for `rzero bench`, and directories of random weights in those shapes: what speed depends on, without a download.
// Weights are windows on one block of normals, so that four billion of them are written in seconds; no two rows of a matrix are equal.
// Knows model files, no device. Sources: Qwen3's published config.json files; `tiny` is the embedded base, `125m` our own.

import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { rngFrom } from "../util/rng.ts";
import { cacheFolder } from "./local/device/cpu/library.ts";
import { parseModelConfig } from "./local/hf-config.ts";
import { type ParameterSpec, parameterSpecs } from "./local/parameters.ts";
import { elements } from "./local/safetensors.ts";

/** Names of the shapes. */
export const SHAPE_NAMES = ["tiny", "125m", "qwen3-0.6b", "qwen3-4b"] as const;
export type ShapeName = (typeof SHAPE_NAMES)[number];

/** A group of rollouts as GRPO trains on them: `groups` prompts of `prompt` tokens, `size` completions of `completion` tokens each. */
export interface GroupWork {
  readonly groups: number;
  readonly size: number;
  readonly prompt: number;
  readonly completion: number;
}

/** What is measured on a shape; the same figures stand in bench/peers. */
export interface ShapeWork {
  /** Packed training: [sequences, tokens of each]. Of the largest shape only with adapters. */
  readonly train?: readonly [number, number];
  /** Training on one group with a shared prompt. */
  readonly shared?: GroupWork;
  /** A whole GRPO step: sampling, reference logprobs, update. */
  readonly grpo?: GroupWork;
  /** Decoding: [sequences, prompt tokens, new tokens]. */
  readonly decode: readonly (readonly [number, number, number])[];
}

/** The work of each shape. */
export const SHAPE_WORK: Readonly<Record<ShapeName, ShapeWork>> = {
  tiny: {
    train: [64, 128],
    shared: { groups: 1, size: 8, prompt: 256, completion: 64 },
    grpo: { groups: 56, size: 8, prompt: 24, completion: 32 },
    decode: [[64, 16, 96]],
  },
  "125m": {
    train: [4, 256],
    shared: { groups: 1, size: 8, prompt: 256, completion: 64 },
    decode: [[16, 16, 64]],
  },
  "qwen3-0.6b": {
    train: [1, 256],
    grpo: { groups: 1, size: 8, prompt: 512, completion: 256 },
    decode: [
      [8, 16, 32],
      [1, 16, 64],
    ],
  },
  "qwen3-4b": {
    train: [1, 256],
    grpo: { groups: 1, size: 8, prompt: 512, completion: 256 },
    decode: [
      [8, 16, 16],
      [1, 16, 16],
    ],
  },
};

const COMMON = {
  architectures: ["Qwen3ForCausalLM"],
  model_type: "qwen3",
  hidden_act: "silu",
  attention_bias: false,
  attention_dropout: 0,
  rms_norm_eps: 1e-6,
  initializer_range: 0.02,
  tie_word_embeddings: true,
  use_sliding_window: false,
  dtype: "bfloat16",
  torch_dtype: "bfloat16",
};

const CONFIGS: Readonly<Record<ShapeName, Record<string, unknown>>> = {
  // 0.75M parameters
  tiny: {
    vocab_size: 109,
    hidden_size: 128,
    intermediate_size: 352,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
    rope_theta: 10000,
    max_position_embeddings: 512,
  },
  // 124M parameters, 39M of them the vocabulary
  "125m": {
    vocab_size: 50304,
    hidden_size: 768,
    intermediate_size: 2048,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    num_key_value_heads: 12,
    head_dim: 64,
    rope_theta: 10000,
    max_position_embeddings: 2048,
  },
  "qwen3-0.6b": {
    vocab_size: 151936,
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    rope_theta: 1000000,
    max_position_embeddings: 40960,
  },
  "qwen3-4b": {
    vocab_size: 151936,
    hidden_size: 2560,
    intermediate_size: 9728,
    num_hidden_layers: 36,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 128,
    rope_theta: 1000000,
    max_position_embeddings: 40960,
  },
};

/** config.json of a shape, as a value. */
export function shapeConfig(name: ShapeName): Record<string, unknown> {
  return { ...COMMON, ...CONFIGS[name] };
}

/** Directories above this size are removed again by `withShape`. */
const KEEP_BELOW_BYTES = 2 ** 31;
/** Prime, so that windows on the block come back to the same place only after as many rows. */
const BLOCK = 1048573;
const ONE_BF16 = 0x3f80;
/** Part of the directory's name: another generator or configuration needs another number. */
const VERSION = 1;

/** Runs `use` with a directory of random bf16 weights, kept for the next time unless it is large. Errors: those of the disk. */
export async function withShape<T>(name: ShapeName, use: (dir: string) => Promise<T>): Promise<T> {
  const dir = shapeDirectory(name);
  try {
    return await use(dir);
  } finally {
    if (shapeBytes(name) > KEEP_BELOW_BYTES) rmSync(dir, { recursive: true, force: true });
  }
}

/** The directory of a shape's random weights in the cache folder; written when absent. The weights are a function of the shape alone. */
export function shapeDirectory(name: ShapeName, root = join(cacheFolder(), "shapes")): string {
  const dir = join(root, `${name}-${VERSION}`);
  if (existsSync(join(dir, "config.json"))) return dir;
  mkdirSync(dir, { recursive: true });
  const specs = parameterSpecs(parseModelConfig(shapeConfig(name), `shape ${name}`));
  writeRandomWeights(join(dir, "model.safetensors"), specs);
  // config.json comes last: its presence says that the weights are whole
  writeFileSync(join(dir, "config.json"), `${JSON.stringify(shapeConfig(name), null, 2)}\n`);
  return dir;
}

/** Bytes of a shape's weight file, without its header. */
export function shapeBytes(name: ShapeName): number {
  return parameterSpecs(parseModelConfig(shapeConfig(name), `shape ${name}`)).reduce(
    (sum, { shape }) => sum + 2 * elements(shape),
    0,
  );
}

function writeRandomWeights(path: string, specs: readonly ParameterSpec[]): void {
  const normals = normalBlock();
  const ones = new Uint16Array(BLOCK).fill(ONE_BF16);
  const zeros = new Uint16Array(BLOCK);
  const partial = `${path}.${process.pid}.partial`;
  const fd = openSync(partial, "w");
  let at = 0;
  try {
    writeSync(fd, header(specs));
    for (const { shape, kind } of specs) {
      const block = kind === "norm" ? ones : kind === "bias" ? zeros : normals;
      for (let left = elements(shape); left > 0; ) {
        const count = Math.min(left, BLOCK - at);
        writeSync(fd, new Uint8Array(block.buffer, 2 * at, 2 * count));
        at = (at + count) % BLOCK;
        left -= count;
      }
    }
  } finally {
    closeSync(fd);
  }
  renameSync(partial, path);
}

/** bf16 normals with deviation 0.02; truncated rather than rounded, which no benchmark feels. */
function normalBlock(): Uint16Array {
  const rng = rngFrom(0, "benchmark-shapes");
  const values = Float32Array.from({ length: BLOCK }, () => COMMON.initializer_range * rng.normal());
  const bits = new Uint32Array(values.buffer);
  return Uint16Array.from(bits, (word) => word >>> 16);
}

function header(specs: readonly ParameterSpec[]): Uint8Array {
  let offset = 0;
  const entries = specs.map(({ name, shape }) => {
    const begin = offset;
    offset += 2 * elements(shape);
    return [name, { dtype: "BF16", shape, data_offsets: [begin, offset] }] as const;
  });
  const json = JSON.stringify({ __metadata__: { format: "pt" }, ...Object.fromEntries(entries) });
  const text = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  const out = new Uint8Array(8 + text.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  return out;
}
