// JSON and JSON Lines files: bounded reading with line numbers in every error, and writing that is complete or absent.
// Knows nothing of runs. A file written here is on the disk (fsync) before it gets its name.

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { TextDecoder } from "node:util";
import { DataError } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import { parseJson, readJsonFile } from "../util/json.ts";

export { expectObject, type JsonObject, parseJson, preview } from "../util/json.ts";

/** Largest JSON or JSON Lines file that is read, in bytes. */
export const MAX_FILE_BYTES = 2 * 1024 ** 3;
/** Longest line that is parsed, in characters. */
export const MAX_LINE_LENGTH = 16 * 1024 ** 2;
/** Largest single JSON document that is parsed, in bytes. */
export const MAX_JSON_BYTES = 256 * 1024 ** 2;

const CHUNK_BYTES = 1 << 20;

/** What a parser of one line may throw with: it becomes `file:line: expected …, got …`. */
export type LineParser<T> = (value: unknown, where: string) => T;

/**
 * Reads a JSON Lines file ("-" reads standard input). Blank lines are skipped. `growing`: the file is a log that a killed
 * process may have left with a partial last line, which is then left out.
 * Errors: DataError for a missing or oversized file and for a bad line, as `file:line: expected …, got …`.
 */
export function readJsonl<T>(file: string, parse: LineParser<T>, options: { growing?: boolean } = {}): T[] {
  const rows: T[] = [];
  forEachLine(file, options.growing ?? false, (line, number) => {
    if (line.trim() === "") return;
    const where = `${file === "-" ? "standard input" : file}:${number}`;
    rows.push(parse(parseJson(line, where), where));
  });
  return rows;
}

function forEachLine(file: string, growing: boolean, visit: (line: string, number: number) => void): void {
  const descriptor = openForReading(file);
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let rest = "";
    let number = 0;
    let total = 0;
    for (;;) {
      const bytes = readChunk(descriptor, chunk);
      total += bytes;
      if (bytes === 0 && growing) return; // also when the tail was cut inside a character
      if (total > MAX_FILE_BYTES)
        throw new DataError(`${file}: expected at most ${MAX_FILE_BYTES} bytes, got more. Split the file.`);
      rest += decode(decoder, chunk.subarray(0, bytes), bytes > 0, `${file}:${number + 1}`);
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) visit(boundedLine(line, `${file}:${++number}`), number);
      boundedLine(rest, `${file}:${number + 1}`);
      if (bytes > 0) continue;
      if (rest !== "") visit(rest, number + 1);
      return;
    }
  } finally {
    if (descriptor !== 0) closeSync(descriptor);
  }
}

function boundedLine(line: string, where: string): string {
  if (line.length <= MAX_LINE_LENGTH) return line;
  throw new DataError(`${where}: expected a line of at most ${MAX_LINE_LENGTH} characters, got a longer one.`);
}

function decode(decoder: TextDecoder, bytes: Uint8Array, more: boolean, where: string): string {
  try {
    return decoder.decode(bytes, { stream: more });
  } catch {
    throw new DataError(`${where}: expected UTF-8 text from here on, got other bytes. Convert the file to UTF-8.`);
  }
}

function openForReading(file: string): number {
  if (file === "-") return 0;
  try {
    if (statSync(file).isDirectory()) throw new DataError(`${file}: expected a file, got a directory.`);
    return openSync(file, "r");
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${file}: expected a readable file, got ${(error as NodeJS.ErrnoException).code ?? error}.`);
  }
}

function readChunk(descriptor: number, chunk: Buffer): number {
  for (;;) {
    try {
      return readSync(descriptor, chunk, 0, chunk.length, null);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EOF") return 0;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20); // a terminal or pipe that has nothing yet
    }
  }
}

/** Reads one JSON document. Errors: DataError for a missing, oversized or malformed file. */
export function readJson(file: string): unknown {
  return readJsonFile(file, MAX_JSON_BYTES);
}

/** Writes one JSON document, durably; floats keep every digit. */
export function writeJson(file: string, value: unknown): void {
  writeFileAtomic(file, jsonText(value));
}

/** A JSON document as `writeJson` writes it. */
export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Writes rows as JSON Lines, durably. */
export function writeJsonl(file: string, rows: readonly unknown[]): void {
  writeFileAtomic(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}
