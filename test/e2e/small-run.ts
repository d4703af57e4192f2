// What tests of whole runs share: a run of seconds on the embedded base model, started, interrupted and gone on with inside the test's
// process, and hashes of what it left. Knows no assertion, and nothing of what a test is about.

import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { loadConfig, parseOverride } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { createEngine } from "../../src/engine/create.ts";
import type { Engine } from "../../src/engine/types.ts";
import { runSelfPlay } from "../../src/selfplay/run.ts";
import type { ProgressEvent, RunEvent } from "../../src/store/events.ts";
import { createRun, openRun } from "../../src/store/runs.ts";
import { packageRoot } from "../../src/util/package-root.ts";

/** Directory of the embedded base model. */
export const tinyBase = join(packageRoot, "assets", "tiny-base");

/** Overrides of the recipe `tiny` that make a run of seconds with every phase; a later override of the same key wins. */
export const SMALL: readonly string[] = [
  "iterations=1",
  "challenger.steps=1",
  "challenger.questionsPerStep=32",
  "challenger.solverAnswers=4",
  "curriculum.poolSize=100",
  "curriculum.answers=4",
  "curriculum.band=[0.2, 1]",
  "solver.steps=1",
  "solver.questionsPerStep=8",
  "solver.groupSize=4",
  "evaluation.samples=1",
  "evaluation.referenceLines=false",
  "guard.heldOut.questions=16",
  "schedule.stop.patience=0",
];

/** The small run and further overrides as arguments of `rzero run`. */
export const smallArgs = (...more: string[]): string[] => [...SMALL, ...more].map((text) => `--${text}`);

/** The configuration of a small run on one thread, with further overrides. */
export function smallConfig(more: readonly string[], recipe = "tiny"): Config {
  return loadConfig({ recipe, overrides: [...SMALL, "engine.threads=1", ...more].map(parseOverride) });
}

/** The override that evaluates on the questions of a file. */
export const benchOf = (file: string): string => `evaluation.benches=[{name: held-out, data: ${JSON.stringify(file)}}]`;

/** Any event of a run, stored or not. */
export type AnyEvent = RunEvent | ProgressEvent;

/** A condition that holds when a phase is done; `place` is such as "1/solver". */
export const afterPhase = (place: string) => (event: AnyEvent) =>
  event.event === "phase" && event.state === "done" && `${event.iteration}/${event.phase}` === place;

/** Weights that an iteration ends with. */
export const MODELS = ["challenger/model/model.safetensors", "solver/model/model.safetensors"];

/** Paths in a run's directory of the files that each of its first `count` iterations (at most 9) has. */
export const inIterations = (count: number, files: readonly string[]): string[] =>
  Array.from({ length: count }, (_, index) => files.map((file) => `iteration-0${index + 1}/${file}`)).flat();

/** What a run said, without progress inside its steps, and what it ended with when it was not its end. */
export interface Played {
  readonly events: RunEvent[];
  readonly error?: unknown;
}

/** How a run is played. */
export interface PlayOptions {
  /** The run is interrupted at the first event that passes. */
  readonly stop?: (event: AnyEvent) => boolean;
  /** Another engine than that of the configuration; it is disposed of. */
  readonly engine?: Engine;
  readonly baseDir?: string;
}

async function play(root: string, config: Config, name: string, options: PlayOptions): Promise<Played> {
  const store = existsSync(join(root, name)) ? openRun(root, name) : createRun({ root, config, name, version: "test" });
  const { stop, engine = createEngine(store.config.engine), baseDir = tinyBase } = options;
  const controller = new AbortController();
  const events: RunEvent[] = [];
  const on = (event: AnyEvent) => {
    if (event.event !== "progress") events.push(event);
    if (stop?.(event)) controller.abort();
  };
  try {
    await runSelfPlay({ config: store.config, store, engine, baseDir, signal: controller.signal, on });
    return { events };
  } catch (error) {
    return { events, error };
  } finally {
    await engine.dispose();
  }
}

/** A directory for the runs of one test file, removed after its tests, and what is done in it. Call it at the top of the file. */
export function smallRuns(prefix: string) {
  const root = mkdtempSync(join(tmpdir(), `rzero-${prefix}-`));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const linesOf = (file: string) => readFileSync(file, "utf8").trim().split("\n");
  return {
    root,
    /** Starts a run, or goes on with it where there is one. */
    play: (config: Config, name: string, options: PlayOptions = {}) => play(root, config, name, options),
    /** SHA-256 of files of a run, by path. */
    fingerprint: (name: string, files: readonly string[]): Record<string, string> => {
      const hash = (file: string) => createHash("sha256").update(readFileSync(join(root, name, file)));
      return Object.fromEntries(files.map((file) => [file, hash(file).digest("hex")]));
    },
    /** Rows of a JSON Lines file in the directory. */
    rowsOf: <T>(file: string) => linesOf(join(root, file)).map((line) => JSON.parse(line) as T),
    /** Writes each n-th question of the shipped benchmark, from the one at index `first`; returns the file's path. */
    everyNth: (file: string, n: number, first = 0): string => {
      const lines = linesOf(join(tinyBase, "evaluation.jsonl")).filter((_, index) => index % n === first);
      writeFileSync(join(root, file), lines.join("\n"));
      return join(root, file);
    },
  };
}
