// Who runs: which completions hold slots and cache rows, which wait for rows, and which prompts lie in the cache for how many
// users. When the cache is tight, a completion that outgrows its rows is computed again in a larger range, or waits outside;
// the oldest that waits goes first, and one sequence always fits, so every completion comes to its end.

import { type Key, keyFrom } from "../../util/rng.ts";
import { RowAllocator } from "./kv-cache.ts";
import type { Job, SampleQueue, SharedPrompt } from "./sample-queue.ts";

/** Cache rows of a prompt: `fed` of its rows are computed. */
export interface PromptRows {
  start: number;
  fed: number;
  /** Completions in slots, and those of them that wait for their first token. */
  users: number;
  fresh: number;
  /** Index of this step's first logits, or -1. */
  logitsIndex: number;
}

/** A completion on its way; in a slot or waiting for cache rows. */
export interface Running {
  readonly job: Job;
  readonly prompt: SharedPrompt;
  readonly key: Key;
  tokens: Int32Array;
  logprobs: Float32Array;
  /** Tokens so far, forced ones counted. */
  count: number;
  /** Own cache rows, and how many of them are computed; `capacity` is -1 when it has ended. */
  start: number;
  capacity: number;
  fed: number;
}

const FIRST_TOKENS = 64;

/** The key of one completion's draws; token i of the completion (forced ones counted) uses `uniformAt(key, i)`. */
export function completionKey(seed: number, prompt: Key, sample: number): Key {
  return keyFrom(seed, "completion", prompt.low, prompt.high, sample);
}

/** Most own cache rows of a completion: its last token is never fed. */
export function mostOwnRows(prompt: SharedPrompt): number {
  return Math.max(0, prompt.limit - prompt.forcedInside - 1);
}

/** Tokens drawn so far, those inside the shared prompt not counted. */
export function drawnTokens(run: Running): number {
  return run.count - run.prompt.forcedInside;
}

/** See the file header. */
export class SlotTable {
  /** Completions in slots; those of one prompt stand together, so that attention reads it once for all of them. */
  readonly running: Running[] = [];
  /** Prompts that own cache rows, oldest first. */
  readonly livePrompts: number[] = [];
  /** By prompt of the queue. */
  readonly promptRows: readonly PromptRows[];
  readonly #queue: SampleQueue;
  readonly #seed: number;
  readonly #firstSample: number;
  readonly #slots: number;
  readonly #initialRows: number;
  readonly #allocator: RowAllocator;
  readonly #waiting: Running[] = [];

  constructor(
    queue: SampleQueue,
    options: { slots: number; cacheRows: number; initialRows: number; seed: number; firstSample: number },
  ) {
    this.#queue = queue;
    this.#seed = options.seed;
    this.#firstSample = options.firstSample;
    this.#slots = options.slots;
    this.#initialRows = options.initialRows;
    this.#allocator = new RowAllocator(options.cacheRows);
    this.promptRows = queue.prompts.map(() => ({ start: -1, fed: 0, users: 0, fresh: 0, logitsIndex: -1 }));
  }

  /** A completion whose next token has no row left moves to a larger range, or waits until one is free. */
  growFullRanges(): void {
    for (let i = this.running.length - 1; i >= 0; i--) {
      const run = this.running[i];
      if (run.fed < run.capacity || run.count === run.prompt.forcedInside) continue;
      this.#allocator.free(run.start, run.capacity);
      const capacity = Math.min(mostOwnRows(run.prompt), 2 * run.capacity);
      if (this.#takeOwnRows(run, capacity)) continue;
      this.running.splice(i, 1);
      this.promptRows[run.job.prompt].users--;
      this.#waiting.push(run);
    }
  }

  /** Fills free slots: first those that wait for rows, then new completions. */
  refill(): void {
    while (this.running.length < this.#slots) {
      const waiting = this.#waiting[0];
      const job = waiting?.job ?? this.#queue.peek();
      if (job === undefined) break;
      const run = waiting ?? this.#newRun(job);
      if (!this.#start(run)) {
        if (!this.#freeUnusedPrompts() || !this.#start(run)) break;
      }
      if (waiting === undefined) this.#queue.advance();
      else this.#waiting.shift();
    }
    this.#freeUnusedPrompts();
  }

  #newRun(job: Job): Running {
    const prompt = this.#queue.prompts[job.prompt];
    const room = prompt.forcedInside + Math.min(FIRST_TOKENS, prompt.limit);
    const tokens = new Int32Array(room);
    tokens.set(prompt.tokens.subarray(prompt.promptLength));
    return {
      job,
      prompt,
      key: completionKey(this.#seed, prompt.hash, this.#firstSample + job.sample),
      tokens,
      logprobs: new Float32Array(room),
      count: prompt.forcedInside,
      start: 0,
      capacity: 0,
      fed: 0,
    };
  }

  /** Puts a completion into a slot if there are cache rows for its prompt and itself. */
  #start(run: Running): boolean {
    const rows = this.promptRows[run.job.prompt];
    if (rows.start < 0) {
      rows.start = this.#allocator.allocate(run.prompt.tokens.length);
      if (rows.start < 0) return false;
      rows.fed = 0;
      this.livePrompts.push(run.job.prompt);
    }
    const drawn = drawnTokens(run);
    if (!this.#takeOwnRows(run, Math.min(mostOwnRows(run.prompt), Math.max(this.#initialRows, 2 * drawn)))) return false;
    this.#insert(run, rows.users > 0);
    rows.users++;
    if (drawn === 0) rows.fresh++;
    return true;
  }

  /** Behind the other completions of its prompt, where there are some. */
  #insert(run: Running, hasNeighbours: boolean): void {
    let at = this.running.length;
    if (hasNeighbours) while (this.running[at - 1].job.prompt !== run.job.prompt) at--;
    this.running.splice(at, 0, run);
  }

  #takeOwnRows(run: Running, capacity: number): boolean {
    run.start = this.#allocator.allocate(capacity);
    run.capacity = capacity;
    run.fed = 0;
    return run.start >= 0;
  }

  /** Frees the rows of prompts without completions in slots; whether there were any. */
  #freeUnusedPrompts(): boolean {
    let freed = false;
    for (let i = this.livePrompts.length - 1; i >= 0; i--) {
      const prompt = this.livePrompts[i];
      const rows = this.promptRows[prompt];
      if (rows.users > 0) continue;
      this.#allocator.free(rows.start, this.#queue.prompts[prompt].tokens.length);
      rows.start = -1;
      this.livePrompts.splice(i, 1);
      freed = true;
    }
    return freed;
  }

  /** Gives back the rows of a completion that has ended; call `dropEnded` after the last one of a step. */
  end(run: Running): void {
    this.#allocator.free(run.start, run.capacity);
    this.promptRows[run.job.prompt].users--;
    run.capacity = -1;
  }

  dropEnded(): void {
    let kept = 0;
    for (const run of this.running) if (run.capacity >= 0) this.running[kept++] = run;
    this.running.length = kept;
  }
}
