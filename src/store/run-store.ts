// One run on the disk: typed reading and writing, and the markers that make a run resumable. Every hand-off between
// phases is a value that was written here, and a phase counts only when its `done.json` exists, which is written last.
// Knows the layout and the configuration; knows no engine and no algorithm. runs.ts creates, opens and lists runs.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Config } from "../config/schema.ts";
import { CheckpointError, DataError } from "../util/errors.ts";
import { appendLine, cutTornTail, makeDirectory, syncDirectory, syncTree } from "../util/files.ts";
import { redact } from "../util/secrets.ts";
import { checkDone, checkSummary } from "./done.ts";
import {
  expectObject,
  type JsonObject,
  jsonText,
  type LineParser,
  preview,
  readJson,
  readJsonl,
  writeJson,
  writeJsonl,
} from "./jsonl.ts";
import { PHASES, type Phase, type PhaseLayout, phaseLayout, type RunLayout } from "./layout.ts";
import { acquireLock, checkLock, lockHolder, releaseLock } from "./lock.ts";
import { writeManifest } from "./manifest.ts";

/** Facts about how a run was made. */
export interface RunInfo {
  readonly recipe: string;
  readonly created: string;
  readonly rzero: string;
  readonly node: string;
  readonly cpu: string;
}

/** How far a run got; `running`: a live process holds it. */
export type RunState = "new" | "running" | "stopped" | "done";

/** A finished phase. */
export interface PhaseRef {
  readonly iteration: number;
  readonly phase: Phase;
}

/** One line of events.jsonl; `event` names it, the rest is its data. */
export type StoredEvent = JsonObject & { event: string };

export class RunStore {
  readonly name: string;
  readonly dir: string;
  readonly config: Config;
  readonly info: RunInfo;
  readonly layout: RunLayout;

  /** Use `createRun` or `openRun` of runs.ts. */
  constructor(layout: RunLayout, config: Config, info: RunInfo) {
    this.layout = layout;
    this.name = layout.name;
    this.dir = layout.dir;
    this.config = config;
    this.info = info;
  }

  /** Paths of a phase. Iteration 0 holds the base model's evaluation. */
  phase(iteration: number, phase: Phase): PhaseLayout {
    return phaseLayout(this.layout, iteration, phase);
  }

  /** True when the phase is complete. */
  phaseDone(iteration: number, phase: Phase): boolean {
    return existsSync(this.phase(iteration, phase).done);
  }

  /** Marks a phase complete; `summary` (its measures) is what `readDone` gives back. Everything else must be written before. */
  markDone(iteration: number, phase: Phase, summary: JsonObject): void {
    const { dir, done } = this.phase(iteration, phase);
    checkLock(this.layout.lock);
    if (existsSync(dir)) syncTree(dir);
    writeManifest(dir, jsonText(summary));
    writeJson(done, summary);
    syncDirectory(dirname(dir));
  }

  /** The summary of a finished phase. Errors: CheckpointError when the phase is not finished or its marker is damaged. */
  readDone(iteration: number, phase: Phase): JsonObject {
    const { done } = this.phase(iteration, phase);
    try {
      return checkDone(phase, readJson(done), done);
    } catch (error) {
      throw new CheckpointError(
        `${this.name}: expected a finished ${phase} phase of iteration ${iteration}, got: ${(error as Error).message}`,
      );
    }
  }

  /**
   * Makes a phase's directory, or readies what an interrupted try left of it: journals, checkpoints, step metrics and archived
   * rollouts stay to go on with, all else is removed. A finished phase is an error: `internal:`.
   */
  openPhase(iteration: number, phase: Phase): PhaseLayout {
    const layout = this.phase(iteration, phase);
    if (existsSync(layout.done)) throw new Error(`internal: openPhase on the finished ${phase} phase of iteration ${iteration}`);
    makeDirectory(layout.dir);
    const kept = new Set([layout.journal, layout.checkpoints, layout.metrics, layout.rollouts, layout.state]);
    for (const name of readdirSync(layout.dir)) {
      const path = join(layout.dir, name);
      if (!kept.has(path)) rmSync(path, { recursive: true, force: true });
    }
    return layout;
  }

  /** Takes the marker of a finished phase away, because its state is damaged: the phase is gone on with from what it kept. */
  reopenPhase(iteration: number, phase: Phase): void {
    rmSync(this.phase(iteration, phase).done, { force: true });
    syncDirectory(this.phase(iteration, phase).dir);
  }

