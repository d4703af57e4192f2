// A policy's weights as a history: the base they started from and the requests that changed them since. Wherever its model is lost (a
// server restarted, a session forgotten, numbers out of step), another is made from the base and the same requests are made again.
// Knows requests as they are sent, nothing of losses.

import { setImmediate } from "node:timers/promises";
import { EngineError } from "../../../util/errors.ts";
import type { RawResult } from "./connection.ts";
import { type LoraConfig, type MakeBody, type ModelBase, RemoteModel } from "./model.ts";
import type { RequestJournal } from "./request-journal.ts";
import { isLost } from "./retry.ts";
import type { Server } from "./server.ts";

/** A request that changed the weights or the gradient. */
export interface Change {
  readonly path: string;
  readonly make: MakeBody;
  /** Whether it took the gradient in: changes after the last such are a gradient in the making. */
  readonly settles: boolean;
}

/** Weights, as what leads to them. */
export interface History {
  readonly base: ModelBase;
  readonly changes: readonly Change[];
}

/** Models in a row that may be lost before the error is the caller's. */
const MOST_REBUILDS = 6;

/** See the file header. Calls must not overlap. */
export class Policy {
  server: Server;
  readonly #journal: RequestJournal;
  readonly #lora: LoraConfig;
  #history: History;
  #model: RemoteModel | undefined;

  constructor(server: Server, journal: RequestJournal, lora: LoraConfig, history: History) {
    this.server = server;
    this.#journal = journal;
    this.#lora = lora;
    this.#history = history;
  }

  get history(): History {
    return this.#history;
  }

  /** Whether a gradient has been gathered and not yet applied. */
  get hasGradient(): boolean {
    const { changes } = this.#history;
    return changes.length > 0 && !changes[changes.length - 1].settles;
  }

  /**
   * Does work with a model that has the weights as they are; again with another model where the first is lost. What the work changes is
   * the caller's to tell by `advance`. Errors: those of the work.
   */
  async run<T>(work: (model: RemoteModel) => Promise<T>): Promise<T> {
    for (let rebuilds = 0; ; rebuilds++) {
      try {
        this.#model ??= await this.#build(rebuilds === 0);
        return await work(this.#model);
      } catch (error) {
        // After any error the model may have more behind it than the history: it is not asked again.
        await this.release();
        if (!isLost(error) || rebuilds >= MOST_REBUILDS) throw error;
        await this.server.renew();
      }
    }
  }

  /** The weights have changed by these. */
  advance(changes: readonly Change[]): void {
    this.#history = { ...this.#history, changes: [...this.#history.changes, ...changes] };
  }

  /** The weights are, from now on, what `base` gives; the model that has them already stays. */
  rebase(base: ModelBase): void {
    this.#history = { base, changes: [] };
    this.#model?.standsAt(base);
  }

  /** Other weights. */
  async replace(base: ModelBase, server: Server = this.server): Promise<void> {
    await this.release();
    this.server = server;
    this.#history = { base, changes: [] };
  }

  /** Drops the gradient that was gathered, with the model that has it. */
  async dropGradient(): Promise<void> {
    const { base, changes } = this.#history;
    const kept = changes.findLastIndex(({ settles }) => settles) + 1;
    this.#history = { base, changes: changes.slice(0, kept) };
    await this.release();
  }

  /** Gives up the model; the weights are still known. */
  async release(): Promise<void> {
    const model = this.#model;
    this.#model = undefined;
    await model?.unload();
  }

  /** A model with the weights of the history: one that an earlier process left, or a new one brought there. */
  async #build(mayFind: boolean): Promise<RemoteModel> {
    const { base, changes } = this.#history;
    if (mayFind && changes.length === 0) {
      const found = await RemoteModel.find(this.server, this.#journal, base);
      if (found !== undefined) return found;
    }
    const model = await RemoteModel.create(this.server, this.#journal, base, this.#lora);
    const results: (() => Promise<RawResult>)[] = [];
    for (const { path, make } of changes) {
      results.push((await model.ask(path, make)).result);
      await setImmediate();
    }
    await allOf(results);
    return model;
  }
}

/** All results; the first error only when none is under way any more. */
export async function allOf(results: readonly (() => Promise<RawResult>)[]): Promise<RawResult[]> {
  const settled = await Promise.allSettled(results.map((result) => result()));
  return settled.map((one) => {
    if (one.status === "fulfilled") return one.value;
    throw one.reason instanceof Error ? one.reason : new EngineError(String(one.reason));
  });
}
