// The directory of runs: create one, open one, list all. Knows the layout; a run's content is run-store.ts.

import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { cpus } from "node:os";
import { basename, join } from "node:path";
import { stringify } from "yaml";
import { loadConfigFile } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { ConfigError, DataError } from "../util/errors.ts";
import { makeDirectory, syncDirectory, writeFileAtomic } from "../util/files.ts";
import { nearest } from "../util/nearest.ts";
import { expectObject, readJson, writeJson } from "./jsonl.ts";
import { checkRunName, runLayout } from "./layout.ts";
import { checkFormat, RUN_FORMAT } from "./manifest.ts";
import { type PhaseRef, type RunInfo, type RunState, RunStore } from "./run-store.ts";

/** A run as `rzero list` shows it; `problem` says why it cannot be read. */
export interface RunListing {
  readonly name: string;
  readonly state: RunState | "damaged";
  /** Last finished phase, or undefined. */
  readonly last?: PhaseRef;
  readonly iterations?: number;
  readonly recipe?: string;
  readonly seed?: number;
  /** ISO 8601, UTC. */
  readonly created?: string;
  readonly problem?: string;
}

/**
 * Creates a run, whole or not at all. `name` undefined takes the recipe's name and the next free number (tiny-001).
 * Errors: ConfigError when the name is in use or no plain file name; DiskError.
 */
export function createRun(options: { root: string; config: Config; name?: string; version: string }): RunStore {
  const { root, config, version } = options;
  if (options.name !== undefined) checkRunName(options.name);
  makeDirectory(root);
  removeUnfinished(root);
  const info: RunInfo = {
    recipe: config.name ?? "run",
    created: new Date().toISOString(),
    rzero: version,
    node: process.version,
    cpu: cpus()[0]?.model ?? "unknown",
  };
  const made = join(root, `${UNFINISHED}${randomUUID()}`);
  const inside = (path: string) => join(made, basename(path));
  const { info: infoFile, config: configFile } = runLayout(root, "any");
  const header = "# Resolved configuration of this run. `rzero run <this file>` runs it again.\n";
  writeJson(inside(infoFile), { format: RUN_FORMAT, ...info });
  writeFileAtomic(inside(configFile), header + stringify(config, { lineWidth: 0 }));
  const name = options.name === undefined ? takeFreeName(made, root, info.recipe) : takeName(made, root, options.name);
  syncDirectory(root);
  return new RunStore(runLayout(root, name), config, info);
}

/** Directories of runs being made; a killed process leaves one. */
const UNFINISHED = ".new-";
const UNFINISHED_MS = 3_600_000;

function removeUnfinished(root: string): void {
  for (const name of readdirSync(root).filter((entry) => entry.startsWith(UNFINISHED))) {
    const path = join(root, name);
    const modified = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - modified > UNFINISHED_MS) rmSync(path, { recursive: true, force: true });
  }
}

function takeName(made: string, root: string, name: string): string {
  if (rename(made, join(root, name))) return name;
  rmSync(made, { recursive: true, force: true });
  throw new ConfigError(
    `run name: expected one that is free, got "${name}", which is in use. Go on with it: rzero resume ${name}; or take another name: --run NAME.`,
  );
}

function takeFreeName(made: string, root: string, recipe: string): string {
  const base = recipe.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "") || "run";
  for (let number = 1; ; number++) {
    const name = `${base.slice(0, 90)}-${String(number).padStart(3, "0")}`;
    if (!existsSync(join(root, name)) && rename(made, join(root, name))) return name;
  }
}

/** Renames a directory unless the name is in use (an empty directory is none). */
function rename(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (!["EEXIST", "ENOTEMPTY", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return false;
  }
}

/** Opens an existing run. Errors: ConfigError when there is none of that name; DataError when its files are damaged. */
export function openRun(root: string, name: string): RunStore {
  const layout = runLayout(root, name);
  if (!existsSync(layout.config)) {
    const known = runNames(root);
    const close = nearest(name, known);
    const hint = close ? `Did you mean ${close}?` : known.length > 0 ? "See rzero list." : "Start one: rzero run.";
    throw new ConfigError(`run: expected a run in ${root}, got "${name}". ${hint}`);
  }
  refuseLinks(layout.dir);
  // Before the configuration, whose keys a newer version may have changed.
  const { format, recipe, created, rzero, node, cpu } = expectObject(readJson(layout.info), layout.info);
  checkFormat(format, layout.info);
  const config = loadConfigFile(layout.config);
  return new RunStore(layout, config, {
    recipe: textOf(recipe),
    created: textOf(created),
    rzero: textOf(rzero),
    node: textOf(node),
    cpu: textOf(cpu),
  });
}

/** What a run writes stays in it: no link inside leads elsewhere. Errors: DataError. */
function refuseLinks(dir: string): void {
  for (const iteration of ["", ...readdirSync(dir).filter((name) => /^iteration-\d+$/.test(name))])
    for (const entry of readdirSync(join(dir, iteration), { withFileTypes: true }))
      if (entry.isSymbolicLink())
        throw new DataError(
          `${join(dir, iteration, entry.name)}: expected a file or directory of the run, got a link. Put the files there.`,
        );
}

/** A fact of run.json; one that is missing or no text is unknown. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 200) : "unknown";
}

/** True when a run of that name is there. */
export function runExists(root: string, name: string): boolean {
  return existsSync(join(root, name, "config.yaml"));
}

function runNames(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && existsSync(join(root, entry.name, "config.yaml")))
    .map((entry) => entry.name)
    .sort();
}

/** All runs, oldest first; one that cannot be read is listed as damaged. */
export function listRuns(root: string): RunListing[] {
  return runNames(root)
    .map((name) => describe(root, name))
    .sort((a, b) => (a.created ?? "").localeCompare(b.created ?? "") || a.name.localeCompare(b.name));
}

function describe(root: string, name: string): RunListing {
  try {
    const run = openRun(root, name);
    const { iterations, seed } = run.config;
    return {
      name,
      state: run.state(),
      last: run.lastDone(),
      iterations,
      seed,
      recipe: run.info.recipe,
      created: run.info.created,
    };
  } catch (error) {
    if (error instanceof DataError || error instanceof ConfigError) return { name, state: "damaged", problem: error.message };
    throw error;
  }
}

/** Removes a run that was created a moment ago and could not start. */
export function abandonRun(run: RunStore): void {
  if (run.iterations().length === 0) rmSync(run.dir, { recursive: true, force: true });
}
