// Tensors on the Tinker wire: float32 or int64, dense or CSR, as JSON and as little-endian bytes. In memory they are dense typed arrays;
// integers are those of 32 bits, because all that travels are token ids. Knows no message.

import { DataError } from "../util/errors.ts";
import { expectObject, preview } from "../util/json.ts";
import { MAX_ELEMENTS } from "./protocol.ts";

/** `shape` multiplies to `data.length`. */
export type Tensor =
  | { readonly dtype: "float32"; readonly data: Float32Array; readonly shape: readonly number[] }
  | { readonly dtype: "int64"; readonly data: Int32Array; readonly shape: readonly number[] };

/** Named tensors of one sequence. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** A float32 tensor with one axis. */
export function floats(data: Float32Array): Tensor {
  return { dtype: "float32", data, shape: [data.length] };
}

/** An int64 tensor with one axis. */
export function ints(data: Int32Array): Tensor {
  return { dtype: "int64", data, shape: [data.length] };
}

/** Errors: DataError when there are more elements than are ever parsed. */
export function boundedLength(length: number, most: number, where: string): number {
  if (Number.isInteger(length) && length >= 0 && length <= most) return length;
  throw new DataError(`${where}: expected at most ${most} elements, got ${length}. Send less in one request.`);
}

/** The text of a JSON list; −0 keeps its sign, NaN and infinities become null. */
export function jsonNumbers(values: Float32Array | Int32Array): string {
  if (values instanceof Int32Array) return `[${values.join(",")}]`;
  const texts: string[] = new Array(values.length);
  for (let i = 0; i < values.length; i++)
    texts[i] = Object.is(values[i], -0) ? "-0" : Number.isFinite(values[i]) ? String(values[i]) : "null";
  return `[${texts.join(",")}]`;
}

/** A JSON list of integers of 32 bits. Errors: DataError. */
export function parseInts(value: unknown, most: number, where: string): Int32Array {
  const list = expectList(value, most, where);
  const out = new Int32Array(list.length);
  for (let i = 0; i < out.length; i++) {
    const item = list[i];
    out[i] = Number(item);
    if (typeof item !== "number" || out[i] !== item)
      throw new DataError(`${where}[${i}]: expected an integer of 32 bits, got ${preview(item)}.`);
  }
  return out;
}

/** A JSON list of numbers as float32; null is NaN. Errors: DataError. */
export function parseFloats(value: unknown, most: number, where: string): Float32Array {
  const list = expectList(value, most, where);
  const out = new Float32Array(list.length);
  for (let i = 0; i < out.length; i++) {
    const item = list[i];
    if (item !== null && typeof item !== "number")
      throw new DataError(`${where}[${i}]: expected a number, got ${preview(item)}.`);
    out[i] = item === null ? Number.NaN : item;
  }
  return out;
}

/** Errors: DataError for what is not a list of at most `most` items. */
export function expectList(value: unknown, most: number, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new DataError(`${where}: expected a list, got ${preview(value)}.`);
  boundedLength(value.length, most, where);
  return value;
}

/** The JSON text of a tensor. */
export function tensorJson({ data, dtype, shape }: Tensor): string {
  return `{"data":${jsonNumbers(data)},"dtype":"${dtype}","shape":${JSON.stringify(shape)}}`;
}

/** A tensor from JSON; without `shape` it has one axis; with CSR indices it is made dense. Errors: DataError. */
export function parseTensor(value: unknown, where: string): Tensor {
  const { data, dtype, shape, sparse_crow_indices: crow, sparse_col_indices: col } = expectObject(value, where);
  if (dtype !== "float32" && dtype !== "int64")
    throw new DataError(`${where}.dtype: expected "float32" or "int64", got ${preview(dtype)}.`);
  const values =
    dtype === "float32" ? parseFloats(data, MAX_ELEMENTS, `${where}.data`) : parseInts(data, MAX_ELEMENTS, `${where}.data`);
  const axes = shape == null ? undefined : [...parseInts(shape, 8, `${where}.shape`)];
  if (crow == null && col == null) return dense(values, axes ?? [values.length], where);
  const indices = {
    crow: parseInts(crow, MAX_ELEMENTS, `${where}.sparse_crow_indices`),
    col: parseInts(col, MAX_ELEMENTS, `${where}.sparse_col_indices`),
  };
  return fromCsr(values, indices, axes ?? [], where);
}