  /** Removes a heavy file or directory of the run that is no longer needed (a state that a later one replaces). */
  discard(path: string): void {
    if (!path.startsWith(join(this.dir, "/"))) throw new Error(`internal: discard outside the run: ${path}`);
    rmSync(path, { recursive: true, force: true });
  }

  /** The last finished phase in the order of the loop, or undefined. */
  lastDone(): PhaseRef | undefined {
    let last: PhaseRef | undefined;
    for (const iteration of this.iterations())
      for (const phase of PHASES) if (this.phaseDone(iteration, phase)) last = { iteration, phase };
    return last;
  }

  /** Iterations with a directory, ascending; 0 is the base model. */
  iterations(): number[] {
    const found = readdirSync(this.dir).flatMap((name) => /^iteration-(\d+)$/.exec(name)?.[1] ?? []);
    return found.map(Number).sort((a, b) => a - b);
  }

  /** Appends one event with its time. Errors: DiskError; RunError when another process has taken the run over. */
  appendEvent(event: StoredEvent): void {
    this.appendEventLine(JSON.stringify({ time: new Date().toISOString(), ...event }));
  }

  /** Appends an event that is a line already. Errors: as appendEvent. */
  appendEventLine(line: string): void {
    checkLock(this.layout.lock);
    appendLine(this.layout.events, redact(line));
  }

  /** Tokens of a micro-batch that a lack of memory has forced on the run; undefined when none has. Errors: DataError. */
  readMicroBatch(): number | undefined {
    const { engine } = this.layout;
    if (!existsSync(engine)) return undefined;
    const { maxTokensPerMicroBatch: tokens } = expectObject(readJson(engine), engine);
    if (typeof tokens === "number" && Number.isSafeInteger(tokens) && tokens > 0) return tokens;
    throw new DataError(
      `${engine}: expected maxTokensPerMicroBatch, a whole number from 1, got ${preview(tokens)}. Delete the file.`,
    );
  }

  /** Records the size of micro-batches that resumed runs use from now on. */
  writeMicroBatch(maxTokensPerMicroBatch: number): void {
    writeJson(this.layout.engine, { format: 1, maxTokensPerMicroBatch });
  }

  /** All events in order. A last line cut short by a kill is left out; any other bad line is a DataError. */
  events(): StoredEvent[] {
    const { events } = this.layout;
    if (!existsSync(events)) return [];
    return readJsonl(events, parseEvent, { growing: true });
  }

  /** Marks the whole run complete with its summary, which `readSummary` gives back. */
  markRunDone(summary: JsonObject): void {
    writeJson(this.layout.done, summary);
  }

  /** The summary of a complete run, or undefined. */
  readSummary(): JsonObject | undefined {
    const { done } = this.layout;
    return existsSync(done) ? checkSummary(readJson(done), done) : undefined;
  }

  state(): RunState {
    if (existsSync(this.layout.done)) return "done";
    if (lockHolder(this.layout.lock)) return "running";
    return this.iterations().length > 0 ? "stopped" : "new";
  }

  /** Claims the run for this process until `unlock`. Errors: ConfigError when another live process works on it. */
  lock(): void {
    acquireLock(this.layout.lock, `run ${this.name}`);
    cutTornTail(this.layout.events);
  }

  unlock(): void {
    releaseLock(this.layout.lock);
  }

  writeJson(file: string, value: unknown): void {
    writeJson(file, value);
  }

  readJson(file: string): unknown {
    return readJson(file);
  }

  writeJsonl(file: string, rows: readonly unknown[]): void {
    writeJsonl(file, rows);
  }

  readJsonl<T>(file: string, parse: LineParser<T>): T[] {
    return readJsonl(file, parse);
  }

  /** Appends one row (a step's metrics) to a JSON Lines file of a phase that is still open. */
  appendJsonl(file: string, row: unknown): void {
    appendLine(file, JSON.stringify(row));
  }
}

function parseEvent(value: unknown, where: string): StoredEvent {
  const object = expectObject(value, where);
  if (typeof object.event === "string") return { ...object, event: object.event };
  throw new DataError(`${where}: expected "event" to be a string, got ${preview(object.event)}.`);
}
