// Who runs in a live batch: requests that wait, completions in slots, their cache rows and the prompts they share. Requests share
// the slots evenly: the next free one goes to the request with the fewest. When the cache is tight, a completion that outgrows its
// rows is computed again in a larger range or waits outside, the oldest first; one sequence always fits. Knows no model.

import { type Key, keyFrom } from "../../util/rng.ts";
import type { Completion, LiveRequest, LiveStats, LiveUpdate } from "../types.ts";
import { RowAllocator } from "./kv-cache.ts";
import type { RowTop } from "./live-drawer.ts";
import { completionKey } from "./slots.ts";
import type { StopRules } from "./stop-rules.ts";

/** What is known of a request when it comes. */
export interface NewJob {
  readonly id: number;
  readonly request: LiveRequest;
  readonly hash: Key;
  readonly stop: StopRules;
  /** Most tokens of a completion; 0 for a request that only scores its prompt. */
  readonly limit: number;
}

/** A request on its way, with the cache rows of its prompt. */
export interface LiveJob extends NewJob {
  /** First cache row, -1 when the prompt is not in the cache; `fed` of its rows are computed. */
  start: number;
  fed: number;
  /** Completions in slots, and those of them that wait for their first token. */
  users: number;
  fresh: number;
  /** Index of this step's first logits, or -1. */
  logitsIndex: number;
  /** Whether the prompt's own logprobs are wanted, and how many are done. */
  readonly scores: boolean;
  scored: number;
  /** Next sample to start, and how many have not ended. */
  nextSample: number;
  left: number;
  pending: Pending | undefined;
}

/** A completion on its way; sample -1 stands for a prompt that is only scored. */
export interface LiveRun {
  readonly job: LiveJob;
  readonly sample: number;
  readonly key: Key;
  tokens: Int32Array;
  count: number;
  /** Own cache rows, and how many of them are computed; `capacity` is -1 when it has ended. */
  start: number;
  capacity: number;
  fed: number;
  pending: Pending | undefined;
}

/** What a request drew since it was last asked. */
export interface LiveReport {
  readonly id: number;
  readonly update: LiveUpdate;
}

/** Draws that have not been reported yet. */
interface Pending {
  readonly tokens: number[];
  readonly logprobs: number[];
  readonly top: RowTop[];
  stopReason?: Completion["stopReason"];
}

const FIRST_TOKENS = 64;
const SMALLEST_START = 64;
/** No completion starts with more than this share of the cache. */
const LARGEST_SHARE = 1 / 16;
const NO_KEY: Key = keyFrom(0, "unused");

/** See the file header. */
export class LiveSlots {
  /** Completions in slots; those of one prompt stand together, so that attention reads it once for all of them. */
  readonly running: LiveRun[] = [];
  /** Requests whose prompt owns cache rows, oldest first. */
  readonly liveJobs: LiveJob[] = [];
  /** Requests that have not ended, by id, oldest first. */
  readonly #jobs = new Map<number, LiveJob>();
  readonly #waiting: LiveRun[] = [];
  /** Completions and prompts with something to report. */
  readonly #talking = new Set<LiveRun | LiveJob>();
  readonly #slots: number;
  readonly #initialRows: number;
  readonly #allocator: RowAllocator;

  constructor(slots: number, cacheRows: number) {
    this.#slots = slots;
    this.#initialRows = Math.max(SMALLEST_START, Math.floor(cacheRows * LARGEST_SHARE));
    this.#allocator = new RowAllocator(cacheRows);
  }

  add(job: NewJob): void {
    const scores = job.request.promptLogprobs !== undefined;
    const left = job.limit > 0 ? job.request.params.n : 1;
    const none = { start: -1, fed: 0, users: 0, fresh: 0, logitsIndex: -1, pending: undefined };
    this.#jobs.set(job.id, { ...job, ...none, scores, scored: 0, nextSample: 0, left });
  }

