// Files that are whole or absent: replaced in one rename after fsync, appended line by line with a torn tail cut off, read only up to
// a bound, summed. Every write of a run goes through here, so that a full or failing disk is one kind of error, DiskError.
// Knows no format. Source: the order write, fsync file, rename, fsync folder, as SQLite and Git keep it.

import { createHash, type Hash } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DataError, DiskError } from "./errors.ts";

/** Size in bytes and SHA-256 in hex of a file's content. */
export interface FileSum {
  readonly bytes: number;
  readonly sha256: string;
}

const PIECE_BYTES = 1 << 22;
const NEWLINE = 0x0a;
/** What a killed writer leaves beside a file; never read. */
const PARTIAL = /\.partial-\d+$/;

/** Replaces a file: a reader sees the old content or all of the new one, also after a power loss. Errors: DiskError. */
export function writeFileAtomic(file: string, content: string | Uint8Array): FileSum {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return replaceFile(file, (put) => put(bytes));
}

/** As writeFileAtomic, the content handed over piece by piece through `put`. Errors: DiskError, and whatever `fill` throws. */
export function replaceFile(file: string, fill: (put: (piece: Uint8Array) => void) => void): FileSum {
  const beside = `${file}.partial-${process.pid}`;
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    makeDirectory(dirname(file));
    const descriptor = onDisk(file, () => openSync(beside, "w"));
    try {
      fill((piece) => {
        hash.update(piece);
        bytes += piece.length;
        onDisk(file, () => writeAll(descriptor, piece));
      });
      onDisk(file, () => fsyncSync(descriptor));
    } finally {
      closeSync(descriptor);
    }
    onDisk(file, () => renameSync(beside, file));
  } catch (error) {
    removeQuietly(beside);
    throw error;
  }
  syncDirectory(dirname(file));
  return { bytes, sha256: hash.digest("hex") };
}

/**
 * Writes over what a file holds, in place and unflushed, which costs a fraction of a new file: for content that another file, written
 * after it, says is whole. It outlives a kill at once, a power loss only after `syncTree`. Errors: DiskError.
 */
export function overwriteFile(file: string, pieces: readonly Uint8Array[]): FileSum {
  const hash = createHash("sha256");
  let bytes = 0;
  const descriptor = onDisk(file, () => openSync(file, constants.O_WRONLY | constants.O_CREAT));
  try {
    for (const piece of pieces) {
      hash.update(piece);
      bytes += piece.length;
      onDisk(file, () => writeAll(descriptor, piece));
    }
    if (fstatSync(descriptor).size > bytes) onDisk(file, () => ftruncateSync(descriptor, bytes));
  } finally {
    closeSync(descriptor);
  }
  return { bytes, sha256: hash.digest("hex") };
}

/**
 * Appends one line (its newline is added). A torn line that a killed or failed writer left at the end is cut off first, and an
 * append that fails takes back what it wrote. `sync`: on the disk when this returns. Errors: DiskError.
 */
export function appendLine(file: string, line: string, options: { sync?: boolean } = {}): void {
  makeDirectory(dirname(file));
  const descriptor = onDisk(file, () => openSync(file, "a+"));
  try {
    const end = onDisk(file, () => cutTail(descriptor));
    try {
      onDisk(file, () => writeAll(descriptor, Buffer.from(`${line}\n`)));
      if (options.sync) onDisk(file, () => fsyncSync(descriptor));
    } catch (error) {
      takeBack(descriptor, end);
      throw error;
    }
  } finally {
    closeSync(descriptor);
  }
}

/** Cuts a torn last line off a log and returns the bytes that are left; a missing file stays missing. Errors: DiskError. */
export function cutTornTail(file: string): number {
  let descriptor: number;
  try {
    descriptor = openSync(file, "r+");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw diskError(file, error);
  }
  try {
    return onDisk(file, () => cutTail(descriptor));
  } finally {
    closeSync(descriptor);
  }
}

/** Removes what killed writers left in a directory and below. Errors: DiskError. */
export function removePartials(dir: string): void {
  onDisk(dir, () => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) removePartials(path);
      else if (isPartial(entry.name)) rmSync(path, { force: true });
    }
  });
}

/** Whether a name is one of those that an unfinished replacement has. */
export function isPartial(name: string): boolean {
  return PARTIAL.test(name);
}

/** Flushes the files that are there below `dir`, and their directories. Errors: DiskError. */
export function syncTree(dir: string): void {
  for (const entry of onDisk(dir, () => readdirSync(dir, { withFileTypes: true }))) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) syncTree(path);
    else if (entry.isFile()) syncFile(path);
  }
  syncDirectory(dir);
}

