// A disk that fails at the write calls of a small run: full for a moment (the run pauses), full until the process ends (it stops), broken
// (EIO), writing a byte where more was asked (SHORT), slow. Nothing is lost each time, and the bytes are the same. A few calls by default;
// `FAULTS=all` takes every one in turn, `FAULT_SLICE=2/8` a part of them. And a process that is stopped for a while and let go on.

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onFaultyDisk, smallRun, walk } from "./disk-walk.ts";
import { artefacts, scratchRuns, startRzero } from "./harness.ts";

const runs = scratchRuns();
afterAll(() => rmSync(runs, { recursive: true, force: true }));
const HOUR = 3_600_000;
const ALL = process.env.FAULTS === "all";
const [PART, PARTS] = (process.env.FAULT_SLICE ?? "1/1").split("/").map(Number);

let calls: readonly string[];
let whole: Record<string, string>;
beforeAll(async () => {
  const { code, stderr, calls: made } = await onFaultyDisk(runs, "whole", [], { code: "ENOSPC" });
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  calls = [...new Set(made)];
  whole = artefacts(join(runs, "whole"));
}, HOUR);

/** All calls, or so many spread over the run. */
function points(sample: number): string[] {
  if (ALL) return calls.filter((_, index) => index % PARTS === PART - 1);
  return Array.from({ length: sample }, (_, index) => calls[Math.floor(((index + 0.37) * calls.length) / sample)]);
}

describe("a disk that fails", () => {
  it.each([
    { code: "ENOSPC", perRun: 24, sample: 24 },
    { code: "ENOSPC", stays: true, perRun: 24, sample: 5 },
    { code: "EIO", perRun: 24, sample: 3 },
    { code: "SHORT", perRun: 400, sample: 200 },
    { code: "SLOW", perRun: 100, sample: 20 },
  ])(
    "$code, stays: $stays: nothing is lost",
    async ({ sample, ...faults }) => {
      expect(calls.length).toBeGreaterThan(200);
      const keys = points(sample);
      const walked = await walk(runs, keys, { ...faults, whole });
      if (ALL) console.log(JSON.stringify({ calls: calls.length, ...faults, ...walked }));
      expect(walked.tried).toBeGreaterThan(0.9 * keys.length);
    },
    HOUR,
  );
});

describe("a process that is stopped", () => {
  it(
    "goes on where it was, and nobody takes its run meanwhile",
    async () => {
      const { child, ended } = startRzero(runs, smallRun(runs, "stopped"));
      const lock = join(runs, "stopped", "lock.json");
      while (!existsSync(lock)) await new Promise((wake) => setTimeout(wake, 20));
      child.kill("SIGSTOP");
      const other = await startRzero(runs, ["resume", "stopped"]).ended;
      expect({ code: other.code, stderr: other.stderr }).toEqual({
        code: 2,
        stderr: expect.stringContaining(`expected no other process on it, got process ${child.pid} on`),
      });
      child.kill("SIGCONT");
      expect((await ended).code).toBe(0);
      expect(artefacts(join(runs, "stopped"))).toEqual(whole);
    },
    HOUR,
  );
});
