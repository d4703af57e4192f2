// Comma-separated text as RFC 4180 has it, strictly: a header, quoted fields that may hold commas, line ends and doubled quotes, one
// number of fields in every record. Knows nothing of benchmarks. Why not a library: docs/decisions/2026-11-21-table-readers.md.

import { DataError } from "../util/errors.ts";

/** One record and the line it begins on, counted from 1. */
export interface CsvRecord {
  readonly fields: readonly string[];
  readonly line: number;
}

/** Longest field, in characters. */
export const MAX_FIELD_LENGTH = 16 * 1024 ** 2;

/**
 * All records, the header first. Ends of lines are LF or CRLF; blank lines between records are skipped; a byte order mark is dropped.
 * Errors: DataError `file:line` for a stray quote, an open quote at the end, or a record with another number of fields.
 */
export function parseCsv(text: string, file: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  let at = text.startsWith("\uFEFF") ? 1 : 0;
  let line = 1;
  while (at < text.length) {
    const begin = line;
    const fields: string[] = [];
    for (;;) {
      const field = readField(text, at, `${file}:${line}`);
      fields.push(field.value);
      line += field.lines;
      at = field.end;
      if (text[at] !== ",") break;
      at++;
    }
    if (text[at] === "\r") at++;
    at++;
    line++;
    if (fields.length === 1 && fields[0] === "") continue;
    expectWidth(fields, records[0]?.fields, `${file}:${begin}`);
    records.push({ fields, line: begin });
  }
  return records;
}

function expectWidth(fields: readonly string[], header: readonly string[] | undefined, where: string): void {
  if (header === undefined || fields.length === header.length) return;
  throw new DataError(
    `${where}: expected ${header.length} fields as in the header, got ${fields.length}. Quote fields that hold commas.`,
  );
}

interface Field {
  readonly value: string;
  /** Index of the comma or end of line behind it. */
  readonly end: number;
  /** Line ends inside it. */
  readonly lines: number;
}

function readField(text: string, from: number, where: string): Field {
  return text[from] === '"' ? readQuoted(text, from, where) : readBare(text, from, where);
}

function readBare(text: string, from: number, where: string): Field {
  let end = from;
  while (end < text.length && text[end] !== "," && text[end] !== "\n" && !(text[end] === "\r" && text[end + 1] === "\n")) {
    if (text[end] === '"') throw new DataError(`${where}: expected a quote only around a whole field, got one inside.`);
    end++;
  }
  return { value: text.slice(from, end), end, lines: 0 };
}

function readQuoted(text: string, from: number, where: string): Field {
  let end = from + 1;
  for (;;) {
    end = text.indexOf('"', end);
    if (end < 0 || end - from > MAX_FIELD_LENGTH) throw new DataError(`${where}: expected a closing quote, got none.`);
    if (text[end + 1] !== '"') break;
    end += 2;
  }
  const next = text[end + 1];
  if (next !== undefined && next !== "," && next !== "\n" && !(next === "\r" && text[end + 2] === "\n"))
    throw new DataError(`${where}: expected a comma or the end of the line after a closing quote, got ${JSON.stringify(next)}.`);
  const raw = text.slice(from + 1, end);
  return { value: raw.replaceAll('""', '"'), end: end + 1, lines: raw.split("\n").length - 1 };
}
