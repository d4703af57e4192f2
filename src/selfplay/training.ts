// What both training phases share: go on from the newest intact checkpoint, step, record, checkpoint; bad numbers send the run back.
// Everything here is restartable: after a kill the same steps give the same bytes. Knows no reward and no prompt.

import type { GrpoConfig, OptimizerConfig } from "../config/schema.ts";
import type { Snapshot, Trainer } from "../engine/types.ts";
import { isCorrecting } from "../grpo/correction.ts";
import type { OptimizerStep } from "../grpo/step.ts";
import type { ArchivedGroup } from "../rollout/archive.ts";
import type { CheckpointRef } from "../store/checkpoints.ts";
import type { RunEvent, SkippedStep, TrainingMetrics } from "../store/events.ts";
import { dropJournals } from "../store/journals.ts";
import { expectObject, readJsonl } from "../store/jsonl.ts";
import type { PhaseLayout, Role } from "../store/layout.ts";
import { CheckpointError, DataError, InterruptedError, RunError } from "../util/errors.ts";
import { archiveStep } from "./archiving.ts";
import { Checkpointer, type Position } from "./checkpointer.ts";
import { checkInterrupted, type LoopContext, withReference } from "./context.ts";
import { largestNorm, NORM_WINDOW } from "./numbers.ts";
import { Restart } from "./restart.ts";
import { withRoom } from "./room.ts";

/** Names the datum of a step by its index among the step's rollouts. */
export type Blame = (datum: number) => Pick<SkippedStep, "question" | "sample">;

/** What a step needs of the frame around it. */
export interface StepFrame {
  readonly step: number;
  readonly reference: Snapshot | undefined;
  /** For grpoStep. */
  readonly done: readonly OptimizerStep[];
  readonly largestNorm: () => number;
  readonly after: (blame: Blame) => (done: readonly OptimizerStep[]) => Promise<void>;
  /** For sampleJournalled: updates applied before this step, and, below, a refusal, present when the policy is no longer the one that the step's rollouts come from. */
  readonly updates: number;
  readonly refuse: (() => never) | undefined;
  /** Keeps what the step learns from; to be called before the update. */
  readonly archive: (groups: readonly ArchivedGroup[]) => Promise<void>;
}

/** A training phase. */
export interface TrainingPlan<M> {
  readonly iteration: number;
  readonly role: Role;
  readonly files: PhaseLayout;
  readonly steps: number;
  /** Optimizer steps in a rollout step. */
  readonly updates: number;
  readonly optimizer: OptimizerConfig;
  readonly grpo: GrpoConfig;
  /** Whether there is anything left to train on after the steps done; default: always. */
  readonly more?: (history: readonly M[]) => boolean;
  /** One rollout step, given the metrics of those before it: its metrics, and the event that tells them. */
  readonly run: (frame: StepFrame, history: readonly M[]) => Promise<{ metrics: M; event: (seconds: number) => RunEvent }>;
}

/** Trains a policy for the plan's steps; returns the metrics of each. Its `state` is on the disk then. Errors: RunError, InterruptedError. */
export async function trainPhase<M extends TrainingMetrics>(context: LoopContext, plan: TrainingPlan<M>): Promise<M[]> {
  const policy = context[plan.role];
  if (plan.optimizer.fresh) await policy.resetOptimizer();
  return withReference(context, policy, plan.grpo, async (reference) => {
    const session = new Session<M>(context, plan, policy);
    try {
      await session.restore();
      return await session.run(reference);
    } finally {
      await session.idle();
    }
  });
}

/** See trainPhase. */
class Session<M extends TrainingMetrics> {
  readonly #context: LoopContext;
  readonly #plan: TrainingPlan<M>;
  readonly #policy: Trainer;
  readonly #checkpoints: Checkpointer;
  #history: M[] = [];
  /** Finished rollout steps, and the optimizer steps of the one in progress. */
  #step = 0;
  #done: readonly OptimizerStep[] = [];
  #norms: readonly number[] = [];
  /** Updates applied before the rollout step in progress. */
  #applied = 0;
  /** Skipped updates since the last applied one. */
  #streak: SkippedStep[] = [];

  constructor(context: LoopContext, plan: TrainingPlan<M>, policy: Trainer) {
    this.#context = context;
    this.#plan = plan;
    this.#policy = policy;
    this.#checkpoints = new Checkpointer(context, policy, plan.files);
  }

