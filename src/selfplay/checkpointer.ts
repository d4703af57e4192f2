// Checkpoints of the policy in training: due by steps or by time, written while training goes on, one at a time, the last few kept.
// Flushed now and then: a kill costs the step in flight, a power loss some seconds. A full disk holds the next one up, not the step.
// Knows a policy and its position, nothing of rewards.

import type { Trainer } from "../engine/types.ts";
import { logBytes, PhaseCheckpoints } from "../store/checkpoints.ts";
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

/** Longest time that a power loss costs. */
const FLUSH_MS = 5000;

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
  #lastFlush = performance.now();
  /** Optimizer steps behind the newest checkpoint that is on the disk or on its way there; −1 without one. */
  #saved = -1;

  constructor(context: LoopContext, policy: Trainer, files: PhaseLayout) {
    this.#context = context;
    this.#policy = policy;
    this.#files = files;
    this.store = new PhaseCheckpoints(files);
  }

  /** Training goes on from a checkpoint that was read; it is flushed if it was not. Errors: DiskError. */
  async startFrom(ordinal: number): Promise<void> {
    this.#last = ordinal;
    this.#saved = ordinal;
    this.#lastTime = performance.now();
    await this.#flush(ordinal);
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
      if (this.#saved === position.ordinal && this.store.isFlushed(position.ordinal)) return;
      this.#start(position, true);
    }
  }

  /** Waits for what is being written, well or not. */
  async idle(): Promise<void> {
    await this.#pending;
  }

  #start(position: Position, flushed = performance.now() - this.#lastFlush >= FLUSH_MS): void {
    const { ordinal } = position;
    const work = this.#saved === ordinal ? this.#flush(ordinal) : this.#write(position, flushed);
    this.#last = ordinal;
    this.#lastTime = performance.now();
    this.#saved = ordinal;
    this.#pending = work.catch((error) => {
      this.store.abandon(ordinal);
      this.#saved = -1;
      this.#error = error;
    });
  }

  /** The state is that of this call: the policy copies it before it does anything else. */
  async #write(position: Position, flushed: boolean): Promise<void> {
    const { ordinal } = position;
    const json = JSON.stringify(position);
    const logs = this.logs.map(logBytes);
    await this.#policy.saveState(this.store.begin(ordinal), { scratch: true });
    this.store.commit(ordinal, json, logs);
    if (flushed) await this.#flush(ordinal);
    const oldest = this.store.prune(this.#context.config.run.checkpoint.keep);
    if (oldest === undefined) return;
    // Steps up to the oldest checkpoint are never done again.
    const { step } = this.store.position(oldest);
    dropJournals(this.#files.journal, (number) => number <= Number(step));
  }

  async #flush(ordinal: number): Promise<void> {
    await this.store.flush(ordinal, this.logs);
    this.#lastFlush = performance.now();
  }

  /** What a checkpoint must not outlive. */
  get logs(): readonly string[] {
    return [this.#files.metrics, this.#context.store.layout.events];
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
