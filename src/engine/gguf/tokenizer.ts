// The tokenizer of a model directory as GGUF metadata, for llama.cpp: byte-level BPE of the Qwen and Llama 3 kinds, and vocabularies of
// whole words without merges (the embedded base model's). What cannot be said in GGUF is refused. Knows no weights.
// Source: llama.cpp's convert_hf_to_gguf.py and llama-vocab.cpp (token types, names of the ways to split text).

import { join } from "node:path";
import { DataError } from "../../util/errors.ts";
import { expectObject, type JsonObject, preview, readJsonFile } from "../../util/json.ts";
import { readChatTemplate, readOptionalJson, tokenText } from "../local/tokenizer.ts";
import type { GgufValue } from "./file.ts";

const MAX_FILE_BYTES = 64 << 20;
/** llama.cpp's types of tokens. */
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;

/** Metadata keys under `tokenizer.`; `vocabSize` rows of the embedding get a token each. Errors: DataError. */
export function tokenizerMetadata(dir: string, vocabSize: number, eosTokenIds: readonly number[]): Map<string, GgufValue> {
  const path = join(dir, "tokenizer.json");
  const json = expectObject(readJsonFile(path, MAX_FILE_BYTES), path);
  const model = expectObject(json.model, `${path} model`);
  if (model.type !== "BPE") throw unsupported(path, "a BPE model", model.type);
  const merges = mergesOf(model.merges, path);
  const splits = merges.length > 0 || isByteLevel(json.pre_tokenizer) ? splitName(json.pre_tokenizer, path) : undefined;
  const { tokens, types } = tokenTable(json, model, { path, vocabSize, wholeWords: splits === undefined });
  const idOf = (text: string) => tokens.indexOf(text);
  const config = readOptionalJson(join(dir, "tokenizer_config.json"));
  const metadata = new Map<string, GgufValue>([
    ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
    ["tokenizer.ggml.pre", { type: "string", value: splits ?? "gpt-2" }],
    ["tokenizer.ggml.tokens", { type: "strings", value: tokens }],
    ["tokenizer.ggml.token_type", { type: "i32s", value: types }],
    // The reader insists on the key; whole words need none.
    ["tokenizer.ggml.merges", { type: "strings", value: merges }],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: false }],
  ]);
  const idKey = (key: string, id: number) => {
    if (id >= 0) metadata.set(`tokenizer.ggml.${key}`, { type: "u32", value: id });
  };
  idKey("bos_token_id", idOf(tokenText(config.bos_token) ?? ""));
  // What ends a turn: the tokenizer's own choice among the model's.
  const eos = idOf(tokenText(config.eos_token) ?? "");
  idKey("eos_token_id", eos >= 0 ? eos : (eosTokenIds[0] ?? -1));
  idKey("padding_token_id", idOf(tokenText(config.pad_token) ?? ""));
  const template = readChatTemplate(dir, config);
  if (template !== undefined) metadata.set("tokenizer.chat_template", { type: "string", value: template });
  return metadata;
}

/** Texts and types by id; ids without a token are named and marked unused. */
function tokenTable(
  json: JsonObject,
  model: JsonObject,
  { path, vocabSize, wholeWords }: { path: string; vocabSize: number; wholeWords: boolean },
) {
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(vocabSize).fill(UNUSED);
  const put = (text: string, id: unknown, type: number) => {
    if (typeof id !== "number" || !Number.isSafeInteger(id) || id < 0 || id >= vocabSize)
      throw new DataError(`${path}: expected ids below the model's ${vocabSize}, got ${preview(id)} for ${preview(text)}.`);
    tokens[id] = text;
    types[id] = type;
  };
  // Words without merges can only be found whole; user-defined tokens are.
  const ordinary = wholeWords ? USER_DEFINED : NORMAL;
  for (const [text, id] of Object.entries(expectObject(model.vocab, `${path} model.vocab`))) put(text, id, ordinary);
  const added = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  for (const entry of added) {
    const { id, content, special } = expectObject(entry, `${path} added_tokens`);
    const type = content === model.unk_token ? UNKNOWN : special === true ? CONTROL : USER_DEFINED;
    put(String(content), id, type);
  }
  return { tokens, types };
}

/** `a b` lines; the file has them as lines or as pairs. */
function mergesOf(merges: unknown, path: string): string[] {
  if (!Array.isArray(merges)) throw unsupported(path, "a list of merges", merges);
  return merges.map((merge) => (Array.isArray(merge) ? merge.join(" ") : String(merge)));
}

/** llama.cpp's name for the way a byte-level tokenizer cuts text before merging. */
function splitName(preTokenizer: unknown, path: string): string {
  const text = JSON.stringify(preTokenizer) ?? "";
  if (!isByteLevel(preTokenizer)) throw unsupported(path, "a byte-level pre-tokenizer", preTokenizer);
  if (text.includes("\\\\p{N}{1,3}|")) return "llama-bpe";
  if (text.includes("\\\\p{N}|")) return "qwen2";
  if (!text.includes('"Split"')) return "gpt-2";
  throw unsupported(path, "the way Qwen, Llama 3 or GPT-2 cut text", preTokenizer);
}

function isByteLevel(preTokenizer: unknown): boolean {
  return (JSON.stringify(preTokenizer) ?? "").includes('"type":"ByteLevel"');
}

function unsupported(path: string, expected: string, got: unknown): DataError {
  return new DataError(
    `${path}: expected ${expected}, got ${preview(got)}. GGUF files for this tokenizer are not written; use --format hf.`,
  );
}
