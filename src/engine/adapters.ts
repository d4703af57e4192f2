// Model directories as commands see them: which one holds the whole model, and a model or adapter written anew as a whole model or as
// an adapter. Knows files and, for the merge, one device; no training.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../util/errors.ts";
import { type GgufDType, writeGgufModel } from "./gguf/write.ts";
import { openAdapter, writeAdapter } from "./local/adapter-files.ts";
import { createCpuDevice } from "./local/device/cpu/device.ts";
import { type ModelConfig, readModelConfig } from "./local/hf-config.ts";
import { adapterSpecs } from "./local/lora.ts";
import { mergedTensors } from "./local/lora-merge.ts";
import { readModelDirectory } from "./local/model-directory.ts";
import { openModelTensors, writeModelDirectory } from "./local/model-files.ts";
import { linearShapes } from "./local/parameters.ts";
import type { TensorSource } from "./local/tensor-source.ts";

/** Where a model was read and where it goes. */
export interface Rewrite {
  readonly from: string;
  readonly to: string;
  readonly dtype: "float32" | "bfloat16";
}

/** Directory of the whole model: `dir` itself, or the base of the adapter in it. Errors: DataError. */
export function baseDirectory(dir: string): string {
  return readModelDirectory(dir).base;
}

/** Writes a model as a whole model, an adapter merged into its base. Tokenizer files come along. Errors: DataError, EngineError. */
export function writeWholeModel({ from, to, dtype }: Rewrite): void {
  withWholeModel(from, (model) => writeModelDirectory(to, { ...model, dtype }));
}

/** Writes a model as a GGUF file, an adapter merged into its base; `name` is for people. Errors: DataError, EngineError. */
export function writeGgufFile({ from, to, dtype, name }: { from: string; to: string; dtype: GgufDType; name: string }): void {
  withWholeModel(from, ({ config, tensors, companionsFrom }) =>
    writeGgufModel(to, { name, config, tensors, dtype, tokenizerFrom: companionsFrom }),
  );
}

/** A whole model as it can be read: an adapter is merged into its base as its tensors are asked for. */
interface WholeModel {
  readonly config: ModelConfig;
  readonly tensors: TensorSource;
  /** Where the tokenizer's files are. */
  readonly companionsFrom: string;
}

function withWholeModel(from: string, use: (model: WholeModel) => void): void {
  const { base, adapter } = readModelDirectory(from);
  const config = readModelConfig(base);
  const tensors = openModelTensors(base);
  const companionsFrom = existsSync(join(from, "tokenizer.json")) ? from : base;
  if (adapter === undefined) {
    use({ config, tensors, companionsFrom });
    return;
  }
  const device = createCpuDevice();
  try {
    use({ config, tensors: mergedTensors(device, config, tensors, openAdapter(from, adapter, config)), companionsFrom });
  } finally {
    device.dispose();
  }
}

/** Writes an adapter anew, its base by absolute path. Errors: DataError (no adapter). */
export function writeAdapterAlone({ from, to, dtype }: Rewrite): void {
  const { base, adapter } = readModelDirectory(from);
  if (adapter === undefined)
    throw new DataError(`${from}: expected an adapter, got a whole model. Only runs with engine.lora train adapters.`);
  const config = readModelConfig(base);
  const { shape, tensors } = openAdapter(from, adapter, config);
  const companionsFrom = existsSync(join(from, "tokenizer.json")) ? from : base;
  mkdirSync(to, { recursive: true });
  const specs = adapterSpecs(config, shape, linearShapes(config));
  writeAdapter(to, { shape, specs, tensors, dtype, base, companionsFrom });
}
