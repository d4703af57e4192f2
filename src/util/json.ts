// JSON from outside: parsed only when it is not nested without end, errors that say where and show a little of the value.
// Knows no file format built on it.

import { DataError } from "./errors.ts";
import { readText } from "./files.ts";

/** Deepest nesting that is parsed; what walks a value afterwards may recurse. */
export const MAX_DEPTH = 200;

/** A JSON object, its values not yet checked. */
export type JsonObject = Record<string, unknown>;

/** The value as a JSON object. Errors: DataError naming `where`. */
export function expectObject(value: unknown, where: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new DataError(`${where}: expected a JSON object {…}, got ${preview(value)}.`);
}

/** A short rendering of a value for an error message. */
export function preview(value: unknown): string {
  const text = value === undefined ? "nothing" : (JSON.stringify(shortened(value)) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/** Parses one JSON text. Errors: DataError naming `where`. */
export function parseJson(text: string, where: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text) as unknown;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/\s+/g, " ") : String(error);
    throw new DataError(`${where}: expected JSON, got ${preview(text.slice(0, 80))} (${reason.slice(0, 120)}).`);
  }
  // The parser itself does not recurse; a text with few brackets need not be walked.
  if (mayBeDeep(text)) expectShallow(value, where);
  return value;
}

/** Reads one JSON document of at most `maxBytes`. Errors: DataError for a missing, oversized or malformed file. */
export function readJsonFile(file: string, maxBytes: number): unknown {
  return parseJson(readText(file, maxBytes), file);
}

function mayBeDeep(text: string): boolean {
  let brackets = 0;
  for (let at = text.search(/[[{]/); at >= 0 && at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code === 0x5b || code === 0x7b) && ++brackets > MAX_DEPTH) return true;
  }
  return false;
}

function expectShallow(value: unknown, where: string): void {
  let level: object[] = isObject(value) ? [value] : [];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth >= MAX_DEPTH)
      throw new DataError(`${where}: expected JSON nested at most ${MAX_DEPTH} deep, got deeper. No file of ours is.`);
    const below: object[] = [];
    for (const object of level) for (const inner of Object.values(object)) if (isObject(inner)) below.push(inner);
    level = below;
  }
}

/** Long texts and lists cut before they are rendered. */
function shortened(value: unknown): unknown {
  if (typeof value === "string") return value.slice(0, 100);
  return Array.isArray(value) ? value.slice(0, 40) : value;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