/** A tensor of given values. Errors: DataError when the shape does not fit. */
export function dense(data: Float32Array | Int32Array, shape: readonly number[], where: string): Tensor {
  const size = shape.reduce((product, axis) => product * axis, 1);
  if (shape.some((axis) => axis < 0) || size !== data.length)
    throw new DataError(`${where}: expected ${data.length} elements in the shape, got [${shape}].`);
  return data instanceof Float32Array ? { dtype: "float32", data, shape } : { dtype: "int64", data, shape };
}

/** A matrix in compressed rows, made dense. Errors: DataError for indices that are not those of the shape. */
export function fromCsr(
  values: Float32Array | Int32Array,
  { crow, col }: { crow: Int32Array; col: Int32Array },
  shape: readonly number[],
  where: string,
): Tensor {
  const [rows, columns] = shape;
  if (shape.length !== 2 || rows < 0 || columns < 0)
    throw new DataError(`${where}: expected the shape [rows, columns] of a sparse tensor, got [${shape}].`);
  const size = boundedLength(rows * columns, MAX_ELEMENTS, where);
  if (crow.length !== rows + 1 || crow[0] !== 0 || crow[rows] !== values.length || col.length !== values.length)
    throw new DataError(
      `${where}: expected ${rows + 1} row offsets up to ${values.length} and as many columns, got ${crow.length} and ${col.length}.`,
    );
  const out = values instanceof Float32Array ? new Float32Array(size) : new Int32Array(size);
  for (let row = 0; row < rows; row++) {
    if (crow[row + 1] < crow[row]) throw new DataError(`${where}: expected row offsets that rise, got them fall at row ${row}.`);
    for (let i = crow[row]; i < crow[row + 1]; i++) {
      if (col[i] < 0 || col[i] >= columns)
        throw new DataError(`${where}: expected columns below ${columns}, got ${col[i]} at entry ${i}.`);
      out[row * columns + col[i]] = values[i];
    }
  }
  return dense(out, shape, where);
}

/** Little-endian bytes of values: 4 bytes each, or 8 for integers as int64. */
export function toBytes(values: Float32Array | Int32Array, as64 = false): Uint8Array {
  if (!as64) return new Uint8Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength));
  return new Uint8Array(BigInt64Array.from(values, (value) => BigInt(value)).buffer);
}

/** float32 values of bytes. Errors: DataError for a length that is not a multiple of 4. */
export function floatsOf(bytes: Uint8Array, where: string): Float32Array {
  return new Float32Array(whole(bytes, 4, where));
}

/** 32-bit integers of bytes. Errors: DataError. */
export function intsOf(bytes: Uint8Array, where: string): Int32Array {
  return new Int32Array(whole(bytes, 4, where));
}

/** Integers of int64 bytes that fit in 32 bits. Errors: DataError. */
export function longsOf(bytes: Uint8Array, where: string): Int32Array {
  const longs = new BigInt64Array(whole(bytes, 8, where));
  return Int32Array.from(longs, (value, i) => {
    const number = Number(value);
    if (number !== (number | 0)) throw new DataError(`${where}[${i}]: expected an integer of 32 bits, got ${value}.`);
    return number;
  });
}

/** float32 values of bfloat16 bytes. Errors: DataError. */
export function halvesOf(bytes: Uint8Array, where: string): Float32Array {
  const halves = new Uint16Array(whole(bytes, 2, where));
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}

/** A copy that begins on an aligned address; `slice` of a Buffer would be none. */
function whole(bytes: Uint8Array, size: number, where: string): ArrayBuffer {
  if (bytes.length % size !== 0)
    throw new DataError(`${where}: expected a multiple of ${size} bytes, got ${bytes.length}. The body is damaged.`);
  boundedLength(bytes.length / size, MAX_ELEMENTS, where);
  return new Uint8Array(bytes).buffer;
}
