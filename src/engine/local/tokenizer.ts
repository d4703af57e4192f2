// Text to tokens and back from a model's own files, and its chat format. Knows nothing of weights or sampling.
// Source: Hugging Face tokenizer.json, tokenizer_config.json and chat templates, read by @huggingface/tokenizers and jinja.
// Departures from transformers: `encode` never adds special tokens by itself (a chat template writes them as text, so a
// BOS cannot come twice), and `decode` never tidies spaces, so that text is what the tokens say.

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { DataError, errorText } from "../../util/errors.ts";
import { readText } from "../../util/files.ts";
import { withinTime } from "../../util/guard.ts";
import { expectObject, readJsonFile } from "../../util/json.ts";
import type { ChatMessage, Tokenizer } from "../types.ts";
import { readModelDirectory } from "./model-directory.ts";
import { checkTokenizerJson } from "./tokenizer-check.ts";

const LARGEST_FILE_BYTES = 64 * 2 ** 20;
const LARGEST_TEMPLATE_BYTES = 2 ** 20;
/** Longest rendered prompt in characters, without what its messages bring. */
const LARGEST_PROMPT = 2 ** 20;
/** Time granted for reading a byte of tokenizer.json and for working on a character of text, beyond what it takes by ten. */
const MS_PER_BYTE = 1 / 16_000;
const MS_PER_CHARACTER = 0.01;
/** Tokens that end a turn in the families we read; they stop a completion when the vocabulary has them as special tokens. */
const KNOWN_STOP_TOKENS = ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>"];
/** Some templates print today's date; a run must not depend on the day it is made. This is Llama 3's own fallback. */
const TEMPLATE_DATE = "26 Jul 2024";

type Json = Record<string, unknown>;

/** A tokenizer that also tells text of single tokens, for finding stop strings while sampling. */
export interface LocalTokenizer extends Tokenizer {
  /** Text of one token by itself; U+FFFD stands for part of a character. Cached. */
  pieceText(token: number): string;
}

function readJson(path: string): Json {
  return expectObject(readJsonFile(path, LARGEST_FILE_BYTES), path);
}

/** A file of the tokenizer; empty when there is none. Errors: DataError. */
export function readOptionalJson(path: string): Json {
  return existsSync(path) ? readJson(path) : {};
}

/** The text of a special token in tokenizer_config.json: `"<s>"` or `{ "content": "<s>" }`. */
export function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const content = typeof value === "object" && value !== null ? (value as Json).content : undefined;
  return typeof content === "string" ? content : undefined;
}

/** The chat template of a model directory, of its own file or of tokenizer_config.json (`config`). Errors: DataError. */
export function readChatTemplate(dir: string, config: Json): string | undefined {
  const path = join(dir, "chat_template.jinja");
  if (existsSync(path)) return readText(path, LARGEST_TEMPLATE_BYTES);
  const value = config.chat_template;
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.find((entry: Json) => entry?.name === "default") ?? value[0];
  return typeof named?.template === "string" ? named.template : undefined;
}

