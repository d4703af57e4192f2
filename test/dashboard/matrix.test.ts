// The matrix of Solvers and questions with the embedded model: what a cell tells, that a measurement goes on, and that the store gives it back.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { matrixOf } from "../../src/dashboard/run/health.ts";
import { RunView } from "../../src/dashboard/run/view.ts";
import { createEngine } from "../../src/engine/create.ts";
import { measureMatrix } from "../../src/selfplay/matrix.ts";
import { openRun } from "../../src/store/runs.ts";
import { InterruptedError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/package-root.ts";
import { writeSmallRun } from "./fixture.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-matrix-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

it("measures each Solver on each iteration's questions, goes on where it stopped, and is shown", async () => {
  writeSmallRun(root, "run", 1);
  const store = openRun(root, "run");
  const tinyBase = join(packageRoot, "assets", "tiny-base");
  const solvers = new Map([[0, tinyBase]]);
  const stop = new AbortController();
  const told: string[] = [];
  const engine = createEngine({ ...store.config.engine, threads: 1 } as typeof store.config.engine);
  const options = { store, engine, solvers, questions: 12, samples: 3 };
  const on = (done: number, total: number) => {
    told.push(`${done}/${total}`);
    if (done === 2) stop.abort();
  };
  try {
    await expect(measureMatrix({ ...options, signal: stop.signal, on })).rejects.toThrow(InterruptedError);
    expect(told).toEqual(["1/4", "2/4"]);
    const { cells } = await measureMatrix({ ...options, signal: new AbortController().signal, on });
    expect(told).toEqual(["1/4", "2/4", "3/4", "4/4"]);
    expect(cells.map(({ solver, questionsOf, questions, samples }) => [solver, questionsOf, questions, samples])).toEqual(
      [1, 2, 3, 4].map((of) => [0, of, 12, 3]),
    );
    for (const { agreement, ci95, accuracy, voteShare } of cells) {
      expect(ci95[0]).toBeLessThanOrEqual(agreement);
      expect(ci95[1]).toBeGreaterThanOrEqual(agreement);
      expect(Number.isInteger(Math.round(agreement * 36 * 1e6) / 1e6)).toBe(true);
      for (const share of [accuracy ?? -1, voteShare]) expect(share >= 0 && share <= 1).toBe(true);
    }
    // All there: nothing is asked again.
    const closed = new Proxy(engine, { get: () => () => Promise.reject(new Error("asked again")) });
    expect((await measureMatrix({ ...options, engine: closed, signal: stop.signal, on })).cells).toEqual(cells);

    const shown = matrixOf(new RunView(root, "run"));
    expect(shown).toMatchObject({ solvers: [0], questions: [1, 2, 3, 4] });
    expect(shown.cells[0].map((cell) => cell?.agreement)).toEqual(cells.map(({ agreement }) => agreement));
  } finally {
    await engine.dispose();
  }
  writeFileSync(store.layout.matrix, '{"questions": "many"}');
  expect(() => matrixOf(new RunView(root, "run"))).toThrow(/expected questions, samples and cells/);
});
