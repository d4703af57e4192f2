// The weights of a Hugging Face model directory, one file or sharded, in and out; and fresh random weights in the same shape.
// It reads one tensor at a time, so a model needs its own size of memory and no more. It knows no device.
// Source: the layout that transformers' save_pretrained writes.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DataError } from "../../util/errors.ts";
import { makeDirectory, readBytes, writeFileAtomic } from "../../util/files.ts";
import { expectObject, preview, readJsonFile } from "../../util/json.ts";
import { rngFrom } from "../../util/rng.ts";
import type { ModelConfig } from "./hf-config.ts";
import { type ParameterSpec, parameterSpecs } from "./parameters.ts";
import {
  elements,
  readSafetensorsHeader,
  readTensor,
  type TensorInfo,
  type TensorToWrite,
  writeSafetensors,
} from "./safetensors.ts";
import type { TensorSource } from "./tensor-source.ts";

/** Element type of exported weights. */
export type ExportDType = "float32" | "bfloat16";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const MAX_INDEX_BYTES = 64 << 20;
const MAX_COMPANION_BYTES = 256 << 20;
/** What a model directory holds besides weights and configuration; copied as it is. */
const COMPANIONS = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
];

/**
 * Opens the weights of a model directory. Every parameter must be there with its shape; further tensors are ignored.
 * Errors: DataError (no weights, damaged file or index, missing tensor, other shape or dtype).
 */
export function openModelTensors(dir: string): TensorSource {
  const tensors = existsSync(join(dir, SINGLE)) ? readSafetensorsHeader(join(dir, SINGLE)) : readShards(dir);
  const locate = (spec: ParameterSpec): TensorInfo => {
    const info = tensors.get(spec.name);
    if (info === undefined) {
      throw new DataError(`${dir}: expected a tensor ${spec.name}, got none. Weights and config.json must belong together.`);
    }
    if (info.shape.length !== spec.shape.length || info.shape.some((size, i) => size !== spec.shape[i])) {
      throw new DataError(
        `${info.path} ${spec.name}: expected shape [${spec.shape.join(", ")}], got [${info.shape.join(", ")}]. Weights and config.json must belong together.`,
      );
    }
    return info;
  };
  return Object.assign((spec: ParameterSpec) => readTensor(locate(spec)), { locate });
}

/** Fresh weights as transformers initialises them: normal with the configured deviation, norms 1, biases 0; a function of the seed alone. */
export function randomTensors(config: ModelConfig, seed: number): TensorSource {
  return (spec) => {
    const data = new Float32Array(elements(spec.shape));
    if (spec.kind === "norm") return data.fill(1);
    if (spec.kind === "bias") return data;
    const rng = rngFrom(seed, "initialise", spec.name);
    for (let i = 0; i < data.length; i++) data[i] = config.initializerRange * rng.normal();
    return data;
  };
}

/** What `writeModelDirectory` needs. */
export interface ModelToWrite {
  readonly config: ModelConfig;
  readonly tensors: TensorSource;
  readonly dtype: ExportDType;
  /** Directory whose tokenizer files are copied. */
  readonly companionsFrom?: string;
  /** Largest weight file in bytes; default 5e9, as transformers. */
  readonly maxShardBytes?: number;
}

/** Writes a directory that transformers loads: config.json, weights, tokenizer files. Errors: DiskError when the disk refuses. */
export function writeModelDirectory(dir: string, model: ModelToWrite): void {
  makeDirectory(dir);
  copyCompanions(dir, model.companionsFrom);
  writeWeights(dir, model);
  const { dtype: _, torch_dtype: __, ...rest } = model.config.raw;
  // Both spellings, so that transformers 4 and 5 and vLLM agree on the type.
  writeJson(join(dir, "config.json"), { ...rest, dtype: model.dtype, torch_dtype: model.dtype });
}

function writeWeights(dir: string, model: ModelToWrite): void {
  const specs = parameterSpecs(model.config);
  const dtype = model.dtype === "float32" ? "F32" : "BF16";
  const bytesOf = (spec: ParameterSpec): number => elements(spec.shape) * (dtype === "F32" ? 4 : 2);
  const toWrite = (spec: ParameterSpec): TensorToWrite => ({
    name: spec.name,
    shape: spec.shape,
    read: () => model.tensors(spec),
  });
  const shards = splitShards(specs, bytesOf, model.maxShardBytes ?? 5e9);
  const number = (value: number): string => String(value).padStart(5, "0");
  const fileOf = (i: number): string =>
    shards.length === 1 ? SINGLE : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
  shards.forEach((shard, i) => {
    writeSafetensors(join(dir, fileOf(i)), shard.map(toWrite), dtype);
  });
  const kept = new Set(shards.map((_, i) => fileOf(i)));
  if (shards.length > 1) {
    const weightMap = Object.fromEntries(shards.flatMap((shard, i) => shard.map((spec) => [spec.name, fileOf(i)])));
    const totalSize = specs.reduce((sum, spec) => sum + bytesOf(spec), 0);
    writeJson(join(dir, INDEX), { metadata: { total_size: totalSize }, weight_map: weightMap });
    kept.add(INDEX);
  }
  // Weight files of an earlier export with another number of shards would be read instead of the new ones.
  for (const name of readdirSync(dir)) {
    if (/^model(-\d+-of-\d+)?\.safetensors(\.index\.json)?$/.test(name) && !kept.has(name)) rmSync(join(dir, name));
  }
}

function splitShards(
  specs: readonly ParameterSpec[],
  bytesOf: (spec: ParameterSpec) => number,
  limit: number,
): ParameterSpec[][] {
  const shards: ParameterSpec[][] = [[]];
  let used = 0;
  for (const spec of specs) {
    if (used > 0 && used + bytesOf(spec) > limit) {
      shards.push([]);
      used = 0;
    }
    shards[shards.length - 1].push(spec);
    used += bytesOf(spec);
  }
  return shards;
}

/** Copies the tokenizer files of a model directory that are there. */
export function copyCompanions(dir: string, from: string | undefined): void {
  if (from === undefined || resolve(from) === resolve(dir)) return;
  for (const name of COMPANIONS)
    if (existsSync(join(from, name))) writeFileAtomic(join(dir, name), readBytes(join(from, name), MAX_COMPANION_BYTES));
}

function writeJson(path: string, value: unknown): void {
  writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

function readShards(dir: string): Map<string, TensorInfo> {
  const path = join(dir, INDEX);
  if (!existsSync(path)) {
    throw new DataError(`${dir}: expected ${SINGLE} or ${INDEX}, got neither. Convert other weight formats with transformers.`);
  }
  const { weight_map: weightMap } = expectObject(readJsonFile(path, MAX_INDEX_BYTES), path);
  const headers = new Map<string, Map<string, TensorInfo>>();
  const tensors = new Map<string, TensorInfo>();
  for (const [name, file] of Object.entries(expectObject(weightMap, `${path} weight_map`))) {
    if (typeof file !== "string" || dirname(file) !== "." || !file.endsWith(".safetensors")) {
      throw new DataError(`${path} ${name}: expected a file name *.safetensors, got ${preview(file)}. The index is damaged.`);
    }
    const header = headers.get(file) ?? readSafetensorsHeader(join(dir, file));
    headers.set(file, header);
    const info = header.get(name);
    if (info === undefined)
      throw new DataError(`${join(dir, file)}: expected a tensor ${name}, as ${INDEX} says, got none. Fetch it again.`);
    tensors.set(name, info);
  }
  return tensors;
}
