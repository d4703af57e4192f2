// Reads what a server answered to a draw and believes none of it: counts, indices, token ids, logprobs and reasons must be what was asked
// for, or the whole answer is garbage and the endpoint that gave it is not asked again. Knows no sockets.

import { preview } from "../../../util/json.ts";
import type { Completion, SamplingParams, Tokenizer } from "../../types.ts";
import type { Draw, DrawShape, ServerFacts } from "./wire.ts";

/** An answer that cannot be one to the request. */
export class GarbageError extends Error {
  override name = "GarbageError";
}

/** What reading needs beside the answer. */
export interface ReplyContext {
  readonly facts: ServerFacts;
  /** The name that was asked for. */
  readonly model: string;
  /** Version of the weights, where answers may tell it. */
  readonly version?: string;
  readonly tokenizer: Pick<Tokenizer, "encode" | "decode">;
  /** Token ids are below it: of the model, which may have more than its tokenizer. */
  readonly vocabSize: number;
  /** Told of each completion whose tokens had to be made from its text: how many, and how many the server counted, where it says so. */
  readonly retokenised: (made: number, counted: number | undefined) => void;
}

type Fields = Readonly<Record<string, unknown>>;
type Choice = Pick<Completion, "tokens" | "logprobs" | "stopReason">;

/** Rounding may lift the logprob of a certain token a little above 0. */
const HIGHEST_LOGPROB = 1e-2;

/** The completions of a draw. Errors: GarbageError. */
export function readReply(value: unknown, draw: Draw, shape: DrawShape, context: ReplyContext): Completion[] {
  const { dialect } = context.facts;
  const choices = dialect === "sglang" ? fromGenerate(value, draw, shape, context) : fromCompletions(value, draw, shape, context);
  return choices.map((choice) => {
    const tokens =
      shape.forced > 0 ? Int32Array.from([...shape.tokens.subarray(-shape.forced), ...choice.tokens]) : choice.tokens;
    const text = textOf(tokens, shape.forced, draw.params, context.tokenizer);
    return { tokens, logprobs: choice.logprobs, text, stopReason: choice.stopReason };
  });
}

/** Text of a completion as the contract has it: without its stop token, cut before the first stop string that ends after the prefix. */
export function textOf(
  tokens: Int32Array,
  forced: number,
  { stopTokens, stopStrings = [] }: SamplingParams,
  tokenizer: Pick<Tokenizer, "decode">,
): string {
  const endsByToken = tokens.length > forced && stopTokens.includes(tokens[tokens.length - 1]);
  const text = tokenizer.decode(endsByToken ? tokens.subarray(0, -1) : tokens);
  if (endsByToken || stopStrings.length === 0) return text;
  const before = forced > 0 ? tokenizer.decode(tokens.subarray(0, forced)).length : 0;
  const found = stopStrings.map((stop) => text.indexOf(stop, Math.max(0, before - stop.length + 1))).filter((at) => at >= 0);
  return found.length > 0 ? text.slice(0, Math.min(...found)) : text;
}

function fromCompletions(value: unknown, draw: Draw, shape: DrawShape, context: ReplyContext): Choice[] {
  const reply = fieldsOf(value, "answer");
  if (context.facts.dialect !== "plain" && reply.model !== context.model)
    throw wrong("model", JSON.stringify(context.model), reply.model);
  const choices = listOf(reply.choices, draw.n, "choices").map((choice, at) => fieldsOf(choice, `choices[${at}]`));
  const byIndex = new Map(choices.map((choice) => [choice.index, choice]));
  return choices.map((_, index) => {
    const choice = byIndex.get(index);
    if (choice === undefined) throw wrong("choices", `one of index ${index}`, [...byIndex.keys()]);
    if (context.facts.dialect === "plain") return fromText(choice, reply, draw, shape, context);
    expectPrompt(choice.prompt_token_ids, shape);
    const { token_logprobs: given } = fieldsOf(choice.logprobs, "logprobs");
    const tokens = tokensOf(choice.token_ids, shape, context);
    const logprobs = logprobsOf(given, tokens.length);
    const before = shape.forced > 0 ? promptLogprobs(choice.prompt_logprobs, shape) : [];
    return finished({ tokens, logprobs, before, reason: choice.finish_reason }, draw, shape, context);
  });
}

function fromGenerate(value: unknown, draw: Draw, shape: DrawShape, context: ReplyContext): Choice[] {
  const items = Array.isArray(value) ? value : [value];
  return listOf(items, draw.n, "answer").map((item, at) => {
    const meta = fieldsOf(fieldsOf(item, `answer[${at}]`).meta_info, "meta_info");
    if (context.version !== undefined && typeof meta.weight_version === "string" && meta.weight_version !== context.version)
      throw wrong("weight_version", context.version, meta.weight_version);
    const pairs = pairsOf(meta.output_token_logprobs, "output_token_logprobs");
    const tokens = tokensOf(
      pairs.map(([, token]) => token),
      shape,
      context,
    );
    const logprobs = logprobsOf(
      pairs.map(([logprob]) => logprob),
      tokens.length,
    );
    const given = shape.forced > 0 ? pairsOf(meta.input_token_logprobs, "input_token_logprobs").slice(-shape.forced) : [];
    const before = given.map(([logprob]) => logprob);
    const reason = fieldsOf(meta.finish_reason, "finish_reason").type;
    return finished({ tokens, logprobs, before: [...logprobsOf(before, shape.forced)], reason }, draw, shape, context);
  });
}

/** A choice as it came, its parts already of the right form. */
interface Parts {
  readonly tokens: Int32Array;
  readonly logprobs: Float32Array;
  /** Logprobs of the forced prefix. */
  readonly before: readonly number[];
  readonly reason: unknown;
}

