// A model on a device, as the sampler, the scorer and the trainer use it: packed forward and backward, and the cached ragged
// forward. Both forwards are the same equations over the same ops, so their logprobs are equal to the bit.
// It knows no tokenizer, no loss and no optimizer. The equations are in model.ts and logprob-head.ts.

import { EngineError } from "../../util/errors.ts";
import { type Keeping, layerActivations, type ModelContext, residual } from "./activations.ts";
import { BufferPool } from "./buffer-pool.ts";
import type { Buffer, Device, SequenceTree, WeightFormat } from "./device/types.ts";
import { FrozenWeights } from "./frozen-weights.ts";
import { FullWeights } from "./full-weights.ts";
import { type ModelConfig, readModelConfig } from "./hf-config.ts";
import type { CachedRows, InferenceModel, KvCache } from "./inference.ts";
import { backwardHead, forwardHead, type SelectedRows, selectedLogits } from "./logprob-head.ts";
import { cacheBytesPerRow, keyValueType, LOGIT_ELEMENTS, passRows, type Recompute, recomputes } from "./memory-plan.ts";
import { backwardLayer, computeLayer, forwardLayer, type LayerCache, type Rows } from "./model.ts";
import { openModelTensors, randomTensors } from "./model-files.ts";
import { type BatchPlan, gatherSelected, planBatch, type Sequence, spreadSelected } from "./packed-batch.ts";
import { RopeTables } from "./rope.ts";
import type { TensorSource } from "./tensor-source.ts";
import type { WeightMode, Weights } from "./weights.ts";

/** Scratch memory that `trim` leaves alone, and the largest cache kept for the next call: allocating costs a small model time. */
const KEPT_BYTES = 256 << 20;
const KEPT_CACHE_BYTES = 64 << 20;

/** How a model is computed; only `format` changes logprobs. */
export interface TransformerOptions {
  /** How matrix products read the weights; default f32. */
  readonly format?: WeightFormat;
  /** Logits held at once when logprobs are computed, in elements. */
  readonly logitElements?: number;
  /** Compute a layer's activations again in the backward pass instead of keeping them; default "auto". */
  readonly recompute?: Recompute;
}

/** A batch whose activations wait for their backward pass. */
interface Pending {
  readonly data: readonly Sequence[];
  readonly rows: Rows;
  readonly selected: SelectedRows;
  readonly sequences: SequenceTree;
  readonly keeping: Keeping;
}

/** See the file header. Not reentrant: one pass at a time. */
export class Transformer implements InferenceModel {
  readonly config: ModelConfig;
  readonly weights: Weights;
  readonly #m: ModelContext;
  readonly #rope: RopeTables;
  readonly #options: TransformerOptions;
  readonly #format: WeightFormat;
  #pending: Pending | undefined;
  #spareCache: LayeredCache | undefined;

  /** Loads a Hugging Face model directory. Errors: DataError (files), EngineError (memory). */
  static load(device: Device, dir: string, mode: WeightMode, options?: TransformerOptions): Transformer {
    return Transformer.create(device, readModelConfig(dir), openModelTensors(dir), mode, options);
  }

  /** Fresh weights: a function of configuration and seed. */
  static random(device: Device, config: ModelConfig, seed: number, mode: WeightMode, options?: TransformerOptions): Transformer {
    return Transformer.create(device, config, randomTensors(config, seed), mode, options);
  }

  /** Weights from any source. */
  static create(
    device: Device,
    config: ModelConfig,
    source: TensorSource,
    mode: WeightMode,
    options: TransformerOptions = {},
  ): Transformer {
    const { format = "f32" } = options;
    const weights =
      mode === "trainable" ? new FullWeights(device, config, source, format) : FrozenWeights.load(device, config, source, format);
    return new Transformer(device, weights, options);
  }

  private constructor(device: Device, weights: Weights, options: TransformerOptions) {
    const { logitElements = LOGIT_ELEMENTS } = options;
    this.#options = options;
    this.config = weights.config;
    this.weights = weights;
    // Asked of the weights: a model can have been frozen in a format of its own.
    this.#format = weights.tree.layers[0].key.packed.format;
    this.#m = {
      device,
      config: weights.config,
      pool: new BufferPool(device),
      logitElements,
      keyValueType: keyValueType(this.#format),
      unwritten: new Set(),
    };
    this.#rope = new RopeTables(device, weights.config);
  }

  get vocabSize(): number {
    return this.config.vocabSize;
  }

  get maxPositions(): number {
    return this.config.maxPositions;
  }

