// What a study keeps of a run: one small record of measures per iteration, read from the run's directory. From the records alone all
// tables and plots are made, so that docs/results/study.json is the whole evidence. Shares are in [0, 1], durations in seconds.

import { existsSync } from "node:fs";
import type { BenchScore, CurriculumMetrics, GuardReport, Score } from "../store/events.ts";
import { expectObject, readJson, readJsonl } from "../store/jsonl.ts";
import type { Phase } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { truth } from "../tiny-world/oracle.ts";

/** Scores of one policy on the held-out questions. */
export interface PolicyScores {
  /** mean@k at temperature 1, and greedy pass@1. */
  readonly mean: number;
  readonly greedy: number;
  readonly passAtK: number;
  readonly thinks?: number;
  /** mean@k and greedy by level, and by kind (`mathematics` is posed by the Challenger, `general` never is). */
  readonly levels: Readonly<Record<string, readonly [mean: number, greedy: number]>>;
  readonly kinds: Readonly<Record<string, readonly [mean: number, greedy: number]>>;
}

/** One iteration; iteration 0 is the base model. */
export interface IterationRecord {
  readonly iteration: number;
  readonly scores: PolicyScores;
  /** The base forced to begin with `<think>`; iteration 0 alone. */
  readonly forced?: PolicyScores;
  readonly curriculum?: {
    readonly pool: number;
    readonly kept: number;
    readonly inBand: number;
    readonly level?: number;
    readonly wellFormed: number;
    readonly distinct: number;
    /** Clusters per clustered question. */
    readonly clusters: number;
    /** Kept questions by family, by the oracle. */
    readonly families: Readonly<Record<string, number>>;
    /** By the oracle, among the kept questions that it can read, and their share. */
    readonly labelAccuracy?: number;
    readonly answerable?: number;
    readonly audit?: { readonly mean: number; readonly ci95: readonly [number, number] };
  };
  readonly guard?: { readonly action: string; readonly broken: readonly string[]; readonly best: number };
  readonly challengerSteps: number;
  readonly solverSteps: number;
  readonly seconds: Readonly<Partial<Record<Phase, number>>>;
}

/** One run of a study. */
export interface RunRecord {
  readonly arm: string;
  readonly seed: number;
  /** `failed`: it ended with an error, told in `problem`; `stopped`: it was interrupted and can go on. */
  readonly state: "done" | "failed" | "stopped";
  readonly problem?: string;
  /** Iterations that were asked for; a run may end before. */
  readonly planned: number;
  /** Whether the run returns its guard's best iteration; else it returns its last one. */
  readonly rollback: boolean;
  readonly iterations: readonly IterationRecord[];
  /** mean@k at temperature 0.25: base, forced base, and the model that the run returns. */
  readonly lowTemperature?: { readonly base: number; readonly forced: number; readonly end: number };
}

/** The measures of a run as far as it got; undefined before its first evaluation. Errors: DataError, CheckpointError. */
export function collectRun(
  store: RunStore,
  about: Pick<RunRecord, "arm" | "seed" | "problem" | "lowTemperature">,
): RunRecord | undefined {
  const evaluated = store.iterations().filter((iteration) => store.phaseDone(iteration, "evaluation"));
  if (evaluated.length === 0) return undefined;
  const seconds = phaseSeconds(store);
  const state = store.state() === "done" ? "done" : about.problem === undefined ? "stopped" : "failed";
  return {
    arm: about.arm,
    seed: about.seed,
    state,
    ...(state === "failed" ? { problem: about.problem } : {}),
    planned: store.config.iterations,
    rollback: store.config.guard.enabled && store.config.guard.action === "rollback",
    iterations: evaluated.map((iteration) => collectIteration(store, iteration, seconds.get(iteration) ?? {})),
    ...(about.lowTemperature === undefined ? {} : { lowTemperature: about.lowTemperature }),
  };
}

