// Reads tar archives from strangers into a directory: plain files and folders only, names that stay inside, sizes within bounds. Whether
// the bytes are gzip is seen by their first two. Knows nothing of models. Source: POSIX.1-2001 (ustar, pax), GNU long names.

import { closeSync, createReadStream, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { DataError, errorText } from "../../../util/errors.ts";

/** Bounds of an archive. */
export interface TarLimits {
  readonly bytes: number;
  readonly files: number;
}

const BLOCK = 512;
const MAX_META_BYTES = 1 << 20;
const DEFAULT_LIMITS: TarLimits = { bytes: 2 ** 41, files: 10_000 };

/** Extracts `file` into `dir`; returns the names of its files. Errors: DataError (malformed, unsafe, too large), DiskError. */
export async function extractTar(file: string, dir: string, limits: TarLimits = DEFAULT_LIMITS): Promise<string[]> {
  const raw = createReadStream(file, { highWaterMark: 1 << 20 });
  const source: Readable = isGzip(file) ? raw.pipe(createGunzip()) : raw;
  raw.on("error", (error) => source.destroy(error));
  try {
    return await new Extraction(new ByteReader(source), dir, file, limits).run();
  } catch (error) {
    if (error instanceof DataError || (error as NodeJS.ErrnoException).syscall !== undefined) throw error;
    throw new DataError(`${file}: expected a tar archive, got damaged bytes (${errorText(error)}).`);
  } finally {
    raw.destroy();
    source.destroy();
  }
}

function isGzip(file: string): boolean {
  const handle = openSync(file, "r");
  try {
    const head = Buffer.alloc(2);
    return readSync(handle, head, 0, 2, 0) === 2 && head[0] === 0x1f && head[1] === 0x8b;
  } finally {
    closeSync(handle);
  }
}

/** Bytes of a stream by length. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: Readable) {
    this.#chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** At most `length` bytes; none at the end. */
  async some(length: number): Promise<Buffer> {
    if (this.#rest.length === 0) {
      const { value, done } = await this.#chunks.next();
      this.#rest = done ? Buffer.alloc(0) : value;
    }
    const part = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }

  /** Exactly `length` bytes, or undefined at the very end. Errors: when the stream ends inside. */
  async exactly(length: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const part = await this.some(left);
      if (part.length === 0) {
        if (left === length) return undefined;
        throw new Error("the archive ends early");
      }
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts, length);
  }
}

/** One entry's head. */
interface Entry {
  readonly name: string;
  readonly size: number;
  readonly type: string;
}

class Extraction {
  readonly #bytes: ByteReader;
  readonly #dir: string;
  readonly #file: string;
  readonly #limits: TarLimits;
  #total = 0;
  readonly #names: string[] = [];

  constructor(bytes: ByteReader, dir: string, file: string, limits: TarLimits) {
    this.#bytes = bytes;
    this.#dir = dir;
    this.#file = file;
    this.#limits = limits;
  }

