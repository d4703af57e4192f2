// What the routes of a served model share: the model, its names, its limits, and how a generation becomes one answer or a stream.
// Knows HTTP exchanges and generations, not what an answer looks like.

import { randomUUID } from "node:crypto";
import type { LiveSampler, Tokenizer } from "../engine/types.ts";
import { type Choice, type Delta, Generation, type GenerationPlan } from "./generation.ts";
import { type Exchange, sendJson } from "./http.ts";
import { badRequest, toProblem } from "./problem.ts";
import { EventStream } from "./sse.ts";
import { TokenTexts } from "./token-texts.ts";

/** A model to serve. */
export interface ServedModel {
  readonly live: LiveSampler;
  readonly tokenizer: Tokenizer;
  /** The first is the one shown; requests may use any. */
  readonly names: readonly string[];
  /** Requests that may run or wait at once; more are answered 429. */
  readonly maxQueue: number;
}

/** Counts of tokens as OpenAI reports them. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** How a route shows its generation. */
export interface Presenter {
  /** The whole answer. */
  whole(generation: Generation, usage: Usage): object;
  /** Events before the first part of a choice. */
  opening(choice: Choice, generation: Generation): object[];
  /** Events for one part of a choice. */
  parts(choice: Choice, delta: Delta): object[];
  /** The event that tells the usage, where asked for. */
  usage(usage: Usage): object;
}

/** Text of more characters than this per token of the context is refused before it is tokenized. */
const CHARACTERS_PER_TOKEN = 16;
const SPARE_CHARACTERS = 1024;
const MOST_ENTRIES = 2 ** 23;

/** See the file header. */
export class Service {
  readonly model: ServedModel;
  readonly texts: TokenTexts;
  /** Seconds since 1970. */
  readonly created = Math.floor(Date.now() / 1000);
  #active = 0;
  #quiet: (() => void)[] = [];

  constructor(model: ServedModel) {
    this.model = model;
    this.texts = new TokenTexts(model.tokenizer);
  }

  /** Tokens of a text. Errors: Problem 400 for a text that can never fit. */
  encode(text: string, param: string): Int32Array {
    const { context } = this.model.live;
    const most = CHARACTERS_PER_TOKEN * context + SPARE_CHARACTERS;
    if (text.length > most)
      throw badRequest(
        `${param}: expected at most ${most} characters (the context is ${context} tokens), got ${text.length}.`,
        param,
        "context_length_exceeded",
      );
    return this.model.tokenizer.encode(text);
  }

  /** Checks the length and the ids of a prompt. Errors: Problem 400. */
  checkPrompt(tokens: ArrayLike<number>, maxTokens: number, param: string): void {
    const { context, vocabSize } = this.model.live;
    if (tokens.length === 0) throw badRequest(`${param}: expected at least one token, got an empty prompt.`, param);
    const room = maxTokens > 0 ? context - 1 : context;
    if (tokens.length > room)
      throw badRequest(
        `${param}: expected at most ${room} tokens (the context is ${context}), got ${tokens.length}.`,
        param,
        "context_length_exceeded",
      );
    for (let i = 0; i < tokens.length; i++)
      if (tokens[i] >= vocabSize) throw badRequest(`${param}: expected token ids below ${vocabSize}, got ${tokens[i]}.`, param);
  }

  /** Generates and answers, in one piece or as a stream; a client that goes away cancels it. */
  async run(exchange: Exchange, plan: GenerationPlan, presenter: Presenter): Promise<void> {
    const { gone, response } = exchange;
    checkSize(plan, this.model.live.context);
    if (gone.aborted) return;
    const generation = new Generation(this.model.live, this.texts, plan);
    this.#active++;
    gone.addEventListener("abort", () => generation.cancel(), { once: true });
    try {
      if (plan.sampling.stream) await this.#stream(exchange, generation, plan, presenter);
      else {
        await generation.done;
        if (!gone.aborted) sendJson(response, 200, presenter.whole(generation, usageOf(generation, plan)));
      }
    } finally {
      generation.cancel();
      if (--this.#active === 0) for (const tell of this.#quiet.splice(0)) tell();
    }
  }

  /** Fulfilled when nothing is being generated. */
  idle(): Promise<void> {
    return this.#active === 0 ? Promise.resolve() : new Promise((resolve) => this.#quiet.push(resolve));
  }

  /** A fresh id of an answer. */
  newId(prefix: string): string {
    return `${prefix}-${randomUUID().replaceAll("-", "")}`;
  }

  async #stream({ response, gone }: Exchange, generation: Generation, plan: GenerationPlan, presenter: Presenter): Promise<void> {
    const events = new EventStream(response);
    const opened = new Set<Choice>();
    let open = generation.choices.slice();
    while (!gone.aborted) {
      const { state } = generation;
      for (const choice of open) await this.#addParts(events, choice, opened, generation, presenter);
      if (state !== "running") break;
      await events.flush();
      open = open.filter((choice) => !choice.isHandedOut);
      await generation.news();
    }
    if (gone.aborted) return;
    try {
      await generation.done;
    } catch (error) {
      if (!events.begun) throw error;
      events.add(toProblem(error).body);
      events.end("");
      return;
    }
    if (plan.sampling.includeUsage) events.add(presenter.usage(usageOf(generation, plan)));
    events.end();
  }

  async #addParts(
    events: EventStream,
    choice: Choice,
    opened: Set<Choice>,
    generation: Generation,
    presenter: Presenter,
  ): Promise<void> {
    for (let delta = choice.take(); delta !== undefined; delta = choice.take()) {
      if (!opened.has(choice)) {
        opened.add(choice);
        for (const event of presenter.opening(choice, generation)) events.add(event);
      }
      let full = false;
      for (const event of presenter.parts(choice, delta)) full = events.add(event);
      if (full) await events.flush();
    }
  }
}

/** Refuses what could fill the memory: each token and each alternative of it is kept until the answer is complete. */
function checkSize({ prompts, sampling, maxTokens, topLogprobs = 0, promptLogprobs }: GenerationPlan, context: number): void {
  let entries = 0;
  for (const { length } of prompts) {
    entries += sampling.n * Math.min(maxTokens, context - length) * (1 + topLogprobs);
    if (promptLogprobs !== undefined) entries += length * (1 + promptLogprobs);
  }
  if (entries <= MOST_ENTRIES) return;
  throw badRequest(
    `max_tokens: expected at most ${MOST_ENTRIES} tokens and alternatives in one request, got up to ${entries}. Ask for fewer or shorter completions.`,
    "max_tokens",
  );
}

function usageOf(generation: Generation, { prompts }: GenerationPlan): Usage {
  const prompt = prompts.reduce((sum, { length }) => sum + length, 0);
  const completion = generation.choices.reduce((sum, { scored }) => sum + scored.tokens.length, 0);
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}
