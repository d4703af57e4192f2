// Native memory as buffers: allocation, views, transfers, and the check that every op makes of every buffer before C sees it.
// Knows no op.

import { EngineError } from "../../../../util/errors.ts";
import type { Buffer, Device, DType } from "../types.ts";
import type { Kernels } from "./kernels.ts";

const BYTES: Record<DType, number> = { f32: 4, i32: 4, bf16: 2 };

/** A block from the C allocator; `live` turns false when it is freed. */
interface Block {
  live: boolean;
  readonly address: number;
  readonly bytes: number;
  readonly device: CpuMemory;
}

interface CpuBuffer extends Buffer {
  readonly block: Block;
  readonly address: number;
  readonly isView: boolean;
}

function misuse(message: string): never {
  throw new Error(`internal: ${message}`);
}

/** Address of a buffer that must hold `need` elements of `dtype` and not be freed. Errors: Error("internal: …"). */
export function at(buffer: Buffer, need: number, dtype: DType = "f32"): number {
  const { block, address, length } = buffer as CpuBuffer;
  if (!block?.live) misuse("device op: expected live memory of the cpu device, got a freed or foreign buffer.");
  if (buffer.dtype !== dtype) misuse(`device op: expected a ${dtype} buffer, got ${buffer.dtype}.`);
  if (!(need >= 0 && need <= length)) misuse(`device op: expected a buffer of at least ${need} elements, got ${length}.`);
  return address;
}

/** Throws for the result codes of native/rzero.h. */
export function check(code: number, op: string): void {
  if (code === 0) return;
  if (code === -2) misuse(`${op}: expected indices inside the buffer, got one outside.`);
  throw new EngineError(`${op}: expected scratch memory, got none. Use smaller batches or free memory.`);
}

/** The part of the op table that owns memory. */
export class CpuMemory {
  allocatedBytes = 0;
  private readonly blocks = new Set<Block>();
  private readonly native: Kernels;

  constructor(native: Kernels) {
    this.native = native;
  }

  /** Zeroed native memory. Errors: EngineError when there is not enough. */
  takeBlock(bytes: number): Block {
    const address = Number.isSafeInteger(bytes) && bytes >= 0 ? this.native.alloc(bytes) : 0;
    if (!address) {
      const amount = (bytes / 2 ** 20).toFixed(1);
      throw new EngineError(
        `device memory: expected ${amount} MiB more, got none. Use smaller batches, a smaller cache or another machine.`,
      );
    }
    const block = { live: true, address, bytes, device: this };
    this.blocks.add(block);
    this.allocatedBytes += bytes;
    return block;
  }

  /** Gives native memory back. */
  dropBlock(block: Block): void {
    if (!block.live || block.device !== this) misuse("free: expected live memory of this device, got freed or foreign memory.");
    block.live = false;
    this.blocks.delete(block);
    this.allocatedBytes -= block.bytes;
    this.native.free(block.address);
  }

  /** Frees everything. */
  dropAll(): void {
    for (const block of [...this.blocks]) this.dropBlock(block);
  }

  /** The memory ops of `Device`. */
  ops(): Pick<Device, "alloc" | "free" | "view" | "upload" | "download" | "zero" | "copy" | "map" | "cast"> {
    const { native } = this;
    return {
      alloc: (dtype, length): CpuBuffer => {
        if (!Number.isSafeInteger(length) || length < 0) misuse(`alloc: expected a length, got ${length}.`);
        const block = this.takeBlock(length * BYTES[dtype]);
        return { dtype, length, block, address: block.address, isView: false };
      },
      free: (buffer) => {
        if ((buffer as CpuBuffer).isView) misuse("free: expected an owning buffer, got a view.");
        this.dropBlock((buffer as CpuBuffer).block);
      },
      view: (buffer, offset, length): CpuBuffer => {
        if (!(offset >= 0 && length >= 0)) misuse(`view: expected offset and length from 0, got ${offset} and ${length}.`);
        const address = at(buffer, offset + length, buffer.dtype) + offset * BYTES[buffer.dtype];
        return { dtype: buffer.dtype, length, block: (buffer as CpuBuffer).block, address, isView: true };
      },
      upload: (buffer, data, offset = 0) => {
        const address = at(buffer, offset + data.length, data instanceof Int32Array ? "i32" : "f32");
        if (!(offset >= 0)) misuse(`upload: expected an offset from 0, got ${offset}.`);
        if (data.length > 0) native.copyIn(address + offset * 4, data, data.length * 4);
      },
      download: (buffer, offset = 0, length = buffer.length - offset) => {
        if (buffer.dtype === "bf16" || !(offset >= 0 && length >= 0))
          misuse(`download: got ${buffer.dtype} [${offset}, +${length}).`);
        const address = at(buffer, offset + length, buffer.dtype) + offset * 4;
        const data = buffer.dtype === "i32" ? new Int32Array(length) : new Float32Array(length);
        if (length > 0) native.copyOut(data, address, length * 4);
        return data;
      },
      zero: (buffer) => {
        native.zero(at(buffer, 0, buffer.dtype), buffer.length * BYTES[buffer.dtype]);
      },
      copy: (dst, src) => {
        native.copy(at(dst, src.length, src.dtype), at(src, 0, src.dtype), src.length * BYTES[src.dtype]);
      },
      map: () => misuse("map: not here yet."),
      cast: () => misuse("cast: not here yet."),
    };
  }
}
