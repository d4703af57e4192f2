// A whole model that is computed with and never changes: linear weights as panels alone, vectors in f32, and the embedding table,
// which stays the mapped file itself where its format allows. Several users may share one. It knows no forward pass.

import type { Buffer, Device, WeightFormat } from "./device/types.ts";
import { FlatParameters } from "./flat-parameters.ts";
import type { ModelConfig } from "./hf-config.ts";
import { PackedWeights, packedName } from "./packed-weights.ts";
import { EMBEDDING, type ParameterSpec, parameterSpecs } from "./parameters.ts";
import { fillParameter, openParameter, type TensorSource } from "./tensor-source.ts";
import { buildTree, type Linear, Weights, type WeightTree } from "./weights.ts";

/** See the file header. */
export class FrozenWeights extends Weights {
  readonly config: ModelConfig;
  readonly tree: WeightTree;
  protected readonly flat: FlatParameters;
  readonly #device: Device;
  readonly #panels: PackedWeights;
  #table: Buffer | undefined;
  #users = 1;

  /** Every parameter that `source` gives, one after another. Errors: those of `source`, EngineError when memory is short. */
  static load(device: Device, config: ModelConfig, source: TensorSource, format: WeightFormat): FrozenWeights {
    return new FrozenWeights(device, config, format, (weights) => {
      for (const spec of parameterSpecs(config)) {
        if (weights.flat.has(spec.name)) fillParameter(device, weights.value(spec.name), spec, source);
        else weights.#take(spec, openParameter(device, spec, source));
      }
    });
  }

  /** A copy of values that change: `value` gives each parameter in f32; the table is kept in the format `table`. */
  static copy(
    device: Device,
    config: ModelConfig,
    value: (spec: ParameterSpec) => Buffer,
    format: WeightFormat,
    table: "f32" | "bf16",
  ): FrozenWeights {
    return new FrozenWeights(device, config, format, (weights) => {
      for (const spec of parameterSpecs(config)) {
        if (weights.flat.has(spec.name)) device.copy(weights.value(spec.name), value(spec));
        else weights.#copy(spec, value(spec), table);
      }
    });
  }

  private constructor(device: Device, config: ModelConfig, format: WeightFormat, fill: (weights: FrozenWeights) => void) {
    super();
    this.#device = device;
    this.config = config;
    const vectors = parameterSpecs(config).filter(({ kind }) => kind === "norm" || kind === "bias");
    this.flat = new FlatParameters(device, vectors, false);
    this.#panels = new PackedWeights(device, format);
    try {
      fill(this);
    } catch (error) {
      this.#free();
      throw error;
    }
    this.tree = this.#buildTree();
  }

  /** Whether its memory is still there. */
  get live(): boolean {
    return this.#users > 0;
  }

  /** One more user, who disposes it as well. */
  share(): this {
    if (!this.live) throw new Error("internal: frozen weights shared after they were freed");
    this.#users++;
    return this;
  }

  /** Frees the memory when the last user is done. */
  dispose(): void {
    if (--this.#users === 0) this.#free();
  }

  download(spec: ParameterSpec): Float32Array {
    return this.#device.download(this.value(spec.name)) as Float32Array;
  }

  repack(): never {
    throw new Error("internal: frozen weights do not change");
  }

  freeze(): never {
    throw new Error("internal: frozen weights are frozen");
  }

  /** Packs an opened linear weight and frees it, or keeps the opened table. */
  #take(spec: ParameterSpec, opened: Buffer): void {
    if (spec.kind === "embedding") this.#table = opened;
    try {
      this.#pack(spec, opened);
    } finally {
      if (spec.kind !== "embedding") this.#device.free(opened);
    }
  }

  #copy(spec: ParameterSpec, value: Buffer, table: "f32" | "bf16"): void {
    this.#pack(spec, value);
    if (spec.kind !== "embedding") return;
    this.#table = this.#device.alloc(table, value.length);
    if (table === "bf16") this.#device.cast(this.#table, value, value.length);
    else this.#device.copy(this.#table, value);
  }

  #pack(spec: ParameterSpec, value: Buffer): void {
    const name = packedName(spec, this.config);
    if (name !== undefined) this.#panels.pack(name, spec.shape, value);
  }

  #free(): void {
    this.#panels.dispose();
    this.flat.dispose();
    if (this.#table !== undefined) this.#device.free(this.#table);
    this.#table = undefined;
  }

  #buildTree(): WeightTree {
    const linear = (name: string): Linear => {
      const packed = this.#panels.get(`${name}.weight`);
      const bias = `${name}.bias`;
      return {
        outDim: packed.outDim,
        inDim: packed.inDim,
        packed,
        bias: this.flat.has(bias) ? this.value(bias) : undefined,
      };
    };
    return buildTree(this.config, linear, (name) => ({ value: name === EMBEDDING ? this.#embedding : this.value(name) }));
  }

  get #embedding(): Buffer {
    if (this.#table === undefined) throw new Error("internal: frozen weights without an embedding table");
    return this.#table;
  }
}
