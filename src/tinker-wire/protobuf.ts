// Reading protobuf messages of strangers: a walk over fields in which every way to be malformed is a DataError. Knows no message of its
// own. The bytes themselves are read and written by @bufbuild/protobuf.

import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { DataError } from "../util/errors.ts";

export { BinaryWriter };

/** What to do with a field: the reader stands at its value. */
export type FieldReader = (reader: BinaryReader, wireType: WireType) => void;

/** Most fields in one message that is not made of data. */
const MAX_FIELDS = 1 << 20;

/** Walks over a message; fields without an entry are skipped. Errors: DataError for malformed bytes, and those of the entries. */
export function readMessage(bytes: Uint8Array, where: string, fields: Readonly<Record<number, FieldReader>>): void {
  const reader = new BinaryReader(bytes);
  try {
    for (let count = 0; reader.pos < reader.len; count++) {
      if (count >= MAX_FIELDS) throw new DataError(`${where}: expected at most ${MAX_FIELDS} fields, got more.`);
      const [field, wireType] = reader.tag();
      const read = Object.hasOwn(fields, field) ? fields[field] : undefined;
      if (read === undefined) reader.skip(wireType, field);
      else read(reader, wireType);
    }
    if (reader.pos > reader.len) throw new RangeError("it ends early");
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${where}: expected a protobuf message, got malformed bytes (${reason(error)}).`);
  }
}

/** A length-delimited value. Errors: DataError (through readMessage) when the field has another type. */
export function bytesOf(reader: BinaryReader, wireType: WireType): Uint8Array {
  expectType(wireType, WireType.LengthDelimited);
  return reader.bytes();
}

/** A text. */
export function textOf(reader: BinaryReader, wireType: WireType): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytesOf(reader, wireType));
}

/** A varint of at most 32 bits, signed. */
export function intOf(reader: BinaryReader, wireType: WireType): number {
  expectType(wireType, WireType.Varint);
  return reader.int32();
}

/** A double. */
export function doubleOf(reader: BinaryReader, wireType: WireType): number {
  expectType(wireType, WireType.Bit64);
  return reader.double();
}

/** A repeated int64, packed or one value of it, into `out`. */
export function longsInto(out: number[], reader: BinaryReader, wireType: WireType): void {
  if (wireType === WireType.Varint) {
    out.push(Number(reader.int64()));
    return;
  }
  const packed = new BinaryReader(bytesOf(reader, wireType));
  while (packed.pos < packed.len) {
    if (out.length >= 64) throw new RangeError("a shape has too many axes");
    out.push(Number(packed.int64()));
  }
}

/** One entry of a map<string, message>. */
export function readEntry(bytes: Uint8Array, where: string): { key: string; value: Uint8Array } {
  let key = "";
  let value: Uint8Array = new Uint8Array(0);
  readMessage(bytes, where, {
    1: (reader, type) => {
      key = textOf(reader, type);
    },
    2: (reader, type) => {
      value = bytesOf(reader, type);
    },
  });
  return { key, value };
}

/** One entry of a map<string, double>. */
export function readNumberEntry(bytes: Uint8Array, where: string): { key: string; value: number } {
  let key = "";
  let value = 0;
  readMessage(bytes, where, {
    1: (reader, type) => {
      key = textOf(reader, type);
    },
    2: (reader, type) => {
      value = doubleOf(reader, type);
    },
  });
  return { key, value };
}

/** Writes a length-delimited field. */
export function writeBytes(writer: BinaryWriter, field: number, bytes: Uint8Array): void {
  writer.tag(field, WireType.LengthDelimited).bytes(bytes);
}

/** Writes a text; an empty one is the default and is left out. */
export function writeText(writer: BinaryWriter, field: number, text: string): void {
  if (text !== "") writer.tag(field, WireType.LengthDelimited).string(text);
}

/** Writes an integer; 0 is the default and is left out. */
export function writeInt(writer: BinaryWriter, field: number, value: number): void {
  if (value !== 0) writer.tag(field, WireType.Varint).int32(value);
}

/** Writes a message into a field. */
export function writeMessage(writer: BinaryWriter, field: number, write: (writer: BinaryWriter) => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}

/** Writes a map<string, double>. */
export function writeNumbers(writer: BinaryWriter, field: number, numbers: Readonly<Record<string, number>>): void {
  for (const [key, value] of Object.entries(numbers))
    writeMessage(writer, field, (entry) => {
      writeText(entry, 1, key);
      entry.tag(2, WireType.Bit64).double(value);
    });
}

/** Writes a packed repeated int64. */
export function writeLongs(writer: BinaryWriter, field: number, values: readonly number[]): void {
  if (values.length === 0) return;
  writer.tag(field, WireType.LengthDelimited).fork();
  for (const value of values) writer.int64(value);
  writer.join();
}

function expectType(got: WireType, expected: WireType): void {
  if (got !== expected) throw new RangeError(`a field has wire type ${got} instead of ${expected}`);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 100) : String(error);
}
