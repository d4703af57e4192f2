// The last event of a run: base, final and best iteration, read back from the markers of the evaluation phases.

import type { BenchScore, RunSummary } from "../store/events.ts";
import type { RunStore } from "../store/run-store.ts";
import { meanOf } from "./context.ts";
import { guardBest, guardStopped } from "./guard-state.ts";

/** Scores of an evaluation phase as its marker holds them. Errors: CheckpointError. */
export function readScores(store: RunStore, iteration: number): { solver: BenchScore[]; forcedPrefix?: BenchScore[] } {
  const summary = store.readDone(iteration, "evaluation");
  return { solver: summary.solver as BenchScore[], forcedPrefix: summary.forcedPrefix as BenchScore[] | undefined };
}

/** Summarises a finished run, up to its last iteration that was evaluated. `best` is what the guard chose, if there is one. */
export function summarise(store: RunStore, seconds: number): RunSummary {
  const last = store.iterations().findLast((iteration) => store.phaseDone(iteration, "evaluation")) ?? 0;
  const chosen = guardBest(store);
  return {
    run: store.name,
    best: chosen ? { ...chosen, by: "guard" } : { iteration: bestIteration(store) ?? 0, by: "evaluation" },
    ...(guardStopped(store, last) ? { stopped: last } : {}),
    base: { solver: readScores(store, 0).solver },
    final: { iteration: last, solver: readScores(store, last).solver },
    seconds,
  };
}

/** Iteration with the highest sampled mean among those evaluated so far; undefined before the first. */
export function bestIteration(store: RunStore): number | undefined {
  const evaluated = store.iterations().filter((iteration) => store.phaseDone(iteration, "evaluation"));
  const means = evaluated.map((iteration) => meanOf(readScores(store, iteration).solver.map(({ sampled }) => sampled.mean)));
  return evaluated[means.indexOf(Math.max(...means))];
}
