// A lock file that says which process works on a run, so that two never write one run. On this machine the process itself tells
// whether it lives; a lock from elsewhere is judged by its heartbeat, a counter that must move while we watch: a clock that jumped
// is no proof of death. Taking over is atomic: a dead lock has one successor file, which only one process can make.
// Knows nothing of runs. lock-owner.ts says who a process is.

import { closeSync, linkSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { ConfigError, RunError } from "../util/errors.ts";
import { sha256, writeFileAtomic } from "../util/files.ts";
import { isThisMachine, type LockOwner, lives, parseOwner, thisProcess } from "./lock-owner.ts";

/** Who holds a lock. */
export type LockHolder = LockOwner;

/** Times of the heartbeat in milliseconds, and the clocks; tests give others. */
export interface LockTiming {
  /** Between two beats. */
  readonly beatMs: number;
  /** A lock from elsewhere whose last beat is this old by the wall clock is watched. */
  readonly limitMs: number;
  /** How long it is watched; without a beat in that time its owner counts as dead. */
  readonly watchMs: number;
  /** Wall clock. */
  readonly now: () => number;
  /** Waits; measured by a clock that never jumps. */
  readonly sleep: (ms: number) => void;
}

/** A beat each 10 s; a lock from elsewhere that was silent for a minute is watched for 25 s. */
export const LOCK_TIMING: LockTiming = {
  beatMs: 10_000,
  limitMs: 60_000,
  watchMs: 25_000,
  now: () => Date.now(),
  sleep: (ms) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
};

const WATCH_STEPS = 10;

/** A lock that this process holds. */
export interface Lock {
  /** Errors: RunError when another process has taken it over (this one was asleep too long). */
  check(): void;
  /** Gives it back. May be called again. */
  release(): void;
}

/** What stands in a lock file: an owner, or damaged content, which no process stands behind. */
interface Record {
  /** Names this one taking of the lock. */
  readonly token: string;
  readonly owner?: LockOwner;
}

const held = new Map<string, HeldLock>();
process.on("exit", () => {
  for (const lock of [...held.values()]) lock.release();
});

/** The process that holds the lock, or undefined when it is free, its process dead, or (elsewhere) silent for too long. */
export function lockHolder(file: string, timing: LockTiming = LOCK_TIMING): LockHolder | undefined {
  const last = lastOf(file);
  if (last?.owner === undefined) return undefined;
  if (isThisMachine(last.owner)) return lives(last.owner) ? last.owner : undefined;
  return isRecent(file, last.token, timing) ? last.owner : undefined;
}

/** Takes the lock for this process. `what` names its object in errors. Errors: ConfigError when another process holds it. */
export function acquireLock(file: string, what: string, timing: LockTiming = LOCK_TIMING): Lock {
  const mine = held.get(file);
  if (mine !== undefined) throw refusal(file, what, mine.owner);
  const owner = thisProcess(timing.now());
  const record = { format: 1, ...owner };
  const own = `${file}.${owner.token}.new`;
  writeFileAtomic(own, JSON.stringify(record));
  try {
    for (;;) {
      const last = lastOf(file);
      if (last?.owner !== undefined && isHeld(file, { token: last.token, owner: last.owner }, timing))
        throw refusal(file, what, last.owner);
      if (last === undefined ? claim(own, file) : succeed(file, own, last)) break;
    }
  } finally {
    rmSync(own, { force: true });
  }
  const lock = new HeldLock(file, owner, timing);
  held.set(file, lock);
  return lock;
}

/** Gives the lock back if this process holds it. */
export function releaseLock(file: string): void {
  held.get(file)?.release();
}

/** Errors: RunError when this process took the lock and another has taken it over since. */
export function checkLock(file: string): void {
  held.get(file)?.check();
}

class HeldLock implements Lock {
  readonly owner: LockOwner;
  readonly #file: string;
  readonly #beat: string;
  readonly #timer: NodeJS.Timeout;
  readonly #timing: LockTiming;
  #beats = 0;

  constructor(file: string, owner: LockOwner, timing: LockTiming) {
    this.#file = file;
    this.owner = owner;
    this.#timing = timing;
    this.#beat = beatFile(file, owner.token);
    this.#tick();
    this.#timer = setInterval(() => this.#tick(), timing.beatMs).unref();
  }

  check(): void {
    const last = lastOf(this.#file);
    if (last?.token === this.owner.token) return;
    const by = last?.owner === undefined ? "nobody" : describe(last.owner);
    throw new RunError(
      `${this.#file}: expected to be held by this process, got ${by}: it was taken over while this process stood still. What is on the disk is whole; nothing more is written.`,
    );
  }

  release(): void {
    clearInterval(this.#timer);
    if (held.get(this.#file) !== this) return;
    held.delete(this.#file);
    try {
      if (lastOf(this.#file)?.token === this.owner.token) rmSync(this.#file, { force: true });
      rmSync(this.#beat, { force: true });
    } catch {} // a lock that cannot be removed is one of a dead process soon
  }

  /** A beat that cannot be written (a full disk) is left out: the process itself still shows that it lives. */
  #tick(): void {
    try {
      const descriptor = openSync(this.#beat, "w");
      try {
        writeSync(descriptor, `${JSON.stringify({ beats: ++this.#beats, at: this.#timing.now() })}\n`);
      } finally {
        closeSync(descriptor);
      }
    } catch {}
  }
}

/** The lock that counts: successors of dead ones come after it, until they have its place. */
function lastOf(file: string): Record | undefined {
  let last = readRecord(file);
  for (let next = last; next !== undefined; next = readRecord(successorFile(file, next.token))) last = next;
  return last;
}

function readRecord(path: string): Record | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  const owner = parseOwner(text);
  return { token: owner?.token ?? sha256(text).slice(0, 16), owner };
}

/** Makes `target` with the content of `own` unless it is there. */
function claim(own: string, target: string): boolean {
  try {
    linkSync(own, target);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(code ?? "")) throw error;
    return claimByCreating(own, target);
  }
}

/** On file systems without links: a reader may see the file before its content, for a moment. */
function claimByCreating(own: string, target: string): boolean {
  try {
    const descriptor = openSync(target, "wx");
    writeSync(descriptor, readFileSync(own));
    closeSync(descriptor);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Becomes the one successor of a dead lock and takes its place; false when another was first. */
function succeed(file: string, own: string, dead: Record): boolean {
  const successor = successorFile(file, dead.token);
  const chain = chainOf(file);
  if (!claim(own, successor)) return false;
  // Another may have succeeded, taken the place and removed its successor file since we looked: then ours hangs in the air.
  if (lastOf(file)?.token !== readRecord(own)?.token) {
    rmSync(successor, { force: true });
    return false;
  }
  writeFileAtomic(file, readFileSync(own));
  for (const token of chain) {
    rmSync(successorFile(file, token), { force: true });
    rmSync(beatFile(file, token), { force: true });
  }
  return true;
}

/** Tokens from the lock file on. */
function chainOf(file: string): string[] {
  const tokens: string[] = [];
  for (let next = readRecord(file); next !== undefined; next = readRecord(successorFile(file, next.token)))
    tokens.push(next.token);
  return tokens;
}

function isHeld(file: string, { token, owner }: { token: string; owner: LockOwner }, timing: LockTiming): boolean {
  if (isThisMachine(owner)) return lives(owner);
  if (isRecent(file, token, timing)) return true;
  const before = readBeat(file, token)?.beats;
  for (let step = 0; step < WATCH_STEPS; step++) {
    timing.sleep(timing.watchMs / WATCH_STEPS);
    if (readBeat(file, token)?.beats !== before) return true;
  }
  return false;
}

/** Whether the last beat is young by the wall clock; one from the future says nothing. */
function isRecent(file: string, token: string, { now, limitMs }: LockTiming): boolean {
  const age = now() - (readBeat(file, token)?.at ?? Number.NEGATIVE_INFINITY);
  return age >= 0 && age <= limitMs;
}

function readBeat(file: string, token: string): { beats: number; at: number } | undefined {
  try {
    const { beats, at } = JSON.parse(readFileSync(beatFile(file, token), "utf8")) as { beats?: unknown; at?: unknown };
    return typeof beats === "number" && typeof at === "number" ? { beats, at } : undefined;
  } catch {
    return undefined; // absent, or being written
  }
}

function beatFile(file: string, token: string): string {
  return `${file}.${token}.beat`;
}

function successorFile(file: string, token: string): string {
  return `${file}.${token}.next`;
}

function refusal(file: string, what: string, owner: LockOwner): ConfigError {
  const hint = isThisMachine(owner)
    ? "Wait for it, or end it."
    : `Wait for it; when it is gone for good, wait a minute and try again, or delete ${file}.`;
  return new ConfigError(`${what}: expected no other process on it, got ${describe(owner)}. ${hint}`);
}

function describe({ pid, host, since }: LockOwner): string {
  return `process ${pid} on ${host}${since === undefined ? "" : ` since ${since}`}`;
}
