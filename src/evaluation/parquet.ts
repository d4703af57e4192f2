// Rows of a Parquet file, parsed in a thread of its own with limits of time and memory: the format lets a few damaged bytes ask for
// endless work. Knows nothing of benchmarks; parquet-worker.ts parses.

import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { DataError, EngineError } from "../util/errors.ts";
import type { JsonObject } from "../util/json.ts";

/** Columns that the caller looks at; no others are read, and a required one that is absent is named. */
export interface WantedColumns {
  readonly required: readonly string[];
  readonly optional: readonly string[];
}

/** What the thread is told. */
export interface ParquetTask extends WantedColumns {
  readonly file: string;
  readonly maxRows: number;
}

/** What the thread answers. */
export type ParquetReply = { readonly rows: readonly JsonObject[] } | { readonly problem: string };

/** The clock of the limit: a process that was stopped or starved loses a tick, not the time it stood still. */
const TICK_MS = 100;
const TICKS = 8;
/** Measured: below 100 ms per megabyte, plain or compressed. */
const TICKS_PER_MEGABYTE = 4;
const HEAP_MB = 256;
const HEAP_MB_PER_MEGABYTE = 32;

/** All rows with the wanted columns. Errors: DataError (damaged, too many rows, a missing column, work without end); EngineError. */
export async function readParquet(file: string, columns: WantedColumns, maxRows: number): Promise<readonly JsonObject[]> {
  const megabytes = (statSync(file, { throwIfNoEntry: false })?.size ?? 0) / 2 ** 20;
  const task: ParquetTask = { file, ...columns, maxRows };
  const resourceLimits = { maxOldGenerationSizeMb: Math.ceil(HEAP_MB + HEAP_MB_PER_MEGABYTE * megabytes) };
  const worker = new Worker(compiledWorker(), { workerData: task, resourceLimits });
  let ticks = 0;
  let timer: NodeJS.Timeout | undefined;
  try {
    const reply = await new Promise<ParquetReply>((resolve) => {
      const give = (got: string) => resolve({ problem: `${file}: expected a whole Parquet file, got ${got}. Fetch it again.` });
      worker.once("message", resolve);
      worker.once("error", ({ message }) => give(`a parser that failed (${message.slice(0, 200)})`));
      worker.once("exit", () => give("no answer of the parser"));
      worker.once("online", () => {
        timer = setInterval(() => {
          if (++ticks > TICKS + TICKS_PER_MEGABYTE * megabytes) give("one that asks for endless work");
        }, TICK_MS);
      });
    });
    if ("problem" in reply) throw new DataError(reply.problem);
    return reply.rows;
  } finally {
    clearInterval(timer);
    void worker.terminate();
  }
}

/** From the sources (tests) it is the one in dist/. Errors: EngineError when dist/ lacks it. */
function compiledWorker(): string {
  const here = fileURLToPath(import.meta.url);
  const folder = here.endsWith(".ts") ? join(dirname(here), "..", "..", "dist", "evaluation") : dirname(here);
  const file = join(folder, "parquet-worker.js");
  if (!existsSync(file)) throw new EngineError(`${file}: expected the compiled worker, got none. Run npm run build.`);
  return file;
}
