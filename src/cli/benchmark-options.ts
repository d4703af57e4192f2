// Which benchmarks a command means: embedded ones, those of the table (from a directory or the Hub), and the user's own files.

import { join } from "node:path";
import { BENCHMARKS, findBenchmark } from "../evaluation/catalogue.ts";
import { type Benchmark, firstQuestions, type LoadOptions, loadBenchmark, loadFile } from "../evaluation/load.ts";
import { ConfigError } from "../util/errors.ts";
import { formatBytes } from "../util/format.ts";
import { nearest } from "../util/nearest.ts";
import { ProgressLine } from "../util/progress.ts";
import { TINY_BASE_DIR } from "./model-ref.ts";
import { say } from "./output.ts";

/** What the options `--bench`, `--data`, `--bench-dir` and `--limit` hold. */
export interface BenchmarkOptions {
  readonly bench?: string;
  readonly data?: readonly string[];
  readonly benchDir?: string;
  readonly limit?: number;
}

/** Benchmarks that come with the package. */
const EMBEDDED: Readonly<Record<string, string>> = {
  "tiny-world": join(TINY_BASE_DIR, "evaluation.jsonl"),
  "tiny-world-tuning": join(TINY_BASE_DIR, "tuning.jsonl"),
};

/** File of an embedded benchmark, or undefined. */
export function embeddedFile(name: string): string | undefined {
  return Object.hasOwn(EMBEDDED, name) ? EMBEDDED[name] : undefined;
}

/** All names that `--bench` takes. */
export function benchmarkNames(): string[] {
  return [...Object.keys(EMBEDDED), ...BENCHMARKS.map(({ name }) => name)];
}

/** Runs `use` with where to load from, showing downloads as they go. */
export async function withBenchmarks<T>(dir: string | undefined, use: (load: LoadOptions) => Promise<T>): Promise<T> {
  const progress = new ProgressLine();
  try {
    return await use({
      dir,
      on: ({ dataset }, done, total) => progress.update(`fetching ${dataset}`, done, total, `of ${formatBytes(total)}`),
    });
  } finally {
    progress.clear();
  }
}

/** Loads what was asked for. Errors: ConfigError for nothing or an unknown name; those of loading. */
export async function benchmarksOf(options: BenchmarkOptions): Promise<Benchmark[]> {
  const { bench, data = [], benchDir, limit } = options;
  if (bench === undefined && data.length === 0) throw new ConfigError("expected --bench or --data, got neither.");
  const names = (bench?.split(",") ?? []).map((name) => name.trim());
  for (const name of names) checkName(name);
  return withBenchmarks(benchDir, async (load) => {
    const benches: Benchmark[] = [];
    for (const name of names) benches.push(await loadByName(name, load));
    for (const file of data) benches.push(await loadFile(file));
    return limit === undefined ? benches : benches.map((loaded) => firstQuestions(loaded, limit));
  });
}

function checkName(name: string): void {
  if (embeddedFile(name) !== undefined || findBenchmark(name)) return;
  const close = nearest(name, benchmarkNames());
  throw new ConfigError(
    `--bench: expected ${benchmarkNames().join(", ")}, got "${name}". ${close ? `Did you mean ${close}?` : "Give your own questions with --data FILE."}`,
  );
}

async function loadByName(name: string, load: LoadOptions): Promise<Benchmark> {
  const file = embeddedFile(name);
  if (file !== undefined) return { ...(await loadFile(file)), name };
  const source = findBenchmark(name);
  if (source === undefined) throw new Error(`internal: unchecked benchmark ${name}`);
  const loaded = await loadBenchmark(source, load);
  if (loaded.questions.length !== source.questions)
    say(`${source.name}: ${loaded.questions.length} questions; ${source.title} is known with ${source.questions}`);
  return loaded;
}
