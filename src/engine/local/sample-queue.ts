// The work of one sampling call: equal prompts found and computed once, completions in order, results back in the caller's
// order. Knows nothing of devices, slots or caches.

import { DataError } from "../../util/errors.ts";
import { hashTokens, type Key } from "../../util/rng.ts";
import type { Completion, Prompt, SamplingParams } from "../types.ts";

/** One distinct prompt and the part of the forced prefix that all its completions share in the cache. */
export interface SharedPrompt {
  readonly hash: Key;
  readonly promptLength: number;
  /** Prompt tokens, then all forced tokens but the last (that one is the forced first draw). */
  readonly tokens: Int32Array;
  /** Forced tokens within `tokens`. */
  readonly forcedInside: number;
  /** Most completion tokens: maxTokens, or what the context leaves. */
  readonly limit: number;
  /** Logprobs of the forced tokens inside, filled while the prompt is computed. */
  readonly forcedLogprobs: Float32Array;
  readonly completions: (Completion | undefined)[];
  /** Places of the caller's list that hold this prompt. */
  readonly askedAt: number[];
}

/** A completion to compute: which prompt, and which of its samples (0 is the first one asked for). */
export interface Job {
  readonly prompt: number;
  readonly sample: number;
}

const NOTHING: Completion = { tokens: new Int32Array(0), logprobs: new Float32Array(0), text: "", stopReason: "length" };

function checkTokens(tokens: Int32Array, at: number, vocabSize: number): void {
  if (tokens.length === 0) throw new DataError(`sample: expected at least one token, got an empty prompt (prompt ${at}).`);
  for (const token of tokens) {
    if (token >= 0 && token < vocabSize) continue;
    throw new DataError(
      `sample: expected token ids below ${vocabSize}, got ${token} (prompt ${at}). Is it this model's tokenizer?`,
    );
  }
}

function equalTokens(a: Int32Array, b: Int32Array, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** See the file header. A prompt that fills the context gets empty completions that stopped by length. Errors: DataError. */
export class SampleQueue {
  readonly prompts: readonly SharedPrompt[];
  /** Completions of distinct prompts, and of the caller's list. */
  readonly distinctTotal: number;
  readonly total: number;
  readonly #params: SamplingParams;
  readonly #asked: number;
  #nextPrompt = 0;
  #nextSample = 0;
  #done = 0;

  constructor(asked: readonly Prompt[], params: SamplingParams, vocabSize: number, maxPositions: number) {
    const prompts: SharedPrompt[] = [];
    const byHash = new Map<string, number[]>();
    asked.forEach(({ tokens }, at) => {
      checkTokens(tokens, at, vocabSize);
      const hash = hashTokens(tokens);
      const name = `${hash.low},${hash.high}`;
      const same = byHash.get(name) ?? [];
      const found = same.find(
        (p) => prompts[p].promptLength === tokens.length && equalTokens(prompts[p].tokens, tokens, tokens.length),
      );
      if (found !== undefined) {
        prompts[found].askedAt.push(at);
        return;
      }
      byHash.set(name, [...same, prompts.length]);
      prompts.push(sharedPrompt(tokens, hash, params, maxPositions, at));
    });
    this.prompts = prompts;
    this.#params = params;
    this.#asked = asked.length;
    this.total = asked.length * params.n;
    this.distinctTotal = prompts.length * params.n;
    for (const prompt of prompts.filter((p) => p.limit <= 0)) {
      prompt.completions.fill(NOTHING);
      this.#done += params.n * prompt.askedAt.length;
    }
    this.#skipFinished();
  }

  /** Completions finished, counted as the caller does. */
  get done(): number {
    return this.#done;
  }

  /** The next completion to start, or undefined when all have started. */
  peek(): Job | undefined {
    return this.#nextPrompt < this.prompts.length ? { prompt: this.#nextPrompt, sample: this.#nextSample } : undefined;
  }

  advance(): void {
    this.#nextSample++;
    if (this.#nextSample < this.#params.n) return;
    this.#nextSample = 0;
    this.#nextPrompt++;
    this.#skipFinished();
  }

  finish(job: Job, completion: Completion): void {
    const prompt = this.prompts[job.prompt];
    prompt.completions[job.sample] = completion;
    this.#done += prompt.askedAt.length;
  }

  /** All completions in the caller's order; call when done equals total. */
  results(): Completion[][] {
    const out: Completion[][] = new Array(this.#asked);
    for (const prompt of this.prompts) {
      for (const at of prompt.askedAt) out[at] = prompt.completions as Completion[];
    }
    return out;
  }

  #skipFinished(): void {
    while (this.#nextPrompt < this.prompts.length && this.prompts[this.#nextPrompt].limit <= 0) this.#nextPrompt++;
  }
}

function sharedPrompt(tokens: Int32Array, hash: Key, params: SamplingParams, maxPositions: number, at: number): SharedPrompt {
  const limit = Math.min(params.maxTokens, maxPositions - tokens.length);
  const forcedInside = Math.max(0, Math.min(params.forcedPrefix?.length ?? 0, limit) - 1);
  const all = new Int32Array(tokens.length + forcedInside);
  all.set(tokens);
  for (let i = 0; i < forcedInside; i++) all[tokens.length + i] = params.forcedPrefix![i];
  return {
    hash,
    promptLength: tokens.length,
    tokens: all,
    forcedInside,
    limit,
    forcedLogprobs: new Float32Array(forcedInside),
    completions: new Array(params.n).fill(undefined),
    askedAt: [at],
  };
}
