// A model's weights on a device, as the tree that model.ts computes with. Trainable weights live in one flat buffer and their
// gradients in another of the same layout, so that the optimizer, a snapshot and a checkpoint are each one pass over memory.
// Frozen weights hold the linear ones only packed, which halves their memory. It knows no file and no forward pass.

import type { Buffer, Device, PackedWeight, WeightFormat } from "./device/types.ts";
import type { ModelConfig } from "./hf-config.ts";
import type { TensorSource } from "./model-files.ts";
import { EMBEDDING, FINAL_NORM, HEAD, layerPrefix, type ParameterSpec, parameterSpecs } from "./parameters.ts";
import { elements } from "./safetensors.ts";

/** y = x·Wᵀ (+ bias), W [outDim, inDim]; with an adapter y += s·(x·Aᵀ)·Bᵀ. */
export interface Linear {
  readonly outDim: number;
  readonly inDim: number;
  readonly packed: PackedWeight;
  readonly bias?: Buffer;
  /** Accumulated gradient in HF layout; only where the weight trains. */
  readonly gradient?: Buffer;
  readonly biasGradient?: Buffer;
  readonly adapter?: LinearAdapter;
}

/** The low-rank term of one linear weight: A [rank, inDim], B [outDim, rank], scale s = alpha / rank. */
export interface LinearAdapter {
  readonly rank: number;
  readonly format: "f32" | "bf16";
  /** Panels of A. */
  readonly down: PackedWeight;
  /** Panels of s·B. */
  readonly up: PackedWeight;
  /** Panels of s·I [rank, rank]: multiplying by them scales, exactly. */
  readonly scale: PackedWeight;
  /** Gradients of A and B; only in training. */
  readonly downGradient?: Buffer;
  readonly upGradient?: Buffer;
}

/** A vector or table that ops read as it is; `gradient` only in training. */
export interface Parameter {
  readonly value: Buffer;
  readonly gradient?: Buffer;
}

/** One layer's weights, by the names of the equations in model.ts. */
export interface LayerWeights {
  readonly inputNorm: Parameter;
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly queryNorm?: Parameter;
  readonly keyNorm?: Parameter;
  readonly feedForwardNorm: Parameter;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

/** All weights; a tied head shares the embedding's value and gradient. */
export interface WeightTree {
  readonly embedding: Parameter;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: Parameter;
  readonly head: Linear;
}

/** Trainable weights can be updated and frozen ones cannot; both can be computed with. */
export type WeightMode = "trainable" | "frozen";

/** Offsets are multiples of this many elements, so that every view is as aligned as a fresh buffer (64 bytes). */
const ALIGNMENT = 16;

/** Owns the device memory of one set of weights. */
export class Weights {
  readonly config: ModelConfig;
  readonly mode: WeightMode;
  readonly format: WeightFormat;
  /** All parameters, in order. */
  readonly specs: readonly ParameterSpec[];
  /** Values that are kept in HF layout, one after another (zeros between); every parameter when trainable. */
  readonly values: Buffer;
  /** Same layout as `values`; only when trainable. */
  readonly gradients?: Buffer;
  readonly #device: Device;
  readonly #offsets: ReadonlyMap<string, number>;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;
  readonly #packed = new Map<string, PackedWeight>();
  #tree: WeightTree;

