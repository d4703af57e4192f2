// Low-rank adapters (LoRA): y = x·Wᵀ + (alpha/rank)·(x·Aᵀ)·Bᵀ over a frozen base that several of them share. Values and gradients of
// all A and B lie flat like those of a whole model, so optimizer, snapshot and checkpoint handle a few megabytes. It knows no file.
// Source: LoRA (arXiv 2106.09685); names and initialisation are PEFT's (peft/tuners/lora/layer.py).

import { rngFrom } from "../../util/rng.ts";
import type { Buffer, Device, PackedWeight, WeightFormat } from "./device/types.ts";
import { FlatParameters } from "./flat-parameters.ts";
import type { FrozenWeights } from "./frozen-weights.ts";
import type { ModelConfig } from "./hf-config.ts";
import { PackedWeights } from "./packed-weights.ts";
import { layerPrefix, type ParameterSpec } from "./parameters.ts";
import { elements } from "./safetensors.ts";
import { fillParameter, type TensorSource } from "./tensor-source.ts";
import { LAYER_LINEARS, type Linear, type LinearAdapter, layerLinears, Weights, type WeightTree } from "./weights.ts";

/** The weights an adapter may sit on, by the last part of their names. */
export const LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const;
export type LoraTarget = (typeof LORA_TARGETS)[number];

/** What an adapter is, beside its values. */
export interface LoraShape {
  readonly rank: number;
  /** The low-rank term is multiplied by alpha / rank. */
  readonly alpha: number;
  readonly targets: readonly LoraTarget[];
}

/** The weights that `shape` adapts, in order: names without `.weight`. */
export function adaptedLinears(config: ModelConfig, { targets }: LoraShape): string[] {
  const parts = Object.values(LAYER_LINEARS).filter((part) => targets.some((target) => part.endsWith(`.${target}`)));
  return Array.from({ length: config.layers }, (_, layer) => parts.map((part) => `${layerPrefix(layer)}.${part}`)).flat();
}

/** PEFT's name of A or B of a linear weight. */
export function adapterName(linear: string, matrix: "A" | "B"): string {
  return `base_model.model.${linear}.lora_${matrix}.weight`;
}

/** All A [rank, in] and B [out, rank] of an adapter; `shapeOf` tells the adapted weight's [out, in]. */
export function adapterSpecs(
  config: ModelConfig,
  shape: LoraShape,
  shapeOf: (linear: string) => readonly number[],
): ParameterSpec[] {
  return adaptedLinears(config, shape).flatMap((linear): ParameterSpec[] => {
    const [outDim, inDim] = shapeOf(linear);
    return [
      { name: adapterName(linear, "A"), shape: [shape.rank, inDim], kind: "linear" },
      { name: adapterName(linear, "B"), shape: [outDim, shape.rank], kind: "linear" },
    ];
  });
}

/** Fresh values as PEFT draws them: A uniform in ±1/√in (Kaiming with a = √5), B zero; a function of the seed alone. */
export function freshAdapter(seed: number): TensorSource {
  return ({ name, shape }) => {
    const data = new Float32Array(elements(shape));
    if (name.includes(".lora_B.")) return data;
    const rng = rngFrom(seed, "lora", name);
    const bound = 1 / Math.sqrt(shape[1]);
    for (let i = 0; i < data.length; i++) data[i] = bound * (2 * rng.next() - 1);
    return data;
  };
}

/** How adapters get at their base: `open` gives one more user's share of it in a format. */
export interface AdapterBase {
  open(format: WeightFormat): FrozenWeights;
}

/** See the file header. */
export class LoraWeights extends Weights {
  readonly config: ModelConfig;
  readonly shape: LoraShape;
  protected readonly flat: FlatParameters;
  readonly #device: Device;
  readonly #base: FrozenWeights;
  readonly #source: AdapterBase;
  readonly #format: WeightFormat;
  readonly #panels: PackedWeights;
  #scale: PackedWeight | undefined;
  #tree: WeightTree;

  /** An adapter that trains. Errors: those of `source`, EngineError when memory is short. */
  static trainable(
    device: Device,
    base: AdapterBase,
    shape: LoraShape,
    source: TensorSource,
    format: "f32" | "bf16",
  ): LoraWeights {
    return new LoraWeights(device, base, shape, format, true, (weights, specs) => {
      for (const spec of specs) fillParameter(device, weights.value(spec.name), spec, source);
      weights.#packAll((name) => weights.value(name));
    });
  }

  /** An adapter that is computed with only; int8 is the format of the base alone. */
  static frozen(device: Device, base: AdapterBase, shape: LoraShape, source: TensorSource, format: WeightFormat): LoraWeights {
    const flat = (specs: readonly ParameterSpec[]) => {
      const values = new FlatParameters(device, specs, false);
      for (const spec of specs) fillParameter(device, values.value(spec.name), spec, source);
      return values;
    };
    return new LoraWeights(device, base, shape, format, false, (weights, specs) => {
      const values = flat(specs);
      try {
        weights.#packAll((name) => values.value(name));
      } finally {
        values.dispose();
      }
    });
  }

