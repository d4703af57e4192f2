// Intervals of differences over questions: the same runs, had other questions of the same sort been asked. The other interval, over seeds
// (compare.ts), is about other runs on the same questions. Reads the graded answers of runs.

import { mean, pairedDifference } from "../evaluation/statistics.ts";
import { expectObject, readJsonl } from "../store/jsonl.ts";
import type { RunStore } from "../store/run-store.ts";
import { DataError } from "../util/errors.ts";
import { rngFrom } from "../util/rng.ts";
import { comparedRounds, returnedAt, runsOf } from "./compare.ts";
import type { RunRecord } from "./record.ts";
import type { StudyArm } from "./tables.ts";

/** 95 % bootstrap interval in points. */
export type QuestionInterval = readonly [low: number, high: number];

const RESAMPLES = 2000;

/** The interval of each arm's difference to its rival in mean@k, by arm; every question averaged over the seeds that both have. */
export function questionIntervals(
  arms: readonly StudyArm[],
  runs: readonly RunRecord[],
  open: (run: RunRecord) => RunStore,
): Record<string, QuestionInterval> {
  const scoresAt = (run: RunRecord, rounds: number) => {
    const record = returnedAt(run, rounds);
    return record && scoresByQuestion(open(run), record.iteration);
  };
  const found = arms.flatMap((arm): [string, QuestionInterval][] => {
    const { name, against } = arm;
    if (against === undefined) return [];
    const rounds = comparedRounds(runs, arm);
    const pairs = runsOf(runs, name).flatMap((run) => {
      const other = runsOf(runs, against).find(({ seed }) => seed === run.seed);
      const [own, theirs] = [scoresAt(run, rounds), other && scoresAt(other, rounds)];
      return own === undefined || theirs === undefined ? [] : [{ own, theirs }];
    });
    if (pairs.length === 0) return [];
    const rng = rngFrom(1, "study", name);
    const average = (side: "own" | "theirs") =>
      pairs[0][side].map((_, question) => mean(pairs.map((pair) => pair[side][question])));
    const { ci95 } = pairedDifference(average("own"), average("theirs"), () => rng.next(), { resamples: RESAMPLES });
    return [[name, [Math.round(1e4 * ci95[0]) / 100, Math.round(1e4 * ci95[1]) / 100]]];
  });
  return Object.fromEntries(found);
}

/** Share of right samples of each question, in the benchmark's order. Errors: DataError. */
function scoresByQuestion(store: RunStore, iteration: number): number[] {
  const { answers } = store.phase(iteration, "evaluation");
  const rows = readJsonl(answers, (value, where) => {
    const { line, samples } = expectObject(value, where);
    if (!Array.isArray(samples) || samples.length === 0) throw new DataError(`${where}: expected samples, got none.`);
    return { line, share: mean(samples.map((sample: { correct?: unknown }) => (sample.correct === true ? 1 : 0))) };
  });
  return rows.filter(({ line }) => line === "solver").map(({ share }) => share);
}
