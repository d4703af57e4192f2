// The report of a small run written by hand: its figures, its two forms, and texts from models that try to be markup.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig, parseOverride } from "../config/load.ts";
import type { BenchScore } from "../store/events.ts";
import { writeMatrix } from "../store/matrix.ts";
import { createRun } from "../store/runs.ts";
import { renderHtml, renderMarkdown } from "./document.ts";
import { runReport } from "./run-report.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-report-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const HOSTILE = '<script>alert("1")</script> | `x` **b** [a](javascript:1)';

function score(mean: number): BenchScore {
  const line = {
    mean,
    ci95: [mean - 0.1, mean + 0.1] as const,
    categories: {},
    kinds: {},
    levels: {},
    unparsed: 0,
    truncated: 0,
  };
  return { name: "held-out", questions: 4, samples: 2, temperature: 1, sampled: line, greedy: line, passAtK: mean };
}

/** Four questions; `right` of the two samples of each are right. */
function answers(right: readonly number[]) {
  return right.map((count, index) => ({
    bench: "held-out",
    line: "solver",
    id: `q${index}`,
    samples: [{ correct: count > 0 }, { correct: count > 1 }],
  }));
}

const config = loadConfig({ recipe: "tiny", overrides: [parseOverride("--iterations=1")] });
const store = createRun({ root, config, name: "one", version: "9.9" });
const scored: [number, number, readonly number[]][] = [
  [0, 0.375, [0, 1, 1, 1]],
  [1, 0.75, [1, 2, 2, 1]],
];
for (const [iteration, mean, right] of scored) {
  const files = store.openPhase(iteration, "evaluation");
  store.writeJsonl(files.answers, answers(right));
  store.appendEvent({ event: "evaluation", iteration, line: "solver", benches: [score(mean)] });
  store.markDone(iteration, "evaluation", { solver: [score(mean)] });
}
const files = store.openPhase(1, "curriculum");
store.writeJsonl(files.questions, [
  { question: HOSTILE, pseudoLabel: "7", voteShare: 0.8, answers: ["7"], verdict: "kept" },
  { question: "left out", pseudoLabel: "1", voteShare: 1, answers: ["1"], verdict: "too-easy" },
]);
const coverage = { distinctShare: 1, newShare: 1, distinctGramShare: 1, clusters: 1, clustered: 1 };
store.markDone(1, "curriculum", {
  pool: 2,
  kept: 1,
  wellFormed: 2,
  rejected: {},
  inBand: 0.5,
  voteShare: 0.9,
  keptVoteShare: 0.8,
  coverage,
});
const cell = { questions: 2, samples: 4, ci95: [0, 1] as const, voteShare: 0.5 };
writeMatrix(store.layout.matrix, {
  questions: 2,
  samples: 4,
  cells: [
    { ...cell, solver: 1, questionsOf: 1, agreement: 0.75 },
    { ...cell, solver: 0, questionsOf: 1, agreement: 0.5 },
    { ...cell, solver: 1, questionsOf: 2, agreement: 0.25 },
  ],
});
const document = runReport(store);

describe("a report", () => {
  it("pairs the last iteration with the base by question", () => {
    const list = document.blocks.find(({ kind }) => kind === "list") as { items: string[] };
    // Differences 1/2, 1/2, 1/2 and 0.
    expect(list.items).toEqual([
      expect.stringMatching(
        /^held-out: mean@2 at temperature 1 75\.0 % \(95 %: 65\.0 to 85\.0\) over 4 questions; \+37\.5 points over the base, paired by question/,
      ),
    ]);
  });

  it("shows the matrix of Solvers and questions, gaps where it was not measured", () => {
    const tables = document.blocks.flatMap((block) => (block.kind === "table" ? block.table : []));
    const matrix = tables.find(({ header }) => header[0] === "Solver of");
    expect(matrix?.header).toEqual(["Solver of", "questions of 1", "questions of 2"]);
    expect(matrix?.rows).toEqual([
      ["base", "50.0", "–"],
      ["iteration 1", "75.0", "25.0"],
    ]);
  });

  it("is one page that loads nothing, with texts of models as text", () => {
    const html = renderHtml(document);
    expect(html).toContain("default-src 'none'");
    expect(html).not.toMatch(/<script|<link|<img|https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
    expect(html).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
    expect(html).toContain('aria-label="Score on held-out"');
    expect(html).not.toContain("left out");
    expect(html).toContain("preset: improved");
  });

  it("is Markdown whose marks are its own", () => {
    const text = renderMarkdown(document, "one-plots");
    expect(text).toContain("![Score on held-out](<one-plots/score-held-out.svg>)");
    expect(text).toContain('\\<script\\>alert("1")\\</script\\> \\| \\`x\\` \\*\\*b\\*\\* \\[a\\](javascript:1)');
  });

  it("of a run that has done nothing says so", () => {
    const empty = createRun({ root, config, name: "empty", version: "9.9" });
    const html = renderHtml(runReport(empty));
    expect(html).toContain("Nothing was evaluated yet.");
    expect(html).toContain("No curriculum is finished yet.");
  });
});
