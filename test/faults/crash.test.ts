// A thread of the program that ends in the middle of its work, and a clock that jumps by hours: the run goes on, or stops and is gone on
// with, to the same bytes. `FAULTS=all` ends the threads at many more instants.

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { smallRun } from "./disk-walk.ts";
import { artefacts, type Ended, scratchRuns, startRzero } from "./harness.ts";

const runs = scratchRuns();
afterAll(() => rmSync(runs, { recursive: true, force: true }));
const HOUR = 3_600_000;
const ALL = process.env.FAULTS === "all";
const preload = (file: string) => ({ NODE_OPTIONS: `--import=${fileURLToPath(new URL(file, import.meta.url))}` });

let whole: Record<string, string>;
beforeAll(async () => {
  const { code, stderr } = await startRzero(runs, smallRun(runs, "whole")).ended;
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  whole = artefacts(join(runs, "whole"));
}, HOUR);

/** Runs the small run with a thread that ends, and goes on with it if it stopped. */
async function withCrash(name: string, thread: string, at: number, delayMs: number): Promise<Ended> {
  const env = { ...preload("threads.mjs"), CRASH_THREAD: thread, CRASH_AT: String(at), CRASH_DELAY: String(delayMs) };
  const first = await startRzero(runs, smallRun(runs, name), env).ended;
  expect({ thread, at, stderr: first.stderr }).toEqual({ thread, at, stderr: expect.stringContaining(`ended ${thread}`) });
  expect(first.stderr).not.toContain("This is a bug");
  const begun = existsSync(join(runs, name, "config.yaml"));
  const last = first.code === 0 ? first : await startRzero(runs, begun ? ["resume", name] : smallRun(runs, name)).ended;
  expect({ thread, at, code: last.code, stderr: last.code === 0 ? "" : last.stderr }).toEqual({
    thread,
    at,
    code: 0,
    stderr: "",
  });
  return first;
}

const range = (from: number, to: number, step: number) =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);

describe("a thread that ends in the middle", () => {
  it.each([
    { thread: "worker", instants: ALL ? range(1, 46, 3) : [4, 21] },
    { thread: "state-writer-worker", instants: ALL ? [1, 2] : [1] },
  ])(
    "$thread: the same bytes",
    async ({ thread, instants }) => {
      for (const at of instants) {
        const name = `${thread}-${at}`;
        const { code } = await withCrash(name, thread, at, ALL ? at % 4 : 1);
        if (ALL) console.log(`${thread} at ${at}: code ${code}`);
        expect({ at, ...artefacts(join(runs, name)) }).toEqual({ at, ...whole });
        rmSync(join(runs, name), { recursive: true, force: true });
      }
    },
    HOUR,
  );
});

describe("a clock that jumps by hours", () => {
  it(
    "changes no artefact",
    async () => {
      const { code, stderr } = await startRzero(runs, smallRun(runs, "jumps"), preload("clock.mjs")).ended;
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      expect(artefacts(join(runs, "jumps"))).toEqual(whole);
    },
    HOUR,
  );
});
