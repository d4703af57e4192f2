// What `--model M` means: a model directory, `tiny-base`, or RUN[:ITERATION[:solver|challenger]]. Also tells which prompts a model
// is used to, because a model that came out of a run answers best to that run's prompts.

import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadConfig } from "../config/load.ts";
import { type PromptsConfig, promptsSchema } from "../config/schema.ts";
import { baseDirectory } from "../engine/adapters.ts";
import { expectObject, readJson } from "../store/jsonl.ts";
import { type Role, runsRoot } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { openRun, runExists } from "../store/runs.ts";
import { ConfigError, DataError } from "../util/errors.ts";
import { packageRoot } from "../util/package-root.ts";

/** A model on the disk. */
export interface ModelRef {
  /** What the user wrote. */
  readonly name: string;
  /** Hugging Face model directory, or that of a PEFT adapter. */
  readonly dir: string;
  /** The run it came out of. */
  readonly run?: RunStore;
}

/** Written beside exported weights, so that the prompts travel with the model. */
export const PROMPTS_FILE = "rzero.json";

/** Directory of the embedded base model. */
export const TINY_BASE_DIR = join(packageRoot, "assets", "tiny-base");

/** Finds a model. `runs` is the --runs option. Errors: ConfigError with what was tried. */
export function resolveModel(name: string, runs?: string): ModelRef {
  if (name === "tiny-base") return { name, dir: checkModelDir(TINY_BASE_DIR) };
  if (existsSync(name) && statSync(name).isDirectory()) return { name, dir: checkModelDir(resolve(name)) };
  const root = runsRoot(runs);
  const [run, iteration, role, ...rest] = name.split(":");
  if (rest.length === 0 && /^[\w.-]+$/.test(run) && runExists(root, run))
    return modelOfRun(openRun(root, run), name, iteration, role);
  throw new ConfigError(
    `model: expected a model directory, tiny-base, or RUN[:ITERATION[:solver|challenger]], got "${name}". ` +
      `There is no such directory, and no such run in ${root} (see rzero list).`,
  );
}

function modelOfRun(run: RunStore, name: string, iterationText: string | undefined, roleText = "solver"): ModelRef {
  if (roleText !== "solver" && roleText !== "challenger")
    throw new ConfigError(`model: expected solver or challenger after ${run.name}:${iterationText}:, got "${roleText}".`);
  const iteration = iterationText === undefined || iterationText === "best" ? bestIteration(run) : Number(iterationText);
  if (!Number.isInteger(iteration) || iteration < 0)
    throw new ConfigError(`model: expected an iteration number after ${run.name}:, got "${iterationText}".`);
  const dir = findPolicy(run, iteration, roleText);
  return { name, dir: checkModelDir(dir), run };
}

/** The best iteration of a finished run, else the last one whose Solver is there. */
function bestIteration(run: RunStore): number {
  const best = run.readSummary()?.best as { iteration?: number } | undefined;
  return best?.iteration ?? run.iterations().findLast((iteration) => run.phaseDone(iteration, "solver")) ?? 0;
}

/** A policy as it stood after an iteration: its last training phase up to there, or the base model. */
function findPolicy(run: RunStore, iteration: number, role: Role): string {
  const last = run.lastDone()?.iteration ?? 0;
  if (iteration > last) throw new ConfigError(`model: expected an iteration of ${run.name} in 0 … ${last}, got ${iteration}.`);
  const trained = run
    .iterations()
    .findLast((candidate) => candidate <= iteration && candidate > 0 && run.phaseDone(candidate, role));
  if (trained !== undefined) return run.phase(trained, role).model;
  return run.config.base === "tiny-base" ? TINY_BASE_DIR : run.config.base;
}

function checkModelDir(dir: string): string {
  if (existsSync(join(baseDirectory(dir), "config.json"))) return dir;
  throw new DataError(
    `${dir}: expected a model directory (config.json, *.safetensors, tokenizer.json), got neither config.json nor adapter_config.json.`,
  );
}

/** The prompts a model is used to: of the named recipe, its run, the file that an export left, or the defaults. */
export function promptsFor(model: ModelRef, recipe?: string): PromptsConfig {
  if (recipe !== undefined) return loadConfig({ recipe }).prompts;
  if (model.run) return model.run.config.prompts;
  const file = join(model.dir, PROMPTS_FILE);
  if (existsSync(file)) return readPrompts(file);
  return model.dir === TINY_BASE_DIR ? loadConfig({ recipe: "tiny" }).prompts : promptsSchema.parse({});
}

function readPrompts(file: string): PromptsConfig {
  const result = promptsSchema.safeParse(expectObject(readJson(file), file).prompts);
  if (result.success) return result.data;
  throw new DataError(`${file}: expected prompts of a run, got: ${result.error.issues[0].message}.`);
}

/** `vocab_size` of a model, or of an adapter's base: token ids lie below it. */
export function modelVocabSize(dir: string): number {
  return positiveField(dir, "vocab_size");
}

/** Longest sequence of a model, in tokens. */
export function modelContext(dir: string): number {
  return positiveField(dir, "max_position_embeddings");
}

function positiveField(dir: string, key: string): number {
  const file = join(baseDirectory(dir), "config.json");
  const value = expectObject(readJson(file), file)[key];
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return value;
  throw new DataError(`${file}: expected "${key}" to be a whole number ≥ 1, got ${JSON.stringify(value)}.`);
}
