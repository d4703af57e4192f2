// READ FIRST. The R-Zero loop: one base model becomes two policies that improve each other. Each phase is a file beside this one;
// what a phase finishes (a chunk of completions, an optimizer step, the phase) is on the disk as it goes, so a run that was killed
// anywhere goes on from there, to the same bytes.
// Source: R-Zero (arXiv 2508.05004), algorithm 1; docs/algorithm.md maps every equation to its file.

import type { Config } from "../config/schema.ts";
import type { Engine, Trainer } from "../engine/types.ts";
import type { ProgressEvent, RunEvent, RunSummary } from "../store/events.ts";
import type { PhaseLayout } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { anchorRows } from "./anchors.ts";
import { challengerPhase } from "./challenger-phase.ts";
import type { LoopContext } from "./context.ts";
import { curriculumPhase, truthsOf } from "./curriculum-phase.ts";
import { stateBytes } from "./disk-need.ts";
import { readCurriculum } from "./earlier.ts";
import { evaluationPhase } from "./evaluation-phase.ts";
import { guardPhase } from "./guard.ts";
import { guardReport, guardStopped } from "./guard-state.ts";
import { closeContext, openContext, phase } from "./phases.ts";
import { Restart } from "./restart.ts";
import { withRoom, writeRows } from "./room.ts";
import { phaseSteps, reasonToStop } from "./schedule.ts";
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
  /** What the user types to go on; default: `rzero resume` and the run's name. */
  readonly resumeCommand?: string;
}

/** Runs, or goes on with, a whole run. Errors: RunError, ConfigError, DataError; InterruptedError after saving. */
export async function runSelfPlay(options: SelfPlayOptions): Promise<RunSummary> {
  const started = performance.now();
  const rollbacks = new Set<string>();
  for (;;) {
    const context = await openContext(options, rollbacks);
    try {
      return await play(context, started);
    } catch (error) {
      if (!(error instanceof Restart)) throw error;
    } finally {
      await closeContext(context);
    }
  }
}

/** The loop, from where the run's directory stands. */
async function play(context: LoopContext, started: number): Promise<RunSummary> {
  const { store, config, emit, log } = context;
  const { name: run, info } = store;
  const resumed = store.iterations().length > 0;
  emit({ event: "start", run, recipe: info.recipe, seed: config.seed, iterations: config.iterations, resumed });
  if (log.problem !== undefined)
    emit({ event: "warning", iteration: 0, phase: "evaluation", message: `the old events cannot be read: ${log.problem}` });
  await phase(context, 0, "evaluation", (files) => evaluationPhase(context, 0, files));
  await runIterations(context);
  const summary = summarise(store, (performance.now() - started) / 1000);
  emit({ event: "done", ...summary });
  await withRoom(context, { what: "the run's marker", dir: store.dir, bytes: 1 << 16 }, () => {
    log.flush();
    store.markRunDone({ ...summary });
  });
  return summary;
}

/** All iterations, or as many as the guard and schedule.stop let be. */
async function runIterations(context: LoopContext): Promise<void> {
  const { config, store, emit } = context;
  for (let iteration = 1; iteration <= config.iterations; iteration++) {
    await runIteration(context, iteration);
    if (guardStopped(store, iteration)) return;
    const reason = reasonToStop(config, store.readDone(iteration, "curriculum"), guardReport(store, iteration));
    if (reason === undefined || iteration === config.iterations) continue;
    emit({ event: "early-stop", iteration, reason });
    return;
  }
}

/** One round of co-evolution. */
async function runIteration(context: LoopContext, iteration: number): Promise<void> {
  const { config } = context;
  if (config.challenger.train)
    await phase(context, iteration, "challenger", async (files) => {
      const steps = await challengerPhase(context, iteration, phaseSteps(config, "challenger", iteration), files);
      await exportPolicy(context, context.challenger, files);
      return { steps };
    });

  await phase(context, iteration, "curriculum", async (files) => {
    const made = await curriculumPhase(context, iteration);
    const anchors = anchorRows(context, iteration, made.metrics.kept);
    const rows = [...made.rows, ...anchors];
    const metrics = { ...made.metrics, ...(anchors.length > 0 ? { anchors: anchors.length } : {}) };
    const truths = truthsOf(context, made.rows);
    if (truths !== undefined) await writeRows(context, "known truths", files.truths, truths);
    await writeRows(context, "the curriculum", files.questions, rows);
    context.emit({ event: "curriculum", iteration, metrics });
    return { ...metrics };
  });

  if (config.solver.train)
    await phase(context, iteration, "solver", async (files) => {
      const steps = await solverPhase(context, iteration, files, readCurriculum(context, iteration));
      await exportPolicy(context, context.solver, files);
      return { steps };
    });

  // A run of before the guard has evaluated iterations without it; their states are gone.
  if (config.guard.enabled && !context.store.phaseDone(iteration, "evaluation"))
    await phase(context, iteration, "guard", (files) => guardPhase(context, iteration, files));
  await phase(context, iteration, "evaluation", (files) => evaluationPhase(context, iteration, files));
}

/** Writes the model directory of a policy at the end of its phase; its state is there already. */
async function exportPolicy(context: LoopContext, policy: Trainer, { dir, model }: PhaseLayout): Promise<void> {
  await withRoom(context, { what: "the model", dir, bytes: stateBytes(context) / 3 }, () =>
    policy.exportModel(model, { dtype: "float32" }),
  );
}
