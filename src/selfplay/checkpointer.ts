// Checkpoints of the policy in training: due by steps or by time, written while training goes on, one at a time, the last few kept. A full
// disk holds the next one up, not the step. Knows a policy and its position, nothing of rewards.

import type { Trainer } from "../engine/types.ts";
import { type CheckpointRef, PhaseCheckpoints } from "../store/checkpoints.ts";
import { dropJournals } from "../store/journals.ts";
import type { JsonObject } from "../store/jsonl.ts";
import type { PhaseLayout } from "../store/layout.ts";
import { isDiskFull } from "../util/errors.ts";
import type { LoopContext } from "./context.ts";
import { stateBytes } from "./disk-need.ts";
import { waitForRoom } from "./room.ts";

/** Where training stands: `step` rollout steps are done, `ordinal` optimizer steps in all. */
export interface Position extends JsonObject {
  readonly step: number;
  readonly ordinal: number;
}

/** See the file header. */
export class Checkpointer {
  readonly store: PhaseCheckpoints;
  readonly #context: LoopContext;
  readonly #policy: Trainer;
  readonly #files: PhaseLayout;
  #pending: Promise<void> = Promise.resolve();
  #error: unknown;
  /** Optimizer steps behind the last checkpoint that was started, and when that was. */
  #last = 0;
  #lastTime = performance.now();
  /** Optimizer steps behind the newest checkpoint that is on the disk or on its way there; −1 without one. */
  #saved = -1;

  constructor(context: LoopContext, policy: Trainer, files: PhaseLayout) {
    this.#context = context;
    this.#policy = policy;
    this.#files = files;
    this.store = new PhaseCheckpoints(files);
  }

  /** Training goes on from a checkpoint that is on the disk. */
  startFrom(ordinal: number): void {
    this.#last = ordinal;
    this.#saved = ordinal;
    this.#lastTime = performance.now();
  }

  /** Starts a checkpoint when one is due. Errors: those of the checkpoint before. */
  async offer(position: Position): Promise<void> {
    const { everySteps, everySeconds } = this.#context.config.run.checkpoint;
    const due = position.ordinal - this.#last >= everySteps || performance.now() - this.#lastTime >= everySeconds * 1000;
    if (!due) return;
    await this.#settle();
    this.#start(position);
  }

  /** A checkpoint of exactly this position, on the disk when this returns. Errors: those of the trainer and the disk. */
  async ensure(position: Position): Promise<void> {
    for (;;) {
      await this.#settle();
      if (this.#saved === position.ordinal) return;
      this.#start(position);
    }
  }

  /** Waits for what is being written, well or not. */
  async idle(): Promise<void> {
    await this.#pending;
  }

  #start(position: Position): void {
    const { ordinal } = position;
    this.#last = ordinal;
    this.#lastTime = performance.now();
    this.#saved = ordinal;
    this.#pending = this.#write(position).catch((error) => {
      this.store.abandon(ordinal);
      this.#saved = -1;
      this.#error = error;
    });
  }

  /** The state is that of this call: the policy copies it before it does anything else. */
  async #write(position: Position): Promise<void> {
    const { run } = this.#context.config;
    const json = JSON.stringify(position);
    await this.#policy.saveState(this.store.begin(position.ordinal));
    await this.store.commit(position.ordinal, json, [this.#files.metrics, this.#context.store.layout.events]);
    this.#dropJournals(this.store.prune(run.checkpoint.keep));
  }

  /** Steps up to the oldest checkpoint are never done again. */
  #dropJournals(oldest: CheckpointRef | undefined): void {
    if (oldest === undefined || this.store.list().length < this.#context.config.run.checkpoint.keep) return;
    const { step } = this.store.position(oldest);
    dropJournals(this.#files.journal, (number) => number <= Number(step));
  }

  /** Waits for the checkpoint before; where the disk was full, for room. */
  async #settle(): Promise<void> {
    await this.#pending;
    const error = this.#error;
    this.#error = undefined;
    if (error === undefined) return;
    if (!isDiskFull(error)) throw error;
    await waitForRoom(this.#context, { what: "a checkpoint", dir: this.#files.checkpoints, bytes: stateBytes(this.#context) });
  }
}
