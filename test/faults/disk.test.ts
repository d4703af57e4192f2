// A disk that fails at a write call of a small run: full (ENOSPC), broken (EIO), writing a byte where more was asked (SHORT). The run ends
// or can be gone on with each time, to the same bytes. A few calls by default; `FAULTS=all` takes every one in turn. And a process that
// is stopped for a while and let go on.

import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { artefacts, type Ended, scratchRuns, startRzero, TINY_RUN } from "./harness.ts";

const runs = scratchRuns();
afterAll(() => rmSync(runs, { recursive: true, force: true }));
const HOUR = 3_600_000;
const preload = fileURLToPath(new URL("disk.mjs", import.meta.url));
const args = (name: string) => ["run", "tiny", "--run", name, "--threads", "1", "--iterations=1", ...TINY_RUN];

let calls = 0;
let whole: Record<string, string>;
beforeAll(async () => {
  const ended = await faulty("whole", { FAULT_AT: "0" });
  expect({ code: ended.code, stderr: ended.code === 0 ? "" : ended.stderr }).toEqual({ code: 0, stderr: "" });
  calls = ended.calls;
  whole = artefacts(join(runs, "whole"));
}, HOUR);

/** Runs a new run, or goes on with it, on a disk with faults. */
async function faulty(name: string, env: Record<string, string>): Promise<Ended & { calls: number }> {
  const counter = join(mkdtempSync(join(runs, "..", "rzero-count-")), "calls");
  const begun = existsSync(join(runs, name, "config.yaml"));
  const options = { NODE_OPTIONS: `--import=${preload}`, FAULT_COUNT: counter, ...env };
  const ended = await startRzero(runs, begun ? ["resume", name] : args(name), options).ended;
  const { size } = statSync(counter);
  rmSync(join(counter, ".."), { recursive: true, force: true });
  return { ...ended, calls: size };
}

/** Calls to fail at: every one, or a few spread over the run. */
function points(): number[] {
  if (process.env.FAULTS === "all") return Array.from({ length: calls }, (_, index) => index + 1);
  const count = Number(process.env.FAULTS ?? 2);
  return Array.from({ length: count }, (_, index) => 1 + Math.floor(((index + 0.37) * calls) / count));
}

describe("a disk that fails", () => {
  it.each([
    ["ENOSPC", 1],
    ["EIO", 3],
    ["SHORT", 4],
  ])(
    "%s: nothing is lost",
    async (code, span) => {
      expect(calls).toBeGreaterThan(50);
      for (const point of points()) {
        const name = `${code.toLowerCase()}-${point}`;
        const first = await faulty(name, { FAULT_AT: String(point), FAULT_CODE: code, FAULT_SPAN: String(span) });
        expect(`${point}: ${first.stderr}`).not.toContain("This is a bug");
        const last = first.code === 0 ? first : await faulty(name, { FAULT_AT: "0" });
        expect({ point, code: last.code, stderr: last.code === 0 ? "" : last.stderr }).toEqual({ point, code: 0, stderr: "" });
        expect({ point, ...artefacts(join(runs, name)) }).toEqual({ point, ...whole });
        rmSync(join(runs, name), { recursive: true, force: true });
      }
    },
    HOUR,
  );
});

describe("a process that is stopped", () => {
  it(
    "goes on where it was, and nobody takes its run meanwhile",
    async () => {
      const { child, ended } = startRzero(runs, args("stopped"));
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
