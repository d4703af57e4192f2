// Continuous batching: completions of many prompts decode together, a finished slot is refilled at once, the prompt of a
// group is computed once and shared, prompt chunks ride along with decoding, nothing is padded. Because the device computes
// each row independently of the others, no choice made here (slots, order, chunks, growth) can change a token or a bit.

import { EngineError } from "../../util/errors.ts";
import { uniformAt } from "../../util/rng.ts";
import type { Completion, Prompt, SamplingParams } from "../types.ts";
import type { Device } from "./device/types.ts";
import type { InferenceModel, KvCache } from "./inference.ts";
import { type CacheDemand, planCache } from "./kv-cache.ts";
import { SampleQueue, type SharedPrompt } from "./sample-queue.ts";
import { checkSamplingParams, TokenDrawer } from "./sampling.ts";
import { drawnTokens, mostOwnRows, type Running, SlotTable } from "./slots.ts";
import { LogitsGather, StepRows } from "./step-rows.ts";
import { StopRules } from "./stop-rules.ts";
import type { LocalTokenizer } from "./tokenizer.ts";

/** How much runs at once. None of it changes a result. */
export interface SchedulerOptions {
  /** Completions that decode together. */
  readonly slots: number;
  /** Memory for keys and values. */
  readonly cacheBytes: number;
  /** Prompt rows computed beside the decoding rows in one step. */
  readonly prefillRows: number;
}

/** Defaults: enough rows to keep two cores busy, and 1 GiB of keys and values. */
export const DEFAULT_SCHEDULER: SchedulerOptions = { slots: 256, cacheBytes: 2 ** 30, prefillRows: 256 };

/** One call of `sample`. Call `step` until it returns false, then `results`; `dispose` in any case. Errors: EngineError, ConfigError, DataError. */
export class BatchSampler {
  /** Tokens drawn so far. */
  drawn = 0;
  readonly queue: SampleQueue;
  readonly #model: InferenceModel;
  readonly #params: SamplingParams;
  readonly #forcedCount: number;
  readonly #stop: StopRules;
  readonly #slots: SlotTable;
  readonly #cache: KvCache;
  readonly #step: StepRows;
  readonly #drawer: TokenDrawer;
  readonly #gather: LogitsGather;
  /** For each output of a step: the running completion, or undefined for a forced token's logprob. */
  readonly #outputOf: (Running | undefined)[] = [];
  readonly #forcedOutputs: { output: number; prompt: SharedPrompt; index: number }[] = [];

