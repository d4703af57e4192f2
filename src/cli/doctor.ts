// `rzero doctor`: what this machine offers, what is missing, and what to do about it; or what a run of a model will need. Exit code 1
// when something needed is missing, 2 when the run does not fit.

import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { Command } from "commander";
import pc from "picocolors";
import { loadConfig, type Override, recipeNames } from "../config/load.ts";
import { diagnoseLocalEngine, type Finding, kernelCache } from "../engine/diagnose.ts";
import { runsRoot } from "../store/layout.ts";
import { formatBytes } from "../util/format.ts";
import { resolveModel, TINY_BASE_DIR } from "./model-ref.ts";
import { print, printJson } from "./output.ts";
import { describePlan, expectFit, makePlan } from "./plan.ts";

interface DoctorOptions {
  model?: string;
  recipe?: string;
  runs?: string;
  json?: boolean;
}

/** The tiny recipe stays below this (measured peak of a run, with room). */
const NEEDED_MEMORY_BYTES = 2 * 1024 ** 3;
const NEEDED_DISK_BYTES = 1024 ** 3;

/** `overrides` are the `--path.to.key=value` arguments, which commander does not see. */
export function doctorCommand(overrides: readonly Override[]): Command {
  return new Command("doctor")
    .description("what works on this machine, and what to do about the rest; with --model, what a run of it will need")
    .option("--model <model>", "plan a run of this base model: directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option("--recipe <recipe>", `with --model: a recipe (${recipeNames().join(", ")}) or a YAML file`, "tiny")
    .option("--runs <dir>", "where runs live")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nWith --model, every key of the configuration is an option: --path.to.key=value.\n\nExamples:\n  rzero doctor\n  rzero doctor --model ./Qwen3-0.6B --recipe paper-qwen3-4b --engine.recompute=true",
    )
    .action((options: DoctorOptions) => (options.model === undefined ? doctor(options) : planned(options, overrides)));
}

/** The plan of a run; exit code 2 when it does not fit. Errors: ConfigError, DataError. */
function planned({ model = "", recipe, runs, json }: DoctorOptions, overrides: readonly Override[]): void {
  const base = resolveModel(model, runs);
  const config = loadConfig({ recipe, overrides: [...overrides, { path: ["base"], text: JSON.stringify(model) }] });
  const plan = makePlan(config, base.dir, base.name);
  if (json) printJson(plan);
  else print(describePlan(plan));
  expectFit(plan);
}

function doctor(options: DoctorOptions): void {
  const findings = [
    nodeFinding(),
    ...diagnoseLocalEngine(),
    memoryFinding(),
    diskFinding("disk for runs", runsRoot(options.runs)),
    diskFinding("disk for kernels", kernelCache()),
    baseFinding(),
  ];
  const ok = findings.every((finding) => finding.ok);
  if (options.json) printJson({ ok, checks: findings });
  else for (const finding of findings) show(finding);
  if (!ok) process.exitCode = 1;
}

function show({ name, ok, detail, hint }: Finding): void {
  print(`${ok ? pc.green("ok     ") : pc.red("missing")} ${name.padEnd(16)} ${detail}`);
  if (hint !== undefined) print(`        ${"".padEnd(16)} → ${hint}`);
}

function nodeFinding(): Finding {
  const ok = Number(process.versions.node.split(".")[0]) >= 20;
  const detail = `Node ${process.versions.node}, ${process.platform} ${process.arch}`;
  return ok ? { name: "node", ok, detail } : { name: "node", ok, detail, hint: "Install Node 20 or newer." };
}

function memoryFinding(): Finding {
  const free = Math.max(freemem(), process.availableMemory?.() ?? 0);
  const ok = free >= NEEDED_MEMORY_BYTES;
  const detail = `${formatBytes(free)} free of ${formatBytes(totalmem())}`;
  if (ok) return { name: "memory", ok, detail };
  return { name: "memory", ok, detail, hint: `Recipe tiny wants ${formatBytes(NEEDED_MEMORY_BYTES)}: close other programs.` };
}

function diskFinding(name: string, dir: string): Finding {
  try {
    let place = dir;
    while (!existsSync(place)) place = dirname(place);
    const { bavail, bsize } = statfsSync(place);
    const free = bavail * bsize;
    accessSync(place, constants.W_OK);
    const ok = free >= NEEDED_DISK_BYTES;
    const detail = `${dir}: ${formatBytes(free)} free`;
    return ok
      ? { name, ok, detail }
      : { name, ok, detail, hint: `Free at least ${formatBytes(NEEDED_DISK_BYTES)}, or choose another directory.` };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return {
      name,
      ok: false,
      detail: `${dir}: ${code}`,
      hint: "Choose a directory that can be written: RZERO_RUNS for runs, RZERO_CACHE for kernels.",
    };
  }
}

function baseFinding(): Finding {
  const ok = existsSync(join(TINY_BASE_DIR, "model.safetensors"));
  const detail = ok ? TINY_BASE_DIR : `${TINY_BASE_DIR}: no weights`;
  return ok
    ? { name: "base model", ok, detail }
    : { name: "base model", ok, detail, hint: "Get the package again, or make the base model: docs/tiny-base.md." };
}