  /** A model over given weights, which it disposes. */
  static over(device: Device, weights: Weights, options: TransformerOptions = {}): Transformer {
    return new Transformer(device, weights, options);
  }

  /** A frozen copy of the current weights, with scratch memory of its own; in the same format unless another is asked for. */
  freeze(format?: WeightFormat): Transformer {
    return new Transformer(this.#m.device, this.weights.freeze(format), this.#options);
  }

  /**
   * Logprobs of one packed batch: N - 1 per sequence, 0 where the weight is 0. Keeps no activations.
   * Errors: DataError (a sequence the model cannot read).
   */
  logprobs(data: readonly Sequence[]): Float32Array[] {
    return this.#forward(data, "nothing");
  }

  /** As `logprobs`, to the bit, and keeps the activations for one `backward`. */
  forward(data: readonly Sequence[]): Float32Array[] {
    return this.#forward(data, "training");
  }

  /** Adds the gradient of Σ dLogprobs · logprobs of the last `forward` to the weights' gradients. */
  backward(dLogprobs: readonly Float32Array[]): void {
    const pending = this.#pending;
    if (pending === undefined) throw new Error("internal: backward without forward");
    this.#pending = undefined;
    if (pending.selected.count === 0) return;
    const given = gatherSelected(pending.data, dLogprobs);
    const overwrites = this.weights.takeSpentGradients();
    try {
      if (overwrites) this.#startGradients();
      this.#backward(pending, given);
    } catch (error) {
      if (overwrites) this.weights.spendGradients();
      throw error;
    }
  }

  /** Gradients of products are overwritten by the first of them, all others start from zeros. */
  #startGradients(): void {
    const { weights } = this;
    this.#m.unwritten.clear();
    for (const gradient of weights.productGradients()) this.#m.unwritten.add(gradient);
    for (const spec of weights.specs) if (weights.panels(spec) === undefined) this.#m.device.zero(weights.gradient(spec.name));
  }

