// Opening models of one device: a whole model or an adapter over its base, frozen or to train. All that is frozen comes from one
// store, so that users of one base share it. It knows no handle, no tokenizer and no role.

import { ConfigError, DataError } from "../../util/errors.ts";
import { openAdapter } from "./adapter-files.ts";
import type { Device, WeightFormat } from "./device/types.ts";
import { readModelConfig } from "./hf-config.ts";
import { type AdapterBase, freshAdapter, LORA_TARGETS, type LoraShape, LoraWeights } from "./lora.ts";
import { type ModelDirectory, readModelDirectory } from "./model-directory.ts";
import { Transformer, type TransformerOptions } from "./transformer.ts";
import type { WeightStore } from "./weight-store.ts";

/** The adapter to train, and the seed of its fresh values. */
export interface LoraOptions extends LoraShape {
  readonly seed: number;
}

/** Frozen weights of a model or adapter directory. Errors: DataError, EngineError. */
export function openFrozen(device: Device, dir: string, format: WeightFormat, store: WeightStore): Transformer {
  const place = readModelDirectory(dir);
  if (place.adapter === undefined) return Transformer.over(device, store.open(place.base, format), { format });
  const { shape, tensors } = openAdapter(dir, place.adapter, readModelConfig(place.base));
  return Transformer.over(device, LoraWeights.frozen(device, baseOf(place, store), shape, tensors, format), { format });
}

/** A whole model to train. Errors: DataError, ConfigError (an adapter), EngineError. */
export function openFull(device: Device, dir: string, options: TransformerOptions): Transformer {
  const { adapter } = readModelDirectory(dir);
  if (adapter === undefined) return Transformer.load(device, dir, "trainable", options);
  throw new ConfigError(
    `${dir}: expected a whole model to train, got an adapter of rank ${adapter.rank}. ` +
      "Set engine.lora to go on with it, or merge it into a whole model first (rzero export --format hf).",
  );
}

/**
 * An adapter to train over its frozen base: a fresh one over a whole model, or the one in `dir`.
 * Errors: DataError, ConfigError (an adapter of another shape than asked for), EngineError.
 */
export function openLora(
  device: Device,
  dir: string,
  lora: LoraOptions,
  store: WeightStore,
  options: TransformerOptions,
): Transformer {
  const { format = "f32" } = options;
  if (format === "int8") throw new ConfigError("engine.dtype: expected f32 or bf16 to train in, got int8.");
  const place = readModelDirectory(dir);
  const shape = { rank: lora.rank, alpha: lora.alpha, targets: LORA_TARGETS.filter((target) => lora.targets.includes(target)) };
  const values = place.adapter === undefined ? freshAdapter(lora.seed) : continued(place, shape);
  const weights = LoraWeights.trainable(device, baseOf(place, store), shape, values, format);
  return Transformer.over(device, weights, options);
}

function baseOf({ base }: ModelDirectory, store: WeightStore): AdapterBase {
  return { open: (format) => store.open(base, format) };
}

/** Values of the adapter in a directory, which must be of the shape that is to be trained. */
function continued({ dir, base, adapter }: ModelDirectory, asked: LoraShape) {
  if (adapter === undefined) throw new Error("internal: no adapter to go on with");
  if (adapter.dropout !== 0)
    throw new DataError(`${dir}: expected lora_dropout 0 to go on training, got ${adapter.dropout}. Set it to 0 in its file.`);
  const { shape, tensors } = openAdapter(dir, adapter, readModelConfig(base));
  const [have, want] = [shape, asked].map(
    ({ rank, alpha, targets }) => `rank ${rank}, alpha ${alpha}, targets ${targets.join(" ")}`,
  );
  if (have === want) return tensors;
  throw new ConfigError(`engine.lora: expected the shape of the adapter in ${dir} (${have}), got ${want}. Make them equal.`);
}
