// Who a process is, told so that a later process with the same number, the machine after a restart, and a container beside this one
// are never taken for it. Knows nothing of lock files. Source: proc(5), pid_namespaces(7).

import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** A process that took a lock. */
export interface LockOwner {
  readonly pid: number;
  readonly host: string;
  /** Start time of the process in clock ticks since boot; empty where the system does not tell. */
  readonly born: string;
  /** Identity of the machine's boot, and of the space in which `pid` counts; absent where the system does not tell. */
  readonly boot?: string;
  readonly space?: string;
  /** When it took the lock, ISO 8601 in UTC. */
  readonly since?: string;
  /** Names this one taking of the lock: letters and digits. */
  readonly token: string;
}

/** Longest lock file that is believed, in characters. */
const MAX_LENGTH = 4096;

/** This process, as the owner of a lock it takes at `now` (wall clock, ms). */
export function thisProcess(now: number): LockOwner {
  return {
    pid: process.pid,
    host: hostname(),
    born: birthOf(process.pid),
    boot: bootId(),
    space: pidSpace(),
    since: new Date(now).toISOString(),
    token: randomBytes(8).toString("hex"),
  };
}

/** Reads an owner; locks of older versions have no token, boot, space and since. Undefined for anything else. */
export function parseOwner(text: string): LockOwner | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  try {
    const { pid, host, born, boot, space, since, token } = JSON.parse(text) as { [key in keyof LockOwner]?: unknown };
    if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0 || typeof host !== "string") return undefined;
    const plain = typeof token === "string" && /^[0-9a-z]{1,64}$/i.test(token) ? token : undefined;
    return {
      pid,
      host: printable(host),
      born: String(born),
      boot: optional(boot),
      space: optional(space),
      since: since === undefined ? undefined : printable(String(since)),
      token: plain ?? `old${pid}x${String(born).replace(/\W/g, "")}`.slice(0, 64),
    };
  } catch {
    return undefined;
  }
}

/** Whether the owner's process number means here what it meant there; else only its heartbeat can tell. */
export function isThisMachine({ host, boot, space }: LockOwner): boolean {
  if (host !== hostname()) return false;
  // Another boot of this machine: every process of it is gone, which `lives` says.
  if (boot !== undefined && boot !== bootId()) return true;
  return space === undefined || space === pidSpace();
}

/** Whether the process of an owner on this machine is there. */
export function lives({ pid, born, boot }: LockOwner): boolean {
  if (boot !== undefined && boot !== bootId()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = statOf(pid);
  // A zombie has ended; its parent has not asked for its exit code yet.
  return now?.state !== "Z" && (now?.born ?? "") === born;
}

function birthOf(pid: number): string {
  return statOf(pid)?.born ?? "";
}

function statOf(pid: number): { state: string; born: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0], born: fields[19] };
  } catch {
    return undefined;
  }
}

function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}

function pidSpace(): string | undefined {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return undefined;
  }
}

function optional(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 100);
}