/** Holds the choice against what was asked, and puts the prefix's logprobs before its own. */
function finished(
  { tokens, logprobs, before, reason }: Parts,
  { params }: Draw,
  shape: DrawShape,
  context: ReplyContext,
): Choice {
  const stopReason = reasonOf(reason);
  if (shape.most === 0) return { tokens: new Int32Array(0), logprobs: Float32Array.from(before), stopReason: "length" };
  const stop = tokens.findIndex((token) => params.stopTokens.includes(token));
  if (stop >= 0 && stop < tokens.length - 1) throw wrong("token_ids", "nothing behind a stop token", tokens.length - 1 - stop);
  if (stopReason === "length" && tokens.length !== shape.most)
    throw wrong("finish_reason", `length after ${shape.most} tokens`, tokens.length);
  if (stopReason === "length" && stop >= 0) throw wrong("finish_reason", "stop at a stop token", reason);
  if (stopReason === "stop" && stop < 0) {
    const text = context.tokenizer.decode(tokens);
    if (!(params.stopStrings ?? []).some((string) => text.includes(string)))
      throw wrong("finish_reason", "stop at a stop token or string", `stop after token ${tokens[tokens.length - 1]}`);
  }
  return { tokens, logprobs: before.length > 0 ? Float32Array.from([...before, ...logprobs]) : logprobs, stopReason };
}

/** Tokens made from a text, and logprobs where the server's are as many; NaN elsewhere. */
function fromText(choice: Fields, reply: Fields, { n, params }: Draw, shape: DrawShape, context: ReplyContext): Choice {
  const stopReason = reasonOf(choice.finish_reason);
  if (typeof choice.text !== "string") throw wrong("text", "a text", choice.text);
  const made = context.tokenizer.encode(choice.text);
  if (made.length > 2 * shape.most + 16) throw wrong("text", `one of at most ${shape.most} tokens`, made.length);
  const ended = stopReason === "stop" && (params.stopStrings ?? []).length === 0 ? params.stopTokens.slice(0, 1) : [];
  const tokens = shape.most === 0 ? new Int32Array(0) : Int32Array.from([...made, ...ended]);
  const given = choice.logprobs === null || choice.logprobs === undefined ? undefined : fieldsOf(choice.logprobs, "logprobs");
  const list = Array.isArray(given?.token_logprobs) ? (given.token_logprobs as unknown[]) : [];
  const usable = list.length === tokens.length && list.every((logprob) => typeof logprob === "number");
  const usage = reply.usage === undefined || n > 1 ? undefined : fieldsOf(reply.usage, "usage").completion_tokens;
  context.retokenised(tokens.length, typeof usage === "number" ? usage : undefined);
  const logprobs = tokens.length === 0 ? [] : usable ? (list as number[]) : new Array<number>(tokens.length).fill(Number.NaN);
  const before = new Array<number>(shape.forced).fill(Number.NaN);
  return { tokens, logprobs: Float32Array.from([...before, ...logprobs]), stopReason: shape.most === 0 ? "length" : stopReason };
}

function reasonOf(reason: unknown): Completion["stopReason"] {
  if (reason === "stop" || reason === "length") return reason;
  throw wrong("finish_reason", "stop or length", reason);
}

function expectPrompt(value: unknown, { tokens }: DrawShape): void {
  if (value === undefined || value === null) return;
  const same = Array.isArray(value) && value.length === tokens.length && value.every((token, at) => token === tokens[at]);
  if (!same) throw wrong("prompt_token_ids", "the prompt that was sent", value);
}

function tokensOf(value: unknown, { most }: DrawShape, { vocabSize }: ReplyContext): Int32Array {
  const limit = Math.max(1, most);
  if (!Array.isArray(value) || value.length === 0 || value.length > limit)
    throw wrong("token_ids", `1 to ${limit} token ids`, Array.isArray(value) ? `${value.length} of them` : value);
  const strange = value.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= vocabSize);
  if (strange >= 0) throw wrong("token_ids", `ids below ${vocabSize}`, value[strange]);
  return Int32Array.from(value as number[]);
}

function logprobsOf(value: unknown, length: number): Float32Array {
  const list = listOf(value, length, "logprobs");
  const strange = list.findIndex((logprob) => !(typeof logprob === "number" && logprob <= HIGHEST_LOGPROB));
  if (strange >= 0) throw wrong("logprobs", "numbers of at most 0", list[strange]);
  return Float32Array.from(list as number[]);
}

/** vLLM's form: per prompt token null or an object by id. */
function promptLogprobs(value: unknown, { tokens, forced }: DrawShape): number[] {
  const entries = listOf(value, tokens.length, "prompt_logprobs").slice(-forced);
  const own = entries.map((entry, at) => {
    const { [String(tokens[tokens.length - forced + at])]: found } = fieldsOf(entry, "prompt_logprobs");
    return fieldsOf(found, "prompt_logprobs").logprob;
  });
  return [...logprobsOf(own, forced)];
}

/** SGLang's [logprob, token, text] entries. */
function pairsOf(value: unknown, where: string): [logprob: unknown, token: unknown][] {
  if (!Array.isArray(value) || !value.every((entry) => Array.isArray(entry) && entry.length >= 2))
    throw wrong(where, "a list of [logprob, token]", value);
  return value as [unknown, unknown][];
}

function fieldsOf(value: unknown, where: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw wrong(where, "an object", value);
}

function listOf(value: unknown, length: number, where: string): unknown[] {
  if (Array.isArray(value) && value.length === length) return value as unknown[];
  throw wrong(where, `a list of ${length}`, Array.isArray(value) ? `a list of ${value.length}` : value);
}

function wrong(where: string, expected: string, got: unknown): GarbageError {
  return new GarbageError(`${where}: expected ${expected}, got ${preview(got)}.`);
}
