// Arms over seeds: what a run scored after so many iterations, means over seeds, and differences paired by seed. Pure: records in,
// estimates out. Scores are in points (percent).

import { studentMean } from "../evaluation/statistics.ts";
import type { IterationRecord, PolicyScores, RunRecord } from "./record.ts";

/** A mean over seeds with its 95 % interval by Student's t, and the value of each seed. Of one seed the ends are infinite. */
export interface Estimate {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  readonly seeds: readonly { readonly seed: number; readonly value: number }[];
}

/** A number read off a policy. */
export type Measure = (scores: PolicyScores) => number | undefined;

export const meanAtK: Measure = ({ mean }) => 100 * mean;
export const greedy: Measure = ({ greedy: share }) => 100 * share;
/** mean@k of one level, or of one kind. */
export const level =
  (name: string): Measure =>
  ({ levels }) =>
    levels[name] && 100 * levels[name][0];
export const kind =
  (name: string): Measure =>
  ({ kinds }) =>
    kinds[name] && 100 * kinds[name][0];

/** A number read off a run; undefined where it does not have it (yet). */
export type RunMeasure = (run: RunRecord) => number | undefined;

/**
 * The record after `at` rounds. A run that ended early, by a rule, its guard or for want of questions, keeps the policy it ended with;
 * what an interrupted run did not reach, or none was asked for, is undefined.
 */
export function recordAt(run: RunRecord, at: number): IterationRecord | undefined {
  const endedEarly = run.state !== "stopped" && at <= run.planned;
  return run.iterations.find(({ iteration }) => iteration === at) ?? (endedEarly ? lastOf(run) : undefined);
}

/** The record of the policy that a run of `iterations` rounds returns: the guard's best so far where it rolls back, else the last. */
export function returnedAt(run: RunRecord, iterations: number): IterationRecord | undefined {
  const last = recordAt(run, iterations);
  if (last === undefined || !run.rollback) return last;
  return recordAt(run, last.guard?.best ?? last.iteration);
}

/** How many iterations every one of the runs has come to, or ended before; 0 without runs. */
export function common(runs: readonly RunRecord[]): number {
  return runs.length === 0 ? 0 : Math.min(...runs.map(reachOf));
}

/** How many iterations the farthest of the runs has come to, or ended before; 0 without runs. */
export function reach(runs: readonly RunRecord[]): number {
  return Math.max(0, ...runs.map(reachOf));
}

/** A run that has ended keeps its policy for all iterations that were planned. */
function reachOf(run: RunRecord): number {
  return run.state === "stopped" ? lastOf(run).iteration : run.planned;
}

/** After how many iterations an arm is compared with its rival: as many as both have with every seed, at most those of the arm. */
export function comparedRounds(
  runs: readonly RunRecord[],
  arm: { readonly name: string; readonly against?: string; readonly iterations: number },
): number {
  return Math.min(arm.iterations, common(runsOf(runs, arm.name)), common(runsOf(runs, arm.against ?? arm.name)));
}

function lastOf({ iterations }: RunRecord): IterationRecord {
  return iterations[iterations.length - 1];
}

/** Iterations of the longest run. */
export function longest(runs: readonly RunRecord[]): number {
  return Math.max(0, ...runs.map((run) => lastOf(run).iteration));
}

/** The runs of an arm. */
export function runsOf(runs: readonly RunRecord[], arm: string): RunRecord[] {
  return runs.filter((run) => run.arm === arm).sort((a, b) => a.seed - b.seed);
}

/** Mean over the runs that have the measure; undefined when none has. */
export function estimate(runs: readonly RunRecord[], measure: RunMeasure): Estimate | undefined {
  return fromSeeds(runs.flatMap((run) => withValue(run.seed, measure(run))));
}

/** Mean of a − b over the seeds that have both; undefined when there is none. */
export function pairedEstimate(
  a: { readonly runs: readonly RunRecord[]; readonly measure: RunMeasure },
  b: { readonly runs: readonly RunRecord[]; readonly measure: RunMeasure },
): Estimate | undefined {
  const differences = a.runs.flatMap((run) => {
    const other = b.runs.find(({ seed }) => seed === run.seed);
    const [left, right] = [a.measure(run), other && b.measure(other)];
    return withValue(run.seed, left === undefined || right === undefined ? undefined : left - right);
  });
  return fromSeeds(differences);
}

function withValue(seed: number, value: number | undefined): { seed: number; value: number }[] {
  return value === undefined || Number.isNaN(value) ? [] : [{ seed, value }];
}

function fromSeeds(seeds: { seed: number; value: number }[]): Estimate | undefined {
  if (seeds.length === 0) return undefined;
  const { mean, ci95 } = studentMean(seeds.map(({ value }) => value));
  return { mean, low: ci95[0], high: ci95[1], seeds };
}

/** Solver steps up to an iteration, as the policy of a run without rollbacks has taken them. */
export function solverStepsAt(run: RunRecord, at: number): number {
  return run.iterations.filter(({ iteration }) => iteration <= at).reduce((sum, { solverSteps }) => sum + solverSteps, 0);
}

/** The last iteration of a run by which it has taken at most `steps` Solver steps. */
export function iterationWithin(run: RunRecord, steps: number): number {
  return Math.max(...run.iterations.map(({ iteration }) => iteration).filter((at) => solverStepsAt(run, at) <= steps));
}
