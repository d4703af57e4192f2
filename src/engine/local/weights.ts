// A model's weights as the tree that model.ts computes with, and what every set of weights can do. Whole models that train are in
// full-weights.ts, frozen ones in frozen-weights.ts, adapters over a frozen base in lora.ts. It knows no file and no forward pass.

import type { Buffer, PackedWeight, WeightFormat } from "./device/types.ts";
import type { FlatParameters } from "./flat-parameters.ts";
import type { ModelConfig } from "./hf-config.ts";
import { EMBEDDING, FINAL_NORM, HEAD, layerPrefix, type ParameterSpec } from "./parameters.ts";
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

/** A vector or table that ops read as it is; `gradient` only in training. The embedding table may be bf16. */
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

/** Names of a layer's linear weights: in the equations, and in Hugging Face's files below the layer's prefix. */
export const LAYER_LINEARS = {
  query: "self_attn.q_proj",
  key: "self_attn.k_proj",
  value: "self_attn.v_proj",
  output: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
} as const;

/** Owns the device memory of one set of weights. */
export abstract class Weights {
  abstract readonly config: ModelConfig;
  /** The weights as the equations name them; ask again after `repack`. */
  abstract readonly tree: WeightTree;
  protected abstract readonly flat: FlatParameters;

  /** The parameters kept in HF layout: all that train, where any do. */
  get specs(): readonly ParameterSpec[] {
    return this.flat.specs;
  }

  /** How many numbers they hold. */
  get parameterCount(): number {
    return this.specs.reduce((sum, { shape }) => sum + elements(shape), 0);
  }

  /** Their values, flat. */
  get values(): Buffer {
    return this.flat.values;
  }

  /** Their accumulated gradients in the same layout; only where they train. */
  get gradients(): Buffer | undefined {
    return this.flat.gradients;
  }

  /** Values of one of them. */
  value(name: string): Buffer {
    return this.flat.value(name);
  }

  /** Accumulated gradient of one of them; only where it trains. */
  gradient(name: string): Buffer {
    return this.flat.gradient(name);
  }

  /** The part of a flat buffer with the layout of `values` that belongs to one of them. */
  part(flat: Buffer, name: string): Buffer {
    return this.flat.part(flat, name);
  }

  /** Where one of them begins in `values`. */
  offset(name: string): number {
    return this.flat.offset(name);
  }

  /** Declares the gradients zero without clearing their memory; see `takeSpentGradients`. */
  spendGradients(): void {
    this.flat.spend();
  }

  /** Whether the gradients are zero but not their memory. Then the caller must overwrite all of it. */
  takeSpentGradients(): boolean {
    return this.flat.takeSpent();
  }

  /** Gradients of linear weights that train, all but adapters'. */
  productGradients(): Buffer[] {
    const { layers, head } = this.tree;
    const linears = layers.flatMap((layer) => Object.values(layerLinears((_, key) => layer[key])));
    return [head, ...linears].flatMap(({ gradient }) => gradient ?? []);
  }

  /** Panels of one of them, where an optimizer's step may renew them with the value: then `repack` has nothing left to do. */
  panels(_spec: ParameterSpec): PackedWeight | undefined {
    return undefined;
  }

  /** Whether all panels are such. */
  readonly renewsPanels: boolean = false;

  /** Downloads one of them. */
  abstract download(spec: ParameterSpec): Float32Array;
  /** Renews the packed panels after `values` has changed. */
  abstract repack(): void;
  /** An independent frozen copy, in the same format unless another is asked for. Only of weights that train. */
  abstract freeze(format?: WeightFormat): Weights;
  abstract dispose(): void;
}

/** Puts a tree together from linear weights and parameters by name (linear ones without `.weight`). */
export function buildTree(
  config: ModelConfig,
  linear: (name: string) => Linear,
  parameter: (name: string) => Parameter,
): WeightTree {
  const layer = (prefix: string): LayerWeights => {
    const norm = (part: string) => parameter(`${prefix}.${part}.weight`);
    return {
      ...layerLinears((part) => linear(`${prefix}.${part}`)),
      inputNorm: norm("input_layernorm"),
      queryNorm: config.qkNorm ? norm("self_attn.q_norm") : undefined,
      keyNorm: config.qkNorm ? norm("self_attn.k_norm") : undefined,
      feedForwardNorm: norm("post_attention_layernorm"),
    };
  };
  return {
    embedding: parameter(EMBEDDING),
    layers: Array.from({ length: config.layers }, (_, index) => layer(layerPrefix(index))),
    finalNorm: parameter(FINAL_NORM),
    head: linear(HEAD.replace(/\.weight$/, "")),
  };
}

/** The seven linear weights of a layer, each made from its part of the name. */
export function layerLinears(make: (part: string, key: keyof typeof LAYER_LINEARS) => Linear) {
  const of = (key: keyof typeof LAYER_LINEARS) => make(LAYER_LINEARS[key], key);
  return {
    query: of("query"),
    key: of("key"),
    value: of("value"),
    output: of("output"),
    gate: of("gate"),
    up: of("up"),
    down: of("down"),
  };
}
