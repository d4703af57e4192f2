// The report of a run: what it was, how it ended, how sure that is, and how it went, as blocks for document.ts. Every figure comes from
// the run's own files; nothing is measured anew. Reads the store, knows no engine.

import { existsSync, readFileSync } from "node:fs";
import { mean, pairedDifference } from "../evaluation/statistics.ts";
import type { BenchScore } from "../store/events.ts";
import { expectObject, type JsonObject } from "../store/jsonl.ts";
import type { RunStore, StoredEvent } from "../store/run-store.ts";
import { formatDuration, formatPercent } from "../util/format.ts";
import { rngFrom } from "../util/rng.ts";
import type { Block, ReportDocument } from "./document.ts";
import { guardDecisions, guardTables } from "./guard-tables.ts";
import { runPlots } from "./run-plots.ts";
import { loopTable, type ScoreColumn, scoreColumns, scoreTables, type Table } from "./run-tables.ts";

const EXAMPLES_PER_ITERATION = 5;

/** Builds the report of a run as far as it got. Errors: DataError (damaged files). */
export function runReport(store: RunStore): ReportDocument {
  const columns = scoreColumns(store);
  const guard = guardTables(store);
  const events = store.events();
  return {
    title: `R-Zero run ${store.name}`,
    blocks: [
      { kind: "table", table: factsTable(store, events) },
      heading("Result"),
      ...resultBlocks(store, columns),
      ...scoreTables(store).map((table): Block => ({ kind: "table", table })),
      heading("How it went"),
      ...loopTable(store).map((table): Block => ({ kind: "table", table })),
      ...runPlots(store, events),
      ...(guard.length === 0 ? [] : [heading("Health")]),
      ...guard.map((table): Block => ({ kind: "table", table })),
      ...(guard.length === 0 ? [] : [{ kind: "list", items: guardDecisions(store) } as const]),
      heading("Questions it asked itself"),
      ...exampleBlocks(store),
      heading("How the figures are made"),
      { kind: "list", items: methodNotes(store, columns) },
      {
        kind: "details",
        summary: "Configuration, as resolved; rzero run on it repeats the run",
        text: readFileSync(store.layout.config, "utf8"),
      },
    ],
  };
}

function heading(text: string): Block {
  return { kind: "heading", text };
}

function factsTable(store: RunStore, events: readonly StoredEvent[]): Table {
  const { info, config } = store;
  const seconds = events.reduce(
    (sum, event) => (event.event === "phase" && event.state === "done" ? sum + Number(event.seconds ?? 0) : sum),
    0,
  );
  const resumes = events.filter(({ event, resumed }) => event === "start" && resumed === true).length;
  const rows = [
    ["state", store.state()],
    ["recipe, preset, seed", `${info.recipe}, ${config.preset}, ${config.seed}`],
    ["base model", config.base],
    ["iterations", String(config.iterations)],
    ["begun", info.created],
    [
      "time in finished phases",
      `${formatDuration(seconds)}${resumes > 0 ? `, resumed ${resumes} ${resumes === 1 ? "time" : "times"}` : ""}`,
    ],
    ["made with", `rzero ${info.rzero}, Node ${info.node}, ${info.cpu}`],
  ];
  return { heading: "The run", header: ["", ""], rows, words: [1] };
}

/** The score of the base, of the iteration it ends with, and what lies between them. */
function resultBlocks(store: RunStore, columns: readonly ScoreColumn[]): Block[] {
  const summary = store.readSummary();
  const best = summary === undefined ? undefined : expectObject(summary.best, "best");
  const iteration = typeof best?.iteration === "number" ? best.iteration : lastEvaluated(store);
  if (iteration === undefined || columns.length === 0) return [{ kind: "paragraph", text: "Nothing was evaluated yet." }];
  const how =
    best === undefined
      ? "the last one evaluated; the run is not complete"
      : `chosen by the ${best.by === "guard" ? "guard, which sees no benchmark" : "highest mean, so its score is a little too good"}`;
  const lines = store.readDone(iteration, "evaluation").solver as BenchScore[];
  const items = lines.flatMap((score) => resultLine(store, score, iteration));
  return [
    { kind: "paragraph", text: `Compared with the base: iteration ${iteration} (${how}).` },
    { kind: "list", items },
  ];
}

