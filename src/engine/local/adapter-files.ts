// A PEFT adapter directory in and out: adapter_config.json, adapter_model.safetensors, the tokenizer beside them. It knows no device.
// Source: the files that peft's save_pretrained writes.

import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { DataError } from "../../util/errors.ts";
import { writeFileAtomic } from "../../util/files.ts";
import type { ModelConfig } from "./hf-config.ts";
import { adapterSpecs, LORA_TARGETS, type LoraShape, type LoraTarget } from "./lora.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, type AdapterConfig } from "./model-directory.ts";
import { copyCompanions, type ExportDType } from "./model-files.ts";
import { linearShapes, type ParameterSpec } from "./parameters.ts";
import { readSafetensorsHeader, readTensor, type TensorInfo, writeSafetensors } from "./safetensors.ts";
import type { TensorSource } from "./tensor-source.ts";

const NAME = /^base_model\.model\.model\.layers\.\d+\.(?:self_attn|mlp)\.(\w+)\.lora_[AB]\.weight$/;

/** An adapter on the disk: its shape, and its values by the names of `adapterSpecs`. */
export interface StoredAdapter {
  readonly shape: LoraShape;
  readonly tensors: TensorSource;
}

/**
 * Opens an adapter of a model with this configuration. Its targets are those whose tensors are there.
 * Errors: DataError (damaged, other targets, tensors that do not fit the model).
 */
export function openAdapter(dir: string, adapter: AdapterConfig, config: ModelConfig): StoredAdapter {
  const path = join(dir, ADAPTER_WEIGHTS);
  if (!existsSync(path)) throw new DataError(`${dir}: expected ${ADAPTER_WEIGHTS} beside ${ADAPTER_CONFIG}, got none.`);
  const tensors = readSafetensorsHeader(path);
  const found = new Set<LoraTarget>();
  for (const name of tensors.keys()) {
    const target = LORA_TARGETS.find((known) => known === NAME.exec(name)?.[1]);
    if (target === undefined)
      throw new DataError(
        `${path}: expected adapters of ${LORA_TARGETS.join(", ")}, got the tensor ${name}. Merge it with peft.`,
      );
    found.add(target);
  }
  const targets = LORA_TARGETS.filter((target) => found.has(target));
  const shape = { rank: adapter.rank, alpha: adapter.alpha, targets };
  const specs = adapterSpecs(config, shape, linearShapes(config));
  for (const spec of specs) checkTensor(path, spec, tensors.get(spec.name));
  if (specs.length !== tensors.size || specs.length === 0) {
    throw new DataError(
      `${path}: expected ${specs.length} tensors of ${config.layers} layers, got ${tensors.size}. It is of another model.`,
    );
  }
  return { shape, tensors: (spec) => readTensor(tensors.get(spec.name) as TensorInfo) };
}

/** What `writeAdapter` needs. */
export interface AdapterToWrite {
  readonly shape: LoraShape;
  readonly specs: readonly ParameterSpec[];
  readonly tensors: TensorSource;
  readonly dtype: ExportDType;
  /** Directory of the base model. */
  readonly base: string;
  /** Directory whose tokenizer files are copied. */
  readonly companionsFrom: string;
}

/** Writes a directory that peft loads. Errors: DiskError. */
export function writeAdapter(dir: string, adapter: AdapterToWrite): void {
  mkdirSync(dir, { recursive: true });
  copyCompanions(dir, adapter.companionsFrom);
  const tensors = adapter.specs.map((spec) => ({ name: spec.name, shape: spec.shape, read: () => adapter.tensors(spec) }));
  writeSafetensors(join(dir, ADAPTER_WEIGHTS), tensors, adapter.dtype === "float32" ? "F32" : "BF16");
  writeFileAtomic(join(dir, ADAPTER_CONFIG), `${JSON.stringify(peftConfig(adapter), null, 2)}\n`);
}

function peftConfig({ shape, base }: AdapterToWrite): Record<string, unknown> {
  return {
    alpha_pattern: {},
    base_model_name_or_path: resolve(base),
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: shape.alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: "LORA",
    r: shape.rank,
    rank_pattern: {},
    target_modules: shape.targets,
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: false,
  };
}

function checkTensor(path: string, spec: ParameterSpec, info: TensorInfo | undefined): void {
  if (info?.shape.join() === spec.shape.join()) return;
  const got = info === undefined ? "none" : `[${info.shape.join(", ")}]`;
  throw new DataError(`${path} ${spec.name}: expected shape [${spec.shape.join(", ")}], got ${got}. It is of another model.`);
}
