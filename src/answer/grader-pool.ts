// Compares answers under a deadline: cheap pairs on the calling thread, all others in worker threads that are killed when a pair
// takes too long. A killed pair is "not equivalent: deadline", and is counted. Idle workers do not keep the process alive.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { EngineError } from "../util/errors.ts";
import type { GradingOptions, Verdict } from "./equivalent.ts";
import { type GradeRequest, gradePair, isCheap } from "./grader-protocol.ts";
import type { WorkerResult, WorkerTask } from "./grader-worker.ts";

/** How the pool works. */
export interface GraderPoolOptions extends GradingOptions {
  /** Worker threads; default 1. */
  readonly workers?: number;
  /** Time one pair may take in a worker; default 1000. */
  readonly deadlineMs?: number;
  /** Memory one worker may use for objects; default 256. A worker beyond it ends, and its pair with it. */
  readonly memoryMb?: number;
  /** The compiled worker; default the one of this package. */
  readonly workerFile?: string;
}

/** What a pool has done. */
export interface GraderStats {
  /** Pairs compared on the calling thread. */
  readonly inline: number;
  /** Pairs sent to workers. */
  readonly pooled: number;
  /** Pairs ended at the deadline or with their worker. */
  readonly killed: number;
}

interface Job {
  readonly request: GradeRequest;
  readonly resolve: (verdict: Verdict) => void;
}

interface Slot {
  worker: Worker | undefined;
  job: Job | undefined;
  timer: NodeJS.Timeout | undefined;
  isReady: boolean;
}

/** The verdict on a pair whose worker had to be killed. */
export const DEADLINE_VERDICT: Verdict = { equivalent: false, reason: "not equivalent: deadline" };

const START_PATIENCE_MS = 30_000;
/** Characters beyond which a text is shortened before it is sent: an answer stands at the end. */
const MAX_TEXT = 100_000;

/** See the file header. */
export class GraderPool {
  readonly #options: GraderPoolOptions;
  readonly #deadlineMs: number;
  readonly #slots: Slot[];
  readonly #queue: Job[] = [];
  #next = 0;
  #inline = 0;
  #pooled = 0;
  #killed = 0;
  #isClosed = false;

  constructor(options: GraderPoolOptions = {}) {
    this.#options = options;
    this.#deadlineMs = options.deadlineMs ?? 1000;
    this.#slots = Array.from({ length: options.workers ?? 1 }, () => ({
      worker: undefined,
      job: undefined,
      timer: undefined,
      isReady: false,
    }));
  }

  /** Counts so far. */
  get stats(): GraderStats {
    return { inline: this.#inline, pooled: this.#pooled, killed: this.#killed };
  }

  /** The verdict on one pair, always. Errors: EngineError when the package was not built or the pool is closed. */
  grade(request: GradeRequest): Promise<Verdict> {
    if (this.#isClosed) return Promise.reject(new EngineError("grader pool: expected an open pool, got a closed one."));
    if (isCheap(request)) {
      this.#inline++;
      return Promise.resolve(gradePair(request, this.#grading));
    }
    this.#pooled++;
    return new Promise((resolve, reject) => {
      this.#queue.push({ request: shorten(request), resolve });
      try {
        this.#dispatch();
      } catch (error) {
        reject(error);
      }
    });
  }

  /** Verdicts on many pairs, in their order. */
  gradeAll(requests: readonly GradeRequest[]): Promise<Verdict[]> {
    return Promise.all(requests.map((request) => this.grade(request)));
  }

  /** Ends the workers; pairs still waiting get the deadline's verdict. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { resolve } of this.#queue.splice(0)) resolve(DEADLINE_VERDICT);
    await Promise.all(this.#slots.map((slot) => this.#end(slot)));
  }

  get #grading(): GradingOptions {
    return { policy: this.#options.policy, precision: this.#options.precision };
  }

  #dispatch(): void {
    for (const slot of this.#slots) {
      if (this.#queue.length === 0) return;
      if (slot.job !== undefined) continue;
      if (slot.worker === undefined) this.#start(slot);
      const job = this.#queue.shift() as Job;
      slot.job = job;
      slot.worker?.ref();
      if (slot.isReady) this.#send(slot, job);
      else slot.timer = setTimeout(() => this.#kill(slot), START_PATIENCE_MS);
    }
  }

  #send(slot: Slot, job: Job): void {
    clearTimeout(slot.timer);
    slot.timer = setTimeout(() => this.#kill(slot), this.#deadlineMs);
    const task: WorkerTask = { id: this.#next++, request: job.request, options: this.#grading };
    slot.worker?.postMessage(task);
  }

  #start(slot: Slot): void {
    const worker = new Worker(this.#options.workerFile ?? compiledWorker(), {
      resourceLimits: { maxOldGenerationSizeMb: this.#options.memoryMb ?? 256 },
    });
    slot.worker = worker;
    slot.isReady = false;
    worker.on("message", (message: WorkerResult | "ready") => {
      if (slot.worker !== worker) return;
      if (message === "ready") {
        slot.isReady = true;
        if (slot.job !== undefined) this.#send(slot, slot.job);
        return;
      }
      this.#finish(slot, message.verdict);
    });
    // Out of memory, or a bug: the pair ends with its worker, the pool goes on.
    worker.on("error", () => {
      if (slot.worker === worker) this.#kill(slot);
    });
  }

  #finish(slot: Slot, verdict: Verdict): void {
    clearTimeout(slot.timer);
    const { job } = slot;
    slot.job = undefined;
    slot.worker?.unref();
    job?.resolve(verdict);
    this.#dispatch();
  }

  #kill(slot: Slot): void {
    this.#killed++;
    this.#end(slot).catch(() => {}); // a worker that has ended already is what we want
    this.#finish(slot, DEADLINE_VERDICT);
  }

  async #end(slot: Slot): Promise<void> {
    clearTimeout(slot.timer);
    const { worker } = slot;
    slot.worker = undefined;
    slot.isReady = false;
    if (this.#isClosed) {
      slot.job?.resolve(DEADLINE_VERDICT);
      slot.job = undefined;
    }
    await worker?.terminate();
  }
}

function shorten(request: GradeRequest): GradeRequest {
  const tail = (text: string | undefined) =>
    text !== undefined && text.length > MAX_TEXT && request.texts ? text.slice(-MAX_TEXT) : text;
  return { ...request, predicted: tail(request.predicted), truth: tail(request.truth) };
}

/** The worker beside this file; from the sources (tests) it is the one in dist/. */
function compiledWorker(): string {
  const here = fileURLToPath(import.meta.url);
  const file = here.endsWith(".ts")
    ? join(dirname(here), "..", "..", "dist", "answer", "grader-worker.js")
    : join(dirname(here), "grader-worker.js");
  if (!existsSync(file)) throw new EngineError(`${file}: expected the compiled worker, got none. Run npm run build.`);
  return file;
}
