// Named device buffers that are kept between calls and only ever grow, so that a steady state allocates nothing; `trim` gives them
// back. The contents of a buffer are lost when it grows. It knows nothing of what the names mean.

import type { Buffer, Device, DType } from "./device/types.ts";

/** See the file header. */
export class BufferPool {
  readonly #device: Device;
  readonly #buffers = new Map<string, Buffer>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** The buffer of that name, with at least `length` elements of unspecified content. */
  take(name: string, length: number, dtype: DType = "f32"): Buffer {
    const old = this.#buffers.get(name);
    if (old !== undefined && old.length >= length) return old;
    if (old !== undefined) this.#device.free(old);
    this.#buffers.delete(name);
    // An eighth more than asked, so that slowly growing batches do not allocate each time.
    const grown = old === undefined ? length : Math.max(length, Math.ceil(old.length * 1.125));
    const buffer = this.#device.alloc(dtype, Math.max(1, grown));
    this.#buffers.set(name, buffer);
    return buffer;
  }

  /** The i32 buffer of that name, filled with `data` from its start. */
  upload(name: string, data: Int32Array): Buffer {
    const buffer = this.take(name, data.length, "i32");
    if (data.length > 0) this.#device.upload(buffer, data);
    return buffer;
  }

  /** Bytes of all its buffers. */
  get bytes(): number {
    let sum = 0;
    for (const { dtype, length } of this.#buffers.values()) sum += length * (dtype === "bf16" ? 2 : 4);
    return sum;
  }

  /** Frees all buffers if they take more than `keepBytes`. */
  trim(keepBytes: number): void {
    if (this.bytes > keepBytes) this.dispose();
  }

  /** Frees all buffers; the pool may be used again. */
  dispose(): void {
    for (const buffer of this.#buffers.values()) this.#device.free(buffer);
    this.#buffers.clear();
  }
}
