// `rzero export`: what came out of a run, in formats that other tools read: model directories and JSON Lines.

import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { baseDirectory, writeAdapterAlone, writeWholeModel } from "../engine/adapters.ts";
import { writeJson } from "../store/jsonl.ts";
import { type Role, runsRoot } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { openRun } from "../store/runs.ts";
import { CheckpointError, ConfigError } from "../util/errors.ts";
import { PROMPTS_FILE, resolveModel } from "./model-ref.ts";
import { listOf, oneOf, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";

interface ExportOptions {
  what: ("solver" | "challenger" | "questions")[];
  format?: "hf" | "peft" | "jsonl";
  dtype?: "float32" | "bfloat16";
  out: string;
  iteration?: number;
  runs?: string;
  json?: boolean;
}

export function exportCommand(): Command {
  return new Command("export")
    .description("write what came out of a run: models (hf, peft) or questions (jsonl)")
    .argument("<run>", "name of the run")
    .requiredOption(
      "--what <things>",
      "solver, challenger or questions; comma-separated for several",
      listOf("solver", "challenger", "questions"),
    )
    .option(
      "--format <format>",
      "hf: whole models, adapters merged (their default); peft: adapters alone; jsonl: questions",
      oneOf("hf", "peft", "jsonl"),
    )
    .option(
      "--dtype <type>",
      "element type of written weights (default: as stored, float32 when merged)",
      oneOf("float32", "bfloat16"),
    )
    .requiredOption("--out <dir>", "directory to write; several things go into folders of their own")
    .option("--iteration <number>", "which iteration (default: the best for models, all for questions)", wholeNumber(0))
    .option("--runs <dir>", "where runs live")
    .option("--json", "print what was written")
    .addHelpText(
      "after",
      "\nExamples:\n  rzero export tiny-001 --what solver --format hf --out ./solver\n  rzero export tiny-001 --what questions --format jsonl --out ./questions",
    )
    .action(exportRun);
}

function exportRun(runName: string, options: ExportOptions): void {
  const run = openRun(runsRoot(options.runs), runName);
  const written = options.what.map((what) => {
    const fits = what === "questions" ? ["jsonl"] : ["hf", "peft"];
    if (options.format !== undefined && !fits.includes(options.format))
      throw new ConfigError(`--format: expected ${fits.join(" or ")} for --what ${what}, got ${options.format}.`);
    const dir = options.what.length > 1 ? join(options.out, what) : options.out;
    return what === "questions" ? exportQuestions(run, dir, options.iteration) : exportPolicy(run, dir, what, options);
  });
  if (options.json) printJson({ run: run.name, written });
  else for (const { what, path } of written) print(`${what}: ${path}`);
}

/** One thing that was written. */
interface Written {
  readonly what: string;
  readonly path: string;
}

function exportPolicy(run: RunStore, dir: string, role: Role, { iteration, runs, format, dtype }: ExportOptions): Written {
  refuseFiles(dir);
  const { dir: source } = resolveModel(`${run.name}:${iteration ?? "best"}:${role}`, runs);
  mkdirSync(dir, { recursive: true });
  if (format === "peft") writeAdapterAlone({ from: source, to: dir, dtype: dtype ?? "float32" });
  else if (dtype !== undefined || baseDirectory(source) !== source)
    writeWholeModel({ from: source, to: dir, dtype: dtype ?? "float32" });
  else cpSync(source, dir, { recursive: true, filter: (path) => !path.endsWith(".jsonl") && !path.endsWith(".md") });
  const { prompts } = run.config;
  writeJson(join(dir, PROMPTS_FILE), { run: run.name, role, iteration: iteration ?? "best", prompts });
  return { what: role, path: dir };
}

function exportQuestions(run: RunStore, dir: string, iteration: number | undefined): Written {
  const wanted = run.iterations().filter((candidate) => candidate > 0 && (iteration === undefined || candidate === iteration));
  const done = wanted.filter((candidate) => run.phaseDone(candidate, "curriculum"));
  if (done.length === 0)
    throw new CheckpointError(
      `${run.name}: expected a finished curriculum phase${iteration ? ` of iteration ${iteration}` : ""}, got none. See rzero inspect ${run.name}.`,
    );
  refuseFiles(dir);
  mkdirSync(dir, { recursive: true });
  for (const candidate of done) {
    const source = run.phase(candidate, "curriculum").questions;
    if (existsSync(source)) copyFileSync(source, join(dir, `questions-${String(candidate).padStart(2, "0")}.jsonl`));
  }
  return { what: "questions", path: dir };
}

function refuseFiles(dir: string): void {
  if (existsSync(dir) && readdirSync(dir).length > 0)
    throw new ConfigError(`--out: expected a new or empty directory, got ${dir}, which has files in it. Choose another.`);
}
