// The GGUF container: header, metadata, a table of tensors, then their bytes, each aligned. Knows no model and no tokenizer.
// Source: docs/gguf.md of the ggml project (format version 3, little-endian).

import { replaceFile } from "../../util/files.ts";

/** A typed value of the metadata. */
export type GgufValue =
  | { readonly type: "u32" | "i32" | "f32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "i32s"; readonly value: readonly number[] };

/** Element types of tensors, by ggml's numbers. */
export const GGML_TYPES = { F32: 0, F16: 1, Q8_0: 8, BF16: 30 } as const;
export type GgmlType = keyof typeof GGML_TYPES;

/** A tensor to write; `read` is called once, when its turn comes. */
export interface GgufTensor {
  readonly name: string;
  /** Row-major sizes, the outermost first, as in safetensors. */
  readonly shape: readonly number[];
  readonly type: GgmlType;
  readonly bytes: number;
  read(): Uint8Array;
}

const ALIGNMENT = 32;
const VALUE_TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;

/** Writes a file whole or not at all. Errors: DiskError; internal when a tensor has other bytes than it said. */
export function writeGguf(path: string, metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): void {
  replaceFile(path, (put) => {
    const head = encodeHead(metadata, tensors);
    put(head);
    put(padding(head.length));
    for (const tensor of tensors) {
      const data = tensor.read();
      if (data.length !== tensor.bytes) throw new Error(`internal: ${tensor.name}: ${data.length} bytes, not ${tensor.bytes}`);
      put(data);
      put(padding(data.length));
    }
  });
}

function encodeHead(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Buffer {
  const parts = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(text(key), ...encodeValue(value));
  let offset = 0;
  for (const { name, shape, type, bytes } of tensors) {
    // ggml counts the fastest dimension first.
    const sizes = shape.toReversed().map(u64);
    parts.push(text(name), u32(shape.length), ...sizes, u32(GGML_TYPES[type]), u64(offset));
    offset += bytes + padding(bytes).length;
  }
  return Buffer.concat(parts);
}

function encodeValue(value: GgufValue): Buffer[] {
  switch (value.type) {
    case "strings":
      return [u32(VALUE_TYPES.array), u32(VALUE_TYPES.string), u64(value.value.length), ...value.value.map(text)];
    case "i32s":
      return [u32(VALUE_TYPES.array), u32(VALUE_TYPES.i32), u64(value.value.length), Buffer.concat(value.value.map(i32))];
    case "string":
      return [u32(VALUE_TYPES.string), text(value.value)];
    case "bool":
      return [u32(VALUE_TYPES.bool), Buffer.from([value.value ? 1 : 0])];
    case "u32":
      return [u32(VALUE_TYPES.u32), u32(value.value)];
    case "i32":
      return [u32(VALUE_TYPES.i32), i32(value.value)];
    case "f32":
      return [u32(VALUE_TYPES.f32), f32(value.value)];
  }
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

function i32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeInt32LE(value);
  return out;
}

function f32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return out;
}

function u64(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}

function padding(bytes: number): Uint8Array {
  return new Uint8Array((ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT);
}