function compileTemplate(dir: string, source: string | undefined): Template | undefined {
  if (source === undefined) return undefined;
  const huge = /(?<![\w.])\d{7,}/.exec(source);
  if (huge !== null)
    throw new DataError(
      `${dir} chat template: expected no number above 999999, got ${huge[0].slice(0, 40)}. It asks for endless work.`,
    );
  try {
    return withinTime(`${dir} chat template`, 0, () => new Template(source));
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${dir}: expected a chat template that parses, got ${errorText(error).slice(0, 200)}.`);
  }
}

class FileTokenizer implements LocalTokenizer {
  readonly stopTokens: readonly number[];
  readonly vocabSize: number;
  readonly #inner: HuggingFaceTokenizer;
  readonly #safe: boolean;
  readonly #config: Json;
  readonly #template: Template | undefined;
  readonly #dir: string;
  readonly #pieces: string[] = [];

  /** `base` holds the model's configuration. */
  constructor(dir: string, base: string) {
    const path = join(dir, "tokenizer.json");
    if (!existsSync(path)) {
      throw new DataError(`${dir}: expected a tokenizer.json, got none. Is this a Hugging Face model directory?`);
    }
    this.#dir = dir;
    this.#config = readOptionalJson(join(dir, "tokenizer_config.json"));
    const json = readJson(path);
    this.#safe = checkTokenizerJson(json, path);
    this.#inner = this.#run("a tokenizer", statSync(path).size * MS_PER_BYTE, () => new HuggingFaceTokenizer(json, this.#config));
    this.#template = compileTemplate(dir, readChatTemplate(dir, this.#config));
    let largestId = -1;
    for (const id of this.#inner.get_vocab(true).values()) largestId = Math.max(largestId, id);
    this.vocabSize = largestId + 1;
    this.stopTokens = this.#findStopTokens(base);
  }

  /** Work of the library, under a limit of time where its rules might never end. Errors: DataError. */
  #run<T>(expected: string, extraMs: number, work: () => T): T {
    try {
      return this.#safe ? work() : withinTime(`${this.#dir}: ${expected}`, extraMs, work);
    } catch (error) {
      if (error instanceof DataError) throw error;
      throw new DataError(`${this.#dir}: expected ${expected}, got ${errorText(error).slice(0, 200)}. Its files are damaged.`);
    }
  }

  #findStopTokens(base: string): number[] {
    const found = new Set<number>();
    for (const name of ["generation_config.json", "config.json"]) {
      const own = join(this.#dir, name);
      const value = readOptionalJson(existsSync(own) ? own : join(base, name)).eos_token_id;
      for (const id of Array.isArray(value) ? value : [value]) if (Number.isInteger(id)) found.add(id as number);
    }
    const endOfSequence = this.#inner.token_to_id(tokenText(this.#config.eos_token) ?? "");
    if (endOfSequence !== undefined) found.add(endOfSequence);
    for (const [id, token] of this.#inner.get_added_tokens_decoder()) {
      if (token.special && KNOWN_STOP_TOKENS.includes(token.content)) found.add(id);
    }
    return [...found].sort((a, b) => a - b);
  }

  encode(text: string): Int32Array {
    if (text === "") return new Int32Array(0);
    const encode = () => this.#inner.encode(text, { add_special_tokens: false });
    const { ids } = this.#run("text to encode", text.length * MS_PER_CHARACTER, encode);
    const missing = ids.findIndex((id: number) => !Number.isInteger(id));
    if (missing >= 0) {
      const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
      throw new DataError(
        `${this.#dir}: expected text within the vocabulary, got ${shown} (piece ${missing}); there is no unknown token.`,
      );
    }
    return Int32Array.from(ids);
  }

  decode(tokens: ArrayLike<number>): string {
    if (tokens.length === 0) return "";
    const options = { skip_special_tokens: false, clean_up_tokenization_spaces: false };
    const decode = () => this.#inner.decode(Array.from(tokens), options);
    return this.#run("tokens to decode", tokens.length * MS_PER_CHARACTER, decode);
  }

  pieceText(token: number): string {
    this.#pieces[token] ??= this.decode([token]);
    return this.#pieces[token];
  }

  renderChat(messages: readonly ChatMessage[]): string {
    const template = this.#template;
    if (template === undefined) return this.#leadingSpecial() + messages.map((m) => `${m.role}: ${m.content}`).join("\n");
    const length = messages.reduce((sum, { content }) => sum + content.length, 0);
    const values = () => ({
      messages: messages.map((message) => ({ ...message })),
      add_generation_prompt: true,
      bos_token: tokenText(this.#config.bos_token) ?? "",
      eos_token: tokenText(this.#config.eos_token) ?? "",
      pad_token: tokenText(this.#config.pad_token) ?? "",
      date_string: TEMPLATE_DATE,
    });
    try {
      const render = () => template.render(values());
      const text = withinTime(`${this.#dir} chat template`, length * MS_PER_CHARACTER, render);
      if (text.length <= LARGEST_PROMPT + 100 * length) return text;
      throw new DataError(`${this.#dir} chat template: expected a prompt, got ${text.length} characters.`);
    } catch (error) {
      if (error instanceof DataError) throw error;
      throw new DataError(`${this.#dir}: expected a chat template that renders, got ${errorText(error).slice(0, 200)}.`);
    }
  }

  /** What the tokenizer itself would put before a text (a BOS), as text: a prompt without a template must begin with it. */
  #leadingSpecial(): string {
    const encode = (special: boolean) => () => this.#inner.encode("a", { add_special_tokens: special }).tokens;
    const bare = this.#run("text to encode", 0, encode(false));
    const full = this.#run("text to encode", 0, encode(true));
    const at = full.indexOf(bare[0]);
    return at > 0 ? full.slice(0, at).join("") : "";
  }
}

/**
 * Opens the tokenizer of a Hugging Face model directory. `encode` adds no special tokens but reads them where they stand in the
 * text; `decode` keeps them. Without a chat template `renderChat` gives `role: content` lines joined by newlines, without a
 * generation prompt (as the released R-Zero code does), after the BOS if this tokenizer puts one before every text.
 * `vocabSize` is the largest id + 1 (a model's table may be larger). Errors: DataError.
 */
export function loadTokenizer(dir: string): LocalTokenizer {
  // An adapter may bring a tokenizer (with another chat template); what it does not bring is its base's.
  const { base } = readModelDirectory(dir);
  return new FileTokenizer(existsSync(join(dir, "tokenizer.json")) ? dir : base, base);
}