  #backward({ rows, selected, keeping, sequences }: Pending, dlogprobs: Float32Array): void {
    const m = this.#m;
    const { tree } = this.weights;
    const dx = m.pool.take("dx", rows.count * this.config.hiddenSize);
    backwardHead(m, tree, dx, selected, dlogprobs);
    for (let index = this.config.layers - 1; index >= 0; index--) {
      const a = layerActivations(m, index, rows.count, keeping);
      // Where only inputs are kept all layers share the rest, and the forward pass left that of the last one.
      if (keeping === "inputs" && index < this.config.layers - 1) computeLayer(m, tree.layers[index], a, rows);
      backwardLayer(m, tree.layers[index], a, dx, rows, sequences);
    }
    // x = embedding[tokens]
    const { gradient } = tree.embedding;
    if (gradient !== undefined) m.device.scatterAddRows(gradient, dx, rows.tokens, rows.count, this.config.hiddenSize);
  }

  /** Most rows of one pass that memory is planned for. */
  get passRows(): number {
    return passRows(this.config, this.#format, this.#options.recompute ?? "auto");
  }

  /** Bytes of a cache's row, all layers. */
  get cacheRowBytes(): number {
    return cacheBytesPerRow(this.config, this.#format);
  }

  /** A cache of `rows` tokens with unspecified content. Errors: EngineError when memory is short. */
  newCache(rows: number): KvCache {
    const spare = this.#spareCache;
    this.#spareCache = undefined;
    if (spare !== undefined && spare.rows >= rows) return spare;
    spare?.free();
    return new LayeredCache(this.#m, rows, (cache) => {
      if (this.#spareCache === undefined && cache.rows * this.cacheRowBytes <= KEPT_CACHE_BYTES) this.#spareCache = cache;
      else cache.free();
    });
  }

  /** See InferenceModel. Errors: EngineError when a position is beyond the model. */
  forwardCached(step: CachedRows, cache: KvCache): Buffer {
    if (!(cache instanceof LayeredCache)) throw new Error("internal: a cache of another model");
    const m = this.#m;
    this.#pending = undefined;
    const writeRows = m.pool.upload("cached.writeRows", step.writeRows);
    const rows = this.#uploadRows(step, maximum(step.positions) + 1);
    const outputRows = m.pool.upload("cached.outputRows", step.outputRows);
    return m.device.together(() => {
      const x = this.#forwardLayers(rows, "nothing", (index) => ({ ...cache.layers[index], writeRows }));
      return selectedLogits(m, this.weights.tree, x, outputRows, step.outputRows.length);
    });
  }

  /** Gives back the scratch memory of a large pass; between `forward` and `backward` it does nothing. */
  trim(): void {
    if (this.#pending === undefined) this.#m.pool.trim(KEPT_BYTES);
  }

  dispose(): void {
    this.#spareCache?.free();
    this.#spareCache = undefined;
    this.#m.pool.dispose();
    this.#rope.dispose();
    this.weights.dispose();
  }

  #forward(data: readonly Sequence[], use: "training" | "nothing"): Float32Array[] {
    const m = this.#m;
    this.#pending = undefined;
    const plan = planBatch(data, this.config);
    const count = plan.selectedRows_S.length;
    const keeping = use === "training" ? this.#keepingFor(plan.rows) : "nothing";
    const rows = this.#uploadPlan(plan);
    const selected: SelectedRows = {
      count,
      rows: m.pool.upload("batch.selectedRows", plan.selectedRows_S),
      targets: m.pool.upload("batch.targets", plan.targets_S),
    };
    const sequences = {
      count: plan.prefix.length,
      offsets: m.pool.upload("batch.offsets", plan.offsets),
      prefix: m.pool.upload("batch.prefix", plan.prefix),
    };
    if (keeping !== "nothing") this.#pending = { data, rows, selected, sequences, keeping };
    if (count === 0) return spreadSelected(data, []);
    const x = this.#forwardLayers(rows, keeping);
    return spreadSelected(data, forwardHead(m, this.weights.tree, x, selected));
  }

  /** Embedding and all layers; returns the residual stream [R, D] after the last. */
  #forwardLayers(rows: Rows, keeping: Keeping, cacheOf?: (index: number) => LayerCache): Buffer {
    const m = this.#m;
    const { layers, hiddenSize } = this.config;
    const { tree } = this.weights;
    m.device.embedding(residual(m, 0, rows.count, keeping), tree.embedding.value, rows.tokens, rows.count, hiddenSize);
    let a = layerActivations(m, 0, rows.count, keeping);
    for (let index = 0; index < layers; index++) {
      // Where nothing is kept all layers have the same buffers.
      if (index > 0 && keeping !== "nothing") a = layerActivations(m, index, rows.count, keeping);
      forwardLayer(m, tree.layers[index], a, rows, cacheOf?.(index));
    }
    return a.out;
  }

  #keepingFor(rows: number): Keeping {
    return recomputes(this.config, this.#format, rows, this.#options.recompute ?? "auto") ? "inputs" : "all";
  }

  #uploadPlan(plan: BatchPlan): Rows {
    const { tokens_R: tokens, positions_R: positions, start_R: start, length_R: length } = plan;
    const { prefixStart_R: prefixStart, prefixLength_R: prefixLength } = plan;
    return this.#uploadRows({ tokens, positions, prefixStart, prefixLength, start, length }, plan.positions);
  }

  #uploadRows(step: Omit<CachedRows, "writeRows" | "outputRows">, positions: number): Rows {
    if (positions > this.config.maxPositions) {
      throw new EngineError(
        `model: expected at most ${this.config.maxPositions} tokens in a sequence, got ${positions}. Ask for shorter completions.`,
      );
    }
    const { pool } = this.#m;
    return {
      count: step.tokens.length,
      tokens: pool.upload("rows.tokens", step.tokens),
      positions: pool.upload("rows.positions", step.positions),
      attention: {
        prefixStart: pool.upload("rows.prefixStart", step.prefixStart),
        prefixLength: pool.upload("rows.prefixLength", step.prefixLength),
        start: pool.upload("rows.start", step.start),
        length: pool.upload("rows.length", step.length),
      },
      ...this.#rope.upTo(positions),
    };
  }
}

/** Keys and values [rows, K, E] of every layer. */
class LayeredCache implements KvCache {
  readonly rows: number;
  readonly layers: readonly { k: Buffer; v: Buffer }[];
  readonly #device: Device;
  readonly #disposed: (cache: LayeredCache) => void;

  /** `disposed` takes the cache back: to `free` it, or to hand it out again. */
  constructor({ device, config, keyValueType }: ModelContext, rows: number, disposed: (cache: LayeredCache) => void) {
    this.#device = device;
    this.#disposed = disposed;
    this.rows = rows;
    const length = rows * config.kvHeads * config.headDim;
    this.layers = Array.from({ length: config.layers }, () => ({
      k: device.alloc(keyValueType, length),
      v: device.alloc(keyValueType, length),
    }));
  }

  dispose(): void {
    this.#disposed(this);
  }

  free(): void {
    for (const { k, v } of this.layers) {
      this.#device.free(k);
      this.#device.free(v);
    }
  }
}

function maximum(values: Int32Array): number {
  let best = 0;
  for (const value of values) if (value > best) best = value;
  return best;
}