  /** Uploads (and packs) every parameter that `source` gives. Errors: those of `source`, EngineError when memory is short. */
  static create(
    device: Device,
    config: ModelConfig,
    source: TensorSource,
    mode: WeightMode,
    format: WeightFormat = "f32",
  ): Weights {
    return new Weights(device, config, mode, format, (weights) => weights.#load(source));
  }

  private constructor(
    device: Device,
    config: ModelConfig,
    mode: WeightMode,
    format: WeightFormat,
    fill: (weights: Weights) => void,
  ) {
    this.#device = device;
    this.config = config;
    this.mode = mode;
    this.format = format;
    this.specs = parameterSpecs(config);
    this.#shapes = new Map(this.specs.map((spec) => [spec.name, spec.shape]));
    const offsets = new Map<string, number>();
    let total = 0;
    for (const spec of this.specs) {
      if (mode === "frozen" && spec.kind === "linear") continue;
      offsets.set(spec.name, total);
      total += Math.ceil(elements(spec.shape) / ALIGNMENT) * ALIGNMENT;
    }
    this.#offsets = offsets;
    this.values = device.alloc("f32", total);
    if (mode === "trainable") this.gradients = device.alloc("f32", total);
    try {
      fill(this);
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.#tree = this.#buildTree();
  }

  /** The weights as the equations name them; ask again after `repack`. */
  get tree(): WeightTree {
    return this.#tree;
  }

  /** Number of parameters. */
  get parameterCount(): number {
    return this.specs.reduce((sum, spec) => sum + elements(spec.shape), 0);
  }

  /** Values of a parameter in HF layout. Only for parameters kept so: all when trainable. */
  value(name: string): Buffer {
    return this.part(this.values, name);
  }

  /** Accumulated gradient of a parameter; only when trainable. */
  gradient(name: string): Buffer {
    if (this.gradients === undefined) throw new Error(`internal: gradient of frozen weights asked for: ${name}`);
    return this.part(this.gradients, name);
  }

  /** Renews the packed panels after `values` has changed. */
  repack(): void {
    for (const [name, packed] of this.#packed) this.#pack(name, this.value(name === HEAD ? this.#headName : name), packed);
    this.#tree = this.#buildTree();
  }

  /** An independent frozen copy, in the same format unless another is asked for. Only of trainable weights. */
  freeze(format: WeightFormat = this.format): Weights {
    return new Weights(this.#device, this.config, "frozen", format, (copy) => {
      for (const name of copy.#offsets.keys()) this.#device.copy(copy.value(name), this.value(name));
      for (const spec of copy.specs) if (spec.kind === "linear") copy.#pack(spec.name, this.value(spec.name));
      copy.#packTiedHead();
    });
  }

  /** Downloads one parameter of trainable weights. */
  readonly download: TensorSource = (spec) => this.#device.download(this.value(spec.name)) as Float32Array;

  dispose(): void {
    for (const packed of this.#packed.values()) this.#device.freePacked(packed);
    this.#packed.clear();
    this.#device.free(this.values);
    if (this.gradients !== undefined) this.#device.free(this.gradients);
  }

  #load(source: TensorSource): void {
    for (const spec of this.specs) {
      const data = source(spec);
      if (this.#offsets.has(spec.name)) this.#device.upload(this.value(spec.name), data);
      if (spec.kind === "linear") this.#loadLinear(spec, data);
    }
    this.#packTiedHead();
  }

  #loadLinear(spec: ParameterSpec, data: Float32Array): void {
    if (this.mode === "trainable") {
      this.#pack(spec.name, this.value(spec.name));
      return;
    }
    const staging = this.#device.alloc("f32", data.length);
    this.#device.upload(staging, data);
    this.#pack(spec.name, staging);
    this.#device.free(staging);
  }

  #packTiedHead(): void {
    if (this.config.tiedEmbeddings) this.#pack(HEAD, this.value(EMBEDDING));
  }

  #pack(name: string, value: Buffer, reuse?: PackedWeight): void {
    const [outDim, inDim] = this.#shape(name === HEAD ? this.#headName : name);
    this.#packed.set(name, this.#device.packWeight(value, outDim, inDim, this.format, reuse));
  }

  get #headName(): string {
    return this.config.tiedEmbeddings ? EMBEDDING : HEAD;
  }

  #shape(name: string): readonly number[] {
    const shape = this.#shapes.get(name);
    if (shape === undefined) throw new Error(`internal: no parameter ${name}`);
    return shape;
  }

  /** The part of a flat buffer with the layout of `values` that belongs to one parameter. */
  part(flat: Buffer, name: string): Buffer {
    const offset = this.#offsets.get(name);
    if (offset === undefined) throw new Error(`internal: parameter ${name} is kept packed only`);
    return this.#device.view(flat, offset, elements(this.#shape(name)));
  }

  #packedOf(name: string): PackedWeight {
    const packed = this.#packed.get(name);
    if (packed === undefined) throw new Error(`internal: parameter ${name} is not packed`);
    return packed;
  }

  #buildTree(): WeightTree {
    return {
      embedding: this.#parameter(EMBEDDING),
      layers: Array.from({ length: this.config.layers }, (_, index) => this.#buildLayer(layerPrefix(index))),
      finalNorm: this.#parameter(FINAL_NORM),
      head: this.#linear(HEAD, this.#headName),
    };
  }

  #buildLayer(prefix: string): LayerWeights {
    const linear = (part: string): Linear => this.#linear(`${prefix}.${part}.weight`);
    const norm = (part: string): Parameter => this.#parameter(`${prefix}.${part}.weight`);
    return {
      inputNorm: norm("input_layernorm"),
      query: linear("self_attn.q_proj"),
      key: linear("self_attn.k_proj"),
      value: linear("self_attn.v_proj"),
      output: linear("self_attn.o_proj"),
      queryNorm: this.config.qkNorm ? norm("self_attn.q_norm") : undefined,
      keyNorm: this.config.qkNorm ? norm("self_attn.k_norm") : undefined,
      feedForwardNorm: norm("post_attention_layernorm"),
      gate: linear("mlp.gate_proj"),
      up: linear("mlp.up_proj"),
      down: linear("mlp.down_proj"),
    };
  }

  #linear(name: string, valueName = name): Linear {
    const [outDim, inDim] = this.#shape(valueName);
    const bias = name.replace(/weight$/, "bias");
    const hasBias = this.#offsets.has(bias);
    const trains = this.mode === "trainable";
    return {
      outDim,
      inDim,
      packed: this.#packedOf(name),
      bias: hasBias ? this.value(bias) : undefined,
      gradient: trains ? this.gradient(valueName) : undefined,
      biasGradient: trains && hasBias ? this.gradient(bias) : undefined,
    };
  }

  #parameter(name: string): Parameter {
    return { value: this.value(name), gradient: this.gradients === undefined ? undefined : this.gradient(name) };
  }
}