  /** Drops a request with all that it holds. */
  remove(id: number): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    this.#jobs.delete(id);
    for (const run of this.running) if (run.job === job) this.end(run);
    this.dropEnded();
    for (let i = this.#waiting.length - 1; i >= 0; i--) if (this.#waiting[i].job === job) this.#waiting.splice(i, 1);
    this.#talking.delete(job);
    for (const one of this.#talking) if ("job" in one && one.job === job) this.#talking.delete(one);
    this.#freeUnusedPrompts();
  }

  get stats(): LiveStats {
    let waiting = this.#waiting.length;
    for (const job of this.#jobs.values()) waiting += unstarted(job);
    return { requests: this.#jobs.size, running: this.running.length, waiting, freeRows: this.#allocator.freeRows };
  }

  /** A completion whose next token has no row left moves to a larger range, or waits until one is free. */
  growFullRanges(): void {
    for (let i = this.running.length - 1; i >= 0; i--) {
      const run = this.running[i];
      if (run.fed < run.capacity || run.count === 0) continue;
      this.#allocator.free(run.start, run.capacity);
      if (this.#takeOwnRows(run, Math.min(run.job.limit - 1, 2 * run.capacity))) continue;
      this.running.splice(i, 1);
      run.job.users--;
      this.#waiting.push(run);
    }
  }

  /** Fills free slots: first those that wait for rows, then new completions. */
  refill(): void {
    while (this.running.length < this.#slots) {
      if (this.#waiting.length === 0) {
        const job = this.#nextJob();
        if (job === undefined) break;
        this.#waiting.push(newRun(job));
      }
      const run = this.#waiting[0];
      if (!this.#start(run) && !(this.#freeUnusedPrompts() && this.#start(run))) break;
      this.#waiting.shift();
    }
    this.#freeUnusedPrompts();
  }

  /** Gives back the rows of a completion that has ended; call `dropEnded` after the last one of a step. */
  end(run: LiveRun): void {
    if (run.capacity < 0) return;
    this.#allocator.free(run.start, run.capacity);
    run.capacity = -1;
    run.job.users--;
    if (--run.job.left === 0) this.#jobs.delete(run.job.id);
  }

  dropEnded(): void {
    let kept = 0;
    for (const run of this.running) if (run.capacity >= 0) this.running[kept++] = run;
    this.running.length = kept;
    this.#freeUnusedPrompts((job) => job.left === 0);
  }

  reportDraw(run: LiveRun, token: number, logprob: number, top?: RowTop, stopReason?: Completion["stopReason"]): void {
    run.pending ??= { tokens: [], logprobs: [], top: [] };
    this.#note(run, run.pending, token, logprob, top);
    run.pending.stopReason = stopReason;
  }

  /** Logprob of prompt token `index`; they come in order. */
  reportScore(job: LiveJob, index: number, logprob: number, top?: RowTop): void {
    job.pending ??= { tokens: [], logprobs: [], top: [] };
    this.#note(job, job.pending, job.request.tokens[index], logprob, top);
    job.scored = index;
  }

  takeReports(which: "all" | "ended"): LiveReport[] {
    const reports: LiveReport[] = [];
    for (const one of this.#talking) {
      if (one.pending === undefined) continue;
      // A prompt's logprobs never come after its completions.
      if (which === "ended" && "job" in one && one.pending.stopReason === undefined) continue;
      this.#talking.delete(one);
      const { top, ...rest } = one.pending;
      const update: LiveUpdate = { sample: "job" in one ? one.sample : -1, ...rest, ...(top.length > 0 && { top }) };
      reports.push({ id: "job" in one ? one.job.id : one.id, update });
      one.pending = undefined;
    }
    return reports;
  }

  #note(one: LiveRun | LiveJob, pending: Pending, token: number, logprob: number, top: RowTop | undefined): void {
    pending.tokens.push(token);
    pending.logprobs.push(logprob);
    if (top !== undefined) pending.top.push(top);
    this.#talking.add(one);
  }

  /** The request with completions to start that has the fewest in slots; the oldest of them. */
  #nextJob(): LiveJob | undefined {
    let best: LiveJob | undefined;
    for (const job of this.#jobs.values()) {
      if (unstarted(job) === 0 || (best !== undefined && job.users >= best.users)) continue;
      best = job;
      if (job.users === 0) break;
    }
    return best;
  }

  /** Puts a completion into a slot if there are cache rows for its prompt and itself. */
  #start(run: LiveRun): boolean {
    const { job } = run;
    if (job.start < 0) {
      job.start = this.#allocator.allocate(job.request.tokens.length);
      if (job.start < 0) return false;
      job.fed = 0;
      this.liveJobs.push(job);
    }
    const most = Math.max(0, job.limit - 1);
    const wanted = Math.min(most, Math.max(this.#initialRows, 2 * run.count));
    const least = Math.min(most, Math.max(SMALLEST_START, 2 * run.count));
    if (!this.#takeOwnRows(run, wanted) && !(least < wanted && this.#takeOwnRows(run, least))) return false;
    // Behind the other completions of its prompt, where there are some.
    let at = this.running.length;
    if (job.users > 0) while (this.running[at - 1].job !== job) at--;
    this.running.splice(at, 0, run);
    job.users++;
    if (run.count === 0 && run.sample >= 0) job.fresh++;
    return true;
  }

  #takeOwnRows(run: LiveRun, capacity: number): boolean {
    run.start = this.#allocator.allocate(capacity);
    run.capacity = capacity;
    run.fed = 0;
    return run.start >= 0;
  }

  /** Frees the rows of prompts without completions in slots, of those that `which` names; whether there were any. */
  #freeUnusedPrompts(which: (job: LiveJob) => boolean = () => true): boolean {
    let freed = false;
    for (let i = this.liveJobs.length - 1; i >= 0; i--) {
      const job = this.liveJobs[i];
      if (job.users > 0 || !which(job)) continue;
      this.#allocator.free(job.start, job.request.tokens.length);
      job.start = -1;
      job.fresh = 0;
      this.liveJobs.splice(i, 1);
      freed = true;
    }
    return freed;
  }
}

function unstarted(job: LiveJob): number {
  return (job.limit > 0 ? job.request.params.n : 1) - job.nextSample;
}

function newRun(job: LiveJob): LiveRun {
  const { seed, firstSample = 0 } = job.request.params;
  const sample = job.limit > 0 ? job.nextSample : -1;
  job.nextSample++;
  return {
    job,
    sample,
    key: sample < 0 ? NO_KEY : completionKey(seed, job.hash, firstSample + sample),
    tokens: new Int32Array(Math.min(FIRST_TOKENS, Math.max(1, job.limit))),
    count: 0,
    start: 0,
    capacity: 0,
    fed: 0,
    pending: undefined,
  };
}
