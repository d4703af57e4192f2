// The calling side of the engine's worker thread: requests with their pending answers, progress, the worker's end.
// An idle worker does not keep the process alive. Knows the protocol and nothing of models.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { EngineError } from "../../util/errors.ts";
import {
  type CallName,
  type EngineCalls,
  fromWireError,
  type LiveMessage,
  type ProgressReport,
  type RequestMessage,
  type ResponseMessage,
  type WorkerOptions,
} from "./protocol.ts";

interface Pending {
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly progress?: (report: ProgressReport) => void;
}

/** Hears what a live session reports. */
export interface LiveListener {
  news(message: LiveMessage): void;
  ended(error: Error): void;
}

const CLOSE_PATIENCE_MS = 10_000;

/** See the file header. */
export class WorkerClient {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  /** Who hears the news of a live session, and its worker's end. */
  readonly #listeners = new Map<number, LiveListener>();
  /** Live requests on their way: they keep the process alive as calls do. */
  #held = 0;
  #nextId = 1;
  /** Why no call can be made any more. */
  #ended: string | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.unref();
    worker.on("message", (message: ResponseMessage) => this.#receive(message));
    worker.on("error", (error) => this.#end(`crashed: ${error.message}`, error));
    worker.on("messageerror", (error) => this.#end(`sent an unreadable answer: ${error.message}`, error));
    this.#exited = new Promise((resolve) => {
      worker.on("exit", (code) => {
        this.#end(`ended with code ${code}`);
        resolve();
      });
    });
  }

  /** Makes one call; calls are carried out in order. Errors: those of the call; EngineError when the worker is gone. */
  call<Name extends CallName>(
    call: Name,
    input: EngineCalls[Name]["input"],
    progress?: (report: ProgressReport) => void,
  ): Promise<EngineCalls[Name]["output"]> {
    if (this.#ended !== undefined) return Promise.reject(new EngineError(`${call}: the engine's worker ${this.#ended}.`));
    const id = this.#nextId++;
    return new Promise<EngineCalls[Name]["output"]>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject, progress });
      this.#worker.ref();
      const request: RequestMessage = { id, call, input };
      this.#worker.postMessage(request);
    });
  }

  /** Makes a call whose answer nobody waits for. When the worker is gone nothing happens. */
  cast<Name extends CallName>(call: Name, input: EngineCalls[Name]["input"]): void {
    const request: RequestMessage = { id: 0, call, input };
    if (this.#ended === undefined) this.#worker.postMessage(request);
  }

  /** Hands the news of a live session to `listener`, until `unlisten`. */
  listen(session: number, listener: LiveListener): void {
    if (this.#ended !== undefined) listener.ended(new EngineError(`engine: the worker ${this.#ended}.`));
    else this.#listeners.set(session, listener);
  }

  unlisten(session: number): void {
    this.#listeners.delete(session);
  }

  /** Counts live requests on their way. */
  hold(change: 1 | -1): void {
    this.#held += change;
    if (this.#held > 0) this.#worker.ref();
    else this.#restIfIdle();
  }

  /** Ends the worker: calls in progress are rejected. May be called again. */
  async close(): Promise<void> {
    if (this.#ended === undefined) {
      // Its only error would be the worker's end, which is what we want.
      this.call("shutdown", null).catch(() => {});
      this.#ended = "was disposed";
      this.#worker.ref();
    }
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_PATIENCE_MS);
    });
    await Promise.race([this.#exited, patience]);
    clearTimeout(timer);
    await this.#worker.terminate();
  }

  #receive(message: ResponseMessage): void {
    if (message.kind === "live") {
      this.#listeners.get(message.session)?.news(message);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if (message.kind === "progress") {
      pending.progress?.(message.progress);
      return;
    }
    this.#pending.delete(message.id);
    this.#restIfIdle();
    if (message.kind === "result") pending.resolve(message.output);
    else pending.reject(fromWireError(message.error));
  }

  #restIfIdle(): void {
    if (this.#pending.size === 0 && this.#held === 0) this.#worker.unref();
  }

  #end(reason: string, cause?: unknown): void {
    this.#ended ??= reason;
    for (const { reject } of this.#pending.values()) {
      reject(new EngineError(`engine: the worker ${this.#ended} while a call was in progress.`, { cause }));
    }
    this.#pending.clear();
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of listeners) listener.ended(new EngineError(`engine: the worker ${this.#ended}.`, { cause }));
  }
}

/** Starts the compiled worker; from the sources (tests) it is the one in dist/. Errors: EngineError when dist/ lacks it. */
export function startWorker(options: WorkerOptions): WorkerClient {
  return new WorkerClient(startThread("worker", options));
}

/** Starts a thread of this folder from its compiled file. Errors: EngineError when dist/ lacks it. */
export function startThread(name: string, data?: unknown): Worker {
  const here = fileURLToPath(import.meta.url);
  const folder = here.endsWith(".ts") ? join(dirname(here), "..", "..", "..", "dist", "engine", "local") : dirname(here);
  const compiled = join(folder, `${name}.js`);
  if (!existsSync(compiled)) throw new EngineError(`${compiled}: expected the compiled worker, got none. Run npm run build.`);
  return new Worker(compiled, { workerData: data });
}