  async run(): Promise<string[]> {
    let longName: string | undefined;
    let longSize: number | undefined;
    for (let entries = 0; ; entries++) {
      const block = await this.#bytes.exactly(BLOCK);
      if (block === undefined || block.every((byte) => byte === 0)) return this.#names;
      if (entries > 4 * this.#limits.files) throw this.#bad("fewer entries", `more than ${entries}`);
      const head = this.#head(block);
      const entry = { ...head, name: longName ?? head.name, size: longSize ?? head.size };
      longName = undefined;
      longSize = undefined;
      if (entry.type === "L") longName = text(await this.#meta(entry.size));
      else if (entry.type === "x") {
        const records = paxRecords(await this.#meta(entry.size));
        longName = records.get("path");
        longSize = records.has("size") ? Number(records.get("size")) : undefined;
      } else if (entry.type === "g") await this.#meta(entry.size);
      else if (entry.type === "5") await this.#skip(entry.size);
      else if (entry.type === "0" || entry.type === "\0") await this.#write(entry);
      else throw this.#bad("plain files", `an entry of type ${JSON.stringify(entry.type)} (${entry.name})`);
    }
  }

  #head(block: Buffer): Entry {
    const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
    if (octal(block, 148, 8) !== sum) throw this.#bad("a header with its sum", "another sum");
    const isUstar = block.toString("latin1", 257, 262) === "ustar";
    const prefix = isUstar && block[345] !== 0 ? `${text(block.subarray(345, 500))}/` : "";
    const name = `${prefix}${text(block.subarray(0, 100))}`;
    return { name, size: octal(block, 124, 12), type: String.fromCharCode(block[156]) };
  }

  /** Room in the folder and in the limits, and a name that stays inside. */
  #expectSafe({ name, size }: Entry): void {
    const parts = name.split("/");
    const unsafe =
      name === "" ||
      name.startsWith("/") ||
      /[\\\0:]/.test(name) ||
      name.length > 512 ||
      parts.includes("..") ||
      parts.length > 8;
    if (unsafe) throw this.#bad("names inside the archive's folder", JSON.stringify(name.slice(0, 200)));
    this.#total += size;
    if (!Number.isSafeInteger(size) || size < 0 || this.#total > this.#limits.bytes)
      throw this.#bad(`at most ${this.#limits.bytes} bytes`, `${this.#total}`);
    if (this.#names.length >= this.#limits.files) throw this.#bad(`at most ${this.#limits.files} files`, "more");
  }

  async #write(entry: Entry): Promise<void> {
    this.#expectSafe(entry);
    const name = entry.name
      .split("/")
      .filter((part) => part !== "" && part !== ".")
      .join("/");
    const path = join(this.#dir, name);
    mkdirSync(dirname(path), { recursive: true });
    // Only new files: nothing that an archive brings can be written through.
    const handle = openSync(path, "wx", 0o644);
    try {
      for (let left = entry.size; left > 0; ) {
        const part = await this.#bytes.some(left);
        if (part.length === 0) throw new Error("the archive ends early");
        for (let at = 0; at < part.length; ) at += writeSync(handle, part, at);
        left -= part.length;
      }
    } finally {
      closeSync(handle);
    }
    this.#names.push(name);
    await this.#pad(entry.size);
  }

  async #meta(size: number): Promise<Buffer> {
    if (!(size >= 0 && size <= MAX_META_BYTES)) throw this.#bad(`at most ${MAX_META_BYTES} bytes of a name`, `${size}`);
    const data = (await this.#bytes.exactly(size)) ?? Buffer.alloc(0);
    await this.#pad(size);
    return data;
  }

  async #skip(size: number): Promise<void> {
    if (size !== 0) await this.#meta(size);
  }

  async #pad(size: number): Promise<void> {
    const rest = (BLOCK - (size % BLOCK)) % BLOCK;
    if (rest > 0) await this.#bytes.exactly(rest);
  }

  #bad(expected: string, got: string): DataError {
    return new DataError(`${this.#file}: expected ${expected}, got ${got}. The archive is not to be trusted.`);
  }
}

/** Up to the first NUL. */
function text(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

/** An octal field, or GNU's base-256 one for large files. */
function octal(block: Buffer, at: number, length: number): number {
  if ((block[at] & 0x80) !== 0) {
    let value = block[at] & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + block[at + i];
    return value;
  }
  const digits = block.toString("latin1", at, at + length).replace(/[\0 ]+/g, "");
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : Number.NaN;
}

/** The records of a pax header: `LENGTH KEY=VALUE\n` each. */
function paxRecords(data: Buffer): Map<string, string> {
  const out = new Map<string, string>();
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(32, at);
    const length = space < 0 ? Number.NaN : Number(data.toString("latin1", at, space));
    if (!Number.isInteger(length) || length <= space - at || at + length > data.length) throw new Error("a malformed pax record");
    const record = data.toString("utf8", space + 1, at + length - 1);
    const equals = record.indexOf("=");
    out.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return out;
}
