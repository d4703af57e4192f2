// A model in training, synchronous: forward and backward in two halves, so that the loss between them may be computed elsewhere,
// the optimizer step, and resumable state. It runs inside the engine's worker; it knows no loss, no thread and no role.

import type { AdamWParams, StepStats } from "../types.ts";
import { type CheckpointTensors, copyState, readCheckpoint, type StateCopy, stateBytes, writeCheckpoint } from "./checkpoint.ts";
import type { Device, WeightFormat } from "./device/types.ts";
import { parseModelConfig } from "./hf-config.ts";
import { type ExportDType, randomTensors, writeModelDirectory } from "./model-files.ts";
import { AdamW } from "./optimizer.ts";
import type { Sequence } from "./packed-batch.ts";
import { Transformer, type TransformerOptions } from "./transformer.ts";

/** How a trainer computes. */
export interface TrainerOptions extends TransformerOptions {
  /** Format of the optimizer's moments; default f32. */
  readonly optimizerDtype?: "f32" | "bf16";
}

/** See the file header. One micro-batch is in flight at a time: `forward`, then `backward`. */
export class TrainerCore {
  readonly model: Transformer;
  readonly #device: Device;
  readonly #optimizer: AdamW;
  readonly #dir: string;

  /** Opens a Hugging Face model directory for training. Errors: DataError (files), EngineError (memory). */
  static open(device: Device, dir: string, options: TrainerOptions = {}): TrainerCore {
    return new TrainerCore(device, Transformer.load(device, dir, "trainable", options), dir, options);
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

  /** Writes weights in f32, moments and step count; `dir` holds either the old state or the new one at every instant. */
  saveState(dir: string): void {
    writeCheckpoint(dir, this.#optimizer.step, this.#checkpointTensors());
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

  /** Writes a Hugging Face directory that transformers loads, tokenizer files included. Errors: EngineError. */
  exportModel(dir: string, dtype: ExportDType = "float32", maxShardBytes?: number): void {
    const { config, weights } = this.model;
    writeModelDirectory(dir, {
      config,
      tensors: (spec) => weights.download(spec),
      dtype,
      companionsFrom: this.#dir,
      maxShardBytes,
    });
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
