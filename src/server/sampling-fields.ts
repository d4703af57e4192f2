// The fields that completions and chat completions share: how to sample, what ends a completion, how the answer is sent.
// A field that would change the result and is not supported is refused by name. Knows no route.
// Sources: OpenAI API reference (completions, chat); vLLM's protocol.py for top_k, stop_token_ids, ignore_eos, return_token_ids, ….

import type { Tokenizer } from "../engine/types.ts";
import type { CompletionText } from "./completion-text.ts";
import { type Fields, wrong } from "./fields.ts";
import { badRequest } from "./problem.ts";

/** How to sample, without the seed and the length. */
export interface SamplingFields {
  readonly n: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly stopTokens: readonly number[];
  readonly stopStrings: readonly string[];
  /** Absent: every prompt draws one of its own. */
  readonly seed?: number;
  /** Index of the first completion among those of its seed; ours alone: many requests can then share one draw. */
  readonly firstSample: number;
  readonly stream: boolean;
  /** A last event of a stream tells the usage. */
  readonly includeUsage: boolean;
  /** vLLM: the answer carries token ids. */
  readonly returnTokenIds: boolean;
  /** vLLM: tokens in logprobs are shown as `token_id:N`. */
  readonly tokensAsIds: boolean;
  /** vLLM: logprobs of the prompt with so many alternatives. */
  readonly promptLogprobs?: number;
}

/** Most alternatives per token. */
export const MOST_TOP_LOGPROBS = 20;
/** Most completions of one request. */
export const MOST_COMPLETIONS = 2048;
const LARGEST_INDEX = 2 ** 31 - 1;
const MOST_STOPS = 64;
const LONGEST_STOP = 1024;

/** Reads them. Errors: Problem 400. */
export function readSamplingFields(fields: Fields, tokenizer: Tokenizer, vocabSize: number): SamplingFields {
  refuseUnsupported(fields);
  const n = fields.integer("n", { low: 1, high: MOST_COMPLETIONS }) ?? 1;
  const bestOf = fields.integer("best_of", { low: 1 });
  if (bestOf !== undefined && bestOf !== n) throw wrong("best_of", `n (${n}): this server does not rank completions`, bestOf);
  const topK = fields.integer("top_k", { low: -1 }) ?? 0;
  const stream = fields.boolean("stream") ?? false;
  const { strings, tokens } = readStops(fields);
  const asked = [...tokens, ...fields.integers("stop_token_ids")];
  const strange = asked.find((token) => token >= vocabSize);
  if (strange !== undefined) throw badRequest(`stop: expected token ids below ${vocabSize}, got ${strange}.`, "stop");
  const own = fields.boolean("ignore_eos") ? [] : tokenizer.stopTokens;
  return {
    n,
    temperature: fields.number("temperature", { low: 0, high: 1e6 }) ?? 1,
    topP: fields.number("top_p", { low: 0, high: 1, open: true }) ?? 1,
    topK: Math.max(0, topK),
    stopTokens: [...own, ...asked],
    stopStrings: strings,
    seed: fields.integer("seed", { low: -(2 ** 63), high: 2 ** 63 }),
    firstSample: fields.integer("first_sample", { low: 0, high: LARGEST_INDEX }) ?? 0,
    stream,
    includeUsage: readStreamOptions(fields, stream),
    returnTokenIds: fields.boolean("return_token_ids") ?? false,
    tokensAsIds: fields.boolean("return_tokens_as_token_ids") ?? false,
    promptLogprobs: fields.integer("prompt_logprobs", { low: 0, high: MOST_TOP_LOGPROBS }),
  };
}

/** The rule that CompletionText wants. */
export function stopRuleOf(sampling: SamplingFields): ConstructorParameters<typeof CompletionText>[1] {
  return { tokens: new Set(sampling.stopTokens), strings: sampling.stopStrings };
}

function refuseUnsupported(fields: Fields): void {
  for (const name of ["presence_penalty", "frequency_penalty", "min_p", "min_tokens"]) fields.only(name, 0);
  for (const name of ["repetition_penalty", "length_penalty"]) fields.only(name, 1);
  for (const name of ["use_beam_search", "include_stop_str_in_output", "skip_special_tokens", "add_special_tokens"])
    fields.only(name, false);
  fields.only("logit_bias", {});
  fields.only("response_format", { type: "text" });
  fields.only("truncate_prompt_tokens");
  fields.ignore("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention");
  fields.ignore("request_id", "priority", "cache_salt", "spaces_between_special_tokens");
}

function readStreamOptions(fields: Fields, stream: boolean): boolean {
  const options = fields.raw("stream_options");
  if (options === undefined) return false;
  if (!stream) throw badRequest("stream_options: expected only with stream: true.", "stream_options");
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw wrong("stream_options", 'an object such as {"include_usage": true}', options);
  const { include_usage: includeUsage = false, include_obfuscation: _, ...rest } = options as Record<string, unknown>;
  if (typeof includeUsage !== "boolean") throw wrong("stream_options.include_usage", "true or false", includeUsage);
  const left = Object.entries(rest).find(([, value]) => value !== false && value !== null);
  if (left !== undefined) throw wrong(`stream_options.${left[0]}`, "no such field (or false)", left[1]);
  return includeUsage;
}

/** Strings and token ids, one or many. */
function readStops(fields: Fields): { strings: string[]; tokens: number[] } {
  const value = fields.raw("stop") ?? [];
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length > MOST_STOPS) throw badRequest(`stop: expected at most ${MOST_STOPS} entries, got ${list.length}.`, "stop");
  const strings: string[] = [];
  const tokens: number[] = [];
  for (const item of list) {
    if (typeof item === "string" && item !== "" && item.length <= LONGEST_STOP) strings.push(item);
    else if (typeof item === "number" && Number.isInteger(item) && item >= 0) tokens.push(item);
    else throw wrong("stop", `strings of 1 to ${LONGEST_STOP} characters, or token ids`, item);
  }
  return { strings, tokens };
}