function lastEvaluated(store: RunStore): number | undefined {
  return store.iterations().findLast((iteration) => store.phaseDone(iteration, "evaluation"));
}

function resultLine(store: RunStore, score: BenchScore, iteration: number): string[] {
  const { name, samples, temperature, questions, sampled } = score;
  const measure = `mean@${samples} at temperature ${temperature}`;
  const base = questionMeans(store, 0, name);
  const after = questionMeans(store, iteration, name);
  const ids = [...base.keys()].filter((id) => after.has(id));
  const plain = `${name}: ${measure} ${formatPercent(sampled.mean)} % (95 %: ${formatPercent(sampled.ci95[0])} to ${formatPercent(sampled.ci95[1])}) over ${questions} questions`;
  if (iteration === 0 || ids.length === 0) return [plain];
  const pairs = ids.map((id) => [after.get(id) as number, base.get(id) as number] as const);
  const rng = rngFrom(store.config.seed, "report", name);
  const { difference, ci95 } = pairedDifference(
    pairs.map(([now]) => now),
    pairs.map(([, before]) => before),
    () => rng.next(),
  );
  const points = (share: number) => `${share >= 0 ? "+" : "−"}${(100 * Math.abs(share)).toFixed(1)}`;
  return [
    `${plain}; ${points(difference)} points over the base, paired by question (95 %: ${points(ci95[0])} to ${points(ci95[1])}).`,
  ];
}

/** Share of right samples of each question of a benchmark, by id. */
function questionMeans(store: RunStore, iteration: number, bench: string): Map<string, number> {
  const file = store.phase(iteration, "evaluation").answers;
  if (!existsSync(file)) return new Map();
  const rows = store.readJsonl<JsonObject>(file, expectObject);
  return new Map(
    rows
      .filter((row) => row.bench === bench && row.line === "solver" && Array.isArray(row.samples))
      .map((row) => [
        String(row.id),
        mean((row.samples as { correct?: unknown }[]).map(({ correct }) => Number(correct === true))),
      ]),
  );
}

/** Questions of each curriculum, spread over its vote shares. */
function exampleBlocks(store: RunStore): Block[] {
  const iterations = store.iterations().filter((iteration) => iteration > 0 && store.phaseDone(iteration, "curriculum"));
  const rows = iterations.flatMap((iteration) => {
    const file = store.phase(iteration, "curriculum").questions;
    const kept = store.readJsonl<JsonObject>(file, expectObject).filter(({ verdict }) => verdict === "kept");
    const sorted = kept.sort((a, b) => Number(b.voteShare) - Number(a.voteShare));
    const step = Math.max(1, sorted.length / EXAMPLES_PER_ITERATION);
    const shown = Array.from(
      { length: Math.min(EXAMPLES_PER_ITERATION, sorted.length) },
      (_, index) => sorted[Math.floor(index * step)],
    );
    return shown.map(({ question, pseudoLabel, voteShare }) => [
      String(iteration),
      String(question),
      String(pseudoLabel),
      formatPercent(Number(voteShare)),
    ]);
  });
  if (rows.length === 0) return [{ kind: "paragraph", text: "No curriculum is finished yet." }];
  const header = ["iteration", "question", "majority answer", "vote share %"];
  return [
    { kind: "table", table: { heading: "Kept questions, from the surest to the least sure", header, rows, words: [1, 2] } },
  ];
}

function methodNotes(store: RunStore, columns: readonly ScoreColumn[]): string[] {
  const notes = [
    "One run with one seed: the intervals are of the questions (bootstrap over questions), not of training. Another seed may end elsewhere.",
    "Answers without a box or cut at the token limit count as wrong; every question counts.",
    "Pseudo-labels are majority answers of the Solver itself. No label and no benchmark question entered training; questions of the benchmarks are kept out of the curriculum by their text.",
  ];
  if (columns.some(({ title }) => title === "base, thinking"))
    notes.push(
      `“base, thinking” is the base made to begin with “${store.config.evaluation.forcedPrefix}”: what lies below it may be elicitation, not learning.`,
    );
  if (store.config.curriculum.shuffleLabels) notes.push("Control experiment: pseudo-labels were shuffled.");
  return notes;
}
