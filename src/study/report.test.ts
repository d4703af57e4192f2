// Comparisons, claims, tables and plots on records whose answers are known.

import { describe, expect, it } from "vitest";
import { claims } from "./claims.ts";
import {
  common,
  comparedRounds,
  estimate,
  greedy,
  iterationWithin,
  meanAtK,
  pairedEstimate,
  reach,
  recordAt,
  returnedAt,
} from "./compare.ts";
import { estimateText, levelText, markdownTable, replaceBlocks, signed } from "./format.ts";
import { plots } from "./plots.ts";
import type { IterationRecord, PolicyScores, RunRecord } from "./record.ts";
import { type StudyResult, tables } from "./tables.ts";

function scores(mean: number): PolicyScores {
  return { mean, greedy: mean + 0.1, passAtK: 0.9, levels: { 5: [mean / 2, mean / 2] }, kinds: { general: [mean, mean] } };
}

/** A run whose mean@8 is given by iteration; 15 Solver steps each. `best` is the guard's choice after each iteration. */
function runOf(
  arm: string,
  seed: number,
  means: readonly number[],
  more: Partial<RunRecord> & { best?: readonly number[] } = {},
): RunRecord {
  const { best, ...rest } = more;
  const iterations = means.map(
    (mean, iteration): IterationRecord => ({
      iteration,
      scores: scores(mean),
      ...(iteration === 0 ? { forced: scores(0.6) } : {}),
      ...(iteration === 0
        ? {}
        : {
            curriculum: {
              pool: 100,
              kept: 50,
              inBand: 0.5,
              wellFormed: 0.9,
              distinct: 1,
              clusters: 0.9,
              families: { addition: 30, chain: 20 },
              labelAccuracy: 0.9 - 0.1 * iteration,
              audit: { mean: 0.8, ci95: [0.75, 0.85] as const },
            },
            guard: { action: "none", broken: [], best: best?.[iteration - 1] ?? iteration },
          }),
      challengerSteps: 1,
      solverSteps: iteration === 0 ? 0 : 15,
      seconds: { solver: arm === "paper" ? 10 : 11, evaluation: 100 },
    }),
  );
  return { arm, seed, state: "done", planned: means.length - 1, rollback: false, iterations, ...rest };
}

describe("what a run scored", () => {
  it("is carried on when it ended early, and unknown when it was stopped or never asked for", () => {
    const early = runOf("a", 1, [0.5, 0.6], { planned: 4 });
    expect(recordAt(early, 3)?.iteration).toBe(1);
    expect(recordAt(early, 5)).toBeUndefined();
    expect(recordAt({ ...early, state: "stopped" }, 3)).toBeUndefined();
    expect(recordAt({ ...early, state: "stopped" }, 1)?.iteration).toBe(1);
  });

  it("is the guard's best so far where the run rolls back", () => {
    const run = runOf("a", 1, [0.5, 0.7, 0.6, 0.8], { rollback: true, best: [1, 1, 3] });
    expect([1, 2, 3].map((rounds) => returnedAt(run, rounds)?.iteration)).toEqual([1, 1, 3]);
    expect(returnedAt({ ...run, rollback: false }, 2)?.iteration).toBe(2);
  });

  it("is compared after as many iterations as all runs of both arms have", () => {
    const runs = [runOf("a", 1, [0, 0.1, 0.2, 0.3]), runOf("a", 2, [0, 0.1, 0.2], { state: "stopped", planned: 3 })];
    const rival = [runOf("b", 1, [0, 0.1], { planned: 9 })];
    expect([common(runs), common(rival), common([])]).toEqual([2, 9, 0]);
    expect([reach(runs), reach(rival), reach([])]).toEqual([3, 9, 0]);
    expect(comparedRounds([...runs, ...rival], { name: "b", against: "a", iterations: 5 })).toBe(2);
    expect(comparedRounds([...runs, ...rival], { name: "b", against: "a", iterations: 1 })).toBe(1);
  });

  it("at equal Solver steps is the last iteration within them", () => {
    const run = runOf("a", 1, [0.5, 0.6, 0.7, 0.8]);
    expect([0, 14, 15, 31, 99].map((steps) => iterationWithin(run, steps))).toEqual([0, 0, 1, 2, 3]);
  });
});

describe("over seeds", () => {
  it("differences are paired by seed, and seeds without a partner are left out", () => {
    const a = [runOf("a", 1, [0, 0.7]), runOf("a", 2, [0, 0.9]), runOf("a", 3, [0, 0.1])];
    const b = [runOf("b", 2, [0, 0.5]), runOf("b", 1, [0, 0.6])];
    const measure = (run: RunRecord) => meanAtK(run.iterations[1].scores);
    const found = pairedEstimate({ runs: a, measure }, { runs: b, measure });
    expect(found?.mean).toBeCloseTo(25, 10);
    expect(found?.seeds.map(({ seed }) => seed)).toEqual([1, 2]);
    // 12.7062 · 21.2132 / √2
    expect((found?.high ?? 0) - 25).toBeCloseTo(190.593, 2);
    expect(estimate([], measure)).toBeUndefined();
    expect(estimate(a.slice(0, 1), (run) => greedy(run.iterations[1].scores))).toMatchObject({ low: Number.NEGATIVE_INFINITY });
  });
});

