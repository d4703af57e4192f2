// POST /v1/completions: prompts as text or token ids, one or many. Knows the form of the request and of the answer.
// Sources: OpenAI API reference, "Completions"; vLLM for return_token_ids, prompt_logprobs and token-id prompts.
// Departures: a text prompt gets no special tokens by itself (as in all of rzero); completions end at the model's context
// with finish_reason "length" instead of being refused; a prompt listed twice with a seed gives equal completions (use `n`).

import { setImmediate } from "node:timers/promises";
import { Fields, wrong } from "./fields.ts";
import type { Choice, Delta, Generation, GenerationPlan } from "./generation.ts";
import type { Exchange } from "./http.ts";
import { completionLogprobs, promptLogprobs } from "./logprobs.ts";
import type { ModelTable } from "./models.ts";
import { MOST_COMPLETIONS, MOST_TOP_LOGPROBS, readSamplingFields } from "./sampling-fields.ts";
import type { Presenter, Service, Usage } from "./service.ts";

interface CompletionRequest {
  readonly plan: GenerationPlan;
  readonly prompts: readonly PromptText[];
  readonly echo: boolean;
  /** Alternatives per token; undefined: no logprobs. */
  readonly logprobs: number | undefined;
}

interface PromptText {
  readonly tokens: Int32Array;
  readonly text: string;
}

const DEFAULT_MAX_TOKENS = 16;
const LONGEST_TURN_MS = 10;

/** Answers one request. Errors: Problem. */
export async function completions(models: ModelTable, exchange: Exchange): Promise<void> {
  const fields = new Fields(await exchange.json());
  const service = models.find(fields.string("model"));
  const request = await readRequest(service, fields);
  await service.run(exchange, request.plan, presenter(service, request));
}

async function readRequest(service: Service, fields: Fields): Promise<CompletionRequest> {
  const { tokenizer, live } = service.model;
  const sampling = readSamplingFields(fields, tokenizer, live.vocabSize);
  fields.only("suffix", "");
  const maxTokens = fields.integer("max_tokens", { low: 0 }) ?? DEFAULT_MAX_TOKENS;
  const echo = fields.boolean("echo") ?? false;
  const logprobs = readLogprobs(fields);
  const value = fields.raw("prompt");
  fields.end();
  const prompts = await readPrompts(service, value);
  if (prompts.length * sampling.n > MOST_COMPLETIONS)
    throw wrong("prompt", `at most ${MOST_COMPLETIONS} completions in one request`, prompts.length * sampling.n);
  for (const { tokens } of prompts) service.checkPrompt(tokens, maxTokens, "prompt");
  const scored = echo && logprobs !== undefined ? logprobs : undefined;
  const plan: GenerationPlan = {
    prompts: prompts.map(({ tokens }) => tokens),
    sampling,
    maxTokens,
    topLogprobs: logprobs,
    promptLogprobs: most(scored, sampling.promptLogprobs, maxTokens === 0 ? 0 : undefined),
  };
  return { plan, prompts, echo, logprobs };
}

/** A number of alternatives; some clients write true for 1. */
function readLogprobs(fields: Fields): number | undefined {
  const value = fields.raw("logprobs");
  if (typeof value === "boolean") return value ? 1 : undefined;
  return fields.integer("logprobs", { low: 0, high: MOST_TOP_LOGPROBS });
}

