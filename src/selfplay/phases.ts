// Opening a run's models, and the frame of a phase: skip it when it is done, bring the policies to where it starts, run it or go on with
// what an interrupted try left, mark it done last. Knows nothing of what a phase computes.

import type { Config } from "../config/schema.ts";
import type { Snapshot, Trainer } from "../engine/types.ts";
import { readBench } from "../evaluation/benchmarks.ts";
import { EventLog } from "../store/event-log.ts";
import type { JsonObject } from "../store/jsonl.ts";
import type { Phase, PhaseLayout, Role } from "../store/layout.ts";
import { ProgressFile } from "../store/progress.ts";
import { truth } from "../tiny-world/oracle.ts";
import { CheckpointError, InterruptedError } from "../util/errors.ts";
import { openAnchors } from "./anchors.ts";
import type { LoopContext, Standpoint } from "./context.ts";
import { phaseBytes } from "./disk-need.ts";
import { guardBest } from "./guard-state.ts";
import { Restart } from "./restart.ts";
import { expectRoom, withRoom } from "./room.ts";
import type { SelfPlayOptions } from "./run.ts";
import { setStandpoint, startOf } from "./standpoint.ts";
import { bestIteration } from "./summary.ts";
import { openVerifier } from "./verify-votes.ts";

/** Opens base, Challenger and Solver, both policies as the base model. Errors: DataError, EngineError. */
export async function openContext(options: SelfPlayOptions, rollbacks: Set<string>): Promise<LoopContext> {
  const { config, store, engine, baseDir, on, signal, resumeCommand = `rzero resume ${store.name}` } = options;
  const opened: (Trainer | Snapshot)[] = [];
  const keep = <T extends Trainer | Snapshot>(model: T): T => {
    opened.push(model);
    return model;
  };
  try {
    const benches = config.evaluation.benches.map(({ name, data }) => ({ name, questions: readBench(data) }));
    const probes = config.audit.probes === undefined ? [] : readBench(config.audit.probes.data);
    const tokenizer = await engine.openTokenizer(baseDir);
    const base = needsBase(config) ? keep(await engine.openSnapshot(baseDir)) : undefined;
    const solver = keep(await engine.openTrainer(baseDir));
    const challenger = config.roles === "shared" ? solver : keep(await engine.openTrainer(baseDir));
    const log = new EventLog(store);
    const live = new ProgressFile(store.layout.progress);
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
      probes,
      verifier: openVerifier(config),
      anchors: openAnchors(
        config.anchors?.data,
        benches.flatMap(({ questions }) => questions.map(({ question }) => question)),
      ),
      oracle: config.audit.oracle === "tiny-world" ? truth : undefined,
      stands: new Map(),
      rollbacks,
      log,
      emit: (event) => {
        log.append({ ...event });
        on(event);
      },
      live,
      progress: (event) => {
        live.update(event);
        on(event);
      },
      signal,
      resumeCommand,
    };
  } catch (error) {
    for (const model of opened) await model.dispose();
    throw error;
  }
}

/** Frees the models; nothing is in progress any more. */
export async function closeContext({ base, challenger, solver, verifier, live }: LoopContext): Promise<void> {
  live.remove();
  await verifier?.close();
  for (const model of new Set([solver, challenger, base])) await model?.dispose();
}

/** Whether the base model is the reference of a policy that trains. */
function needsBase(config: Config): boolean {
  return [config.challenger, config.solver].some(({ train, grpo }) => train && grpo.klWeight > 0 && grpo.reference === "base");
}

/** Which policies a phase computes with. */
const NEEDS: Readonly<Record<Phase, readonly Role[]>> = {
  challenger: ["challenger", "solver"],
  curriculum: ["challenger", "solver"],
  solver: ["solver"],
  guard: ["solver"],
  evaluation: ["solver"],
};

/**
 * Brings the policies to where a phase starts; see startOf. Errors: Restart after a damaged state, whose phase is then open again.
 */
async function bringPolicies(context: LoopContext, iteration: number, name: Phase): Promise<void> {
  for (const role of iteration === 0 ? [] : NEEDS[name]) {
    const wanted = startOf(context, role, iteration, name);
    const stands = context.stands.get(role);
    if (wanted?.iteration === stands?.iteration && wanted?.role === stands?.role) continue;
    if (wanted === undefined) await startOver(context, role);
    else await loadPolicy(context, role, wanted);
  }
}

async function loadPolicy(context: LoopContext, role: Role, wanted: Standpoint): Promise<void> {
  const { store } = context;
  try {
    await context[role].loadState(store.phase(wanted.iteration, wanted.role).state);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    const message = `the state of the ${wanted.role} is damaged; its phase is done again from the checkpoint before: ${error.message}`;
    context.emit({ event: "warning", iteration: wanted.iteration, phase: wanted.role, message });
    store.reopenPhase(wanted.iteration, wanted.role);
    throw new Restart(error.message);
  }
  setStandpoint(context, role, wanted);
}

/** Back to the base model: a Challenger of its own is opened again; for the Solver, the guard's doing, all models are. */
async function startOver(context: LoopContext, role: Role): Promise<void> {
  const { challenger, solver } = context;
  if (role !== "challenger" || challenger === solver) throw new Restart(`the ${role} goes back to the base model`);
  context.challenger = await context.engine.openTrainer(context.baseDir);
  context.stands.delete(role);
  await challenger.dispose();
}

/** Removes what newer finished phases of a role replace: journals, checkpoints, and all but the last and the best states. */
function discardOlder({ store, config }: LoopContext, role: Role, newest: number): void {
  const done = store.iterations().filter((iteration) => iteration <= newest && store.phaseDone(iteration, role));
  const kept = new Set([...done.slice(-config.run.checkpoint.keep), bestIteration(store), guardBest(store)?.iteration]);
  for (const iteration of done) {
    const { journal, checkpoints, state } = store.phase(iteration, role);
    if (iteration < newest) for (const path of [journal, checkpoints]) store.discard(path);
    if (!kept.has(iteration)) store.discard(state);
  }
}

/**
 * Runs a phase unless it is done; what `body` returns is the summary in its marker, which is written last.
 * Errors: those of the body; an interruption is recorded before it goes on; Restart.
 */
export async function phase(
  context: LoopContext,
  iteration: number,
  name: Phase,
  body: (files: PhaseLayout) => Promise<JsonObject>,
): Promise<void> {
  const { store, emit, log } = context;
  if (store.phaseDone(iteration, name)) return;
  const { dir } = store.phase(iteration, name);
  const started = performance.now();
  try {
    await bringPolicies(context, iteration, name);
    await expectRoom(context, { what: `the ${name} phase`, dir, bytes: phaseBytes(context, name) });
    const files = await withRoom(context, { what: "its directory", dir, bytes: 1 << 16 }, () => store.openPhase(iteration, name));
    emit({ event: "phase", iteration, phase: name, state: "start" });
    const summary = await body(files);
    // The event goes to the log before the marker: a kill between the two tells it once, not never.
    emit({ event: "phase", iteration, phase: name, state: "done", seconds: (performance.now() - started) / 1000 });
    await withRoom(context, { what: "the phase's marker", dir, bytes: 1 << 16 }, () => {
      log.flush();
      store.markDone(iteration, name, summary);
    });
  } catch (error) {
    if (error instanceof InterruptedError) emit({ event: "interrupted", run: store.name, iteration, phase: name });
    throw error;
  }
  if (name === "challenger" || name === "solver") {
    setStandpoint(context, name, { iteration, role: name });
    discardOlder(context, name, iteration);
  } else store.discard(store.phase(iteration, name).journal);
}