describe("claims", () => {
  const runs = [1, 2].flatMap((seed) => [
    runOf("improved", seed, [0.5, 0.6, 0.7, 0.75, 0.8, 0.8 + seed / 1000], { rollback: true }),
    runOf("paper", seed, [0.5, 0.6, 0.7, 0.7, 0.7, 0.7]),
    runOf("untrained", seed, [0.5, 0.55, 0.6], { planned: 5 }),
    runOf("shuffled", seed, [0.5, 0.4]),
    runOf("random", seed, [0.5, 0.58]),
  ]);
  const verdicts = new Map(claims(runs).map(({ claim, holds, found }) => [claim.split(",")[0], { holds, found }]));

  it.each([
    ["Challenger: trained − untrained", true],
    // 30 steps: the trained run after two iterations, 0.7 against 0.6.
    ["Challenger: the same at no more Solver steps than the untrained run took", true],
    ["Beyond elicitation: returned after 5 iterations − forced base", true],
    ["Beyond elicitation: the same on level 5", true],
    ["Beyond elicitation: the same at T = 0.25", undefined],
    ["No collapse: improved − paper", true],
    ["No collapse: label accuracy in every iteration and seed", false],
    ["Transfer: returned − base on families never posed", true],
    ["Audit: its interval covers the true label accuracy", false],
    ["Shuffled labels: last − base", true],
    ["Random rewards: last − base", false],
    ["Cost: time of an iteration", undefined],
  ])("%s", (claim, holds) => {
    expect(verdicts.has(claim)).toBe(true);
    expect(verdicts.get(claim)?.holds).toBe(holds);
  });

  it("an interval that holds 0 does not do", () => {
    const wide = [
      runOf("improved", 1, [0.5, 0.6, 0.7, 0.75, 0.8, 0.9]),
      runOf("improved", 2, [0.5, 0.6, 0.7, 0.75, 0.8, 0.7]),
      runOf("untrained", 1, [0.5, 0.5], { planned: 5 }),
      runOf("untrained", 2, [0.5, 0.69], { planned: 5 }),
    ];
    expect(claims(wide)[0]).toMatchObject({ found: expect.stringContaining("+20.5 [−"), holds: false });
  });

  it("cost leaves the evaluation out", () => {
    expect(verdicts.get("Cost: time of an iteration")?.found).toContain("+10.0");
  });
});

describe("the report", () => {
  const study: StudyResult = {
    format: 1,
    about: {
      rzero: "1",
      commit: "abc",
      command: "npm run study",
      node: "v20",
      cpu: "CPU",
      cores: 2,
      jobs: 2,
      finished: "2026-01-02T03:04:05Z",
      computeSeconds: 7200,
      quick: false,
    },
    seeds: [1, 2],
    arms: [
      { name: "improved", title: "improved", iterations: 2, curve: true, differs: [] },
      { name: "paper", title: "paper", iterations: 2, against: "improved", curve: true, differs: ["a | b: 1"] },
    ],
    empty: ["tent"],
    overQuestions: { paper: [-12.5, -9.5] },
    runs: [
      runOf("improved", 1, [0.5, 0.6, 0.7]),
      runOf("improved", 2, [0.5, 0.6, 0.72]),
      runOf("paper", 1, [0.5, 0.6, 0.6]),
      runOf("paper", 2, [0.5, 0.6], { state: "failed", problem: "no questions", planned: 2 }),
    ],
  };
  const made = tables(study);

  it("names what ran, what failed and what differs", () => {
    expect(made.setting).toContain("3 runs complete, 0 stopped before their end, 1 ended by an error");
    expect(made.setting).toContain("- paper, seed 2: no questions");
    expect(made.arms).toContain("`a \\| b: 1`");
    expect(made.arms).toContain("tent");
  });

  it("has one row per arm, with differences paired by seed", () => {
    expect(made.scores.split("\n")).toHaveLength(2 + 2 + 2);
    expect(made.differences).toContain("| paper | improved | 2 | −11.0 [");
    expect(made.differences).toContain("| [−12.5, −9.5] |");
    expect(made.differences).toContain("−10.0, −12.0");
    expect(made.iterations.split("\n")).toHaveLength(2 + 4);
  });

  it("draws what it has", () => {
    const drawn = plots(study);
    expect(Object.keys(drawn)).toEqual(["mean-at-8.svg", "greedy.svg", "label-accuracy.svg", "differences.svg"]);
    for (const svg of Object.values(drawn)) expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  });

  it("keeps the prose around its blocks", () => {
    const text = "# Title\n\nBefore.\n\n<!-- begin a -->\nold\n<!-- end a -->\n\nAfter.\n";
    const once = replaceBlocks(text, { a: "new", b: "added" });
    expect(once).toBe(
      "# Title\n\nBefore.\n\n<!-- begin a -->\nnew\n<!-- end a -->\n\nAfter.\n\n<!-- begin b -->\nadded\n<!-- end b -->\n",
    );
    expect(replaceBlocks(once, { a: "new", b: "added" })).toBe(once);
  });
});

it("numbers read as points", () => {
  expect([signed(3.14), signed(-0.42), signed(-0.01)]).toEqual(["+3.1", "−0.4", "+0.0"]);
  const one = { mean: 1, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY, seeds: [{ seed: 1, value: 1 }] };
  expect([estimateText(one), levelText(one), levelText(undefined)]).toEqual(["+1.0, 1 seed", "1.0", "–"]);
  expect(markdownTable(["a"], [["x\ny"]])).toBe("| a |\n|---|\n| x y |");
});
