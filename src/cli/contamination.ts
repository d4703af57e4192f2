// `rzero inspect RUN --contamination BENCH|FILE`: how much of what a run trained and tested its Solver on stands in a benchmark.

import { type Contamination, contamination, type TracedQuestion } from "../evaluation/contamination.ts";
import { type LoadOptions, loadNamed } from "../evaluation/load.ts";
import { expectObject, type JsonObject, readJsonl } from "../store/jsonl.ts";
import type { RunStore } from "../store/run-store.ts";
import { RunError } from "../util/errors.ts";
import { formatPercent, formatTable } from "../util/format.ts";
import { print, printJson } from "./output.ts";

/** What the command was given. */
export interface ContaminationArguments {
  readonly benchmark: string;
  readonly words: number;
  readonly worst: number;
  readonly load: LoadOptions;
  readonly json?: boolean;
}

/** Prints the overlap. Errors: RunError when the run has posed no question yet. */
export async function showContamination(
  run: RunStore,
  { benchmark, words, worst, load, json }: ContaminationArguments,
): Promise<void> {
  const posed = questionsOf(run);
  if (posed.length === 0)
    throw new RunError(`${run.name}: expected a finished curriculum phase, got none: it has no questions yet.`);
  const bench = await loadNamed(benchmark, load);
  const asked = bench.questions.map(({ id, question }, index) => ({ id: id ?? String(index), text: question }));
  const kept = contamination(
    posed.filter((question) => question.kept),
    asked,
    { words, worst: 0 },
  );
  const pool = contamination(posed, asked, { words, worst });
  if (json) printJson(describe(run.name, bench.name, words, pool, kept));
  else show(run.name, bench.name, pool, kept);
}

interface PosedQuestion extends TracedQuestion {
  /** In the curriculum, so trained on. */
  readonly kept: boolean;
}

/** Every question of the run's pools; the id says where it stands: iteration and line. */
function questionsOf(run: RunStore): PosedQuestion[] {
  return run.iterations().flatMap((iteration) => {
    if (!run.phaseDone(iteration, "curriculum")) return [];
    const rows = readJsonl(run.phase(iteration, "curriculum").questions, (value, where) => expectObject(value, where));
    return rows.flatMap(({ question, verdict }, index) =>
      typeof question === "string" && question.trim() !== "" && verdict !== "malformed"
        ? { text: question, id: `${iteration}:${index + 1}`, kept: verdict === "kept" }
        : [],
    );
  });
}

function counts({ questions, overlapping, half, identical, benchmarkHalf }: Contamination): JsonObject {
  return { questions, overlapping, half, identical, benchmarkHalf };
}

function describe(run: string, benchmark: string, words: number, pool: Contamination, kept: Contamination): JsonObject {
  return {
    run,
    benchmark,
    benchmarkQuestions: pool.benchmarkQuestions,
    words,
    pool: counts(pool),
    curriculum: counts(kept),
    worst: pool.worst.map(({ share, grams, question, benchmark: found }) => ({
      share,
      grams,
      question: question.text,
      at: question.id,
      benchmarkQuestion: found.text,
      benchmarkId: found.id,
    })),
  };
}

function show(run: string, benchmark: string, pool: Contamination, kept: Contamination): void {
  const row = (name: string, { questions, overlapping, half, identical }: Contamination) => [
    name,
    String(questions),
    String(overlapping),
    String(half),
    String(identical),
    formatPercent(questions === 0 ? undefined : half / questions),
  ];
  print(`${run} against ${benchmark} (${pool.benchmarkQuestions} questions)\n`);
  print(
    formatTable(
      ["distinct questions of", "count", "share a gram", "half or more", "identical", "half or more, %"],
      [row("all pools", pool), row("the curricula", kept)],
    ),
  );
  for (const { share, question, benchmark: found } of pool.worst)
    print(`\n${formatPercent(share)} %  ${question.id}  ${oneLine(question.text)}\n      ${found.id}  ${oneLine(found.text)}`);
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 160 ? `${line.slice(0, 157)}…` : line;
}
