// TensorBoard event files: records of the TFRecord format, each an Event message with scalars. Knows points, not runs.
// Source: tensorflow/core/util/event.proto and framework/summary.proto (field numbers), lib/io/record_writer.h (framing, masked CRC).

import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { Point } from "./series.ts";

/** A whole event file. The reader sorts by step within a tag, so the order of points does not matter. */
export function tensorboardFile(points: readonly Point[]): Uint8Array {
  const first = points.reduce((least, { time }) => Math.min(least, time), Number.POSITIVE_INFINITY);
  const start = new BinaryWriter().tag(1, 1).double(Number.isFinite(first) ? first : 0);
  const head = start.tag(3, 2).string("brain.Event:2").finish();
  return Buffer.concat([head, ...points.map(scalarEvent)].map(framed));
}

/** Event { wall_time = 1, step = 2, summary = 5 { value = 1 { tag = 1, simple_value = 2 } } }. */
function scalarEvent({ tag, step, time, value }: Point): Uint8Array {
  const event = new BinaryWriter().tag(1, 1).double(time).tag(2, 0).int64(step).tag(5, 2).fork();
  return event.tag(1, 2).fork().tag(1, 2).string(tag).tag(2, 5).float(asFloat(value)).join().join().finish();
}

/** Beyond f32 there is only infinity. */
function asFloat(value: number): number {
  return Math.fround(value);
}

/** Length, its checksum, the data, its checksum; all little-endian. */
function framed(data: Uint8Array): Uint8Array {
  const out = Buffer.alloc(8 + 4 + data.length + 4);
  out.writeBigUInt64LE(BigInt(data.length), 0);
  out.writeUInt32LE(maskedCrc(out.subarray(0, 8)), 8);
  out.set(data, 12);
  out.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return out;
}

/** CRC-32C, rotated and shifted, so that a checksum of data with checksums in it stays a good one. */
export function maskedCrc(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  crc = (crc ^ 0xffffffff) >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Castagnoli's polynomial, reflected. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});
