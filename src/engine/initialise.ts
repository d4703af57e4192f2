// A model directory with fresh random weights, for training from scratch and for benchmarks of a shape.
// Knows model files; no device, no training.

import { readJsonFile } from "../util/json.ts";
import { parseModelConfig } from "./local/hf-config.ts";
import { randomTensors, writeModelDirectory } from "./local/model-files.ts";

/** What to initialise. */
export interface Initialisation {
  /** Directory to write; it is made when absent. */
  readonly dir: string;
  /** A Hugging Face config.json as a value. */
  readonly config: unknown;
  /** Names the configuration in errors. */
  readonly where: string;
  /** The weights are a function of configuration and seed alone. */
  readonly seed: number;
  /** Directory whose tokenizer files are copied. */
  readonly tokenizerDir?: string;
}

/** Writes config.json, f32 weights and tokenizer files. Errors: DataError for a configuration that cannot be computed. */
export function initialiseModel({ dir, config, where, seed, tokenizerDir }: Initialisation): void {
  const parsed = parseModelConfig(config, where);
  writeModelDirectory(dir, {
    config: parsed,
    tensors: randomTensors(parsed, seed),
    dtype: "float32",
    companionsFrom: tokenizerDir,
  });
}

const MAX_CONFIG_BYTES = 4 << 20;

/** Reads a config.json. Errors: DataError. */
export function readConfigValue(file: string): unknown {
  return readJsonFile(file, MAX_CONFIG_BYTES);
}
