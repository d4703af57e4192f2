// The three float formats of model files, to and from f32. Little-endian hosts only, as every host of this program is.
// It knows no file. Source: IEEE 754 binary16; bfloat16 is the upper half of binary32.

/** Element types that are written; F16 is read only. */
export type FloatDType = "F32" | "BF16";

/** Raw little-endian bytes as f32 values; F32 shares the memory. */
export function decodeFloats(bytes: ArrayBuffer, dtype: FloatDType | "F16"): Float32Array {
  if (dtype === "F32") return new Float32Array(bytes);
  const halves = new Uint16Array(bytes);
  const out = new Float32Array(halves.length);
  if (dtype === "BF16") {
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  } else {
    const table = f16Table();
    for (let i = 0; i < halves.length; i++) out[i] = table[halves[i]];
  }
  return out;
}

/** f32 values as raw little-endian bytes; BF16 rounds to nearest, ties to even. */
export function encodeFloats(data: Float32Array, dtype: FloatDType): Uint8Array {
  if (dtype === "F32") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint16Array(data.length);
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i];
    // A NaN must not be rounded into infinity: keep it quiet.
    const notANumber = (b & 0x7fffffff) > 0x7f800000;
    out[i] = notANumber ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return new Uint8Array(out.buffer);
}

let cachedF16Table: Float32Array | undefined;

function f16Table(): Float32Array {
  if (cachedF16Table !== undefined) return cachedF16Table;
  const table = new Float32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const sign = h & 0x8000 ? -1 : 1;
    const exponent = (h >> 10) & 31;
    const fraction = h & 1023;
    if (exponent === 31) table[h] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else if (exponent === 0) table[h] = sign * fraction * 2 ** -24;
    else table[h] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  cachedF16Table = table;
  return table;
}
