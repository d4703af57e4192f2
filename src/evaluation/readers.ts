// Rows of a table file as plain objects, whatever its format: Parquet, JSON Lines or CSV. Every row carries `file:row` for errors, and
// sizes are bounded before anything is parsed. Knows nothing of benchmarks; columns are the caller's matter.
// Parquet is read by hyparquet (docs/decisions/2026-11-21-table-readers.md); codecs beyond Snappy come from node:zlib.

import { statSync } from "node:fs";
import { extname } from "node:path";
import * as zlib from "node:zlib";
import { asyncBufferFromFile, type Compressors, parquetMetadataAsync, parquetReadObjects, parquetSchema } from "hyparquet";
import { expectObject, type JsonObject, readJsonl } from "../store/jsonl.ts";
import { ConfigError, DataError, errorText } from "../util/errors.ts";
import { readText } from "../util/files.ts";
import type { TableFormat } from "./catalogue.ts";
import { parseCsv } from "./csv.ts";

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

/** Columns that the caller looks at; Parquet reads no others, and names a required one that is absent. */
export interface WantedColumns {
  readonly required: readonly string[];
  readonly optional: readonly string[];
}

/** All rows of a file. Errors: DataError with file and row for damaged, oversized or missing files. */
export async function readTable(file: string, format: TableFormat, columns: WantedColumns): Promise<TableRow[]> {
  if (format === "jsonl") return readJsonl(file, (value, where) => ({ row: expectObject(value, where), where }));
  expectSize(file);
  return format === "csv" ? readCsv(file) : readParquet(file, columns);
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

async function readParquet(file: string, { required, optional }: WantedColumns): Promise<TableRow[]> {
  try {
    const buffer = await asyncBufferFromFile(file);
    const metadata = await parquetMetadataAsync(buffer);
    const rows = Number(metadata.num_rows);
    if (rows > MAX_TABLE_ROWS) throw new DataError(`${file}: expected at most ${MAX_TABLE_ROWS} rows, got ${rows}.`);
    const present = parquetSchema(metadata).children.map(({ element }) => element.name);
    const missing = required.find((column) => !present.includes(column));
    if (missing !== undefined)
      throw new DataError(`${file}: expected a column "${missing}", got ${present.join(", ")}. Is it the right file?`);
    const columns = [...required, ...optional].filter((column) => present.includes(column));
    const objects = await parquetReadObjects({ file: buffer, metadata, columns, compressors: COMPRESSORS });
    return objects.map((row, index) => ({ row: plainValues(row), where: `${file}:${index + 1}` }));
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${file}: expected a whole Parquet file, got: ${errorText(error).slice(0, 200)}. Fetch it again.`);
  }
}

/** Whole numbers of 64 bits become numbers, as everywhere else. */
function plainValues(row: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === "bigint" ? Number(value) : value]),
  );
}

type Decompress = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;

const bounded = (decompress: Decompress) => (input: Uint8Array, outputLength: number) =>
  new Uint8Array(decompress(input, { maxOutputLength: Math.max(1, outputLength) }));

// Node 22 has zstd, Node 20 does not: there hyparquet names the codec in its error.
const zstd = (zlib as { zstdDecompressSync?: Decompress }).zstdDecompressSync;

const COMPRESSORS: Compressors = {
  GZIP: bounded(zlib.gunzipSync),
  BROTLI: bounded(zlib.brotliDecompressSync),
  ...(zstd && { ZSTD: bounded(zstd) }),
};