function collectIteration(store: RunStore, iteration: number, seconds: IterationRecord["seconds"]): IterationRecord {
  const { solver, forcedPrefix } = store.readDone(iteration, "evaluation") as Record<string, BenchScore[] | undefined>;
  const has = (phase: Phase) => iteration > 0 && store.phaseDone(iteration, phase);
  const steps = (phase: Phase) => (has(phase) ? ((store.readDone(iteration, phase).steps ?? []) as unknown[]).length : 0);
  return {
    iteration,
    scores: scoresOf(solver?.[0]),
    ...(forcedPrefix === undefined ? {} : { forced: scoresOf(forcedPrefix[0]) }),
    ...(has("curriculum") ? { curriculum: curriculumOf(store, iteration) } : {}),
    ...(has("guard") ? { guard: guardOf(store, iteration) } : {}),
    challengerSteps: steps("challenger"),
    solverSteps: steps("solver"),
    seconds,
  };
}

function scoresOf(bench: BenchScore | undefined): PolicyScores {
  if (bench?.greedy === undefined) throw new Error("internal: a study needs a benchmark with greedy scores");
  const { sampled, greedy, passAtK, thinks } = bench;
  const pairs = (of: "levels" | "kinds") =>
    Object.fromEntries(
      Object.keys(sampled[of]).map((key) => [key, [short(sampled[of][key]), short((greedy as Score)[of][key])] as const]),
    );
  return {
    mean: short(sampled.mean),
    greedy: short(greedy.mean),
    passAtK: short(passAtK),
    ...(thinks === undefined ? {} : { thinks: short(thinks) }),
    levels: pairs("levels"),
    kinds: pairs("kinds"),
  };
}

function curriculumOf(store: RunStore, iteration: number): NonNullable<IterationRecord["curriculum"]> {
  const made = store.readDone(iteration, "curriculum") as unknown as CurriculumMetrics;
  const { pool, kept, wellFormed, inBand, level, labelAccuracy, answerable, audit, coverage } = made;
  return {
    pool,
    kept,
    inBand: short(inBand),
    ...(typeof level === "number" ? { level: short(level) } : {}),
    wellFormed: short(wellFormed / pool),
    distinct: short(coverage.distinctShare),
    clusters: coverage.clustered === 0 ? 0 : short(coverage.clusters / coverage.clustered),
    families: familiesOf(store.phase(iteration, "curriculum").questions),
    ...(typeof labelAccuracy === "number" ? { labelAccuracy: short(labelAccuracy) } : {}),
    ...(typeof answerable === "number" ? { answerable: short(answerable) } : {}),
    ...(audit === undefined ? {} : { audit: { mean: short(audit.mean), ci95: [short(audit.ci95[0]), short(audit.ci95[1])] } }),
  };
}

function familiesOf(file: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { question, verdict } of readJsonl(file, (value, where) => expectObject(value, where))) {
    if (verdict !== "kept") continue;
    const family = truth(String(question))?.family ?? "unreadable";
    counts[family] = (counts[family] ?? 0) + 1;
  }
  return counts;
}

function guardOf(store: RunStore, iteration: number): NonNullable<IterationRecord["guard"]> {
  const { decision, broken, best } = store.readDone(iteration, "guard") as unknown as GuardReport;
  const action = decision.action === "rollback" ? `rollback to ${decision.to}` : decision.action;
  return { action, broken: broken.map(({ measure, condition }) => `${measure} ${condition}`), best: best.iteration };
}

/** Wall time of each finished phase; a phase that was interrupted tells the time of its last part only. */
function phaseSeconds(store: RunStore): Map<number, IterationRecord["seconds"]> {
  const found = new Map<number, Partial<Record<Phase, number>>>();
  for (const { event, state, iteration, phase, seconds } of store.events()) {
    if (event !== "phase" || state !== "done" || typeof seconds !== "number") continue;
    const phases = found.get(iteration as number) ?? {};
    phases[phase as Phase] = Math.round(seconds * 10) / 10;
    found.set(iteration as number, phases);
  }
  return found;
}

/** mean@k of an evaluation's file; undefined when it is not there. Errors: DataError. */
export function readEvaluation(file: string): number | undefined {
  if (!existsSync(file)) return undefined;
  const { benches } = expectObject(readJson(file), file) as { benches?: { mean?: unknown }[] };
  const mean = benches?.[0]?.mean;
  return typeof mean === "number" ? short(mean) : undefined;
}

/** Five decimals: below what 720 questions of 8 samples can tell apart. */
function short(value: number): number {
  return Math.round(value * 1e5) / 1e5;
}
