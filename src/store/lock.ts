// A lock file that says which process works on a run, so that two never write one run. A lock whose process is gone
// (killed, or the machine restarted) counts as free. Works per machine: a lock from another host is respected.

import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { ConfigError } from "../util/errors.ts";

/** Who holds a lock. `born` tells a process from a later one with the same number. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  readonly born: string;
}

/** The live process that holds the lock, or undefined when it is free. */
export function lockHolder(file: string): LockHolder | undefined {
  const holder = readHolder(file);
  if (!holder) return undefined;
  return holder.host !== hostname() || isAlive(holder) ? holder : undefined;
}

/** Takes the lock for this process. Errors: ConfigError when another live process holds it. */
export function acquireLock(file: string, run: string): void {
  for (let attempt = 0; attempt < 2; attempt++) {
    const holder = lockHolder(file);
    if (holder && holder.pid !== process.pid)
      throw new ConfigError(
        `run ${run}: expected no other process on it, got process ${holder.pid} on ${holder.host}. Wait for it, or delete ${file} if it is gone.`,
      );
    rmSync(file, { force: true });
    try {
      const descriptor = openSync(file, "wx");
      writeFileSync(descriptor, JSON.stringify({ pid: process.pid, host: hostname(), born: birthOf(process.pid) }));
      closeSync(descriptor);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
  throw new ConfigError(`run ${run}: expected no other process on it, got one that started at the same moment. Try again.`);
}

/** Gives the lock back if this process holds it. */
export function releaseLock(file: string): void {
  if (readHolder(file)?.pid === process.pid) rmSync(file, { force: true });
}

function readHolder(file: string): LockHolder | undefined {
  try {
    const { pid, host, born } = JSON.parse(readFileSync(file, "utf8")) as Partial<LockHolder>;
    return typeof pid === "number" && typeof host === "string" ? { pid, host, born: String(born) } : undefined;
  } catch {
    return undefined; // absent, or cut short by a kill: free
  }
}

function isAlive({ pid, born }: LockHolder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return birthOf(pid) === born;
}

/** Start time of a process in clock ticks since boot where /proc tells it, else an empty string. */
function birthOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return "";
  }
}
