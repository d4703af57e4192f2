// The training checkpoints of one phase: a directory per optimizer step, made beside and renamed when whole, with a position.json that
// says where training stood. The phase's final `state` is the last of them. Knows no trainer: the caller writes and reads the state.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../util/errors.ts";
import { sha256, syncDirectory, writeFileAtomic } from "../util/files.ts";
import { expectObject, type JsonObject, readJson } from "./jsonl.ts";
import type { PhaseLayout } from "./layout.ts";

/** A checkpoint on the disk. */
export interface CheckpointRef {
  /** Optimizer steps of the phase behind it; the final state has the most. */
  readonly ordinal: number;
  readonly dir: string;
}

const POSITION = "position.json";

/** See the file header. */
export class PhaseCheckpoints {
  readonly #files: PhaseLayout;

  constructor(files: PhaseLayout) {
    this.#files = files;
  }

  /** What there is, newest first; what a killed writer left is removed. */
  list(): CheckpointRef[] {
    const { checkpoints, state } = this.#files;
    const found: CheckpointRef[] = existsSync(join(state, POSITION)) ? [{ ordinal: Number.POSITIVE_INFINITY, dir: state }] : [];
    if (!existsSync(checkpoints)) return found;
    const names = readdirSync(checkpoints);
    for (const name of names) if (name.includes(".partial")) this.#remove(join(checkpoints, name));
    const ordinals = names.filter((name) => /^\d{8}$/.test(name)).map(Number);
    ordinals.sort((a, b) => b - a);
    return [...found, ...ordinals.map((ordinal) => ({ ordinal, dir: this.#dirOf(ordinal) }))];
  }

  /** An empty directory to write a state into. */
  begin(ordinal: number): string {
    const dir = `${this.#dirOf(ordinal)}.partial`;
    this.#remove(dir);
    mkdirSync(dir, { recursive: true });
    return dir;
  }

  /** Makes what `begin` gave a checkpoint at a position (a JSON object): `logs` are flushed first, so that it never outlives what they hold. Errors: DiskError. */
  async commit(ordinal: number, position: string, logs: readonly string[]): Promise<void> {
    const dir = this.#dirOf(ordinal);
    writeFileAtomic(join(`${dir}.partial`, POSITION), `${JSON.stringify({ sha256: sha256(position), position })}\n`);
    for (const log of logs) await flush(log);
    this.#remove(dir);
    renameSync(`${dir}.partial`, dir);
    syncDirectory(this.#files.checkpoints);
  }

  /** Gives up what `begin` gave, so that its room is free. */
  abandon(ordinal: number): void {
    this.#remove(`${this.#dirOf(ordinal)}.partial`);
  }

  /** Where training stood at a checkpoint. Errors: CheckpointError. */
  position({ dir }: CheckpointRef): JsonObject {
    const file = join(dir, POSITION);
    try {
      const { sha256: sum, position } = expectObject(readJson(file), file);
      if (typeof position === "string" && sha256(position) === sum) return expectObject(JSON.parse(position), file);
    } catch (error) {
      throw new CheckpointError(`${file}: expected a training position, got: ${(error as Error).message}`);
    }
    throw new CheckpointError(`${file}: expected a training position with its SHA-256, got other content. It is damaged.`);
  }

  /** Keeps the newest `keep` and returns the oldest of them. */
  prune(keep: number): CheckpointRef | undefined {
    const all = this.list();
    for (const { dir } of all.slice(keep)) this.#remove(dir);
    return all[Math.min(keep, all.length) - 1];
  }

  /** Makes the newest checkpoint the phase's final state. */
  finish(ordinal: number): void {
    const { state, checkpoints, dir } = this.#files;
    if (!existsSync(this.#dirOf(ordinal))) return;
    this.#remove(state);
    renameSync(this.#dirOf(ordinal), state);
    syncDirectory(checkpoints);
    syncDirectory(dir);
  }

  /** Removes a checkpoint (a damaged one). */
  remove({ dir }: CheckpointRef): void {
    this.#remove(dir);
  }

  #dirOf(ordinal: number): string {
    return join(this.#files.checkpoints, String(ordinal).padStart(8, "0"));
  }

  #remove(dir: string): void {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Flushes a log without holding up its writers; a missing one is left alone. */
async function flush(file: string): Promise<void> {
  if (!existsSync(file)) return;
  const handle = await open(file, "r+");
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}
