// Opening a run's models where the run stands, and the frame of a phase: skip it when it is done, clear what an interrupted try
// left, run it, mark it done last. Knows nothing of what a phase computes.

import type { Config } from "../config/schema.ts";
import type { Snapshot, Trainer } from "../engine/types.ts";
import { readBench } from "../evaluation/benchmarks.ts";
import type { JsonObject } from "../store/jsonl.ts";
import type { Phase, PhaseLayout, Role } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { truth } from "../tiny-world/oracle.ts";
import { InterruptedError } from "../util/errors.ts";
import type { LoopContext } from "./context.ts";
import type { SelfPlayOptions } from "./run.ts";

/** Opens base, Challenger and Solver, the policies as their last finished phase left them. Errors: DataError, CheckpointError. */
export async function openContext({ config, store, engine, baseDir, on, signal }: SelfPlayOptions): Promise<LoopContext> {
  const opened: (Trainer | Snapshot)[] = [];
  const keep = <T extends Trainer | Snapshot>(model: T): T => {
    opened.push(model);
    return model;
  };
  try {
    const benches = config.evaluation.benches.map(({ name, data }) => ({ name, questions: readBench(data) }));
    const tokenizer = await engine.openTokenizer(baseDir);
    const base = needsBase(config) ? keep(await engine.openSnapshot(baseDir)) : undefined;
    const challenger = keep(await engine.openTrainer(baseDir));
    const solver = keep(await engine.openTrainer(baseDir));
    await restorePolicy(store, "challenger", challenger);
    await restorePolicy(store, "solver", solver);
    return {
      config,
      store,
      engine,
      tokenizer,
      baseDir,
      base,
      challenger,
      solver,
      benches,
      oracle: config.audit.oracle === "tiny-world" ? truth : undefined,
      emit: (event) => {
        store.appendEvent({ ...event });
        on(event);
      },
      progress: on,
      signal,
    };
  } catch (error) {
    for (const model of opened) await model.dispose();
    throw error;
  }
}

/** Frees the models. */
export async function closeContext({ base, challenger, solver }: LoopContext): Promise<void> {
  for (const model of [solver, challenger, base]) await model?.dispose();
}

/** Whether the base model is the reference of a policy that trains. */
function needsBase(config: Config): boolean {
  return [config.challenger, config.solver].some(({ train, grpo }) => train && grpo.klWeight > 0 && grpo.reference === "base");
}

/** Loads a policy's state from its last finished phase; without one it stays the base model. */
async function restorePolicy(store: RunStore, role: Role, policy: Trainer): Promise<void> {
  const last = store.iterations().findLast((iteration) => store.phaseDone(iteration, role));
  if (last !== undefined) await policy.loadState(store.phase(last, role).state);
}

/** Writes a policy at the end of its phase: state to go on from, and a model directory to use. */
export async function savePolicy(policy: Trainer, files: PhaseLayout): Promise<void> {
  await policy.saveState(files.state);
  await policy.exportModel(files.model, { dtype: "float32" });
}

/** Removes the states of a role that a newer finished phase replaces; model directories stay. */
function discardOlderStates({ store }: LoopContext, role: Role, newest: number): void {
  for (const iteration of store.iterations()) if (iteration < newest) store.discard(store.phase(iteration, role).state);
}

/**
 * Runs a phase unless it is done; what `body` returns is the summary in its marker, which is written last.
 * Errors: those of the body; an interruption is recorded before it goes on.
 */
export async function phase(
  context: LoopContext,
  iteration: number,
  name: Phase,
  body: (files: PhaseLayout) => Promise<JsonObject>,
): Promise<void> {
  const { store, emit } = context;
  if (store.phaseDone(iteration, name)) return;
  const files = store.clearPartialPhase(iteration, name);
  const started = performance.now();
  emit({ event: "phase", iteration, phase: name, state: "start" });
  try {
    store.markDone(iteration, name, await body(files));
  } catch (error) {
    if (error instanceof InterruptedError) emit({ event: "interrupted", run: store.name, iteration, phase: name });
    throw error;
  }
  if (name === "challenger" || name === "solver") discardOlderStates(context, name, iteration);
  emit({ event: "phase", iteration, phase: name, state: "done", seconds: (performance.now() - started) / 1000 });
}
