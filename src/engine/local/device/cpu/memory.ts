// Native memory as buffers: allocation, views, transfers, and the check that every op makes of every buffer before C sees it.
// Knows no op.

import { getSystemErrorMap } from "node:util";
import { EngineError } from "../../../../util/errors.ts";
import type { Buffer, Device, DType } from "../types.ts";
import type { Kernels } from "./kernels.ts";

/** Bytes of one element. */
export const BYTES: Record<DType, number> = { f32: 4, i32: 4, bf16: 2 };

/** A block from the C allocator, or a mapped part of a file; `live` turns false when it is freed. */
interface Block {
  live: boolean;
  readonly address: number;
  readonly bytes: number;
  readonly device: CpuMemory;
  /** Where the part begins in its file; such a block cannot be written to. */
  readonly fileOffset?: number;
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

/** As `at`, for a buffer that is written to: a mapped file is not. */
function into(buffer: Buffer, need: number, dtype: DType): number {
  if ((buffer as CpuBuffer).block?.fileOffset !== undefined) misuse("device op: expected writable memory, got a mapped file.");
  return at(buffer, need, dtype);
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
  private readonly ctx: number;

  constructor(native: Kernels, ctx: number) {
    this.native = native;
    this.ctx = ctx;
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
    if (block.fileOffset !== undefined) {
      this.native.unmap(block.address, block.fileOffset, block.bytes);
      return;
    }
    this.allocatedBytes -= block.bytes;
    this.native.free(block.address);
  }

  /** A mapped part of a file. Errors: EngineError (unreadable, shorter than asked). */
  private mapBlock(path: string, fileOffset: number, bytes: number, align: number): Block {
    const report = new Float64Array(2);
    const address = this.native.map(path, fileOffset, bytes, align, report);
    if (!address) {
      const [code, size] = report;
      if (code) throw new EngineError(`${path}: expected a file that can be mapped, got ${systemError(code)}.`);
      const end = fileOffset + bytes;
      throw new EngineError(
        `${path}: expected a file of at least ${end} bytes, got ${size}. The file is cut short; fetch it again.`,
      );
    }
    const block = { live: true, address, bytes, device: this, fileOffset };
    this.blocks.add(block);
    return block;
  }

  /** Frees everything. */
  dropAll(): void {
    for (const block of [...this.blocks]) this.dropBlock(block);
  }

  /** The memory ops of `Device`. */
  ops(): Pick<Device, "alloc" | "free" | "view" | "upload" | "download" | "zero" | "copy" | "map" | "cast"> {
    const { native, ctx } = this;
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
      map: (path, byteOffset, dtype, length): CpuBuffer => {
        const bytes = length * BYTES[dtype];
        if (![byteOffset, length, byteOffset + bytes].every((n) => Number.isSafeInteger(n) && n >= 0))
          misuse(`map: expected an offset and a length, got ${byteOffset} and ${length}.`);
        const block = this.mapBlock(path, byteOffset, bytes, BYTES[dtype]);
        return { dtype, length, block, address: block.address, isView: false };
      },
      ...transfers(native, ctx),
      zero: (buffer) => {
        native.zero(into(buffer, 0, buffer.dtype), buffer.length * BYTES[buffer.dtype]);
      },
      copy: (dst, src) => {
        native.copy(into(dst, src.length, src.dtype), at(src, 0, src.dtype), src.length * BYTES[src.dtype]);
      },
      cast: (dst, src, count) => {
        const [to, from] = [into(dst, count, dst.dtype), at(src, count, src.dtype)];
        if (dst.dtype === "bf16" && src.dtype === "f32") native.toBf16(ctx, to, from, count);
        else if (dst.dtype === "f32" && src.dtype === "bf16") native.fromBf16(ctx, to, from, count);
        else misuse(`cast: expected f32 and bf16, got ${src.dtype} to ${dst.dtype}.`);
      },
    };
  }
}

/** Copies between device memory and JavaScript's; a bf16 buffer appears as floats. */
function transfers(native: Kernels, ctx: number): Pick<Device, "upload" | "download"> {
  return {
    upload: (buffer, data, offset = 0) => {
      const dtype = data instanceof Int32Array ? "i32" : buffer.dtype === "bf16" ? "bf16" : "f32";
      const address = into(buffer, offset + data.length, dtype) + offset * BYTES[dtype];
      if (!(offset >= 0)) misuse(`upload: expected an offset from 0, got ${offset}.`);
      if (data.length === 0) return;
      if (dtype === "bf16") native.toBf16In(ctx, address, data as Float32Array, data.length);
      else native.copyIn(address, data, data.length * 4);
    },
    download: (buffer, offset = 0, length = buffer.length - offset, to) => {
      if (!(offset >= 0 && length >= 0)) misuse(`download: got [${offset}, +${length}).`);
      const address = at(buffer, offset + length, buffer.dtype) + offset * BYTES[buffer.dtype];
      if (buffer.dtype === "i32") {
        const data = new Int32Array(length);
        if (length > 0) native.copyOut(data, address, length * 4);
        return data;
      }
      if (to !== undefined && to.length !== length) misuse(`download: expected room for ${length}, got ${to.length}.`);
      const data = to ?? new Float32Array(length);
      if (length > 0 && buffer.dtype === "bf16") native.fromBf16Out(ctx, data, address, length);
      else if (length > 0) native.copyOut(data, address, length * 4);
      return data;
    },
  };
}

/** A system error number in words. */
function systemError(code: number): string {
  const [name, text] = getSystemErrorMap().get(-code) ?? [`error ${code}`, ""];
  return text ? `${name} (${text})` : name;
}
