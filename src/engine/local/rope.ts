// The tables of rotary position embedding: cos and sin of position × frequency, plain or with Llama 3's stretched low frequencies.
// Every step is rounded to f32 where transformers rounds, so that the tables agree at long positions too.
// Source: modeling_rope_utils.py of transformers (`_compute_llama3_parameters`), RoFormer (arXiv 2104.09864).

import type { Buffer, Device } from "./device/types.ts";
import type { Llama3Rope, ModelConfig } from "./hf-config.ts";

const f32 = Math.fround;

/** Radians per position for each of the headDim / 2 pairs, in f32. */
export function inverseFrequencies(config: Pick<ModelConfig, "headDim" | "ropeTheta" | "ropeScaling">): Float32Array {
  const { headDim, ropeTheta, ropeScaling } = config;
  return Float32Array.from({ length: headDim / 2 }, (_, pair) => {
    const frequency = f32(1 / f32(ropeTheta ** f32((2 * pair) / headDim)));
    return ropeScaling === undefined ? frequency : stretch(frequency, ropeScaling);
  });
}

/** Long waves are slowed by `factor`, short ones kept, those between interpolated. */
function stretch(frequency: number, rope: Llama3Rope): number {
  const wavelength = f32((2 * Math.PI) / frequency);
  const longest = rope.originalMaxPositions / rope.lowFreqFactor;
  const shortest = rope.originalMaxPositions / rope.highFreqFactor;
  if (wavelength > longest) return f32(frequency / rope.factor);
  if (wavelength < shortest) return frequency;
  const share = f32(
    f32(f32(rope.originalMaxPositions / wavelength) - rope.lowFreqFactor) / (rope.highFreqFactor - rope.lowFreqFactor),
  );
  return f32(f32(f32(f32(1 - share) * frequency) / rope.factor) + f32(share * frequency));
}

/** cos and sin tables [positions, headDim / 2] on a device, extended as longer sequences come. */
export class RopeTables {
  readonly #device: Device;
  readonly #frequencies: Float32Array;
  #positions = 0;
  #cos: Buffer | undefined;
  #sin: Buffer | undefined;

  constructor(device: Device, config: ModelConfig) {
    this.#device = device;
    this.#frequencies = inverseFrequencies(config);
  }

  /** Tables that hold at least positions 0 to `positions` - 1. */
  upTo(positions: number): { cos: Buffer; sin: Buffer } {
    if (this.#cos === undefined || this.#sin === undefined || positions > this.#positions) return this.#build(positions);
    return { cos: this.#cos, sin: this.#sin };
  }

  dispose(): void {
    if (this.#cos !== undefined) this.#device.free(this.#cos);
    if (this.#sin !== undefined) this.#device.free(this.#sin);
    this.#cos = undefined;
    this.#sin = undefined;
    this.#positions = 0;
  }

  #build(positions: number): { cos: Buffer; sin: Buffer } {
    const wanted = Math.max(256, positions, Math.ceil(this.#positions * 1.5));
    const pairs = this.#frequencies.length;
    const cosTable = new Float32Array(wanted * pairs);
    const sinTable = new Float32Array(wanted * pairs);
    for (let position = 0; position < wanted; position++) {
      for (let pair = 0; pair < pairs; pair++) {
        const angle = f32(position * this.#frequencies[pair]);
        cosTable[position * pairs + pair] = Math.cos(angle);
        sinTable[position * pairs + pair] = Math.sin(angle);
      }
    }
    this.dispose();
    const cos = this.#device.alloc("f32", cosTable.length);
    const sin = this.#device.alloc("f32", sinTable.length);
    this.#device.upload(cos, cosTable);
    this.#device.upload(sin, sinTable);
    this.#cos = cos;
    this.#sin = sin;
    this.#positions = wanted;
    return { cos, sin };
  }
}
