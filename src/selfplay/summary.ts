// The last event of a run: base, final and best iteration, read back from the markers of the evaluation phases.

import type { BenchScore, RunSummary } from "../store/events.ts";
import type { RunStore } from "../store/run-store.ts";
import { meanOf } from "./context.ts";

/** Scores of an evaluation phase as its marker holds them. Errors: CheckpointError. */
export function readScores(store: RunStore, iteration: number): { solver: BenchScore[]; forcedPrefix?: BenchScore[] } {
  const summary = store.readDone(iteration, "evaluation");
  return { solver: summary.solver as BenchScore[], forcedPrefix: summary.forcedPrefix as BenchScore[] | undefined };
}

/** Summarises a finished run. `best` compares sampled means for reporting; nothing is trained by it. */
export function summarise(store: RunStore, iterations: number, seconds: number): RunSummary {
  const scores = Array.from({ length: iterations + 1 }, (_, iteration) => readScores(store, iteration).solver);
  const means = scores.map((benches) => meanOf(benches.map(({ sampled }) => sampled.mean)));
  return {
    run: store.name,
    best: { iteration: means.indexOf(Math.max(...means)) },
    base: { solver: scores[0] },
    final: { iteration: iterations, solver: scores[iterations] },
    seconds,
  };
}

/** Iteration with the highest sampled mean among those evaluated so far; undefined before the first. */
export function bestIteration(store: RunStore): number | undefined {
  const evaluated = store.iterations().filter((iteration) => store.phaseDone(iteration, "evaluation"));
  const means = evaluated.map((iteration) => meanOf(readScores(store, iteration).solver.map(({ sampled }) => sampled.mean)));
  return evaluated[means.indexOf(Math.max(...means))];
}
