// A model in training, synchronous: forward and backward in two halves, so that the loss between them may be computed elsewhere,
// the optimizer step, and resumable state. It runs inside the engine's worker; it knows no loss, no thread and no role.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { AdamWParams, ExportOptions, StepStats } from "../types.ts";
import { writeAdapter } from "./adapter-files.ts";
import { type CheckpointTensors, copyState, readCheckpoint, type StateCopy, stateBytes, writeCheckpoint } from "./checkpoint.ts";
import type { Device, WeightFormat } from "./device/types.ts";
import { parseModelConfig } from "./hf-config.ts";
import { LoraWeights } from "./lora.ts";
import { mergedTensors } from "./lora-merge.ts";
import { readModelDirectory } from "./model-directory.ts";
import { openModelTensors, randomTensors, writeModelDirectory } from "./model-files.ts";
import { type LoraOptions, openFull, openLora } from "./open-model.ts";
import { AdamW } from "./optimizer.ts";
import type { Sequence } from "./packed-batch.ts";
import type { TensorSource } from "./tensor-source.ts";
import type { Transformer, TransformerOptions } from "./transformer.ts";
import { WeightStore } from "./weight-store.ts";

/** How a trainer computes. */
export interface TrainerOptions extends TransformerOptions {
  /** Format of the optimizer's moments; default f32. */
  readonly optimizerDtype?: "f32" | "bf16";
  /** Train an adapter over the frozen model instead of the model. */
  readonly lora?: LoraOptions;
  /** Where the adapter's base comes from, so that others share it; default: a store of its own. */
  readonly store?: WeightStore;
}

/** As of the engine; `maxShardBytes` is the largest weight file. */
export interface CoreExportOptions extends ExportOptions {
  readonly maxShardBytes?: number;
}

/** See the file header. One micro-batch is in flight at a time: `forward`, then `backward`. */
export class TrainerCore {
  readonly model: Transformer;
  readonly #device: Device;
  readonly #optimizer: AdamW;
  readonly #dir: string;

  /**
   * Opens a model directory for training, whole or through an adapter, or an adapter directory to go on with.
   * Errors: DataError (files), ConfigError (an adapter of another shape than asked for), EngineError (memory).
   */
  static open(device: Device, dir: string, options: TrainerOptions = {}): TrainerCore {
    const { lora, store = new WeightStore(device) } = options;
    const model = lora === undefined ? openFull(device, dir, options) : openLora(device, dir, lora, store, options);
    try {
      return new TrainerCore(device, model, dir, options);
    } catch (error) {
      model.dispose();
      throw error;
    }
  }

  private constructor(device: Device, model: Transformer, dir: string, options: TrainerOptions) {
    this.model = model;
    this.#device = device;
    this.#dir = dir;
    this.#optimizer = new AdamW(device, model.weights, options.optimizerDtype);
  }

  /** Logprobs of one micro-batch (see `packMicroBatches`): N - 1 per sequence, 0 where the weight is 0. */
  forward(data: readonly Sequence[]): Float32Array[] {
    return this.model.forward(data);
  }

  /** Adds the gradient of Σ dLogprobs · logprobs of the last `forward`. Errors: DataError when the shapes are not those of the logprobs. */
  backward(dLogprobs: readonly Float32Array[]): void {
    this.model.backward(dLogprobs);
  }

  /** Clips, updates, clears the gradient. Errors: EngineError on a non-finite gradient norm; nothing but the gradient has changed then. */
  optimStep(params: AdamWParams): StepStats {
    return this.#optimizer.update(params);
  }

  /** Clears moments and step count; the weights stay. */
  resetOptimizer(): void {
    this.#optimizer.reset();
  }

  /** A frozen copy to sample from and score with; the caller disposes it. */
  snapshot(format?: WeightFormat): Transformer {
    return this.model.freeze(format);
  }

  /** Writes weights in f32, moments and step count; `dir` holds either the old state or the new one at every instant, unless it is scratch. */
  saveState(dir: string, scratch?: boolean): void {
    writeCheckpoint(dir, this.#optimizer.step, this.#checkpointTensors(), scratch);
  }

  /** The state in host memory (that of `reuse` where it is large enough), or undefined when it is more than `maxBytes`. */
  copyState(maxBytes: number, reuse?: SharedArrayBuffer): StateCopy | undefined {
    const tensors = this.#checkpointTensors();
    return stateBytes(tensors) > maxBytes ? undefined : copyState(this.#optimizer.step, tensors, reuse);
  }

  /** Restores what `saveState` wrote; an accumulated gradient is dropped. Errors: CheckpointError, before anything has changed. */
  loadState(dir: string): void {
    this.#optimizer.step = readCheckpoint(dir, this.#checkpointTensors());
    const { weights } = this.model;
    if (weights.gradients !== undefined) this.#device.zero(weights.gradients);
    weights.repack();
  }

  /**
   * Writes a Hugging Face directory that transformers loads, or that of a PEFT adapter where one trains and `merged` is not asked
   * for; tokenizer files included. Errors: DiskError, EngineError.
   */
  exportModel(dir: string, { dtype = "float32", merged, maxShardBytes }: CoreExportOptions = {}): void {
    const { config, weights } = this.model;
    const { base } = readModelDirectory(this.#dir);
    const companionsFrom = existsSync(join(this.#dir, "tokenizer.json")) ? this.#dir : base;
    const own: TensorSource = (spec) => weights.download(spec);
    if (!(weights instanceof LoraWeights)) {
      writeModelDirectory(dir, { config, tensors: own, dtype, companionsFrom, maxShardBytes });
    } else if (merged) {
      const tensors = mergedTensors(this.#device, config, openModelTensors(base), { shape: weights.shape, tensors: own });
      writeModelDirectory(dir, { config, tensors, dtype, companionsFrom, maxShardBytes });
    } else {
      writeAdapter(dir, { shape: weights.shape, specs: weights.specs, tensors: own, dtype, base, companionsFrom });
    }
  }

  dispose(): void {
    this.#optimizer.dispose();
    this.model.dispose();
  }

  #checkpointTensors(): CheckpointTensors {
    const { m, v } = this.#optimizer;
    return { device: this.#device, weights: this.model.weights, m, v };
  }
}

/** Writes a fresh, untrained model directory from a config.json value; `companionsFrom` gives the tokenizer. Errors: DataError, EngineError. */
export function initializeModelDirectory(dir: string, config: unknown, seed: number, companionsFrom?: string): void {
  const parsed = parseModelConfig(config, "model configuration");
  writeModelDirectory(dir, { config: parsed, tensors: randomTensors(parsed, seed), dtype: "float32", companionsFrom });
}