/** Flushes a directory's entries; file systems that cannot do it are left alone. Errors: DiskError. */
export function syncDirectory(dir: string): void {
  try {
    const descriptor = openSync(dir, "r");
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (!["EINVAL", "EPERM", "EISDIR", "EACCES", "ENOTSUP"].includes(code)) throw diskError(dir, error);
  }
}

/** Makes a directory and those above it, on the disk when this returns. Errors: DiskError. */
export function makeDirectory(dir: string): void {
  const first = onDisk(dir, () => mkdirSync(dir, { recursive: true }));
  if (first !== undefined) syncDirectory(dirname(first));
}

/** Size and SHA-256 of a file, read in pieces. Errors: DataError when it cannot be read. */
export function sumFile(file: string): FileSum {
  const hash = createHash("sha256");
  const bytes = readPieces(file, Number.MAX_SAFE_INTEGER, (piece) => void hash.update(piece));
  return { bytes, sha256: hash.digest("hex") };
}

/** SHA-256 in hex of a text or of bytes. */
export function sha256(content: string | Uint8Array): string {
  const hash: Hash = createHash("sha256");
  return hash.update(content).digest("hex");
}

/** All bytes of a regular file of at most `maxBytes`. Errors: DataError (missing, no file, larger, unreadable). */
export function readBytes(file: string, maxBytes: number): Uint8Array {
  const pieces: Uint8Array[] = [];
  readPieces(file, maxBytes, (piece) => void pieces.push(piece.slice()));
  return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
}

/** All of a regular UTF-8 file of at most `maxBytes`, without a byte order mark. Errors: DataError. */
export function readText(file: string, maxBytes: number): string {
  const bytes = readBytes(file, maxBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new DataError(`${file}: expected UTF-8 text, got other bytes. Convert the file to UTF-8, or fetch it again.`);
  }
}

/** Hands a regular file over in pieces (each valid only during the call) and returns its size. Errors: DataError. */
function readPieces(file: string, maxBytes: number, take: (piece: Uint8Array) => void): number {
  let descriptor: number | undefined;
  try {
    // Without O_NONBLOCK opening a pipe would wait for its writer.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new DataError(`${file}: expected a file, got ${stat.isDirectory() ? "a directory" : "a device"}.`);
    if (stat.size > maxBytes) throw new DataError(`${file}: expected at most ${maxBytes} bytes, got ${stat.size}.`);
    const piece = new Uint8Array(Math.max(1, Math.min(PIECE_BYTES, stat.size)));
    let total = 0;
    for (let got = readSync(descriptor, piece); got > 0; got = readSync(descriptor, piece)) {
      total += got;
      if (total > maxBytes) throw new DataError(`${file}: expected at most ${maxBytes} bytes, got more.`);
      take(piece.subarray(0, got));
    }
    return total;
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${file}: expected a readable file, got ${(error as NodeJS.ErrnoException).code ?? error}.`);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** A write may take a part only; the rest follows. */
function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at, Math.min(bytes.length - at, PIECE_BYTES));
}

function syncFile(path: string): void {
  onDisk(path, () => {
    const descriptor = openSync(path, "r+");
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  });
}

/** Size up to and with the last newline; what stands behind it is cut off. */
function cutTail(descriptor: number): number {
  const { size } = fstatSync(descriptor);
  const piece = Buffer.alloc(Math.min(size, 1 << 16));
  let end = size;
  while (end > 0) {
    const begin = Math.max(0, end - piece.length);
    const got = readSync(descriptor, piece, 0, end - begin, begin);
    const newline = piece.subarray(0, got).lastIndexOf(NEWLINE);
    if (newline >= 0) {
      end = begin + newline + 1;
      break;
    }
    end = begin;
  }
  if (end < size) ftruncateSync(descriptor, end);
  return end;
}

/** A disk that fails here too leaves a torn tail, which the next append cuts off. */
function takeBack(descriptor: number, end: number): void {
  try {
    ftruncateSync(descriptor, end);
  } catch {}
}

function removeQuietly(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {}
}

function onDisk<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw diskError(file, error);
  }
}

/** The error of a file operation as DiskError; our own errors pass. */
function diskError(file: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (typeof code !== "string" || error instanceof DiskError) return error;
  const hint = code === "ENOSPC" || code === "EDQUOT" ? "Make room on the disk." : "Check the disk and its rights.";
  return new DiskError(`${file}: expected to write it, got ${message}. ${hint}`, code, { cause: error });
}
