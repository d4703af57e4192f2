// The training checkpoints of one phase: a directory per optimizer step, made beside and renamed when whole, with a position.json that
// says where training stood. Each is safe from a kill at once; from a power loss the flushed ones are, of which the newest is always
// kept. The phase's final `state` is the last of them. Knows no trainer: the caller writes and reads the state.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../util/errors.ts";
import { overwriteFile, removePartials, sha256, syncDirectory, writeFileAtomic } from "../util/files.ts";
import { expectObject, type JsonObject, readJson } from "./jsonl.ts";
import type { PhaseLayout } from "./layout.ts";

/** A checkpoint on the disk. */
export interface CheckpointRef {
  /** Optimizer steps of the phase behind it; the final state has the most. */
  readonly ordinal: number;
  readonly dir: string;
}

const POSITION = "position.json";
/** A checkpoint that is no longer kept: the next one is written over its files. */
const SPARE = "spare.partial";

/** See the file header. */
export class PhaseCheckpoints {
  readonly #files: PhaseLayout;
  /** The newest checkpoint that a power loss leaves. */
  #flushed: number | undefined;

  constructor(files: PhaseLayout) {
    this.#files = files;
  }

  /** Removes what a killed writer left. */
  clean(): void {
    const { checkpoints } = this.#files;
    if (!existsSync(checkpoints)) return;
    for (const name of readdirSync(checkpoints)) if (name.includes(".partial")) this.#remove(join(checkpoints, name));
  }

  /** What there is, newest first. */
  list(): CheckpointRef[] {
    const { checkpoints, state } = this.#files;
    const found: CheckpointRef[] = existsSync(join(state, POSITION)) ? [{ ordinal: Number.POSITIVE_INFINITY, dir: state }] : [];
    if (!existsSync(checkpoints)) return found;
    const ordinals = readdirSync(checkpoints)
      .filter((name) => /^\d{8}$/.test(name))
      .map(Number);
    ordinals.sort((a, b) => b - a);
    return [...found, ...ordinals.map((ordinal) => ({ ordinal, dir: this.#dirOf(ordinal) }))];
  }

  /** A directory to write a state into; what it may hold is to be written over. */
  begin(ordinal: number): string {
    const dir = `${this.#dirOf(ordinal)}.partial`;
    const spare = join(this.#files.checkpoints, SPARE);
    this.#remove(dir);
    if (existsSync(spare)) renameSync(spare, dir);
    else mkdirSync(dir, { recursive: true });
    return dir;
  }

  /**
   * Makes what `begin` gave a checkpoint at a position (a JSON object), safe from a kill. `logs`: bytes of the files that `flush` will be
   * given, as they were at the position. Errors: DiskError.
   */
  commit(ordinal: number, position: string, logs: readonly number[]): void {
    const dir = this.#dirOf(ordinal);
    overwriteFile(join(`${dir}.partial`, POSITION), [Buffer.from(positionText(position, logs))]);
    this.#remove(dir);
    renameSync(`${dir}.partial`, dir);
  }

  /** Makes a checkpoint safe from a power loss, and `logs` first, so that it never outlives what they hold. Errors: DiskError. */
  async flush(ordinal: number, logs: readonly string[]): Promise<void> {
    if (this.isFlushed(ordinal)) return;
    const dir = this.#dirOf(ordinal);
    for (const log of logs) await flush(log);
    for (const name of readdirSync(dir)) await flush(join(dir, name));
    const file = join(dir, POSITION);
    const { position, logs: sizes } = expectObject(readJson(file), file);
    removePartials(dir);
    if (sizes !== undefined) writeFileAtomic(file, positionText(String(position)));
    for (const above of [dir, this.#files.checkpoints, this.#files.dir]) syncDirectory(above);
    this.#flushed = ordinal;
  }

  /** Whether nothing of a checkpoint waits to be flushed; true of one that is the final state. */
  isFlushed(ordinal: number): boolean {
    return this.#flushed === ordinal || !existsSync(this.#dirOf(ordinal));
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

  /** Refuses a checkpoint that was not flushed where `logs` are shorter than they were: a power loss took their ends. Errors: CheckpointError. */
  checkLogs({ dir }: CheckpointRef, logs: readonly string[]): void {
    const file = join(dir, POSITION);
    const { logs: sizes } = expectObject(readJson(file), file);
    if (!Array.isArray(sizes)) return;
    for (const [index, log] of logs.entries()) {
      const [bytes, expected] = [logBytes(log), Number(sizes[index])];
      if (!(bytes >= expected)) throw new CheckpointError(`${log}: expected at least ${expected} bytes, got ${bytes}.`);
    }
  }

  /** Keeps the newest `keep` and the newest flushed one, and returns the oldest that is kept; undefined while there are fewer. */
  prune(keep: number): CheckpointRef | undefined {
    const all = this.list();
    if (all.length < keep) return undefined;
    const isKept = ({ ordinal }: CheckpointRef, index: number) => index < keep || ordinal === this.#flushed;
    for (const [index, ref] of all.entries()) if (!isKept(ref, index)) this.#retire(ref.dir);
    return all.findLast(isKept);
  }

  /** Makes the newest checkpoint the phase's final state. */
  finish(ordinal: number): void {
    const { state, checkpoints, dir } = this.#files;
    this.#remove(join(checkpoints, SPARE));
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

  #retire(dir: string): void {
    const spare = join(this.#files.checkpoints, SPARE);
    if (existsSync(spare)) this.#remove(dir);
    else renameSync(dir, spare);
  }

  #dirOf(ordinal: number): string {
    return join(this.#files.checkpoints, String(ordinal).padStart(8, "0"));
  }

  #remove(dir: string): void {
    rmSync(dir, { recursive: true, force: true });
  }
}

function positionText(position: string, logs?: readonly number[]): string {
  return `${JSON.stringify({ sha256: sha256(position), position, logs })}\n`;
}

/** Bytes of a log; 0 of a missing one. */
export function logBytes(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Flushes a file without holding up its writers or this thread; a missing one is left alone. */
async function flush(file: string): Promise<void> {
  if (!existsSync(file)) return;
  const handle = await open(file, "r+");
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}
