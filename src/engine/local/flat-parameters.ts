// Parameters one after another in one f32 buffer, in Hugging Face layout, and their gradients in another of the same layout: so the
// optimizer, a snapshot and a checkpoint are each one pass over memory. It knows no model and no file.

import type { Buffer, Device } from "./device/types.ts";
import type { ParameterSpec } from "./parameters.ts";
import { elements } from "./safetensors.ts";

/** Offsets are multiples of this many elements, so that every view is as aligned as a fresh buffer (64 bytes). */
const ALIGNMENT = 16;

/** See the file header. */
export class FlatParameters {
  readonly specs: readonly ParameterSpec[];
  /** All values, zeros between. */
  readonly values: Buffer;
  readonly #gradients?: Buffer;
  #spent = false;
  readonly #device: Device;
  readonly #places = new Map<string, { offset: number; length: number }>();

  /** Zeros. Errors: EngineError when memory is short. */
  constructor(device: Device, specs: readonly ParameterSpec[], trains: boolean) {
    this.#device = device;
    this.specs = specs;
    let total = 0;
    for (const { name, shape } of specs) {
      const length = elements(shape);
      this.#places.set(name, { offset: total, length });
      total += Math.ceil(length / ALIGNMENT) * ALIGNMENT;
    }
    this.values = device.alloc("f32", total);
    if (!trains) return;
    try {
      this.#gradients = device.alloc("f32", total);
    } catch (error) {
      device.free(this.values);
      throw error;
    }
  }

  /** Same layout as `values`; only where they train. */
  get gradients(): Buffer | undefined {
    if (this.takeSpent() && this.#gradients !== undefined) this.#device.zero(this.#gradients);
    return this.#gradients;
  }

  /** Says that the gradients have served: they are zero from here on, but their memory is not cleared before somebody looks. */
  spend(): void {
    this.#spent = true;
  }

  /** Whether the gradients are zero without their memory being so; whoever asks makes it so, by overwriting it. */
  takeSpent(): boolean {
    const spent = this.#spent;
    this.#spent = false;
    return spent;
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  /** Values of one parameter. */
  value(name: string): Buffer {
    return this.part(this.values, name);
  }

  /** Where the gradient of one parameter is accumulated, if it trains. */
  gradient(name: string): Buffer {
    if (this.#gradients === undefined) throw new Error(`internal: gradient of frozen weights asked for: ${name}`);
    return this.part(this.#gradients, name);
  }

  /** Where one parameter begins in `values`. */
  offset(name: string): number {
    return this.#place(name).offset;
  }

  /** The part of a flat buffer with this layout that belongs to one parameter. */
  part(flat: Buffer, name: string): Buffer {
    const { offset, length } = this.#place(name);
    return this.#device.view(flat, offset, length);
  }

  dispose(): void {
    this.#device.free(this.values);
    if (this.#gradients !== undefined) this.#device.free(this.#gradients);
  }

  #place(name: string): { offset: number; length: number } {
    const place = this.#places.get(name);
    if (place === undefined) throw new Error(`internal: no parameter ${name} in this layout`);
    return place;
  }
}
