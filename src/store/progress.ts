// How far a running phase is inside its step, for people who watch from another process: a small file that is replaced now and then and is
// gone when nobody works on the run. Nothing may depend on it: it is never flushed, and what goes wrong with it is no matter.

import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { expectObject } from "../util/json.ts";
import type { ProgressEvent } from "./events.ts";
import { PHASES, type Phase } from "./layout.ts";

/** A progress event with its time (ISO 8601, UTC). */
export type StoredProgress = Omit<ProgressEvent, "event"> & { readonly time: string };

const EVERY_MS = 500;
const MAX_LENGTH = 4096;

/** Writes the file at most twice a second. */
export class ProgressFile {
  readonly #file: string;
  #last = Number.NEGATIVE_INFINITY;

  constructor(file: string) {
    this.#file = file;
  }

  update({ event: _, ...progress }: ProgressEvent): void {
    const now = performance.now();
    if (now - this.#last < EVERY_MS) return;
    this.#last = now;
    try {
      const beside = `${this.#file}.partial-${process.pid}`;
      writeFileSync(beside, JSON.stringify({ time: new Date().toISOString(), ...progress }));
      renameSync(beside, this.#file);
    } catch {
      // See the file header.
    }
  }

  remove(): void {
    for (const file of [this.#file, `${this.#file}.partial-${process.pid}`]) {
      try {
        rmSync(file, { force: true });
      } catch {
        // See the file header.
      }
    }
  }
}

/** What the file says; undefined when it is not there or says nothing that can be understood. */
export function readProgress(file: string): StoredProgress | undefined {
  try {
    const text = readFileSync(file, "utf8").slice(0, MAX_LENGTH);
    const { time, phase, activity, iteration, done, total, tokens } = expectObject(JSON.parse(text), file);
    if (typeof time !== "string" || typeof activity !== "string" || !PHASES.includes(phase as Phase)) return undefined;
    const [i, d, t, n] = [iteration, done, total, tokens].map(Number);
    return { time, phase: phase as Phase, activity: activity.slice(0, 100), iteration: i, done: d, total: t, tokens: n };
  } catch {
    return undefined;
  }
}
