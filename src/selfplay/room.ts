// Room on the disk: looked at before a phase, waited for when a write finds none. The run pauses, says so once, and goes on when there
// is room; a signal or the configured wait ends it, resumable. Knows no phase's content.

import { existsSync, readdirSync, statfsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { isDiskFull, RunError } from "../util/errors.ts";
import { checkInterrupted, type LoopContext } from "./context.ts";

/** A write to come. */
export interface Need {
  /** What is written, for people. */
  readonly what: string;
  readonly dir: string;
  readonly bytes: number;
}

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 10_000;
/** Left to others on the disk, and for logs. */
const MARGIN_BYTES = 1 << 20;

/** Carries out a write; on a full disk it waits for room and does it again. Errors: RunError, InterruptedError, those of `work`. */
export async function withRoom<T>(context: LoopContext, need: Need, work: () => T | Promise<T>): Promise<T> {
  const wait = new Wait(context, need);
  for (;;) {
    try {
      const result = await work();
      wait.end();
      return result;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await wait.untilRoom();
    }
  }
}

/** Writes rows as JSON Lines, waiting for room if need be; `what` is for people. Errors: as withRoom. */
export async function writeRows(context: LoopContext, what: string, file: string, rows: readonly unknown[]): Promise<void> {
  const need = {
    what,
    dir: dirname(file),
    // Asked for only when there was no room.
    get bytes() {
      return JSON.stringify(rows).length;
    },
  };
  await withRoom(context, need, () => context.store.writeJsonl(file, rows));
}

/** Waits until the disk has what a phase will write. Errors: RunError, InterruptedError. */
export async function expectRoom(context: LoopContext, need: Need): Promise<void> {
  if (freeBytes(need.dir) < need.bytes + MARGIN_BYTES) await waitForRoom(context, need);
}

/** Waits for room after a write that was given up. Errors: RunError, InterruptedError. */
export async function waitForRoom(context: LoopContext, need: Need): Promise<void> {
  const wait = new Wait(context, need);
  await wait.untilRoom();
  wait.end();
}

/** One pause of the run, however many tries it takes. */
class Wait {
  readonly #context: LoopContext;
  readonly #need: Need;
  #since: number | undefined;
  #pauseMs = FIRST_PAUSE_MS;

  constructor(context: LoopContext, need: Need) {
    this.#context = context;
    this.#need = need;
  }

  async untilRoom(): Promise<void> {
    const { signal, config } = this.#context;
    const { what, dir, bytes } = this.#need;
    if (this.#since === undefined) {
      this.#since = performance.now();
      this.#tell("waiting");
    }
    const { waitSeconds } = config.run.disk;
    do {
      checkInterrupted(this.#context);
      if (waitSeconds > 0 && performance.now() - this.#since > waitSeconds * 1000)
        throw new RunError(
          `${dir}: expected ${mebibytes(bytes)} free for ${what}, got ${mebibytes(freeBytes(dir))} in ${waitSeconds} s. ` +
            `Make room, then: ${this.#context.resumeCommand}`,
        );
      await setTimeout(this.#pauseMs, undefined, { signal }).catch(() => {});
      this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    } while (freeBytes(dir) < bytes + MARGIN_BYTES);
    checkInterrupted(this.#context);
  }

  end(): void {
    if (this.#since !== undefined) this.#tell("over");
    this.#since = undefined;
  }

  #tell(state: "waiting" | "over"): void {
    const { what, dir, bytes } = this.#need;
    this.#context.emit({ event: "paused", state, what, dir, need: bytes, free: freeBytes(dir) });
  }
}

/** Bytes that this user may still write where `dir` is, or will be. */
export function freeBytes(dir: string): number {
  let there = dir;
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  const { bavail, bsize } = statfsSync(there);
  return bavail * bsize;
}

/** Bytes of the files in a directory; 0 without one. */
export function directoryBytes(dir: string, pattern = /./): number {
  if (!existsSync(dir)) return 0;
  const sizes = readdirSync(dir, { withFileTypes: true }).map((entry) =>
    entry.isFile() && pattern.test(entry.name) ? statSync(join(dir, entry.name)).size : 0,
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** `12.3 MiB`. */
export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
