// The pool with the compiled worker, and with a worker written here that never answers: the deadline ends it.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DEADLINE_VERDICT, GraderPool } from "./grader-pool.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "grader-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

function workerFile(name: string, onTask: string): string {
  const file = join(directory, name);
  writeFileSync(
    file,
    `import { parentPort } from "node:worker_threads";
parentPort.on("message", ({ id, request }) => { ${onTask} });
parentPort.postMessage("ready");`,
  );
  return file;
}

const costly = (n: number) => ({ predicted: `${n}!`, truth: "120" });

it("compares cheap pairs inline and the others in the worker, in order", async () => {
  const pool = new GraderPool();
  const verdicts = await pool.gradeAll([
    { predicted: "1/2", truth: "0.5" },
    costly(5),
    costly(6),
    { predicted: "so \\boxed{3}", truth: "3", texts: true },
  ]);
  expect(verdicts.map(({ equivalent }) => equivalent)).toEqual([true, true, false, true]);
  expect(pool.stats).toEqual({ inline: 1, pooled: 3, killed: 0 });
  await pool.close();
  await expect(pool.grade(costly(5))).rejects.toThrow("expected an open pool");
});

it("kills a worker at the deadline, counts the pair and goes on", async () => {
  const file = workerFile(
    "hang.mjs",
    `if (request.predicted === "9!") for (;;); parentPort.postMessage({ id, verdict: { equivalent: true, reason: "here" } });`,
  );
  const pool = new GraderPool({ deadlineMs: 150, workerFile: file });
  const verdicts = await pool.gradeAll([costly(5), costly(9), costly(5)]);
  expect(verdicts).toEqual([{ equivalent: true, reason: "here" }, DEADLINE_VERDICT, { equivalent: true, reason: "here" }]);
  expect(pool.stats).toEqual({ inline: 0, pooled: 3, killed: 1 });
  await pool.close();
});

it("outlives a worker that runs out of memory", async () => {
  const file = workerFile("fill.mjs", `const all = []; for (;;) all.push(new Array(100000).fill(Math.random()));`);
  const pool = new GraderPool({ deadlineMs: 20_000, memoryMb: 24, workerFile: file });
  expect(await pool.grade(costly(5))).toEqual(DEADLINE_VERDICT);
  expect(pool.stats.killed).toBe(1);
  await pool.close();
});

it("ends waiting pairs when it is closed", async () => {
  const pool = new GraderPool({ deadlineMs: 60_000, workerFile: workerFile("silent.mjs", "") });
  const verdicts = pool.gradeAll([costly(5), costly(6)]);
  await pool.close();
  expect(await verdicts).toEqual([DEADLINE_VERDICT, DEADLINE_VERDICT]);
});
