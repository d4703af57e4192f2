// Lines of a file from a byte on, with where each stands; and single lines read back from there. Only lines that have ended are read: the
// last one may still be on its way, or torn. Memory is bounded by the longest line that is read. Knows no content.

import { closeSync, openSync, readSync } from "node:fs";

/** Longest line that is read; longer ones are passed over. */
const LONGEST_LINE = 16 * 2 ** 20;
const CHUNK = 2 ** 20;
const NEWLINE = 0x0a;

/** One line: its bytes without the newline stand at `start` in the file, and in `buffer` from `from` to `to`. */
export interface Line {
  readonly start: number;
  readonly buffer: Buffer;
  readonly from: number;
  readonly to: number;
}

/**
 * Visits lines from byte `at` on, in order; returns the byte after the last whole one. `visit` gets one object again and again; what it
 * needs of the buffer it must copy. Errors: those of the file system.
 */
export function forEachLineFrom(file: string, at: number, visit: (line: Line) => void): number {
  const descriptor = openSync(file, "r");
  try {
    return new LineReader(descriptor, at).run(visit);
  } finally {
    closeSync(descriptor);
  }
}

class LineReader {
  readonly #descriptor: number;
  /** Bytes of the file from `#base` on: `#filled` of them, of which those before `#begin` are done. */
  #buffer = Buffer.allocUnsafe(2 * CHUNK);
  #base: number;
  #filled = 0;
  #begin = 0;
  /** Inside a line that is too long. */
  #passing = false;

  constructor(descriptor: number, at: number) {
    this.#descriptor = descriptor;
    this.#base = at;
  }

  run(visit: (line: Line) => void): number {
    let searched = 0;
    let ended = this.#base;
    for (;;) {
      const newline = this.#buffer.subarray(0, this.#filled).indexOf(NEWLINE, Math.max(searched, this.#begin));
      if (newline >= 0) {
        if (!this.#passing && newline > this.#begin)
          visit({ start: this.#base + this.#begin, buffer: this.#buffer, from: this.#begin, to: newline });
        this.#passing = false;
        this.#begin = newline + 1;
        ended = this.#base + this.#begin;
        continue;
      }
      this.#makeRoom();
      searched = this.#filled;
      const got = readSync(
        this.#descriptor,
        this.#buffer,
        this.#filled,
        this.#buffer.length - this.#filled,
        this.#base + this.#filled,
      );
      if (got === 0) return ended;
      this.#filled += got;
    }
  }

  /** Moves the open line to the front; a long one gets a larger buffer, one that is too long is let go. */
  #makeRoom(): void {
    const open = this.#filled - this.#begin;
    if (this.#passing || open > LONGEST_LINE) {
      this.#passing = true;
      this.#base += this.#filled;
      this.#filled = 0;
    } else {
      const larger = open > this.#buffer.length - CHUNK ? Buffer.allocUnsafe(2 * this.#buffer.length) : this.#buffer;
      this.#buffer.copy(larger, 0, this.#begin, this.#filled);
      this.#buffer = larger;
      this.#base += this.#begin;
      this.#filled = open;
    }
    this.#begin = 0;
  }
}

/** Opens files for reading back lines, a few at a time. */
export class LineFiles {
  readonly #open = new Map<string, number>();

  /** `bytes` bytes at `start`; shorter at the end of the file, empty when there is no file. */
  read(file: string, start: number, bytes: number): Buffer {
    const buffer = Buffer.allocUnsafe(Math.min(bytes, LONGEST_LINE));
    try {
      return buffer.subarray(0, readSync(this.#descriptor(file), buffer, 0, buffer.length, start));
    } catch {
      return Buffer.alloc(0);
    }
  }

  /** The line that begins at `start`, for files of short lines. */
  readShort(file: string, start: number): string {
    const text = this.read(file, start, SHORT_LINE).toString("utf8");
    return text.slice(0, text.indexOf("\n") + 1);
  }

  close(): void {
    for (const descriptor of this.#open.values()) closeSync(descriptor);
    this.#open.clear();
  }

  #descriptor(file: string): number {
    const known = this.#open.get(file);
    if (known !== undefined) return known;
    if (this.#open.size >= MOST_OPEN) this.close();
    const descriptor = openSync(file, "r");
    this.#open.set(file, descriptor);
    return descriptor;
  }
}

const MOST_OPEN = 32;
const SHORT_LINE = 4096;
