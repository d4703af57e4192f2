// Writes training states beside training: one copy is made, a thread writes it, the next state waits for the one before. So memory
// holds one copy at most. A state too large to be copied is written by the engine's worker itself, which training waits for.
// Knows no model.

import { freemem } from "node:os";
import type { Worker } from "node:worker_threads";
import { EngineError } from "../../util/errors.ts";
import type { SaveOptions } from "../types.ts";
import type { StateCopy } from "./checkpoint.ts";
import { fromWireError } from "./protocol.ts";
import type { WriteAnswer, WriteRequest } from "./state-writer-worker.ts";
import { startThread } from "./worker-client.ts";

/** The two ways to a state's files. */
export interface StateSource {
  /** Copies the state; undefined when it is larger than `maxBytes`. */
  copy(maxBytes: number): Promise<StateCopy | undefined>;
  /** Writes it without a copy. */
  direct(): Promise<void>;
}

/** Largest state that is copied. */
export const MAX_COPY_BYTES = 4 * 2 ** 30;
/** And the largest share of the memory that is free when no copy was made yet. */
const MAX_COPY_SHARE = 0.25;

/** See the file header. */
export class StateWriter {
  #worker: Worker | undefined;
  /** Fulfilled when the state before is written, well or not. */
  #last: Promise<void> = Promise.resolve();
  #maxBytes: number | undefined;

  /**
   * Fulfilled when training may go on; `written` when the files are whole. Errors: those of the source; `written`: DiskError.
   */
  async save(dir: string, source: StateSource, { scratch }: SaveOptions = {}): Promise<{ written: Promise<void> }> {
    const before = this.#last;
    let end = () => {};
    this.#last = new Promise((resolve) => {
      end = resolve;
    });
    try {
      await before;
      this.#maxBytes ??= Math.min(MAX_COPY_BYTES, MAX_COPY_SHARE * freemem());
      const copy = await source.copy(this.#maxBytes);
      const written = copy === undefined ? source.direct() : this.#write({ dir, copy, scratch });
      if (copy === undefined) await written.catch(() => {});
      return { written: written.finally(end) };
    } catch (error) {
      end();
      throw error;
    }
  }

  /** Waits for the state in progress and ends the thread. */
  async close(): Promise<void> {
    await this.#last;
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #write(request: WriteRequest): Promise<void> {
    this.#worker ??= startThread("state-writer-worker");
    const worker = this.#worker;
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => {
        worker.off("message", onMessage).off("error", onError).off("exit", onExit);
        worker.unref();
        if (error === undefined) resolve();
        else reject(error);
      };
      const onMessage = ({ error }: WriteAnswer) => settle(error && fromWireError(error));
      const onError = (error: Error) => {
        this.#worker = undefined;
        settle(new EngineError(`${request.dir}: expected the training state to be written, got: ${error.message}`));
      };
      const onExit = (code: number) => onError(new Error(`the writing thread ended with code ${code}`));
      worker.on("message", onMessage).on("error", onError).on("exit", onExit);
      worker.ref();
      worker.postMessage(request);
    });
  }
}
