// Rows of a table file as plain objects, whatever its format: Parquet, JSON Lines or CSV. Every row carries `file:row` for errors, and
// sizes are bounded before anything is parsed. Knows nothing of benchmarks; columns are the caller's matter.

import { statSync } from "node:fs";
import { extname } from "node:path";
import { expectObject, type JsonObject, readJsonl } from "../store/jsonl.ts";
import { ConfigError, DataError } from "../util/errors.ts";
import { readText } from "../util/files.ts";
import type { TableFormat } from "./catalogue.ts";
import { parseCsv } from "./csv.ts";
import { readParquet, type WantedColumns } from "./parquet.ts";

/** One row and where it stands, for error messages. */
export interface TableRow {
  readonly row: JsonObject;
  /** `file:row`: line of a text file, number of a Parquet row, from 1. */
  readonly where: string;
}

/** Largest CSV or Parquet file that is read, in bytes, and most rows of any table. */
export const MAX_TABLE_BYTES = 1024 ** 3;
export const MAX_TABLE_ROWS = 5_000_000;
const MAX_COLUMNS = 1000;

/** The format by a file's name. Errors: ConfigError for another ending. */
export function formatOf(file: string): TableFormat {
  const ending = extname(file).toLowerCase();
  if (ending === ".parquet") return "parquet";
  if (ending === ".csv") return "csv";
  if (ending === ".jsonl" || ending === ".ndjson" || file === "-") return "jsonl";
  throw new ConfigError(`${file}: expected a name that ends in .jsonl, .ndjson, .csv or .parquet, got "${ending}".`);
}

/** All rows of a file. Errors: DataError with file and row for damaged, oversized or missing files. */
export async function readTable(file: string, format: TableFormat, columns: WantedColumns): Promise<TableRow[]> {
  if (format === "jsonl") return readJsonl(file, (value, where) => ({ row: expectObject(value, where), where }));
  expectSize(file);
  if (format === "csv") return readCsv(file);
  const rows = await readParquet(file, columns, MAX_TABLE_ROWS);
  return rows.map((row, index) => ({ row, where: `${file}:${index + 1}` }));
}

function expectSize(file: string): void {
  let size: number;
  try {
    size = statSync(file).size;
  } catch (error) {
    throw new DataError(`${file}: expected a readable file, got ${(error as NodeJS.ErrnoException).code ?? error}.`);
  }
  if (size > MAX_TABLE_BYTES) throw new DataError(`${file}: expected at most ${MAX_TABLE_BYTES} bytes, got ${size}.`);
}

function readCsv(file: string): TableRow[] {
  const [header, ...records] = parseCsv(readText(file, MAX_TABLE_BYTES), file);
  if (header === undefined) throw new DataError(`${file}: expected a header and rows, got an empty file.`);
  if (header.fields.length > MAX_COLUMNS)
    throw new DataError(`${file}:1: expected at most ${MAX_COLUMNS} columns, got ${header.fields.length}.`);
  const twice = header.fields.find((name, index) => header.fields.indexOf(name) !== index);
  if (twice !== undefined) throw new DataError(`${file}:1: expected different column names, got "${twice}" twice.`);
  return records.map(({ fields, line }) => ({
    row: Object.fromEntries(header.fields.map((name, index) => [name, fields[index]])),
    where: `${file}:${line}`,
  }));
}
