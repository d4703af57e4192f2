// Text to tokens and back from a model's own files, and its chat format. Knows nothing of weights or sampling.
// Source: Hugging Face tokenizer.json, tokenizer_config.json and chat templates, read by @huggingface/tokenizers and jinja.
// Departures from transformers: `encode` never adds special tokens by itself (a chat template writes them as text, so a
// BOS cannot come twice), and `decode` never tidies spaces, so that text is what the tokens say.

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { DataError } from "../../util/errors.ts";
import type { ChatMessage, Tokenizer } from "../types.ts";
import { readModelDirectory } from "./model-directory.ts";

const LARGEST_FILE_BYTES = 64 * 2 ** 20;
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

function readText(path: string): string {
  const bytes = statSync(path).size;
  if (bytes > LARGEST_FILE_BYTES) {
    throw new DataError(`${path}: expected at most ${LARGEST_FILE_BYTES} bytes, got ${bytes}. Is this a tokenizer file?`);
  }
  return readFileSync(path, "utf8");
}

function readJson(path: string): Json {
  try {
    const value: unknown = JSON.parse(readText(path));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${path}: expected JSON, got ${error instanceof Error ? error.message : error}. Is the file complete?`);
  }
  throw new DataError(`${path}: expected a JSON object. Is the file complete?`);
}

function readOptionalJson(path: string): Json {
  return existsSync(path) ? readJson(path) : {};
}

/** `"<s>"` or `{ "content": "<s>" }`. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "content" in value) return String(value.content);
  return undefined;
}

function readChatTemplate(dir: string, config: Json): string | undefined {
  const path = join(dir, "chat_template.jinja");
  if (existsSync(path)) return readText(path);
  const value = config.chat_template;
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.find((entry: Json) => entry?.name === "default") ?? value[0];
  return typeof named?.template === "string" ? named.template : undefined;
}

function compileTemplate(dir: string, source: string | undefined): Template | undefined {
  if (source === undefined) return undefined;
  try {
    return new Template(source);
  } catch (error) {
    throw new DataError(`${dir}: expected a chat template that parses, got ${error instanceof Error ? error.message : error}.`);
  }
}

class FileTokenizer implements LocalTokenizer {
  readonly stopTokens: readonly number[];
  readonly vocabSize: number;
  readonly #inner: HuggingFaceTokenizer;
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
    try {
      this.#inner = new HuggingFaceTokenizer(json, this.#config);
    } catch (error) {
      throw new DataError(`${path}: expected a tokenizer, got ${error instanceof Error ? error.message : error}.`);
    }
    this.#template = compileTemplate(dir, readChatTemplate(dir, this.#config));
    let largestId = -1;
    for (const id of this.#inner.get_vocab(true).values()) largestId = Math.max(largestId, id);
    this.vocabSize = largestId + 1;
    this.stopTokens = this.#findStopTokens(base);
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
    const { ids } = this.#inner.encode(text, { add_special_tokens: false });
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
    return this.#inner.decode(Array.from(tokens), { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  }

  pieceText(token: number): string {
    this.#pieces[token] ??= this.decode([token]);
    return this.#pieces[token];
  }

  renderChat(messages: readonly ChatMessage[]): string {
    if (this.#template === undefined) return this.#leadingSpecial() + messages.map((m) => `${m.role}: ${m.content}`).join("\n");
    try {
      return this.#template.render({
        messages,
        add_generation_prompt: true,
        bos_token: tokenText(this.#config.bos_token) ?? "",
        eos_token: tokenText(this.#config.eos_token) ?? "",
        pad_token: tokenText(this.#config.pad_token) ?? "",
        date_string: TEMPLATE_DATE,
      });
    } catch (error) {
      throw new DataError(
        `${this.#dir}: expected a chat template that renders, got ${error instanceof Error ? error.message : error}.`,
      );
    }
  }

  /** What the tokenizer itself would put before a text (a BOS), as text: a prompt without a template must begin with it. */
  #leadingSpecial(): string {
    const bare = this.#inner.encode("a", { add_special_tokens: false }).tokens;
    const full = this.#inner.encode("a", { add_special_tokens: true }).tokens;
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
