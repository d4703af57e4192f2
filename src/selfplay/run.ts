// READ FIRST. The R-Zero loop: one base model becomes two policies that improve each other. Each phase is a file beside this one;
// each finished phase is on the disk before the next begins, so a run that was stopped goes on after its last finished phase.
// Source: R-Zero (arXiv 2508.05004), algorithm 1; docs/algorithm.md maps every equation to its file.

import type { Config } from "../config/schema.ts";
import type { Engine } from "../engine/types.ts";
import type { ProgressEvent, RunEvent, RunSummary } from "../store/events.ts";
import type { RunStore } from "../store/run-store.ts";
import { challengerPhase } from "./challenger-phase.ts";
import type { LoopContext } from "./context.ts";
import { curriculumPhase, readCurriculum } from "./curriculum-phase.ts";
import { evaluationPhase } from "./evaluation-phase.ts";
import { closeContext, openContext, phase, savePolicy } from "./phases.ts";
import { solverPhase } from "./solver-phase.ts";
import { summarise } from "./summary.ts";

export interface SelfPlayOptions {
  readonly config: Config;
  readonly store: RunStore;
  readonly engine: Engine;
  /** Directory of the base model (`config.base`, resolved). */
  readonly baseDir: string;
  /** Every event of the run, as it happens (also stored); progress inside a step is not stored. */
  readonly on: (event: RunEvent | ProgressEvent) => void;
  readonly signal: AbortSignal;
}

/** Runs, or goes on with, a whole run. Errors: RunError, ConfigError, DataError; InterruptedError after saving. */
export async function runSelfPlay(options: SelfPlayOptions): Promise<RunSummary> {
  const started = performance.now();
  const context = await openContext(options);
  const { store, config } = options;
  const resumed = store.lastDone() !== undefined;
  context.emit({
    event: "start",
    run: store.name,
    recipe: store.info.recipe,
    seed: config.seed,
    iterations: config.iterations,
    resumed,
  });
  try {
    await phase(context, 0, "evaluation", (files) => evaluationPhase(context, 0, files));
    for (let iteration = 1; iteration <= config.iterations; iteration++) await runIteration(context, iteration);
    const summary = summarise(store, config.iterations, (performance.now() - started) / 1000);
    store.markRunDone({ ...summary });
    context.emit({ event: "done", ...summary });
    return summary;
  } finally {
    await closeContext(context);
  }
}

/** One round of co-evolution. */
async function runIteration(context: LoopContext, iteration: number): Promise<void> {
  const { config } = context;
  if (config.challenger.train)
    await phase(context, iteration, "challenger", async (files) => {
      const steps = await challengerPhase(context, iteration);
      await savePolicy(context.challenger, files);
      return { steps };
    });

  await phase(context, iteration, "curriculum", async (files) => {
    const { rows, metrics } = await curriculumPhase(context, iteration);
    context.store.writeJsonl(files.questions, rows);
    context.emit({ event: "curriculum", iteration, metrics });
    return { ...metrics };
  });

  if (config.solver.train)
    await phase(context, iteration, "solver", async (files) => {
      const steps = await solverPhase(context, iteration, readCurriculum(context, iteration));
      await savePolicy(context.solver, files);
      return { steps };
    });

  await phase(context, iteration, "evaluation", (files) => evaluationPhase(context, iteration, files));
}
