// A whole model that trains: f32 master values and gradients, flat, and panels in the format of matrix products, renewed after each
// step. It knows no file and no forward pass.

import type { Device, PackedWeight, WeightFormat } from "./device/types.ts";
import { FlatParameters } from "./flat-parameters.ts";
import { FrozenWeights } from "./frozen-weights.ts";
import type { ModelConfig } from "./hf-config.ts";
import { PackedWeights, packedName } from "./packed-weights.ts";
import { EMBEDDING, HEAD, type ParameterSpec, parameterSpecs } from "./parameters.ts";
import { fillParameter, type TensorSource } from "./tensor-source.ts";
import { buildTree, type Linear, Weights, type WeightTree } from "./weights.ts";

/** See the file header. */
export class FullWeights extends Weights {
  readonly config: ModelConfig;
  protected readonly flat: FlatParameters;
  readonly #device: Device;
  readonly #panels: PackedWeights;
  #tree: WeightTree;

  /** Every parameter that `source` gives. Errors: those of `source`, EngineError when memory is short. */
  constructor(device: Device, config: ModelConfig, source: TensorSource, format: WeightFormat) {
    super();
    this.#device = device;
    this.config = config;
    this.flat = new FlatParameters(device, parameterSpecs(config), true);
    this.#panels = new PackedWeights(device, format);
    try {
      for (const spec of this.specs) fillParameter(device, this.value(spec.name), spec, source);
      this.#pack();
    } catch (error) {
      this.dispose();
      throw error;
    }
    this.#tree = this.#buildTree();
  }

  get tree(): WeightTree {
    return this.#tree;
  }

  override readonly renewsPanels = true;

  override panels(spec: ParameterSpec): PackedWeight | undefined {
    const name = packedName(spec, this.config);
    return name === undefined ? undefined : this.#panels.get(name);
  }

  repack(): void {
    this.#pack();
    this.#tree = this.#buildTree();
  }

  freeze(format: WeightFormat = this.#panels.format): FrozenWeights {
    // A snapshot in another format is no exact copy anyway: then its table may be the smaller one as well.
    const table = format === this.#panels.format ? "f32" : "bf16";
    const value = (spec: ParameterSpec) => this.value(spec.name);
    return FrozenWeights.copy(this.#device, this.config, value, format, table);
  }

  download(spec: ParameterSpec): Float32Array {
    return this.#device.download(this.value(spec.name)) as Float32Array;
  }

  dispose(): void {
    this.#panels.dispose();
    this.flat.dispose();
  }

  #pack(): void {
    for (const spec of this.specs) {
      const name = packedName(spec, this.config);
      if (name !== undefined) this.#panels.pack(name, spec.shape, this.value(spec.name));
    }
  }

  #buildTree(): WeightTree {
    const parameter = (name: string) => ({ value: this.value(name), gradient: this.gradient(name) });
    return buildTree(this.config, (name) => this.#linear(name), parameter);
  }

  #linear(name: string): Linear {
    const weight = `${name}.weight`;
    const bias = `${name}.bias`;
    const packed = this.#panels.get(weight);
    const hasBias = this.flat.has(bias);
    return {
      outDim: packed.outDim,
      inDim: packed.inDim,
      packed,
      bias: hasBias ? this.value(bias) : undefined,
      gradient: this.gradient(weight === HEAD && this.config.tiedEmbeddings ? EMBEDDING : weight),
      biasGradient: hasBias ? this.gradient(bias) : undefined,
    };
  }
}