  constructor(
    device: Device,
    model: InferenceModel,
    tokenizer: LocalTokenizer | undefined,
    prompts: readonly Prompt[],
    params: SamplingParams,
    options: SchedulerOptions = DEFAULT_SCHEDULER,
  ) {
    checkSamplingParams(params, model.vocabSize);
    this.#model = model;
    this.#params = params;
    this.#forcedCount = params.forcedPrefix?.length ?? 0;
    this.#stop = new StopRules(params, tokenizer, model.vocabSize);
    this.queue = new SampleQueue(prompts, params, model.vocabSize, model.maxPositions);
    const slots = Math.max(1, Math.min(options.slots, this.queue.distinctTotal));
    const budgetRows = Math.floor(options.cacheBytes / model.cacheRowBytes);
    const plan = planCache(cacheDemand(this.queue, slots), budgetRows);
    this.#slots = new SlotTable(this.queue, {
      slots,
      cacheRows: plan.rows,
      initialRows: plan.initialRows,
      seed: params.seed,
      firstSample: params.firstSample ?? 0,
    });
    this.#cache = model.newCache(Math.max(1, plan.rows));
    const rowCapacity = slots + Math.max(1, options.prefillRows);
    const outputCapacity = rowCapacity + slots;
    this.#step = new StepRows(rowCapacity, outputCapacity);
    this.#drawer = new TokenDrawer(device, params, outputCapacity, model.vocabSize);
    this.#gather = new LogitsGather(device, outputCapacity, model.vocabSize);
  }

  /** Runs one inference step; false when nothing was left to do. */
  step(): boolean {
    this.#slots.growFullRanges();
    this.#slots.refill();
    if (this.#slots.running.length === 0) {
      if (this.queue.done < this.queue.total) throw new EngineError("internal: sampling stopped with completions left");
      return false;
    }
    this.#collectRows();
    const logits = this.#model.forwardCached(this.#step.view(), this.#cache);
    if (this.#step.outputs > 0) {
      this.#takeDraws(this.#drawer.draw(this.#gather.parts(logits, this.#step), this.#step.outputs));
    }
    return true;
  }

  /** All completions, in the order of the prompts. */
  results(): Completion[][] {
    return this.queue.results();
  }

  dispose(): void {
    this.#cache.dispose();
    this.#drawer.dispose();
    this.#gather.dispose();
  }

  #collectRows(): void {
    const step = this.#step;
    step.clear();
    this.#outputOf.length = 0;
    this.#forcedOutputs.length = 0;
    for (const run of this.#slots.running) {
      if (drawnTokens(run) - run.fed === 1 && this.#promptIsComputed(run)) this.#feedOwn(run);
    }
    for (const prompt of this.#slots.livePrompts) this.#feedPrompt(prompt);
    for (const run of this.#slots.running) {
      const drawn = drawnTokens(run);
      const { logitsIndex } = this.#slots.promptRows[run.job.prompt];
      if (drawn === 0 && logitsIndex >= 0) this.#wantDraw(run, logitsIndex);
      if (drawn === run.fed || !this.#promptIsComputed(run)) continue;
      // Rows lost to growth or waiting are computed again.
      while (drawn > run.fed && step.room > 0) this.#feedOwn(run);
    }
  }

  #promptIsComputed(run: Running): boolean {
    return this.#slots.promptRows[run.job.prompt].fed === run.prompt.tokens.length;
  }

  /** Feeds the next own token of a completion; the newest one asks for a draw. */
  #feedOwn(run: Running): void {
    const { prompt } = run;
    const promptStart = this.#slots.promptRows[run.job.prompt].start;
    this.#step.addRow(run.tokens[prompt.forcedInside + run.fed], promptStart, prompt.tokens.length, run.start, run.fed);
    run.fed++;
    if (prompt.forcedInside + run.fed === run.count) this.#wantDraw(run, this.#step.wantLogits());
  }

  /** Feeds rows of a prompt while there is room; the last one again whenever completions start, for its logits. */
  #feedPrompt(index: number): void {
    const rows = this.#slots.promptRows[index];
    rows.logitsIndex = -1;
    const prompt = this.queue.prompts[index];
    const last = prompt.tokens.length - 1;
    while (rows.fed < last && this.#step.room > 0) {
      this.#step.addRow(prompt.tokens[rows.fed], 0, 0, rows.start, rows.fed);
      const forcedIndex = rows.fed + 1 - prompt.promptLength;
      if (forcedIndex >= 0) this.#wantForcedLogprob(prompt, forcedIndex);
      rows.fed++;
    }
    if (rows.fed < last || (rows.fed > last && rows.fresh === 0) || this.#step.room === 0) return;
    this.#step.addRow(prompt.tokens[last], 0, 0, rows.start, last);
    rows.fed = last + 1;
    if (rows.fresh > 0) rows.logitsIndex = this.#step.wantLogits();
    rows.fresh = 0;
  }

  #wantDraw(run: Running, logitsIndex: number): void {
    const output = this.#step.addOutput(logitsIndex);
    this.#outputOf[output] = run;
    this.#drawer.uniforms[output] = uniformAt(run.key, run.count);
    this.#drawer.forced[output] = run.count < this.#forcedCount ? this.#params.forcedPrefix![run.count] : -1;
  }

  #wantForcedLogprob(prompt: SharedPrompt, index: number): void {
    const output = this.#step.addOutput(this.#step.wantLogits());
    this.#outputOf[output] = undefined;
    this.#forcedOutputs.push({ output, prompt, index });
    this.#drawer.uniforms[output] = 0;
    this.#drawer.forced[output] = this.#params.forcedPrefix![index];
  }

  #takeDraws({ tokens, logprobs }: { tokens: Int32Array; logprobs: Float32Array }): void {
    for (const { output, prompt, index } of this.#forcedOutputs) prompt.forcedLogprobs[index] = logprobs[output];
    let finished = false;
    for (let output = 0; output < this.#step.outputs; output++) {
      const run = this.#outputOf[output];
      if (run !== undefined && this.#append(run, tokens[output], logprobs[output])) finished = true;
    }
    if (finished) this.#slots.dropEnded();
  }

  /** Adds a drawn token; true when it ended the completion. */
  #append(run: Running, token: number, logprob: number): boolean {
    if (run.count === run.tokens.length) {
      run.tokens = doubled(run.tokens, new Int32Array(2 * run.count));
      run.logprobs = doubled(run.logprobs, new Float32Array(2 * run.count));
    }
    const forced = run.count < this.#forcedCount;
    run.tokens[run.count] = token;
    run.logprobs[run.count] = logprob;
    run.count++;
    this.drawn++;
    const stops = !forced && this.#stop.ends(run.tokens, run.count);
    if (!stops && run.count < run.prompt.limit) return false;
    this.queue.finish(run.job, this.#completion(run, stops ? "stop" : "length"));
    this.#slots.end(run);
    return true;
  }

  #completion(run: Running, stopReason: Completion["stopReason"]): Completion {
    const tokens = run.tokens.slice(0, run.count);
    const logprobs = run.logprobs.slice(0, run.count);
    logprobs.set(run.prompt.forcedLogprobs);
    return { tokens, logprobs, text: this.#stop.text(tokens, run.count), stopReason };
  }
}

function cacheDemand(queue: SampleQueue, slots: number): CacheDemand {
  const most = (rows: (prompt: SharedPrompt) => number) => queue.prompts.reduce((max, prompt) => Math.max(max, rows(prompt)), 0);
  return {
    slots,
    prompts: Math.min(slots, queue.prompts.length),
    promptRows: most((prompt) => prompt.tokens.length),
    completionRows: most(mostOwnRows),
    longestSequence: most((prompt) => prompt.tokens.length + mostOwnRows(prompt)),
  };
}

function doubled<A extends Int32Array | Float32Array>(from: A, to: A): A {
  to.set(from as never);
  return to;
}
