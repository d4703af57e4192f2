// The packed panels of a model's linear weights, by name. It knows no file and no gradient.

import type { Buffer, Device, PackedWeight, WeightFormat } from "./device/types.ts";
import type { ModelConfig } from "./hf-config.ts";
import { EMBEDDING, HEAD, type ParameterSpec } from "./parameters.ts";

/** See the file header. */
export class PackedWeights {
  readonly format: WeightFormat;
  readonly #device: Device;
  readonly #panels = new Map<string, PackedWeight>();

  constructor(device: Device, format: WeightFormat) {
    this.#device = device;
    this.format = format;
  }

  /** Packs `value` as the panels of that name, into those that were there before. */
  pack(name: string, [outDim, inDim]: readonly number[], value: Buffer): void {
    this.#panels.set(name, this.#device.packWeight(value, outDim, inDim, this.format, this.#panels.get(name)));
  }

  get(name: string): PackedWeight {
    const packed = this.#panels.get(name);
    if (packed === undefined) throw new Error(`internal: parameter ${name} is not packed`);
    return packed;
  }

  dispose(): void {
    for (const packed of this.#panels.values()) this.#device.freePacked(packed);
    this.#panels.clear();
  }
}

/** Under which name a parameter is packed: linear ones under their own, the embedding of a tied head as the head, others not. */
export function packedName(spec: ParameterSpec, config: ModelConfig): string | undefined {
  if (spec.kind === "linear") return spec.name;
  return spec.name === EMBEDDING && config.tiedEmbeddings ? HEAD : undefined;
}
