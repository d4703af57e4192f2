// `rzero export`: what came out of a run, in formats that other tools read: models, data sets, metrics.

import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Command } from "commander";
import { baseDirectory, writeAdapterAlone, writeGgufFile, writeWholeModel } from "../engine/adapters.ts";
import { DATASET_FILE, datasetCard, datasetParquet, datasetRows } from "../report/export/dataset.ts";
import { metricsCsv } from "../report/export/metrics-csv.ts";
import { points } from "../report/export/series.ts";
import { tensorboardFile } from "../report/export/tensorboard.ts";
import { writeJson } from "../store/jsonl.ts";
import { type Role, runsRoot } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { openRun } from "../store/runs.ts";
import { CheckpointError, ConfigError } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import { PROMPTS_FILE, resolveModel } from "./model-ref.ts";
import { listOf, oneOf, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";

type What = "solver" | "challenger" | "questions" | "metrics";
type Format = "hf" | "peft" | "gguf" | "jsonl" | "parquet" | "csv" | "tensorboard";
type DTypeName = "float32" | "bfloat16" | "float16" | "q8_0";

interface ExportOptions {
  what: What[];
  format?: Format;
  dtype?: DTypeName;
  out: string;
  iteration?: number;
  runs?: string;
  json?: boolean;
}

/** The formats of each thing, the default first. */
const FORMATS: Readonly<Record<What, readonly Format[]>> = {
  solver: ["hf", "peft", "gguf"],
  challenger: ["hf", "peft", "gguf"],
  questions: ["jsonl", "parquet"],
  metrics: ["csv", "tensorboard"],
};

export function exportCommand(): Command {
  return new Command("export")
    .description(
      "write what came out of a run: models (hf, peft, gguf), questions (jsonl, parquet) or metrics (csv, tensorboard)",
    )
    .argument("<run>", "name of the run")
    .requiredOption(
      "--what <things>",
      "solver, challenger, questions or metrics; comma-separated for several",
      listOf("solver", "challenger", "questions", "metrics"),
    )
    .option(
      "--format <format>",
      "hf: whole models, adapters merged (their default); peft: adapters alone; gguf: for llama.cpp; jsonl (default) or parquet: " +
        "questions, parquet with a data card; csv (default) or tensorboard: metrics",
      oneOf("hf", "peft", "gguf", "jsonl", "parquet", "csv", "tensorboard"),
    )
    .option(
      "--dtype <type>",
      "element type of written weights: float32 or bfloat16 (default: as stored, float32 when merged); gguf also float16 (its default), q8_0",
      oneOf("float32", "bfloat16", "float16", "q8_0"),
    )
    .requiredOption("--out <dir>", "directory to write; several things go into folders of their own")
    .option(
      "--iteration <number>",
      "which iteration (default: the best for models, all for questions; metrics are always whole)",
      wholeNumber(0),
    )
    .option("--runs <dir>", "where runs live")
    .option("--json", "print what was written")
    .addHelpText(
      "after",
      "\nExamples:\n  rzero export tiny-001 --what solver --format hf --out ./solver" +
        "\n  rzero export tiny-001 --what solver --format gguf --dtype q8_0 --out ./gguf" +
        "\n  rzero export tiny-001 --what questions --format parquet --out ./questions" +
        "\n  rzero export tiny-001 --what metrics --format tensorboard --out ./logs   # tensorboard --logdir logs",
    )
    .action(exportRun);
}

function exportRun(runName: string, options: ExportOptions): void {
  const run = openRun(runsRoot(options.runs), runName);
  const several = options.what.length > 1;
  const jobs = options.what.map((what) => ({ what, dir: several ? join(options.out, what) : options.out }));
  for (const { what, dir } of jobs) {
    expectFormat(what, options);
    refuseFiles(dir);
  }
  const written = jobs.map(({ what, dir }) => ({ what, path: exportOne(run, what, dir, options) }));
  if (options.json) printJson({ run: run.name, written });
  else for (const { what, path } of written) print(`${what}: ${path}`);
}

function expectFormat(what: What, { format, dtype }: ExportOptions): void {
  if (format !== undefined && !FORMATS[what].includes(format))
    throw new ConfigError(`--format: expected ${FORMATS[what].join(" or ")} for --what ${what}, got ${format}.`);
  if ((dtype === "float16" || dtype === "q8_0") && format !== "gguf")
    throw new ConfigError(`--dtype: expected float32 or bfloat16, got ${dtype}, which only --format gguf has.`);
}

/** Writes one thing and returns its directory. */
function exportOne(run: RunStore, what: What, dir: string, options: ExportOptions): string {
  if (what === "metrics") exportMetrics(run, dir, options.format);
  else if (what === "questions") exportQuestions(run, dir, options);
  else exportPolicy(run, dir, what, options);
  return dir;
}

function exportPolicy(run: RunStore, dir: string, role: Role, { iteration, runs, format, dtype }: ExportOptions): void {
  const name = `${run.name}:${iteration ?? "best"}:${role}`;
  const { dir: source } = resolveModel(name, runs);
  mkdirSync(dir, { recursive: true });
  if (format === "gguf") {
    const type = dtype ?? "float16";
    writeGgufFile({ from: source, to: join(dir, `${run.name}-${role}-${type}.gguf`), dtype: type, name });
  } else {
    // Others were refused before.
    const type = dtype as "float32" | "bfloat16" | undefined;
    if (format === "peft") writeAdapterAlone({ from: source, to: dir, dtype: type ?? "float32" });
    else if (type !== undefined || baseDirectory(source) !== source)
      writeWholeModel({ from: source, to: dir, dtype: type ?? "float32" });
    else cpSync(source, dir, { recursive: true, filter: (path) => !path.endsWith(".jsonl") && !path.endsWith(".md") });
  }
  const { prompts } = run.config;
  writeJson(join(dir, PROMPTS_FILE), { run: run.name, role, iteration: iteration ?? "best", prompts });
}

function exportQuestions(run: RunStore, dir: string, { iteration, format }: ExportOptions): void {
  const wanted = run.iterations().filter((candidate) => candidate > 0 && (iteration === undefined || candidate === iteration));
  const done = wanted.filter((candidate) => run.phaseDone(candidate, "curriculum"));
  if (done.length === 0)
    throw new CheckpointError(
      `${run.name}: expected a finished curriculum phase${iteration ? ` of iteration ${iteration}` : ""}, got none. See rzero inspect ${run.name}.`,
    );
  if (format === "parquet") {
    writeDataset(run, dir, done);
    return;
  }
  mkdirSync(dir, { recursive: true });
  for (const candidate of done) {
    const source = run.phase(candidate, "curriculum").questions;
    if (existsSync(source)) copyFileSync(source, join(dir, `questions-${String(candidate).padStart(2, "0")}.jsonl`));
  }
}

function writeDataset(run: RunStore, dir: string, iterations: readonly number[]): void {
  const rows = datasetRows(run, iterations);
  const parquet = datasetParquet(rows);
  mkdirSync(dirname(join(dir, DATASET_FILE)), { recursive: true });
  writeFileAtomic(join(dir, DATASET_FILE), parquet);
  writeFileAtomic(join(dir, "README.md"), datasetCard({ store: run, rows, bytes: parquet.length }));
}

/** One CSV file, or a TensorBoard log directory with a folder for the run, so that several exports lie side by side. */
function exportMetrics(run: RunStore, dir: string, format: Format | undefined): void {
  const all = points(run.events());
  if (all.length === 0) throw new CheckpointError(`${run.name}: expected events with measures, got none. Nothing was done yet.`);
  if (format !== "tensorboard") {
    mkdirSync(dir, { recursive: true });
    writeFileAtomic(join(dir, "metrics.csv"), metricsCsv(run.name, all));
    return;
  }
  const folder = join(dir, run.name);
  mkdirSync(folder, { recursive: true });
  // TensorBoard takes files with `tfevents` in their names.
  writeFileAtomic(join(folder, `events.out.tfevents.${Math.floor(all[0].time)}.rzero`), tensorboardFile(all));
}

function refuseFiles(dir: string): void {
  if (existsSync(dir) && readdirSync(dir).length > 0)
    throw new ConfigError(`--out: expected a new or empty directory, got ${dir}, which has files in it. Choose another.`);
}
