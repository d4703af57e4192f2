// `rzero inspect`: one run's phases, scores and health, from what its finished phases left.

import { Command } from "commander";
import { guardText } from "../report/guard-tables.ts";
import { runTables } from "../report/run-tables.ts";
import type { BenchScore, ChallengerMetrics, SolverMetrics, TrainingMetrics } from "../store/events.ts";
import { PHASES, type Phase, runsRoot } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { openRun } from "../store/runs.ts";
import { formatDuration, formatPercent, formatTable } from "../util/format.ts";
import { embeddedFile, withBenchmarks } from "./benchmark-options.ts";
import { showContamination } from "./contamination.ts";
import { showMatrix } from "./matrix.ts";
import { wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";
import { showVerification } from "./verify.ts";

interface InspectOptions {
  runs?: string;
  verify?: boolean;
  contamination?: string;
  benchDir?: string;
  ngram: number;
  top: number;
  matrix?: boolean;
  questions: number;
  samples: number;
  json?: boolean;
}

export function inspectCommand(): Command {
  return new Command("inspect")
    .description("one run's phases, scores and health")
    .argument("<run>", "name of the run")
    .option("--runs <dir>", "where runs live (default: RZERO_RUNS or ./runs)")
    .option("--verify", "check every checksum of the run; exit code 1 when a file is damaged")
    .option("--contamination <bench>", "overlap of the run's questions with a benchmark (name of rzero eval, or a file)")
    .option("--bench-dir <dir>", "with --contamination: directory of benchmark files as downloaded; nothing is fetched")
    .option("--ngram <words>", "with --contamination: words of a gram", wholeNumber(1), 8)
    .option("--top <count>", "with --contamination: pairs to show", wholeNumber(0), 10)
    .option("--matrix", "ask every iteration's Solver the questions of every iteration, and keep what comes out in the run")
    .option("--questions <count>", "with --matrix: questions of each iteration", wholeNumber(1), 100)
    .option("--samples <count>", "with --matrix: answers to each", wholeNumber(1), 4)
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExamples:\n  rzero inspect tiny-001\n  rzero inspect tiny-001 --contamination math-500")
    .action(inspect);
}

async function inspect(name: string, options: InspectOptions): Promise<void> {
  const run = openRun(runsRoot(options.runs), name);
  if (options.verify) {
    showVerification(run, options.json ?? false);
    return;
  }
  if (options.contamination !== undefined) {
    await withBenchmarks(options.benchDir, (load) =>
      showContamination(run, {
        benchmark: embeddedFile(options.contamination ?? "") ?? options.contamination ?? "",
        words: options.ngram,
        worst: options.top,
        load,
        json: options.json,
      }),
    );
    return;
  }
  if (options.matrix) {
    await showMatrix(run, options);
    return;
  }
  if (options.json) {
    printJson(describe(run));
    return;
  }
  const { config, info } = run;
  print(`${run.name}: ${run.state()}, recipe ${info.recipe}, preset ${config.preset}, seed ${config.seed}, base ${config.base}`);
  print(`made ${info.created} with rzero ${info.rzero}, Node ${info.node}, ${info.cpu}\n${run.dir}\n`);
  const phases = phaseTable(run);
  print(phases === "" ? "No phase is finished yet." : phases);
  const health = healthTable(run);
  if (health !== "") print(`\nHealth of training (mean over the phase's steps)\n\n${health}`);
  const guard = guardText(run);
  if (guard !== "") print(`\n${guard}`);
  const tables = runTables(run);
  if (tables !== "") print(`\n${tables}`);
}

/** The run as one JSON document; see the contract of the command. */
function describe(run: RunStore): object {
  const { config, info } = run;
  const iterations = run.iterations().map((iteration) => ({
    iteration,
    challenger: summaryOf(run, iteration, "challenger"),
    curriculum: summaryOf(run, iteration, "curriculum"),
    solver: summaryOf(run, iteration, "solver"),
    guard: summaryOf(run, iteration, "guard"),
    evaluation: evaluationOf(run, iteration),
  }));
  return {
    run: run.name,
    recipe: info.recipe,
    preset: config.preset,
    seed: config.seed,
    base: config.base,
    state: run.state(),
    info,
    iterations,
  };
}

/** A training phase: its step count, its mean measures, its first and last step. Other phases: what their marker holds. */
function summaryOf(run: RunStore, iteration: number, phase: Phase): object | undefined {
  if (!run.phaseDone(iteration, phase)) return undefined;
  const summary = run.readDone(iteration, phase);
  if (!Array.isArray(summary.steps)) return summary;
  const steps = summary.steps as TrainingMetrics[];
  return { steps: steps.length, mean: meanMetrics(steps), first: steps[0], last: steps.at(-1) };
}

/** Scores per line (`solver`, `forcedPrefix`): means over benchmarks, and each benchmark. */
function evaluationOf(run: RunStore, iteration: number): object | undefined {
  if (!run.phaseDone(iteration, "evaluation")) return undefined;
  const lines = Object.entries(run.readDone(iteration, "evaluation")).filter(([, value]) => Array.isArray(value));
  return Object.fromEntries(
    lines.map(([line, value]) => {
      const benches = value as BenchScore[];
      const greedy = benches.flatMap((bench) => bench.greedy?.mean ?? []);
      return [line, { mean: mean(benches.map(({ sampled }) => sampled.mean)), greedy: mean(greedy), benches }];
    }),
  );
}

function phaseTable(run: RunStore): string {
  const seconds = new Map<string, number>();
  for (const event of run.events())
    if (event.event === "phase" && event.state === "done")
      seconds.set(`${event.iteration}/${event.phase}`, Number(event.seconds));
  const rows = run.iterations().map((iteration) => {
    const cell = (phase: Phase) =>
      run.phaseDone(iteration, phase) ? formatDuration(seconds.get(`${iteration}/${phase}`) ?? Number.NaN) : "–";
    return [iteration === 0 ? "base" : `iteration ${iteration}`, ...PHASES.map(cell)];
  });
  return rows.length === 0 ? "" : formatTable(["", ...PHASES], rows);
}

function healthTable(run: RunStore): string {
  const rows = run.iterations().flatMap((iteration) =>
    (["challenger", "solver"] as const).flatMap((role) => {
      if (!run.phaseDone(iteration, role)) return [];
      const steps = run.readDone(iteration, role).steps as (ChallengerMetrics | SolverMetrics)[] | undefined;
      if (!steps || steps.length === 0) return [];
      const { klPenalty, clipFractionLow, clipFractionHigh, gradNorm, samplerMismatch, zeroVarianceGroups, groups } =
        meanMetrics(steps);
      return [
        [
          `${iteration} ${role}`,
          klPenalty.toFixed(4),
          formatPercent(clipFractionLow + clipFractionHigh),
          gradNorm.toFixed(3),
          samplerMismatch === 0 ? "0" : samplerMismatch.toExponential(1),
          formatPercent(zeroVarianceGroups / Math.max(1, groups)),
        ],
      ];
    }),
  );
  if (rows.length === 0) return "";
  return formatTable(
    ["phase", "KL penalty", "clip fraction %", "gradient norm", "sampler mismatch", "zero-variance groups %"],
    rows,
  );
}

/** Mean of every numeric measure over the steps that have it. */
function meanMetrics(steps: readonly TrainingMetrics[]): TrainingMetrics {
  const keys = new Set(steps.flatMap((step) => Object.keys(step)));
  const valuesOf = (key: string) =>
    steps.map((step) => (step as unknown as Record<string, unknown>)[key]).filter((value) => typeof value === "number");
  return Object.fromEntries([...keys].map((key) => [key, mean(valuesOf(key))])) as unknown as TrainingMetrics;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
