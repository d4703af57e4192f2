// A model in training as it stands in memory: a copy of what its journal says, which is the saved state and the requests after it, run
// again. So it may be dropped at any time and brought back to the bit. Knows no request that is new.

import type { Datum, Snapshot, Trainer } from "../../engine/types.ts";
import { LORA_ALPHA } from "../../tinker-wire/protocol.ts";
import type { ModelHost } from "./host.ts";
import { type LossOutput, tinkerLoss } from "./losses.ts";
import { readAsked } from "./operations.ts";
import type { ModelRecord } from "./records.ts";
import type { TrainingPass } from "./training-data.ts";
import type { JournalEntry, TrainingJournal } from "./training-journal.ts";

/** Saving may take this share of the time that training takes. */
const SAVING_SHARE = 0.1;
const MOST_BODY_BYTES = 256 * 2 ** 20;

/** See the file header. Calls must not overlap. */
export class ModelCopy {
  readonly #host: Pick<ModelHost, "engine" | "baseDir" | "limits">;
  readonly #record: ModelRecord;
  readonly #journal: TrainingJournal;
  #trainer: Trainer | undefined;
  #frozen: Snapshot | undefined;
  /** Order of the last request that the trainer contains. */
  #at = -1;
  #workMs = 0;
  #lastSaveMs = 0;

  constructor(host: Pick<ModelHost, "engine" | "baseDir" | "limits">, record: ModelRecord, journal: TrainingJournal) {
    this.#host = host;
    this.#record = record;
    this.#journal = journal;
  }

  /** The trainer as it stands before `entry`. Errors: EngineError, CheckpointError, DataError. */
  async before({ order }: JournalEntry): Promise<Trainer> {
    this.#trainer ??= await this.#restored();
    for (const entry of this.#journal.entries)
      if (entry.order > this.#at && entry.order < order) {
        await this.#runAgain(this.#trainer, entry);
        this.#at = entry.order;
      }
    return this.#trainer;
  }

  /** Frozen weights of the trainer as it stands before `entry`; kept until they change. */
  async frozenBefore(entry: JournalEntry): Promise<Snapshot> {
    const trainer = await this.before(entry);
    this.#frozen ??= await trainer.snapshot();
    return this.#frozen;
  }

  /** The trainer's weights are no longer those that were frozen. */
  async changed(): Promise<void> {
    const frozen = this.#frozen;
    this.#frozen = undefined;
    await frozen?.dispose();
  }

  /** The trainer contains `entry`, which took so long. */
  contains({ order }: JournalEntry, ms: number): void {
    this.#at = order;
    this.#workMs += ms;
  }

  /** Leaves memory. */
  async drop(): Promise<void> {
    const trainer = this.#trainer;
    this.#trainer = undefined;
    await this.changed();
    await trainer?.dispose();
  }

  /** Saves the state after an update when that costs little beside the training since the last one. Errors: DiskError, EngineError. */
  async saveIfDue(): Promise<void> {
    const due = this.#workMs * SAVING_SHARE >= this.#lastSaveMs || this.#journal.bodyBytes > MOST_BODY_BYTES;
    if (this.#trainer === undefined || !due) return;
    const began = performance.now();
    this.#workMs = 0;
    await this.save(this.#at);
    this.#lastSaveMs = performance.now() - began;
  }

  /** Saves the state of the trainer, which contains all requests up to `order` and no gradient. Errors: DiskError, EngineError. */
  async save(order: number): Promise<void> {
    const trainer = this.#trainer;
    if (trainer === undefined) throw new Error("internal: no trainer to save");
    await this.#journal.saveState(order, (dir) => trainer.saveState(dir));
  }

  async #restored(): Promise<Trainer> {
    const { rank, seed, targets } = this.#record;
    const adapter = rank === 0 ? ("none" as const) : { rank, seed, targets, alpha: LORA_ALPHA };
    const trainer = await this.#host.engine.openTrainer(this.#host.baseDir, { adapter });
    const state = this.#journal.stateDir;
    try {
      if (state !== undefined) await trainer.loadState(state);
    } catch (error) {
      await trainer.dispose();
      throw error;
    }
    this.#at = this.#journal.stateOrder;
    return trainer;
  }

  /** Repeats what a request did to the model. */
  async #runAgain(trainer: Trainer, entry: JournalEntry): Promise<void> {
    if (entry.kind !== "forward_backward" && entry.kind !== "optim_step") return;
    const result = this.#journal.result(entry.future);
    // An optimizer step that was the caller's fault has dropped the gradient; all else that failed has changed nothing.
    const failed = result?.kind === "error";
    if (failed && (entry.kind === "forward_backward" || result.json.includes('"category":"server"'))) return;
    const asked = readAsked(entry.kind, this.#journal.body(entry), entry.codec);
    const operation = asked.operation(this.#host.limits);
    if (operation.kind === "optim_step") await trainer.optimStep(operation.params);
    else if (operation.kind === "forward_backward") await forwardBackward(trainer, operation, new Map());
  }
}

/** Adds a pass's gradient to the trainer's; what the loss saw is put into `outputs`. Returns the summed loss. */
export async function forwardBackward(
  trainer: Trainer,
  { data, loss, bounds }: TrainingPass,
  outputs: Map<Datum, LossOutput>,
): Promise<number> {
  return (await trainer.forwardBackward(data, tinkerLoss(loss, bounds, outputs))).loss;
}
