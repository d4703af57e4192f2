// Continuous batching over requests that come and go: each brings its own parameters, joins the running batch at the next step,
// hands out its tokens as they are drawn and can be cancelled. As in scheduler.ts no choice made here (slots, order, chunks,
// growth, neighbours) can change a token or a bit: a completion depends on (seed, prompt, index) alone.
// Knows nothing of threads, messages or HTTP.

import { ConfigError, DataError, EngineError } from "../../util/errors.ts";
import { hashTokens, uniformAt } from "../../util/rng.ts";
import type { Completion, LiveRequest, LiveStats } from "../types.ts";
import type { Device } from "./device/types.ts";
import type { InferenceModel, KvCache } from "./inference.ts";
import { LiveDrawer, type RowTop } from "./live-drawer.ts";
import { type LiveJob, type LiveReport, type LiveRun, LiveSlots } from "./live-slots.ts";
import { checkSamplingParams } from "./sampling.ts";
import type { SchedulerOptions } from "./scheduler.ts";
import { LogitsGather, type LogitsPart, StepRows } from "./step-rows.ts";
import { StopRules } from "./stop-rules.ts";
import type { LocalTokenizer } from "./tokenizer.ts";

const PROMPT = -1;
const LEAST_CHUNK = 16;

/** See the file header. `step` while there is work, `takeReports` now and then, `dispose` at the end. */
export class LiveBatch {
  /** Longest sequence that fits: the model's context, or what the cache holds. */
  readonly context: number;
  readonly #model: InferenceModel;
  readonly #tokenizer: LocalTokenizer | undefined;
  readonly #slots: LiveSlots;
  readonly #cache: KvCache;
  readonly #step: StepRows;
  readonly #drawer: LiveDrawer;
  readonly #gather: LogitsGather;
  readonly #prefillRows: number;
  #hasEnded = false;
  /** For each output of a step: a running completion, or a scored position of a prompt. */
  readonly #outputs: ({ run: LiveRun } | { job: LiveJob; index: number })[] = [];

  constructor(device: Device, model: InferenceModel, tokenizer: LocalTokenizer | undefined, options: SchedulerOptions) {
    this.#model = model;
    this.#tokenizer = tokenizer;
    const budgetRows = Math.max(1, Math.floor(options.cacheBytes / model.cacheRowBytes));
    const cacheRows = Math.min(options.slots * model.maxPositions, budgetRows);
    this.context = Math.min(model.maxPositions, cacheRows);
    this.#slots = new LiveSlots(options.slots, cacheRows);
    this.#cache = model.newCache(cacheRows);
    this.#prefillRows = Math.max(1, options.prefillRows);
    const rowCapacity = options.slots + this.#prefillRows;
    this.#step = new StepRows(rowCapacity, rowCapacity + options.slots);
    this.#drawer = new LiveDrawer(device, rowCapacity + options.slots, model.vocabSize);
    this.#gather = new LogitsGather(device, rowCapacity + options.slots, model.vocabSize);
  }

  /** Takes a request in; it joins at the next step. Errors: ConfigError (parameters), DataError (prompt). */
  add(id: number, request: LiveRequest): void {
    const { params, tokens } = request;
    checkSamplingParams({ ...params, maxTokens: Math.max(1, params.maxTokens) }, this.#model.vocabSize);
    if (params.maxTokens < 0) throw new ConfigError(`sampling.maxTokens: expected at least 0, got ${params.maxTokens}.`);
    this.#checkPrompt(request);
    this.#slots.add({
      id,
      request,
      hash: hashTokens(tokens),
      stop: new StopRules(params, this.#tokenizer, this.#model.vocabSize),
      limit: Math.min(params.maxTokens, this.context - tokens.length),
    });
  }

  /** Ends a request: its slots and cache rows are free at once. An unknown id is one that has ended. */
  cancel(id: number): void {
    this.#slots.remove(id);
  }

  /** Whether a completion's end waits to be reported. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Completions in slots. */
  get running(): number {
    return this.#slots.running.length;
  }

  get stats(): LiveStats {
    return this.#slots.stats;
  }

  /** Runs one inference step; false when there was nothing to do. */
  step(): boolean {
    this.#slots.growFullRanges();
    this.#slots.refill();
    if (this.#slots.running.length === 0) {
      if (this.#slots.stats.requests > 0) throw new EngineError("internal: live sampling stopped with requests left");
      return false;
    }
    this.#collectRows();
    if (this.#step.rows > 0) {
      const logits = this.#model.forwardCached(this.#step.view(), this.#cache);
      if (this.#step.outputs > 0) this.#takeDraws(this.#gather.parts(logits, this.#step));
    }
    for (const run of this.#slots.running) if (run.sample === PROMPT && isScored(run.job)) this.#slots.end(run);
    this.#slots.dropEnded();
    return true;
  }

  /** Hands out what is new since the last call, or of that only the completions that have ended. */
  takeReports(which: "all" | "ended" = "all"): LiveReport[] {
    this.#hasEnded = false;
    return this.#slots.takeReports(which);
  }

  dispose(): void {
    this.#cache.dispose();
    this.#drawer.dispose();
    this.#gather.dispose();
  }

  #checkPrompt({ tokens, params, promptLogprobs }: LiveRequest): void {
    const { vocabSize } = this.#model;
    if (tokens.length === 0) throw new DataError("prompt: expected at least one token, got an empty prompt.");
    const strange = tokens.findIndex((token) => token < 0 || token >= vocabSize);
    if (strange >= 0) throw new DataError(`prompt: expected token ids below ${vocabSize}, got ${tokens[strange]}.`);
    const room = this.context - (params.maxTokens > 0 ? 1 : 0);
    if (tokens.length > room)
      throw new DataError(`prompt: expected at most ${room} tokens (the context is ${this.context}), got ${tokens.length}.`);
    if (params.maxTokens === 0 && promptLogprobs === undefined)
      throw new ConfigError("sampling.maxTokens: expected at least 1 without promptLogprobs, got 0.");
  }

  #collectRows(): void {
    const step = this.#step;
    step.clear();
    this.#outputs.length = 0;
    for (const run of this.#slots.running) {
      if (run.count - run.fed === 1 && isComputed(run.job)) this.#feedOwn(run);
    }
    this.#feedPrompts();
    for (const run of this.#slots.running) {
      if (run.sample === PROMPT) continue;
      if (run.count === 0 && run.job.logitsIndex >= 0) this.#wantDraw(run, run.job.logitsIndex);
      if (run.count === run.fed || !isComputed(run.job)) continue;
      // Rows lost to growth or waiting are computed again.
      while (run.count > run.fed && step.room > 0) this.#feedOwn(run);
    }
  }

  /** Feeds the next own token of a completion; the newest one asks for a draw. */
  #feedOwn(run: LiveRun): void {
    const { job } = run;
    this.#step.addRow(run.tokens[run.fed], job.start, job.request.tokens.length, run.start, run.fed);
    run.fed++;
    if (run.fed === run.count) this.#wantDraw(run, this.#step.wantLogits());
  }

