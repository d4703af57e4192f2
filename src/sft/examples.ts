// Lines of text to train on or to score: {"tokens"} or {"text"} or {"prompt", "completion"}, as token ids with a weight each.
// Knows the tokenizer's face, no model. A prompt and its completion are tokenized apart, so the border is exact; nothing is
// added (no BOS, no end token): the text says it all.

import type { Tokenizer } from "../engine/types.ts";
import { expectObject, type JsonObject, preview } from "../store/jsonl.ts";
import { DataError } from "../util/errors.ts";

/** One line as tokens. `weights_T[i]` is the loss weight of predicting tokens[i + 1]; length N − 1. */
export interface Example {
  readonly id?: string | number;
  readonly tokens: Int32Array;
  readonly weights_T: Float32Array;
}

/** How to read lines. */
export interface ExampleOptions {
  readonly tokenizer: Tokenizer;
  /** Token ids must lie below. */
  readonly vocabSize: number;
  /** Longest sequence. */
  readonly maxTokens: number;
  /** Loss weight of prompt tokens; completions and plain text have weight 1. */
  readonly promptWeight: number;
}

/** Parses one line. Errors: DataError `where: expected …, got …`. */
export function parseExample(value: unknown, where: string, options: ExampleOptions): Example {
  const row = expectObject(value, where);
  const { promptTokens, tokens } = tokensOf(row, where, options);
  if (tokens.length === 0) throw new DataError(`${where}: expected at least one token, got an empty sequence.`);
  if (tokens.length > options.maxTokens)
    throw new DataError(
      `${where}: expected at most ${options.maxTokens} tokens (the model's context), got ${tokens.length}. Shorten the text.`,
    );
  const weights_T = new Float32Array(tokens.length - 1).fill(1);
  weights_T.fill(options.promptWeight, 0, Math.max(0, promptTokens - 1));
  return { id: idOf(row, where), tokens, weights_T };
}

function tokensOf(row: JsonObject, where: string, options: ExampleOptions): { promptTokens: number; tokens: Int32Array } {
  const { tokenizer, vocabSize } = options;
  if (row.tokens !== undefined) return { promptTokens: 0, tokens: expectTokens(row.tokens, where, vocabSize) };
  if (row.text !== undefined) return { promptTokens: 0, tokens: tokenizer.encode(expectText(row.text, "text", where)) };
  if (row.prompt === undefined && row.completion === undefined)
    throw new DataError(
      `${where}: expected "tokens", "text", or "prompt" and "completion", got keys ${preview(Object.keys(row))}.`,
    );
  const prompt = tokenizer.encode(expectText(row.prompt, "prompt", where));
  const completion = tokenizer.encode(expectText(row.completion, "completion", where));
  const tokens = new Int32Array(prompt.length + completion.length);
  tokens.set(prompt);
  tokens.set(completion, prompt.length);
  return { promptTokens: prompt.length, tokens };
}

/** A list of token ids in [0, vocabSize). Errors: DataError. */
export function expectTokens(value: unknown, where: string, vocabSize: number): Int32Array {
  if (!Array.isArray(value))
    throw new DataError(`${where}: expected "tokens" to be a list of whole numbers, got ${preview(value)}.`);
  const bad = value.findIndex((token) => !Number.isInteger(token) || token < 0 || token >= vocabSize);
  if (bad >= 0)
    throw new DataError(
      `${where}: expected "tokens" to be whole numbers in 0 … ${vocabSize - 1}, got ${preview(value[bad])} at index ${bad}.`,
    );
  return Int32Array.from(value as number[]);
}

/** A string. Errors: DataError. */
export function expectText(value: unknown, name: string, where: string): string {
  if (typeof value === "string") return value;
  throw new DataError(`${where}: expected "${name}" to be a string, got ${preview(value)}.`);
}

/** The optional "id" of a line. Errors: DataError when it is neither text nor number. */
export function idOf(row: JsonObject, where: string): string | number | undefined {
  if (row.id === undefined || typeof row.id === "string" || typeof row.id === "number") return row.id;
  throw new DataError(`${where}: expected "id" to be a string or a number, got ${preview(row.id)}.`);
}
