// One request's completions while they are sampled: it submits the prompts, gathers what comes back per choice, and hands out
// what is new. Knows the live sampler and no form of answer.

import { randomInt } from "node:crypto";
import type { Completion, LiveCall, LiveSampler, LiveUpdate, SamplingParams, TopTokens } from "../engine/types.ts";
import { CompletionText } from "./completion-text.ts";
import { type SamplingFields, stopRuleOf } from "./sampling-fields.ts";
import type { TokenTexts } from "./token-texts.ts";

/** What to generate. */
export interface GenerationPlan {
  readonly prompts: readonly Int32Array[];
  readonly sampling: SamplingFields;
  /** Most new tokens; 0 only scores the prompts. */
  readonly maxTokens: number;
  /** Alternatives per drawn token; absent: no logprobs are shown. */
  readonly topLogprobs?: number;
  /** Alternatives per prompt token; absent: the prompt is not scored. */
  readonly promptLogprobs?: number;
}

/** Tokens with their raw logprobs; `top` has an entry per token where alternatives were asked for. */
export interface ScoredTokens {
  readonly tokens: number[];
  readonly logprobs: number[];
  readonly top: TopTokens[];
}

/** The next part of a choice. */
export interface Delta extends ScoredTokens {
  readonly text: string;
  /** Present in the last part. */
  readonly stopReason?: Completion["stopReason"];
}

/** Largest part that is handed out at once, so that a slow reader's backlog stays in compact form. */
const TOKENS_PER_DELTA = 512;
const LARGEST_SEED = 2 ** 47;
const NOTHING_DRAWN: LiveUpdate = { sample: 0, tokens: [], logprobs: [], stopReason: "length" };

/** One completion of one prompt. */
export class Choice {
  /** Place in the answer: prompts in order, samples within. */
  readonly index: number;
  readonly prompt: number;
  readonly scored: ScoredTokens = { tokens: [], logprobs: [], top: [] };
  stopReason: Completion["stopReason"] | undefined;
  readonly #text: CompletionText;
  #handedOut = 0;
  #closed = false;

  constructor(index: number, prompt: number, text: CompletionText) {
    this.index = index;
    this.prompt = prompt;
    this.#text = text;
  }

  /** What ended it: the stop string, or the id of a stop token; null otherwise. */
  get stoppedBy(): number | string | null {
    return this.#text.stoppedBy ?? null;
  }

  /** Whether `take` has given its last part. */
  get isHandedOut(): boolean {
    return this.#closed;
  }

  add(update: LiveUpdate): void {
    append(this.scored, update);
    this.stopReason = update.stopReason;
    this.#text.push(update.tokens, update.stopReason);
  }

  /** What has come since the last call; undefined when there is nothing. */
  take(most = TOKENS_PER_DELTA): Delta | undefined {
    const from = this.#handedOut;
    const to = Math.min(this.scored.tokens.length, from + most);
    const last = this.stopReason !== undefined && to === this.scored.tokens.length;
    if (this.#closed || (to === from && !last)) return undefined;
    this.#handedOut = to;
    this.#closed = last;
    const { tokens, logprobs, top } = this.scored;
    return {
      // Text may run ahead of a capped part; put together it is the same.
      text: this.#text.take(),
      tokens: tokens.slice(from, to),
      logprobs: logprobs.slice(from, to),
      top: top.slice(from, to),
      stopReason: last ? this.stopReason : undefined,
    };
  }
}

/** See the file header. */
export class Generation {
  readonly choices: readonly Choice[];
  /** Logprobs of each prompt's tokens 1, 2, … */
  readonly promptScores: readonly ScoredTokens[];
  /** Fulfilled when everything has come. Errors: those of the live sampler; the rest is cancelled then. */
  readonly done: Promise<void>;
  /** Whether `done` is settled, and how. */
  state: "running" | "done" | "failed" = "running";
  readonly #calls: LiveCall[] = [];
  #wake: () => void = () => {};
  #news = false;

  constructor(live: LiveSampler, texts: TokenTexts, plan: GenerationPlan) {
    const { n, seed, firstSample, temperature, topP, topK, stopTokens, stopStrings } = plan.sampling;
    const shared = { n, firstSample, temperature, topP, topK, stopTokens, stopStrings, maxTokens: plan.maxTokens };
    this.promptScores = plan.prompts.map(() => ({ tokens: [], logprobs: [], top: [] }));
    const rule = stopRuleOf(plan.sampling);
    this.choices = plan.prompts.flatMap((_, prompt) =>
      Array.from({ length: n }, (__, sample) => new Choice(prompt * n + sample, prompt, new CompletionText(texts, rule))),
    );
    for (const [prompt, tokens] of plan.prompts.entries()) {
      const params: SamplingParams = { ...shared, seed: seed ?? randomInt(LARGEST_SEED) };
      const request = { tokens, params, topLogprobs: plan.topLogprobs, promptLogprobs: plan.promptLogprobs };
      this.#calls.push(live.submit(request, (update) => this.#hear(prompt, n, update)));
    }
    this.done = Promise.all(this.#calls.map((call) => call.done)).then(
      () => {
        // Where nothing is drawn, nothing has told the end.
        if (plan.maxTokens === 0) for (const choice of this.choices) choice.add(NOTHING_DRAWN);
        this.#settle("done");
      },
      (error) => {
        this.cancel();
        this.#settle("failed");
        throw error;
      },
    );
    // Who streams looks at `done` only at the end.
    this.done.catch(() => {});
  }

  /** Ends it early; `done` is fulfilled. */
  cancel(): void {
    for (const call of this.#calls) call.cancel();
  }

  /** Fulfilled when something has come since the last call, or all is over. */
  async news(): Promise<void> {
    if (!this.#news && this.state === "running") {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#news = false;
  }

  #hear(prompt: number, n: number, update: LiveUpdate): void {
    if (update.sample < 0) append(this.promptScores[prompt], update);
    else this.choices[prompt * n + update.sample].add(update);
    this.#news = true;
    this.#wake();
  }

  #settle(state: "done" | "failed"): void {
    this.state = state;
    this.#wake();
  }
}

function append(to: ScoredTokens, { tokens, logprobs, top = [] }: LiveUpdate): void {
  for (const token of tokens) to.tokens.push(token);
  for (const logprob of logprobs) to.logprobs.push(logprob);
  for (const entry of top) to.top.push(entry);
}