  private constructor(
    device: Device,
    base: AdapterBase,
    shape: LoraShape,
    format: WeightFormat,
    trains: boolean,
    fill: (weights: LoraWeights, specs: readonly ParameterSpec[]) => void,
  ) {
    super();
    this.#device = device;
    this.#source = base;
    this.#format = format;
    this.shape = shape;
    this.#base = base.open(format);
    this.config = this.#base.config;
    this.#panels = new PackedWeights(device, format === "bf16" ? "bf16" : "f32");
    const linears = linearsOf(this.#base.tree);
    const specs = adapterSpecs(this.config, shape, (name) => [linears(name).outDim, linears(name).inDim]);
    try {
      this.flat = new FlatParameters(device, trains ? specs : [], trains);
    } catch (error) {
      this.#base.dispose();
      throw error;
    }
    try {
      this.#scale = scalePanels(device, shape);
      fill(this, specs);
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.#tree = this.#buildTree();
  }

  get tree(): WeightTree {
    return this.#tree;
  }

  repack(): void {
    this.#packAll((name) => this.value(name));
    this.#tree = this.#buildTree();
  }

  /** A frozen copy of A and B over the same base, or over the base in another format. */
  freeze(format: WeightFormat = this.#format): LoraWeights {
    const copy = (weights: LoraWeights) => weights.#packAll((name) => this.value(name));
    // The same base to the bit, whatever has happened to its files since.
    const base: AdapterBase = { open: (as) => (as === this.#format ? this.#base.share() : this.#source.open(as)) };
    return new LoraWeights(this.#device, base, this.shape, format, false, copy);
  }

  download({ name }: ParameterSpec): Float32Array {
    return this.#device.download(this.value(name)) as Float32Array;
  }

  dispose(): void {
    this.#panels.dispose();
    if (this.#scale !== undefined) this.#device.freePacked(this.#scale);
    this.flat.dispose();
    this.#base.dispose();
  }

  /** Packs A and s·B of all adapted weights. */
  #packAll(value: (name: string) => Buffer): void {
    const { rank } = this.shape;
    const linears = linearsOf(this.#base.tree);
    for (const name of adaptedLinears(this.config, this.shape)) {
      const { outDim, inDim } = linears(name);
      this.#panels.pack(adapterName(name, "A"), [rank, inDim], value(adapterName(name, "A")));
      const scaled = this.#device.alloc("f32", outDim * rank);
      try {
        this.#device.linear(scaled, value(adapterName(name, "B")), this.#scalePanels, outDim);
        this.#panels.pack(adapterName(name, "B"), [outDim, rank], scaled);
      } finally {
        this.#device.free(scaled);
      }
    }
  }

  get #scalePanels(): PackedWeight {
    if (this.#scale === undefined) throw new Error("internal: an adapter without its scale");
    return this.#scale;
  }

  #buildTree(): WeightTree {
    const { tree } = this.#base;
    const adapted = new Set(adaptedLinears(this.config, this.shape));
    const layers = tree.layers.map((layer, index) => {
      const linears = layerLinears((part, key): Linear => {
        const name = `${layerPrefix(index)}.${part}`;
        return adapted.has(name) ? { ...layer[key], adapter: this.#adapter(name) } : layer[key];
      });
      return { ...layer, ...linears };
    });
    return { ...tree, layers };
  }

  #adapter(linear: string): LinearAdapter {
    const [a, b] = [adapterName(linear, "A"), adapterName(linear, "B")];
    const trains = this.gradients !== undefined;
    return {
      rank: this.shape.rank,
      format: this.#panels.format === "bf16" ? "bf16" : "f32",
      down: this.#panels.get(a),
      up: this.#panels.get(b),
      scale: this.#scalePanels,
      downGradient: trains ? this.gradient(a) : undefined,
      upGradient: trains ? this.gradient(b) : undefined,
    };
  }
}

/** A layer's linear weights by name. */
function linearsOf({ layers }: WeightTree): (name: string) => Linear {
  const byName = new Map<string, Linear>();
  layers.forEach((layer, index) => {
    layerLinears((part, key) => {
      byName.set(`${layerPrefix(index)}.${part}`, layer[key]);
      return layer[key];
    });
  });
  return (name) => {
    const found = byName.get(name);
    if (found === undefined) throw new Error(`internal: no linear weight ${name}`);
    return found;
  };
}

/** Panels of s·I: a product with them scales each element once, exactly as a multiplication does. */
function scalePanels(device: Device, { rank, alpha }: LoraShape): PackedWeight {
  const identity = device.alloc("f32", rank * rank);
  try {
    const data = new Float32Array(rank * rank);
    for (let i = 0; i < rank; i++) data[i * rank + i] = alpha / rank;
    device.upload(identity, data);
    return device.packWeight(identity, rank, rank, "f32");
  } finally {
    device.free(identity);
  }
}