function most(...values: (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length > 0 ? Math.max(...known) : undefined;
}

/** A string, strings, token ids, or lists of them. A long list gives way to other requests between its entries. */
async function readPrompts(service: Service, value: unknown): Promise<PromptText[]> {
  if (typeof value === "string") return [ofText(service, value)];
  const expected = "a string, token ids, or a list of one of them";
  if (!Array.isArray(value) || value.length === 0) throw wrong("prompt", expected, value);
  if (value.every(isToken)) return [ofTokens(service, value)];
  if (value.length > MOST_COMPLETIONS) throw wrong("prompt", `at most ${MOST_COMPLETIONS} prompts`, value.length);
  const prompts: PromptText[] = [];
  let last = performance.now();
  for (const item of value as unknown[]) {
    if (typeof item === "string") prompts.push(ofText(service, item));
    else if (Array.isArray(item) && item.every(isToken)) prompts.push(ofTokens(service, item));
    else throw wrong("prompt", expected, item);
    if (performance.now() - last < LONGEST_TURN_MS) continue;
    await setImmediate();
    last = performance.now();
  }
  return prompts;
}

function isToken(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}

function ofText(service: Service, text: string): PromptText {
  return { tokens: service.encode(text, "prompt"), text };
}

function ofTokens(service: Service, ids: number[]): PromptText {
  service.checkPrompt(ids, 0, "prompt");
  return { tokens: Int32Array.from(ids), text: service.model.tokenizer.decode(ids) };
}

function presenter(service: Service, { plan, prompts, echo, logprobs }: CompletionRequest): Presenter {
  const { returnTokenIds, tokensAsIds, promptLogprobs: promptTop } = plan.sampling;
  const id = service.newId("cmpl");
  const head = () => ({ id, object: "text_completion", created: service.created, model: service.model.names[0] });
  const { texts } = service;
  // Where the next token of each choice begins in its text.
  const offsets = new Map<Choice, number>();
  const shown = (choice: Choice, delta: Delta) => {
    const offset = offsets.get(choice) ?? (echo ? prompts[choice.prompt].text.length : 0);
    offsets.set(
      choice,
      delta.tokens.reduce((at, token) => at + texts.lengthOf(token), offset),
    );
    return logprobs === undefined ? null : completionLogprobs(texts, delta, { top: logprobs, asIds: tokensAsIds, offset });
  };
  const ofPrompt = (choice: Choice, generation: Generation) => {
    const scores = generation.promptScores[choice.prompt];
    const first = prompts[choice.prompt].tokens[0];
    const top = logprobs ?? 0;
    const capped = {
      ...scores,
      top: scores.top.map((entry) => ({ tokens: entry.tokens.slice(0, top), logprobs: entry.logprobs })),
    };
    return completionLogprobs(texts, capped, { top, asIds: tokensAsIds, offset: 0 }, first);
  };
  const extras = (choice: Choice, generation: Generation) => ({
    ...(returnTokenIds && { prompt_token_ids: [...prompts[choice.prompt].tokens] }),
    ...(promptTop !== undefined && { prompt_logprobs: promptLogprobs(texts, generation.promptScores[choice.prompt], promptTop) }),
  });
  const part = (choice: Choice, { text, tokens, stopReason }: Delta, shownLogprobs: object | null) => ({
    index: choice.index,
    text,
    logprobs: shownLogprobs,
    finish_reason: stopReason ?? null,
    ...(stopReason !== undefined && { stop_reason: choice.stoppedBy }),
    ...(returnTokenIds && { token_ids: tokens }),
  });
  return {
    whole: (generation, usage) => ({
      ...head(),
      choices: generation.choices.map((choice) => {
        const delta = choice.take(Number.POSITIVE_INFINITY) as Delta;
        const own = shown(choice, delta);
        const before = echo && logprobs !== undefined ? ofPrompt(choice, generation) : undefined;
        const text = echo ? prompts[choice.prompt].text + delta.text : delta.text;
        const all = before && own ? joined(before, own) : own;
        return { ...part(choice, { ...delta, text }, all), ...extras(choice, generation) };
      }),
      usage,
    }),
    opening: (choice, generation) => {
      const more = extras(choice, generation);
      if (!echo && Object.keys(more).length === 0) return [];
      const before = echo && logprobs !== undefined ? ofPrompt(choice, generation) : null;
      const text = echo ? prompts[choice.prompt].text : "";
      const nothing = { text, tokens: [], logprobs: [], top: [] };
      return [{ ...head(), choices: [{ ...part(choice, nothing, before), ...more }] }];
    },
    parts: (choice, delta) => {
      const own = shown(choice, delta);
      if (delta.text === "" && own === null && delta.stopReason === undefined && !returnTokenIds) return [];
      return [{ ...head(), choices: [part(choice, delta, own)] }];
    },
    usage: (usage: Usage) => ({ ...head(), choices: [], usage }),
  };
}

type Logprobs = ReturnType<typeof completionLogprobs>;

function joined(a: Logprobs, b: Logprobs): Logprobs {
  return {
    tokens: [...a.tokens, ...b.tokens],
    token_logprobs: [...a.token_logprobs, ...b.token_logprobs],
    top_logprobs: a.top_logprobs && b.top_logprobs ? [...a.top_logprobs, ...b.top_logprobs] : null,
    text_offset: [...a.text_offset, ...b.text_offset],
  };
}
