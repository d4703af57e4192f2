// The index as the server has it: one thread keeps it, one asks it; both begin again with an empty one when it is damaged. The index lies in
// the directory of the runs, or for this process alone where that cannot be written or another dashboard has it. Knows no HTTP.

import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { acquireLock, releaseLock } from "../store/lock.ts";
import { ConfigError } from "../util/errors.ts";
import type { IndexState } from "./api.ts";
import { removeIndex } from "./index/builder.ts";
import type { IndexMessage, IndexWorkerData } from "./index/worker.ts";
import type { IndexAnswers, IndexQuestion } from "./query/answer.ts";
import type { AskedQuestion, ReadAnswer } from "./query/worker.ts";

const MOST_REBUILDS = 3;
const HEAP_MIB = 160;
/** Questions that may wait for an answer. */
const MOST_WAITING = 64;

/** The index cannot answer now; the message says why. */
export class IndexUnavailable extends Error {}

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

/** See the file header. */
export class DashboardIndex {
  readonly #root: string;
  readonly #place: IndexPlace;
  readonly #waiting = new Map<number, Waiting>();
  #keeper: Worker | undefined;
  #reader: Worker | undefined;
  #state: IndexState = { state: "building", done: 0, revision: 0 };
  #rebuilds = 0;
  #asked = 0;
  #closed = false;

  /** Starts to bring the index up to date. Errors: ConfigError when the program was not built. */
  constructor(root: string) {
    this.#root = root;
    this.#place = takePlace(root);
    this.#start();
  }

  get state(): IndexState {
    return this.#state;
  }

  /** Where the index lies. */
  get file(): string {
    return this.#place.file;
  }

  /** Asks the index. Errors: IndexUnavailable. */
  ask<Q extends IndexQuestion>(question: Q): Promise<IndexAnswers[Q["ask"]]> {
    if (this.#reader === undefined || this.#waiting.size >= MOST_WAITING)
      return Promise.reject(new IndexUnavailable(this.#state.problem ?? "the index is not there yet"));
    const number = ++this.#asked;
    this.#reader.postMessage({ number, question } satisfies AskedQuestion);
    return new Promise((resolve, reject) => this.#waiting.set(number, { resolve, reject }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#stop("the dashboard ends");
    this.#place.leave();
  }

  #start(): void {
    const { file } = this.#place;
    const keeper = startThread("index/worker", { root: this.#root, file } satisfies IndexWorkerData);
    this.#keeper = keeper;
    keeper.on("message", (message: IndexMessage) => this.#told(message));
    keeper.on("error", (error) => void this.#fail(false, error.message));
  }

  #told(message: IndexMessage): void {
    if (this.#closed) return;
    if (message.kind === "failed") {
      void this.#fail(message.damaged, message.problem);
      return;
    }
    const { building, done, revision } = message;
    this.#state = { state: building ? "building" : "ready", done, revision: revision + this.#rebuilds * REVISIONS };
    this.#reader ??= this.#startReader();
  }

  #startReader(): Worker {
    const reader = startThread("query/worker", this.#place.file);
    reader.on("message", (answer: ReadAnswer) => this.#answered(answer));
    reader.on("error", (error) => void this.#fail(true, error.message));
    return reader;
  }

  #answered(answer: ReadAnswer): void {
    const waiting = this.#waiting.get(answer.number);
    this.#waiting.delete(answer.number);
    if ("answer" in answer) {
      waiting?.resolve(answer.answer as never);
      return;
    }
    waiting?.reject(new IndexUnavailable(answer.problem));
    if (answer.damaged) void this.#fail(true, answer.problem);
  }

  /** A damaged index is made anew, a few times; what else fails is told and left. */
  async #fail(damaged: boolean, problem: string): Promise<void> {
    if (this.#closed || this.#state.state === "failed") return;
    this.#state = { state: "failed", done: 0, problem, revision: this.#state.revision + 1 };
    await this.#stop(problem);
    if (this.#closed || !damaged || this.#rebuilds >= MOST_REBUILDS) return;
    this.#rebuilds++;
    removeIndex(this.#place.file);
    this.#state = { state: "building", done: 0, revision: this.#state.revision + 1 };
    this.#start();
  }

  async #stop(problem: string): Promise<void> {
    const threads = [this.#keeper, this.#reader];
    this.#keeper = undefined;
    this.#reader = undefined;
    for (const { reject } of this.#waiting.values()) reject(new IndexUnavailable(problem));
    this.#waiting.clear();
    await Promise.all(threads.map((thread) => thread?.terminate()));
  }
}

/** Revisions that one index counts at most; those of the next begin above. */
const REVISIONS = 1e9;

/** A place for the index that no other process uses. */
interface IndexPlace {
  readonly file: string;
  readonly leave: () => void;
}

function takePlace(root: string): IndexPlace {
  const dir = join(root, ".dashboard");
  const lock = join(dir, "lock.json");
  try {
    mkdirSync(dir, { recursive: true });
    acquireLock(lock, "the index of the dashboard");
    return { file: join(dir, "index.sqlite"), leave: () => releaseLock(lock) };
  } catch {
    const own = mkdtempSync(join(tmpdir(), "rzero-dashboard-"));
    return { file: join(own, "index.sqlite"), leave: () => rmSync(own, { recursive: true, force: true }) };
  }
}

/** Starts a thread from its compiled file; from the sources (tests) it is the one in dist/. Errors: ConfigError when dist/ lacks it. */
function startThread(name: string, data: unknown): Worker {
  const here = fileURLToPath(import.meta.url);
  const folder = here.endsWith(".ts") ? join(dirname(here), "..", "..", "dist", "dashboard") : dirname(here);
  const compiled = join(folder, `${name}.js`);
  if (!existsSync(compiled)) throw new ConfigError(`${compiled}: expected the compiled thread, got none. Run npm run build.`);
  return new Worker(compiled, { workerData: data, resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB } });
}
