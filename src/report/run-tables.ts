// The tables a person reads at the end of a run: scores of base and iterations, and what the loop did. Reads the store, knows no
// engine. Scores are percentages; `greedy / mean@k` in one cell.

import type { BenchScore, ChallengerMetrics, CurriculumMetrics, SolverMetrics } from "../store/events.ts";
import type { RunStore } from "../store/run-store.ts";
import { formatPercent, formatTable } from "../util/format.ts";

/** One scored policy of a run. */
export interface ScoreColumn {
  readonly title: string;
  readonly benches: readonly BenchScore[];
}

/** A table for people: what it shows, its header, its rows; the first column names them. */
export interface Table {
  readonly heading: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns of words beside the first; the others are numbers. */
  readonly words?: readonly number[];
}

/** Scores and loop of a run as far as it got, as text; an empty string when nothing was evaluated yet. */
export function runTables(store: RunStore): string {
  const scores = scoreTables(store);
  return scores.length === 0 ? "" : [...scores, ...loopTable(store)].map(tableText).join("\n\n");
}

/** A table under its heading, aligned. */
export function tableText({ heading, header, rows, words = [] }: Table): string {
  const align = header.map((_, column) => (column === 0 || words.includes(column) ? "left" : "right"));
  return `${heading}\n\n${formatTable(header, rows, align)}`;
}

/** One table per benchmark; none when nothing was evaluated yet. */
export function scoreTables(store: RunStore): Table[] {
  const columns = scoreColumns(store);
  return (columns[0]?.benches ?? []).map(({ name }, bench) => {
    const asked = columns.filter(({ benches }) => benches[bench]?.name === name);
    return scoreTable(name, asked, bench);
  });
}

/** Finished evaluations, in order: base, base forced to think (the elicitation line), then the iterations. */
export function scoreColumns(store: RunStore): ScoreColumn[] {
  return store
    .iterations()
    .filter((iteration) => store.phaseDone(iteration, "evaluation"))
    .flatMap((iteration) => {
      const summary = store.readDone(iteration, "evaluation");
      const solver = { title: iteration === 0 ? "base" : `iteration ${iteration}`, benches: summary.solver as BenchScore[] };
      if (summary.forcedPrefix === undefined) return [solver];
      return [{ title: "base, thinking", benches: summary.forcedPrefix as BenchScore[] }, solver];
    });
}

function scoreTable(name: string, columns: readonly ScoreColumn[], bench: number): Table {
  const scores = columns.map(({ benches }) => benches[bench]);
  const { questions, samples, temperature, sampled } = scores[0];
  const cell = (greedy: number | undefined, mean: number | undefined) => `${formatPercent(greedy)} / ${formatPercent(mean)}`;
  const group = (of: "categories" | "kinds" | "levels", title: (key: string) => string) =>
    Object.keys(sampled[of]).map((key) => [
      title(key),
      ...scores.map((score) => cell(score.greedy?.[of][key], score.sampled[of][key])),
    ]);
  const rows = [
    ["all questions", ...scores.map((score) => cell(score.greedy?.mean, score.sampled.mean))],
    ["  95 % interval (mean)", ...scores.map(({ sampled: { ci95 } }) => `${formatPercent(ci95[0])}–${formatPercent(ci95[1])}`)],
    ["answers that think", ...scores.map(({ thinks }) => formatPercent(thinks))],
    ["answers without a box", ...scores.map((score) => formatPercent(score.sampled.unparsed / (questions * samples)))],
    ...group("kinds", (key) => key),
    ...group("levels", (key) => `level ${key}`),
    ...group("categories", (key) => key),
  ];
  const heading = `${name}: ${questions} questions, greedy / mean@${samples} at temperature ${temperature}, in %`;
  return { heading, header: ["", ...columns.map(({ title }) => title)], rows };
}

/** One row per iteration: how the Challenger moved, what the curriculum kept, what the Solver made of it; none before the first curriculum. */
export function loopTable(store: RunStore): Table[] {
  const rows = store
    .iterations()
    .filter((iteration) => iteration > 0 && store.phaseDone(iteration, "curriculum"))
    .map((iteration) => {
      const curriculum = store.readDone(iteration, "curriculum") as unknown as CurriculumMetrics;
      const challenger = stepsOf<ChallengerMetrics>(store, iteration, "challenger");
      const solver = stepsOf<SolverMetrics>(store, iteration, "solver");
      return [
        String(iteration),
        fromTo(challenger[0]?.inBand, curriculum.inBand, formatPercent),
        fromTo(challenger[0]?.level, curriculum.level, formatLevel),
        fromTo(challenger[0]?.voteShare, curriculum.voteShare, formatPercent),
        String(curriculum.pool),
        String(curriculum.kept),
        formatLevel(curriculum.keptLevel),
        formatPercent(curriculum.labelAccuracy),
        auditCell(curriculum),
        coverageCell(curriculum),
        fromTo(solver[0]?.reward, solver.at(-1)?.reward, formatPercent),
      ];
    });
  if (rows.length === 0) return [];
  const header = [
    "iteration",
    "in band %",
    "level",
    "vote share %",
    "pool",
    "kept",
    "kept level",
    "label accuracy %",
    "audit %",
    "clusters",
    "Solver reward %",
  ];
  const heading = "The loop (before → after training; level and label accuracy from known truth, which nothing trains on)";
  return [{ heading, header, rows }];
}

/** Label accuracy as the probes let one expect it. */
function auditCell({ audit }: CurriculumMetrics): string {
  if (audit === undefined) return "–";
  return `${formatPercent(audit.mean)} (${formatPercent(audit.ci95[0])}–${formatPercent(audit.ci95[1])})`;
}

/** Clusters of the questions that were clustered; a run of before has none. */
function coverageCell({ coverage }: Partial<CurriculumMetrics>): string {
  return coverage === undefined ? "–" : `${coverage.clusters}/${coverage.clustered}`;
}

function stepsOf<T>(store: RunStore, iteration: number, phase: "challenger" | "solver"): readonly T[] {
  return store.phaseDone(iteration, phase) ? ((store.readDone(iteration, phase).steps ?? []) as T[]) : [];
}

function fromTo(from: number | undefined, to: number | undefined, format: (value: number | undefined) => string): string {
  return from === undefined ? format(to) : `${format(from)} → ${format(to)}`;
}

function formatLevel(level: number | undefined): string {
  return typeof level === "number" ? level.toFixed(2) : "–";
}
