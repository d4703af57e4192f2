// Safetensors files in and out: 8 bytes of header length, a JSON header, then raw little-endian tensors. Sizes are bounded
// before anything is parsed, and a written file appears under its name only when it is whole.
// It knows nothing of models or devices. Source: the safetensors format description (huggingface/safetensors README).

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { DataError } from "../../util/errors.ts";
import { type FileSum, replaceFile } from "../../util/files.ts";
import { expectObject, parseJson, preview } from "../../util/json.ts";
import { decodeFloats, encodeFloats, type FloatDType } from "./float-formats.ts";

/** Where one tensor lies. */
export interface TensorInfo {
  readonly name: string;
  /** Format's name of the element type: F32, F16, BF16 can be read; others only listed. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly path: string;
  /** Absolute position in the file, and size, in bytes. */
  readonly begin: number;
  readonly bytes: number;
}

/** A tensor to write; `read` is called once, when its turn comes. */
export interface TensorToWrite {
  readonly name: string;
  readonly shape: readonly number[];
  read(): Float32Array;
}

const MAX_HEADER_BYTES = 100_000_000;
const READ_PIECE = 1 << 28;
const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
};

/** Reads and checks the header of a file. Errors: DataError (unreadable, truncated, oversized or inconsistent header). */
export function readSafetensorsHeader(path: string): Map<string, TensorInfo> {
  return withFile(path, (fd) => {
    const fileBytes = fstatSync(fd).size;
    if (fileBytes < 8) throw bad(path, "at least 8 bytes", `${fileBytes}`);
    const prefix = new DataView(readBytes(fd, path, 0, 8));
    const claimed = prefix.getBigUint64(0, true);
    const allowed = Math.min(MAX_HEADER_BYTES, fileBytes - 8);
    if (claimed > BigInt(allowed)) throw bad(path, `a header of at most ${allowed} bytes`, `${claimed}`);
    const headerBytes = Number(claimed);
    const text = new TextDecoder().decode(readBytes(fd, path, 8, headerBytes));
    const tensors = parseHeader(text, path, 8 + headerBytes);
    checkLayout(tensors, path, 8 + headerBytes, fileBytes);
    return new Map(tensors.map((tensor) => [tensor.name, tensor]));
  });
}

/** Reads one tensor as f32. Errors: DataError when the file is shorter than its header said or the dtype is not a float of 16 or 32 bits. */
export function readTensor(info: TensorInfo): Float32Array {
  const { dtype, path, name } = info;
  if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") {
    throw new DataError(`${path} ${name}: expected dtype F32, F16 or BF16, got ${dtype}. Convert the weights to one of these.`);
  }
  return withFile(path, (fd) => decodeFloats(readBytes(fd, path, info.begin, info.bytes), dtype));
}

/**
 * Writes a file beside `path`, flushes it and renames it into place. Returns its size and SHA-256 (hex).
 * Errors: DiskError when the disk refuses.
 */
export function writeSafetensors(path: string, tensors: readonly TensorToWrite[], dtype: FloatDType): FileSum {
  return replaceFile(path, (put) => {
    put(encodeHeader(tensors, dtype));
    for (const tensor of tensors) {
      const data = tensor.read();
      const expected = elements(tensor.shape);
      if (data.length !== expected)
        throw new Error(`internal: ${tensor.name}: expected ${expected} elements, got ${data.length}`);
      put(encodeFloats(data, dtype));
    }
  });
}

/** Number of elements of a shape; 1 for a scalar. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** What stands before the tensors in their file. */
export function encodeHeader(tensors: readonly Pick<TensorToWrite, "name" | "shape">[], dtype: FloatDType): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const tensor of tensors) {
    const end = offset + elements(tensor.shape) * ELEMENT_BYTES[dtype];
    header[tensor.name] = { dtype, shape: tensor.shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = JSON.stringify(header);
  // Spaces up to a multiple of 8 keep the tensors aligned, as the reference writer does.
  const text = new TextEncoder().encode(json);
  const padded = Math.ceil(text.length / 8) * 8;
  const out = new Uint8Array(8 + padded).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(text, 8);
  return out;
}

function parseHeader(text: string, path: string, dataStart: number): TensorInfo[] {
  return Object.entries(expectObject(parseJson(text, `${path} header`), `${path} header`))
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => parseEntry(name, entry, path, dataStart));
}

function parseEntry(name: string, entry: unknown, path: string, dataStart: number): TensorInfo {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  const where = `${path} ${name.slice(0, 100)}`;
  if (typeof dtype !== "string" || !Object.hasOwn(ELEMENT_BYTES, dtype)) throw bad(where, "a known dtype", preview(dtype));
  if (!isSizes(shape)) throw bad(where, "a shape of non-negative integers", preview(shape));
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[1] < offsets[0]) {
    throw bad(where, "data_offsets [begin, end]", preview(offsets));
  }
  const bytes = offsets[1] - offsets[0];
  const expected = elements(shape) * ELEMENT_BYTES[dtype];
  if (bytes !== expected) throw bad(where, `${expected} bytes for ${dtype} [${shape.slice(0, 8).join(", ")}]`, `${bytes}`);
  return { name, dtype, shape, path, begin: dataStart + offsets[0], bytes };
}

/** Tensors must cover the data exactly, as the reference reader demands; this catches truncation and overlaps. */
function checkLayout(tensors: readonly TensorInfo[], path: string, dataStart: number, fileBytes: number): void {
  const sorted = [...tensors].sort((a, b) => a.begin - b.begin || a.bytes - b.bytes);
  let position = dataStart;
  for (const tensor of sorted) {
    if (tensor.begin !== position) {
      throw bad(
        `${path} ${tensor.name}`,
        `data at offset ${position - dataStart} (no gap, no overlap)`,
        `${tensor.begin - dataStart}`,
      );
    }
    position += tensor.bytes;
  }
  if (position !== fileBytes)
    throw bad(path, `a file of ${position} bytes`, `${fileBytes}`, "It is truncated or damaged: fetch it again.");
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => typeof size === "number" && Number.isSafeInteger(size) && size >= 0);
}

function withFile<T>(path: string, use: (fd: number) => T): T {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    throw bad(path, "a readable safetensors file", (error as Error).message, "Check the path and its rights.");
  }
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function readBytes(fd: number, path: string, begin: number, bytes: number): ArrayBuffer {
  const out = new Uint8Array(bytes);
  let done = 0;
  while (done < bytes) {
    let got: number;
    try {
      got = readSync(fd, out, done, Math.min(READ_PIECE, bytes - done), begin + done);
    } catch (error) {
      throw bad(path, "a readable file", (error as Error).message, "Check that it is a file and the disk is sound.");
    }
    if (got === 0) throw bad(path, `${bytes} bytes at ${begin}`, `${done}`, "It is truncated: fetch it again.");
    done += got;
  }
  return out.buffer;
}

function bad(where: string, expected: string, got: string, hint = "The file is damaged or no safetensors file."): DataError {
  return new DataError(`${where}: expected ${expected}, got ${got}. ${hint}`);
}
