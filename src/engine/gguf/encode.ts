// f32 values as the bytes of ggml's element types. Knows no file and no model.
// Source: ggml-quants.c of ggml (quantize_row_q8_0: blocks of 32 with one f16 scale, d = max |x| / 127, round half away from zero).

import { encodeFloats } from "../local/float-formats.ts";
import type { GgmlType } from "./file.ts";

/** Values in a block of Q8_0. */
export const Q8_BLOCK = 32;
const Q8_BYTES = 2 + Q8_BLOCK;

/** Bytes of `count` values; a whole number of blocks where the type has blocks. */
export function ggmlBytes(type: GgmlType, count: number): number {
  if (type === "Q8_0") return (count / Q8_BLOCK) * Q8_BYTES;
  return count * (type === "F32" ? 4 : 2);
}

/** The values in another element type. */
export function encodeGgml(data: Float32Array, type: GgmlType): Uint8Array {
  if (type === "F16") return new Uint8Array(Uint16Array.from(data, halfBits).buffer);
  return type === "Q8_0" ? encodeQ8(data) : encodeFloats(data, type);
}

function encodeQ8(data: Float32Array): Uint8Array {
  const out = Buffer.alloc(ggmlBytes("Q8_0", data.length));
  for (let block = 0; block * Q8_BLOCK < data.length; block++) {
    const values = data.subarray(block * Q8_BLOCK, (block + 1) * Q8_BLOCK);
    let largest = 0;
    for (const value of values) largest = Math.max(largest, Math.abs(value));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    out.writeUInt16LE(halfBits(scale), block * Q8_BYTES);
    values.forEach((value, index) => {
      const scaled = Math.fround(value * inverse);
      out.writeInt8(Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5), block * Q8_BYTES + 2 + index);
    });
  }
  return out;
}

const SCRATCH = new Float32Array(1);
const SCRATCH_BITS = new Uint32Array(SCRATCH.buffer);

/** The bits of a value as IEEE binary16, to nearest, ties to even; too large becomes infinity. */
export function halfBits(value: number): number {
  SCRATCH[0] = value;
  const bits = SCRATCH_BITS[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below 2^-14 halves are multiples of 2^-24; the sum of f32 with 0.5 rounds to them.
    SCRATCH[0] = Math.abs(SCRATCH[0]) + 0.5;
    return sign | (SCRATCH_BITS[0] - 0x3f000000);
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}
