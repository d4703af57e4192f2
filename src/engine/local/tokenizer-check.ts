// What a tokenizer.json must be before a library that trusts it sees it, and whether its rules are such that encoding always ends soon.
// Knows the format, encodes nothing. Source: tokenizer.json as Hugging Face tokenizers writes it.

import { DataError } from "../../util/errors.ts";
import { expectObject, type JsonObject, preview } from "../../util/json.ts";

/** Largest token id + 1; the largest vocabularies in use have about 300,000. */
const MAX_IDS = 1 << 21;
const MAX_CONTENT = 10_000;
const MAX_PATTERN = 20_000;
const MAX_NODES = 10_000;

/** Steps whose time grows with the text and not faster. */
const SAFE_TYPES = new Set(
  "BPE BertNormalizer ByteFallback ByteLevel Digits Fuse Lowercase Metaspace NFC NFD NFKC NFKD Prepend Replace Sequence Split Strip StripAccents TemplateProcessing Whitespace WhitespaceSplit".split(
    " ",
  ),
);
/** Patterns of the families in use (GPT-2, Qwen2 and 3, Llama 3): each alternative eats what it looked at. */
const SAFE_PATTERNS = new Set([
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
]);

/**
 * Checks ids, vocabulary, added tokens and patterns. Returns whether every step is known to end soon; a tokenizer of other steps is
 * to be run under a limit of time. Errors: DataError naming the key.
 */
export function checkTokenizerJson(json: JsonObject, path: string): boolean {
  checkAddedTokens(json.added_tokens, path);
  const model = expectObject(json.model, `${path} model`);
  checkVocabulary(model.vocab, `${path} model.vocab`);
  if (model.merges !== undefined && !(Array.isArray(model.merges) && model.merges.every(isMerge)))
    throw new DataError(`${path} model.merges: expected a list of pairs, got another value. The file is damaged.`);
  const steps = [json.normalizer, json.pre_tokenizer, json.post_processor, json.decoder, { type: model.type ?? "BPE" }];
  return steps.map((step) => isSafeStep(step, path)).every(Boolean);
}

function checkAddedTokens(tokens: unknown, path: string): void {
  if (!Array.isArray(tokens))
    throw new DataError(`${path} added_tokens: expected a list, got ${preview(tokens)}. The file is damaged.`);
  for (const token of tokens) {
    const { id, content } = expectObject(token, `${path} added_tokens`);
    checkId(id, `${path} added_tokens`);
    if (typeof content !== "string" || content === "" || content.length > MAX_CONTENT)
      throw new DataError(`${path} added_tokens ${id}: expected a text as content, got ${preview(content)}.`);
  }
}

function checkVocabulary(vocab: unknown, where: string): void {
  if (Array.isArray(vocab)) {
    // Unigram: [text, score] by id.
    const wrong: unknown = vocab.find((entry) => !(Array.isArray(entry) && typeof entry[0] === "string" && isScore(entry[1])));
    if (wrong === undefined && vocab.length <= MAX_IDS) return;
    throw new DataError(`${where}: expected pairs of text and score, got ${preview(wrong)}. The file is damaged.`);
  }
  for (const [text, id] of Object.entries(expectObject(vocab, where))) checkId(id, `${where} ${preview(text)}`);
}

function isScore(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value);
}

function checkId(id: unknown, where: string): void {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < MAX_IDS) return;
  throw new DataError(`${where}: expected an id from 0 to ${MAX_IDS - 1}, got ${preview(id)}. The file is damaged.`);
}

function isMerge(value: unknown): boolean {
  return (
    typeof value === "string" || (Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === "string"))
  );
}

/** Walks one step with those inside it. */
function isSafeStep(step: unknown, path: string): boolean {
  const waiting: unknown[] = [step];
  let safe = true;
  for (let seen = 0; waiting.length > 0; seen++) {
    if (seen > MAX_NODES) throw new DataError(`${path}: expected at most ${MAX_NODES} settings of steps, got more.`);
    const value = waiting.pop();
    if (typeof value !== "object" || value === null) continue;
    const { type, Regex: pattern } = value as { type?: unknown; Regex?: unknown };
    if (type !== undefined && !(typeof type === "string" && SAFE_TYPES.has(type))) safe = false;
    if (pattern !== undefined && !isSafePattern(pattern, path)) safe = false;
    for (const inner of Object.values(value)) waiting.push(inner);
  }
  return safe;
}

function isSafePattern(pattern: unknown, path: string): boolean {
  if (typeof pattern !== "string" || pattern.length > MAX_PATTERN)
    throw new DataError(`${path}: expected a pattern of at most ${MAX_PATTERN} characters, got ${preview(pattern)}.`);
  if (SAFE_PATTERNS.has(pattern)) return true;
  // Without repetition and groups each alternative looks at its own length of text.
  return !/[*+?{(]/.test(pattern.replace(/\\[^pPkxu]/gs, "").replace(/\[[^\]]*\]/g, ""));
}
