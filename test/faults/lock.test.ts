// One owner: a held lock is refused with who holds it since when, a dead one is taken over by exactly one process, a clock that jumps
// kills nobody, and an owner that slept through a takeover finds out.

import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { acquireLock, checkLock, LOCK_TIMING, type LockTiming, lockHolder, releaseLock } from "../../src/store/lock.ts";
import { ConfigError, RunError } from "../../src/util/errors.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-lock-"));
const children: ChildProcess[] = [];
let count = 0;
let file = join(root, "lock-0.json");
const next = () => {
  file = join(root, `lock-${++count}.json`);
  return file;
};
afterEach(() => releaseLock(file));
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true });
});

const DEAD = { format: 1, pid: spawnSync("true").pid, host: hostname(), born: "1", token: "dead" };
const FOREIGN = { format: 1, pid: 7, host: "another-host", born: "1", token: "far", since: "2026-01-02T03:04:05.000Z" };
/** A clock that tests turn, and watching that takes no time. */
const timing = (given: Partial<LockTiming>): LockTiming => ({ ...LOCK_TIMING, sleep: () => {}, ...given });
const plant = (owner: object) => writeFileSync(next(), JSON.stringify(owner));
const beat = (beats: number, at: number) => writeFileSync(`${file}.far.beat`, JSON.stringify({ beats, at }));
const left = () => readdirSync(root).filter((name) => join(root, name).startsWith(`${file}.`));

describe("one owner", () => {
  it("a second taker is refused with process, host and time, in this process too", () => {
    acquireLock(next(), "run a", timing({ now: () => Date.UTC(2026, 0, 2) }));
    expect(() => acquireLock(file, "run a")).toThrow(ConfigError);
    expect(() => acquireLock(file, "run a")).toThrow(
      `run a: expected no other process on it, got process ${process.pid} on ${hostname()} since 2026-01-02T00:00:00.000Z.`,
    );
    releaseLock(file);
    expect(existsSync(file)).toBe(false);
    expect(left()).toEqual([]);
    acquireLock(file, "run a");
  });

  it("a dead process, an earlier boot and damaged content are taken over, and nothing is left beside", () => {
    for (const owner of [DEAD, { ...DEAD, pid: process.pid, boot: "earlier", token: "boot" }, { broken: 1 }]) {
      plant(owner);
      expect(lockHolder(file)).toBeUndefined();
      acquireLock(file, "run a");
      expect(lockHolder(file)?.pid).toBe(process.pid);
      expect(left().every((name) => name.endsWith(".beat"))).toBe(true);
      releaseLock(file);
      expect(left()).toEqual([]);
    }
  });

  it.runIf(existsSync("/proc/self/stat"))(
    "a process that has the number of a dead one is not taken for it; a stopped one lives",
    async () => {
      const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
      children.push(child);
      await once(child, "spawn");
      const born = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1].split(" ")[19];
      plant({ ...DEAD, pid: child.pid, born, token: "alive" });
      child.kill("SIGSTOP");
      expect(() => acquireLock(file, "run a")).toThrow(`process ${child.pid}`);
      plant({ ...DEAD, pid: child.pid, born: "1", token: "other" });
      acquireLock(file, "run a");
    },
  );
});

describe("a lock from another host", () => {
  it("is respected while its beat is young, however the clock of this host stands", () => {
    plant(FOREIGN);
    beat(3, 1_000_000);
    expect(() => acquireLock(file, "run a", timing({ now: () => 1_030_000 }))).toThrow(
      "process 7 on another-host since 2026-01-02T03:04:05.000Z",
    );
  });

  it.each([
    ["far ahead", 9e12],
    ["far behind", 5],
  ])("a clock %s is no proof of death: a beat seen while watching holds the lock", (_, now) => {
    plant(FOREIGN);
    beat(3, 1_000_000);
    let slept = 0;
    const sleep = (ms: number) => {
      slept += ms;
      if (slept > 10_000) beat(4, 1_010_000);
    };
    expect(() => acquireLock(file, "run a", timing({ now: () => now, sleep }))).toThrow(ConfigError);
    expect(slept).toBeLessThan(LOCK_TIMING.watchMs);
  });

  it("without a beat for the whole watch it is taken over", () => {
    plant(FOREIGN);
    beat(3, 1_000_000);
    let slept = 0;
    const sleep = (ms: number) => {
      slept += ms;
    };
    acquireLock(file, "run a", timing({ now: () => 9e12, sleep }));
    expect(slept).toBe(LOCK_TIMING.watchMs);
    expect(lockHolder(file)?.pid).toBe(process.pid);
    expect(existsSync(`${file}.far.beat`)).toBe(false);
  });

  it("its owner, awake again, is told that it lost the lock, and takes nothing away from the new one", () => {
    acquireLock(next(), "run a");
    checkLock(file);
    writeFileSync(file, JSON.stringify(FOREIGN));
    expect(() => checkLock(file)).toThrow(RunError);
    expect(() => checkLock(file)).toThrow(/got process 7 on another-host/);
    releaseLock(file);
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(FOREIGN);
  });
});

describe("many takers at once", () => {
  it("of a dead lock, of a dead successor and of no lock: one wins each time", { timeout: 60_000 }, async () => {
    const child = fileURLToPath(new URL("lock-child.mjs", import.meta.url));
    const takers = Array.from({ length: 5 }, () => fork(child, { execArgv: [] }));
    children.push(...takers);
    const answer = (taker: ChildProcess) =>
      once(taker, "message").then(([message]) => message as { won?: boolean; message?: string });
    await Promise.all(takers.map(answer));
    for (let round = 0; round < 60; round++) {
      next();
      if (round % 3 > 0) writeFileSync(file, JSON.stringify({ ...DEAD, token: `a${round}` }));
      if (round % 3 === 2) writeFileSync(`${file}.a${round}.next`, JSON.stringify({ ...DEAD, token: `b${round}` }));
      const answers = takers.map(answer);
      for (const taker of takers) taker.send({ order: "acquire", file });
      const results = await Promise.all(answers);
      expect(results.filter(({ won }) => won)).toHaveLength(1);
      const winner = takers[results.findIndex(({ won }) => won)];
      for (const { won, message } of results) if (!won) expect(message).toContain(`process ${winner.pid} on ${hostname()} since`);
      expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ pid: winner.pid });
      const released = answer(winner);
      winner.send({ order: "release", file });
      await released;
      expect([existsSync(file), left()]).toEqual([false, []]);
    }
  });
});