  /** Every prompt gets an equal share of the room, so that a long one does not hold up the short ones; the oldest get the rest. */
  #feedPrompts(): void {
    const live = this.#slots.liveJobs;
    let hungry = 0;
    for (const job of live) {
      job.logitsIndex = -1;
      if (needsRows(job)) hungry++;
    }
    if (hungry === 0) return;
    const share = Math.max(LEAST_CHUNK, Math.floor(Math.min(this.#prefillRows, this.#step.room) / hungry));
    for (const job of live) this.#feedPrompt(job, share);
    for (const job of live) this.#feedPrompt(job, this.#step.room);
  }

  /** Feeds at most `share` rows of a prompt; the last one again whenever completions start, for its logits. */
  #feedPrompt(job: LiveJob, share: number): void {
    const { tokens } = job.request;
    const last = tokens.length - 1;
    let room = Math.min(share, this.#step.room);
    for (; job.fed < last && room > 0; room--) {
      this.#step.addRow(tokens[job.fed], 0, 0, job.start, job.fed);
      if (job.scores && job.fed >= job.scored) this.#wantScore(job, job.fed + 1);
      job.fed++;
    }
    if (job.fed < last || room === 0 || !needsRows(job)) return;
    this.#step.addRow(tokens[last], 0, 0, job.start, last);
    job.fed = last + 1;
    if (job.fresh > 0) job.logitsIndex = this.#step.wantLogits();
    job.fresh = 0;
  }

  #wantDraw(run: LiveRun, logitsIndex: number): void {
    const output = this.#step.addOutput(logitsIndex);
    this.#outputs[output] = { run };
    const { params } = run.job.request;
    this.#drawer.set(output, params, uniformAt(run.key, run.count), params.forcedPrefix?.[run.count] ?? -1);
  }

  #wantScore(job: LiveJob, index: number): void {
    const output = this.#step.addOutput(this.#step.wantLogits());
    this.#outputs[output] = { job, index };
    this.#drawer.set(output, job.request.params, 0, job.request.tokens[index]);
  }

  #takeDraws(logits: Iterable<LogitsPart>): void {
    const count = this.#step.outputs;
    const wanted = new Int32Array(count);
    for (let output = 0; output < count; output++) {
      const entry = this.#outputs[output];
      const { request } = "run" in entry ? entry.run.job : entry.job;
      wanted[output] = ("run" in entry ? request.topLogprobs : request.promptLogprobs) ?? 0;
    }
    const { tokens, logprobs, top } = this.#drawer.draw(logits, count, wanted);
    for (let output = 0; output < count; output++) {
      const entry = this.#outputs[output];
      if ("run" in entry) this.#append(entry.run, tokens[output], logprobs[output], top?.[output]);
      else this.#slots.reportScore(entry.job, entry.index, logprobs[output], top?.[output]);
    }
  }

  #append(run: LiveRun, token: number, logprob: number, top: RowTop | undefined): void {
    if (run.count === run.tokens.length) {
      const larger = new Int32Array(2 * run.count);
      larger.set(run.tokens);
      run.tokens = larger;
    }
    run.tokens[run.count++] = token;
    const forced = run.job.request.params.forcedPrefix?.length ?? 0;
    const stops = run.count > forced && run.job.stop.ends(run.tokens, run.count);
    const stopReason: Completion["stopReason"] | undefined = stops ? "stop" : run.count >= run.job.limit ? "length" : undefined;
    this.#slots.reportDraw(run, token, logprob, top, stopReason);
    if (stopReason === undefined) return;
    this.#slots.end(run);
    this.#hasEnded = true;
  }
}

/** Whether every row of a prompt is in the cache. */
function isComputed(job: LiveJob): boolean {
  return job.fed === job.request.tokens.length;
}

function isScored(job: LiveJob): boolean {
  return job.scored >= job.request.tokens.length - 1;
}

/** A prompt that is only scored does not need its last row; completions that start need it again. */
function needsRows(job: LiveJob): boolean {
  const { length } = job.request.tokens;
  return job.fed < (job.limit > 0 ? length : length - 1) || job.fresh > 0;
}
