// The thread that parses one Parquet file: its columns as plain rows, or why it cannot be read. A damaged file may make the parser
// run or allocate without end, so parquet.ts ends this thread. Parquet is read by hyparquet
// (docs/decisions/2026-11-21-table-readers.md); codecs beyond Snappy come from node:zlib.

import { parentPort, workerData } from "node:worker_threads";
import * as zlib from "node:zlib";
import {
  asyncBufferFromFile,
  type Compressors,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  snappyUncompress,
} from "hyparquet";
import { DataError, errorText } from "../util/errors.ts";
import type { JsonObject } from "../util/json.ts";
import type { ParquetReply, ParquetTask } from "./parquet.ts";

/** Bytes that one byte of Snappy can stand for: a copy of 64 in 3 bytes. */
const SNAPPY_RATIO = 22;

async function read({ file, required, optional, maxRows }: ParquetTask): Promise<JsonObject[]> {
  const buffer = await asyncBufferFromFile(file);
  const metadata = await parquetMetadataAsync(buffer);
  const rows = Number(metadata.num_rows);
  if (!(rows >= 0 && rows <= maxRows)) throw new DataError(`${file}: expected at most ${maxRows} rows, got ${rows}.`);
  const present = parquetSchema(metadata).children.map(({ element }) => element.name);
  const missing = required.find((column) => !present.includes(column));
  if (missing !== undefined)
    throw new DataError(`${file}: expected a column "${missing}", got ${present.join(", ")}. Is it the right file?`);
  const columns = [...required, ...optional].filter((column) => present.includes(column));
  const objects = await parquetReadObjects({ file: buffer, metadata, columns, compressors: COMPRESSORS });
  if (objects.length > maxRows) throw new DataError(`${file}: expected at most ${maxRows} rows, got ${objects.length}.`);
  return objects.map(plainValues);
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
  SNAPPY: (input, outputLength) => {
    if (!(outputLength >= 0 && outputLength <= input.length * SNAPPY_RATIO + 64)) throw new Error("a page of impossible size");
    const output = new Uint8Array(outputLength);
    snappyUncompress(input, output);
    return output;
  },
  GZIP: bounded(zlib.gunzipSync),
  BROTLI: bounded(zlib.brotliDecompressSync),
  ...(zstd && { ZSTD: bounded(zstd) }),
};

const task = workerData as ParquetTask;
let reply: ParquetReply;
try {
  reply = { rows: await read(task) };
} catch (error) {
  reply = {
    problem:
      error instanceof DataError
        ? error.message
        : `${task.file}: expected a whole Parquet file, got: ${errorText(error).slice(0, 200)}. Fetch it again.`,
  };
}
parentPort?.postMessage(reply);