  /** Loads the newest checkpoint that is whole; a damaged one is named and removed. Without one the phase starts at its start. */
  async restore(): Promise<void> {
    this.#checkpoints.store.clean();
    for (const ref of this.#checkpoints.store.list()) {
      try {
        await this.#load(ref);
        return;
      } catch (error) {
        if (!(error instanceof CheckpointError || error instanceof DataError)) throw error;
        this.#warn(`the newest checkpoint is damaged and the one before is used: ${error.message}`);
        this.#checkpoints.store.remove(ref);
      }
    }
    await this.#writeHistory();
  }

  async #load(ref: CheckpointRef): Promise<void> {
    const { store } = this.#checkpoints;
    const position = store.position(ref);
    const step = Number(position.step);
    store.checkLogs(ref, this.#checkpoints.logs);
    const history = this.#readHistory(step);
    await this.#policy.loadState(ref.dir);
    this.#step = step;
    this.#done = (position.done ?? []) as OptimizerStep[];
    this.#norms = (position.norms ?? []) as number[];
    this.#applied = Number(position.applied);
    this.#history = history;
    await this.#writeHistory();
    await this.#checkpoints.startFrom(Number(position.ordinal));
  }

  /** Rows of steps 1 … step. Errors: CheckpointError when some are missing, DataError when the file is damaged. */
  #readHistory(step: number): M[] {
    const { files } = this.#plan;
    const rows = step === 0 ? [] : readJsonl(files.metrics, (value, where) => expectObject(value, where), { growing: true });
    const history = rows.slice(0, step).map(({ metrics }) => metrics as M);
    if (history.length === step && rows.every((row, index) => row.step === index + 1)) return history;
    throw new CheckpointError(`${files.metrics}: expected the metrics of ${step} steps, got ${rows.length} rows.`);
  }

  /** Cuts the metrics of steps that are done again. */
  async #writeHistory(): Promise<void> {
    const rows = this.#history.map((metrics, index) => ({ step: index + 1, metrics }));
    const { metrics: file, dir } = this.#plan.files;
    await this.#inRoom(dir, () => this.#context.store.writeJsonl(file, rows));
  }

  #inRoom(dir: string, work: () => void): Promise<void> {
    return withRoom(this.#context, { what: "step metrics", dir, bytes: 1 << 16 }, work);
  }

  async run(reference: Snapshot | undefined): Promise<M[]> {
    try {
      while (this.#step < this.#plan.steps && (this.#plan.more?.(this.#history) ?? true)) {
        checkInterrupted(this.#context);
        await this.#runStep(reference);
        if (this.#streak.length === 0) await this.#checkpoints.offer(this.#position());
      }
      await this.#checkpoints.ensure(this.#position());
    } catch (error) {
      if (error instanceof InterruptedError && this.#streak.length === 0) await this.#saveOnTheWayOut();
      throw error;
    }
    this.#checkpoints.store.finish(this.#position().ordinal);
    return this.#history;
  }

  async #runStep(reference: Snapshot | undefined): Promise<void> {
    const { plan, context } = { plan: this.#plan, context: this.#context };
    const started = performance.now();
    const step = this.#step + 1;
    const frame: StepFrame = {
      step,
      reference,
      done: this.#done,
      largestNorm: () => largestNorm(this.#norms, context.config.run.numbers),
      after: (blame) => (done) => this.#afterUpdate(step, done, blame),
      updates: this.#applied,
      archive: (groups) => archiveStep(context, { iteration: plan.iteration, role: plan.role, step, steps: plan.steps }, groups),
      refuse: this.#done.length === 0 ? undefined : () => this.#refuse(step),
    };
    const { metrics, event } = await plan.run(frame, this.#history);
    this.#step = step;
    this.#applied += this.#done.filter(({ skipped }) => skipped === undefined).length;
    this.#done = [];
    this.#history.push(metrics);
    const row = { step, metrics };
    const { metrics: file, dir } = plan.files;
    await this.#inRoom(dir, () => context.store.appendJsonl(file, row));
    context.emit(event((performance.now() - started) / 1000));
  }

  /** Records an optimizer step; a rollout step's last one is checkpointed with its metrics, by `run`. */
  async #afterUpdate(step: number, done: readonly OptimizerStep[], blame: Blame): Promise<void> {
    const { metrics, skipped } = done[done.length - 1];
    this.#done = done;
    if (skipped === undefined) {
      this.#streak = [];
      this.#norms = [...this.#norms, metrics?.gradNorm ?? 0].slice(-NORM_WINDOW);
    } else {
      const { iteration, role: phase } = this.#plan;
      const { reason, value, datum } = skipped;
      const named = datum === undefined ? {} : blame(datum);
      const event: SkippedStep = { iteration, phase, step, update: done.length, reason, value, ...named };
      this.#context.emit({ event: "step-skipped", ...event });
      this.#streak.push(event);
      if (this.#streak.length >= this.#context.config.run.numbers.skipsInARow) await this.#rollBack();
    }
    // A corrected step measures the policy that its rollouts came from, so it is done from its start.
    if (isCorrecting(this.#plan.grpo.correction)) return;
    if (done.length < this.#plan.updates && this.#streak.length === 0) await this.#checkpoints.offer(this.#position());
  }

  /** Back to the checkpoint before the streak, once; the second time in the same place ends the run. Errors: RunError, Restart. */
  async #rollBack(): Promise<never> {
    const { iteration, role: phase, files } = this.#plan;
    await this.#checkpoints.idle();
    const [first] = this.#streak;
    const report = `${this.#streak.length} updates in a row were skipped: ${this.#streak.map(describe).join("; ")}`;
    const place = [iteration, phase, first.step, first.update].join("/");
    const { rollbacks } = this.#context;
    const step = this.#dropLaterJournals(files);
    if (rollbacks.has(place))
      throw new RunError(
        `${report}. It happened a second time from the checkpoint before. Look at these data, lower ${phase}.optimizer.learningRate in ` +
          `${this.#context.store.layout.config}, then: ${this.#context.resumeCommand}`,
      );
    rollbacks.add(place);
    this.#context.emit({ event: "rollback", iteration, phase, step: step + 1, report });
    throw new Restart(report);
  }

  /** Rollouts after the newest checkpoint are made anew, for they may be what was bad. Returns the checkpoint's step. */
  #dropLaterJournals({ journal }: PhaseLayout): number {
    const newest = this.#checkpoints.store.list()[0];
    const position = newest === undefined ? undefined : this.#checkpoints.store.position(newest);
    const step = Number(position?.step ?? 0);
    // A step that the checkpoint stands inside of needs its rollouts.
    const inside = ((position?.done ?? []) as unknown[]).length > 0 ? 1 : 0;
    dropJournals(journal, (number) => number > step + inside);
    return step;
  }

  /** Rollouts of a half-trained step are missing, and the policy they came from is gone: its checkpoint is of no use. */
  #refuse(step: number): never {
    this.#warn(`the journal of step ${step} is damaged; going back to the checkpoint before`);
    const [newest] = this.#checkpoints.store.list();
    if (newest !== undefined) this.#checkpoints.store.remove(newest);
    throw new Restart("journal");
  }

  async #saveOnTheWayOut(): Promise<void> {
    try {
      await this.#checkpoints.ensure(this.#position());
    } catch (error) {
      if (!(error instanceof InterruptedError)) throw error; // a full disk: the checkpoint before stands
    }
  }

  idle(): Promise<void> {
    return this.#checkpoints.idle();
  }

  #position(): Position {
    const ordinal = this.#step * this.#plan.updates + this.#done.length;
    return { format: 1, step: this.#step, ordinal, applied: this.#applied, done: this.#done, norms: this.#norms };
  }

  #warn(message: string): void {
    const { iteration, role: phase } = this.#plan;
    this.#context.emit({ event: "warning", iteration, phase, message });
  }
}

/** `iteration 1 solver step 3 (loss NaN; question 12, sample 0)`. */
export function describe({ iteration, phase, step, reason, value, question, sample }: SkippedStep): string {
  const datum = [
    ...(question === undefined ? [] : [`question ${question}`]),
    ...(sample === undefined ? [] : [`sample ${sample}`]),
  ].join(", ");
  return `iteration ${iteration} ${phase} step ${step} (${reason} ${value}${datum === "" ? "" : `; ${datum}`})`;
}
