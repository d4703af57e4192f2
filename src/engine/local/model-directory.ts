// What a model directory is: a whole model, or a PEFT adapter whose adapter_config.json names its base. Reads and checks that file,
// refusing what cannot be computed faithfully. It knows no tensor. Source: LoraConfig of peft.

import { existsSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { DataError, errorText } from "../../util/errors.ts";
import { expectObject, preview, readJsonFile } from "../../util/json.ts";

/** A model directory, understood. */
export interface ModelDirectory {
  readonly dir: string;
  /** Directory of the whole model: `dir` itself, or the adapter's base. */
  readonly base: string;
  readonly adapter?: AdapterConfig;
}

/** The numbers of an adapter. */
export interface AdapterConfig {
  readonly rank: number;
  /** The low-rank term is multiplied by alpha / rank; rsLoRA's alpha / √rank is told as the alpha that gives it. */
  readonly alpha: number;
  readonly dropout: number;
}

/** File names of a PEFT adapter. */
export const ADAPTER_CONFIG = "adapter_config.json";
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";

const MAX_BYTES = 1 << 20;
/** Keys whose presence with another value changes the computation. */
const MUST_BE: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ["LORA"],
  bias: ["none", undefined],
  use_dora: [false, undefined],
  fan_in_fan_out: [false, undefined],
  modules_to_save: [null, undefined],
  layers_to_transform: [null, undefined],
  layer_replication: [null, undefined],
  trainable_token_indices: [null, undefined],
  target_parameters: [null, undefined],
  lora_bias: [false, undefined],
  use_qalora: [false, undefined],
  use_bdlora: [null, false, undefined],
  kasa_config: [null, undefined],
  alora_invocation_tokens: [null, undefined],
  arrow_config: [null, undefined],
};
/** Initialisations after which the base is not the base any more. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq)/;

/** Reads what `dir` is. Errors: DataError (an adapter that is damaged, of another kind, or whose base is missing). */
export function readModelDirectory(dir: string): ModelDirectory {
  const file = join(dir, ADAPTER_CONFIG);
  if (!existsSync(file)) return { dir, base: dir };
  const raw = readJson(file);
  for (const [key, allowed] of Object.entries(MUST_BE)) {
    if (!allowed.includes(raw[key])) throw bad(file, `${key} ${JSON.stringify(allowed[0])}`, raw[key], "Merge it with peft.");
  }
  for (const key of ["rank_pattern", "alpha_pattern"]) {
    if (Object.keys((raw[key] ?? {}) as object).length > 0)
      throw bad(file, `no ${key}`, raw[key], "Only one rank and alpha for all weights are supported.");
  }
  if (typeof raw.init_lora_weights === "string" && CHANGES_BASE.test(raw.init_lora_weights))
    throw bad(
      file,
      "an adapter of the unchanged base",
      raw.init_lora_weights,
      "Convert it with peft (path_initial_model_for_weight_conversion).",
    );
  const rank = positive(raw.r, file, "r");
  if (!Number.isInteger(rank) || rank > 1 << 16) throw bad(file, "r as a whole number", raw.r);
  const adapter = {
    rank,
    alpha: positive(raw.lora_alpha, file, "lora_alpha") * (raw.use_rslora === true ? Math.sqrt(rank) : 1),
    dropout: typeof raw.lora_dropout === "number" ? raw.lora_dropout : 0,
  };
  return { dir, base: findBase(dir, file, raw.base_model_name_or_path), adapter };
}

function findBase(dir: string, file: string, name: unknown): string {
  if (typeof name !== "string" || name === "") throw bad(file, "base_model_name_or_path", name);
  const base = isAbsolute(name) ? name : resolve(dir, name);
  if (existsSync(join(base, ADAPTER_CONFIG)))
    throw bad(file, "a whole model as base_model_name_or_path", name, "That is an adapter: merge it first.");
  if (existsSync(join(base, "config.json"))) return base;
  const hint = `There is no config.json in ${base}. Fetch the base model and write its path there, absolute or relative to the adapter.`;
  throw bad(file, "base_model_name_or_path to be a model directory", name, hint);
}

function readJson(file: string): Record<string, unknown> {
  try {
    return expectObject(readJsonFile(file, MAX_BYTES), file);
  } catch (error) {
    throw bad(file, "the configuration of a PEFT adapter", errorText(error));
  }
}

function positive(value: unknown, file: string, key: string): number {
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  throw bad(file, `${key} above 0`, value);
}

function bad(file: string, expected: string, got: unknown, hint = "The adapter is damaged or of another kind."): DataError {
  return new DataError(`${file}: expected ${expected}, got ${preview(got)}. ${hint}`);
}
