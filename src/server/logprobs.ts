// The forms in which OpenAI's answers show logprobs. Knows tokens, logprobs and a tokenizer, no route.
// A token that is part of a character has no text of its own; it is shown as `token_id:N`, so that two of them stay two.
// Sources: OpenAI API reference ("logprobs" of completions and of chat completions), vLLM for `prompt_logprobs`.

import type { TopTokens } from "../engine/types.ts";
import type { ScoredTokens } from "./generation.ts";
import { REPLACEMENT, type TokenTexts } from "./token-texts.ts";

/** JSON has no infinity; vLLM sends this. */
const LEAST = -9999;

/** `logprobs` of a completion. The entries of a prompt's first token are null. */
export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[] | null;
  readonly text_offset: number[];
}

/** How logprobs are shown: with how many alternatives, with ids for texts, and where in the text they begin. */
export interface LogprobForm {
  readonly top: number;
  readonly asIds: boolean;
  readonly offset: number;
}

/** `logprobs` of a completion, or of one part of a stream. `firstToken` is the prompt's first token, which has no logprob. */
export function completionLogprobs(
  texts: TokenTexts,
  { tokens, logprobs, top }: ScoredTokens,
  form: LogprobForm,
  firstToken?: number,
): CompletionLogprobs {
  const out: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: form.top > 0 ? [] : null, text_offset: [] };
  let { offset } = form;
  const add = (token: number, logprob: number | null, alternatives: Record<string, number> | null) => {
    out.tokens.push(texts.shown(token, form.asIds));
    out.token_logprobs.push(logprob);
    out.top_logprobs?.push(alternatives);
    out.text_offset.push(offset);
    offset += texts.lengthOf(token);
  };
  if (firstToken !== undefined) add(firstToken, null, null);
  for (const [i, token] of tokens.entries()) {
    const alternatives = top[i] && form.top > 0 ? topRecord(texts, top[i], token, logprobs[i], form.asIds) : null;
    add(token, finite(logprobs[i]), alternatives);
  }
  return out;
}

/** Likeliest first, then the token itself where it is not among them. Of two tokens with one text the likelier counts. */
function topRecord(texts: TokenTexts, top: TopTokens, token: number, logprob: number, asIds: boolean): Record<string, number> {
  const record: Record<string, number> = {};
  for (const [i, other] of [...top.tokens, token].entries())
    record[texts.shown(other, asIds)] ??= finite(i < top.tokens.length ? top.logprobs[i] : logprob);
  return record;
}

/** One entry of `logprobs.content` of a chat completion. */
export interface ChatLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: number[] | null;
  readonly top_logprobs: Omit<ChatLogprob, "top_logprobs">[];
}

/** `logprobs.content` of a chat completion, or of one part of a stream. */
export function chatLogprobs(texts: TokenTexts, { tokens, logprobs, top }: ScoredTokens, asIds: boolean): ChatLogprob[] {
  const one = (token: number, logprob: number) => {
    const text = texts.shown(token, asIds);
    return {
      token: text,
      logprob: finite(logprob),
      bytes: asIds || texts.of(token).includes(REPLACEMENT) ? null : [...Buffer.from(text)],
    };
  };
  return tokens.map((token, i) => ({
    ...one(token, logprobs[i]),
    top_logprobs: (top[i]?.tokens ?? []).map((other, j) => one(other, top[i].logprobs[j])),
  }));
}

/** vLLM's `prompt_logprobs`: per prompt token null (the first) or its logprob and those of the likeliest by id; the rank of one outside of those is null. */
export function promptLogprobs(
  texts: TokenTexts,
  { tokens, logprobs, top }: ScoredTokens,
  count: number,
): (Record<string, object> | null)[] {
  return [
    null,
    ...tokens.map((token, i) => {
      const record: Record<string, object> = {};
      const ids = top[i]?.tokens.slice(0, count) ?? [];
      const add = (id: number, logprob: number, rank: number | null) => {
        record[id] ??= { logprob: finite(logprob), rank, decoded_token: texts.shown(id) };
      };
      for (const [rank, id] of ids.entries()) add(id, top[i].logprobs[rank], rank + 1);
      add(token, logprobs[i], null);
      return record;
    }),
  ];
}

function finite(logprob: number): number {
  return Math.max(LEAST, logprob);
}
