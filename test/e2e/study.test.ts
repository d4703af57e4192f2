// A study as a user runs it, on few questions: an arm that fails stops no other, a second call does nothing again, the report holds the runs.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StudyResult } from "../../src/study/tables.ts";
import { packageRoot } from "../../src/util/package-root.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-study-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const [runs, out] = [join(root, "runs"), join(root, "out")];

const ARMS = `
common:
  iterations: 1
  evaluation.benches: [{ name: few, data: ${JSON.stringify(join(root, "few.jsonl"))} }]
  evaluation.samples: 1
  challenger.steps: 1
  schedule.warmStart: { challengerSteps: 1, solverSteps: 1 }
  challenger.questionsPerStep: 32
  curriculum.poolSize: 60
  solver.steps: 1
  solver.questionsPerStep: 8
  guard.klToBase: false
arms:
  - { name: improved, title: improved, iterations: 1, curve: true, lowTemperature: true }
  - { name: broken, title: broken, iterations: 1, against: improved, set: { preset: paper, curriculum.band: [0.001, 0.002] } }
`;

function study(...args: string[]) {
  const command = [
    join(packageRoot, "scripts", "study.mjs"),
    "--file",
    join(root, "arms.yaml"),
    "--runs",
    runs,
    "--out",
    out,
    ...args,
  ];
  return spawnSync(process.execPath, command, { encoding: "utf8" });
}

const result = () => JSON.parse(readFileSync(join(out, "study.json"), "utf8")) as StudyResult;

describe("npm run study", () => {
  beforeAll(() => {
    const lines = readFileSync(join(packageRoot, "assets", "tiny-base", "evaluation.jsonl"), "utf8").split("\n");
    writeFileSync(join(root, "few.jsonl"), lines.filter((_, index) => index % 24 === 0).join("\n"));
    writeFileSync(join(root, "arms.yaml"), ARMS);
  });

  it("reports the arms that ran and the one that failed", () => {
    const first = study("--seeds", "3");
    expect(first.stderr).toContain("improved-3: done");
    expect(first.stderr).toContain("broken-3: failed");
    expect(first.status).toBe(1);
    const { arms, runs: records, overQuestions } = result();
    expect(arms.map(({ differs }) => differs)).toEqual([[], expect.arrayContaining(["curriculum.band: [0.001,0.002]"])]);
    expect(records.map(({ arm, seed, state, iterations }) => [arm, seed, state, iterations.length])).toEqual([
      ["improved", 3, "done", 2],
      ["broken", 3, "failed", 1],
    ]);
    expect(records[0].lowTemperature?.forced).toBeGreaterThan(0);
    expect(records[0].iterations[1]).toMatchObject({ solverSteps: 1, challengerSteps: 1, guard: { action: "none" } });
    // The untrained steps of both arms start from one base: equal scores, by construction.
    expect(records[1].iterations[0].scores).toEqual(records[0].iterations[0].scores);
    // One seed of which one arm kept the base: the interval holds the difference of the two, to rounding.
    const difference = 100 * (records[1].iterations[0].scores.mean - records[0].iterations[1].scores.mean);
    expect(overQuestions.broken[0]).toBeLessThanOrEqual(difference + 0.01);
    expect(overQuestions.broken[1]).toBeGreaterThanOrEqual(difference - 0.01);
    expect(readFileSync(join(out, "README.md"), "utf8")).toContain("broken, seed 3: ");
  });

  it("makes no run twice, and writes the same report of the same runs", () => {
    const before = { result: result(), made: statSync(join(runs, "improved-3", "done.json")).mtimeMs };
    const again = study("--seeds", "3", "--report");
    expect(again.status).toBe(0);
    expect(result().runs).toEqual(before.result.runs);
    expect(study("--seeds", "3", "--arms", "improved").status).toBe(0);
    expect(statSync(join(runs, "improved-3", "done.json")).mtimeMs).toBe(before.made);
    expect(result().runs).toEqual(before.result.runs.slice(0, 1));
  });

  it("goes on with no run of other settings", () => {
    writeFileSync(join(root, "arms.yaml"), ARMS.replace("curriculum.poolSize: 60", "curriculum.poolSize: 61"));
    const changed = study("--seeds", "3", "--arms", "improved");
    expect(changed.stderr).toContain("got one with curriculum.poolSize: 60. Remove it");
    expect(changed.status).toBe(1);
  });

  it("refuses what it does not know with exit code 2", () => {
    expect(study("--arms", "gone")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("expected names among improved, broken, got gone"),
    });
    expect(study("--jobs", "0").status).toBe(2);
    expect(study("--no-such-option").status).toBe(2);
  });
});
