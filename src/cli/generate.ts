// `rzero generate`: samples completions of prompts. Prompts go through in portions, so results appear as they are done; a
// completion depends on seed, prompt and index alone, so the portions change nothing.

import { Command } from "commander";
import type { ChatMessage, Prompt, SamplingParams, Snapshot, Tokenizer } from "../engine/types.ts";
import { expectText, expectTokens, idOf } from "../sft/examples.ts";
import { expectObject, preview, readJsonl } from "../store/jsonl.ts";
import { ConfigError, DataError } from "../util/errors.ts";
import { ProgressLine } from "../util/progress.ts";
import { withSnapshot } from "./engine.ts";
import { modelContext, modelVocabSize, resolveModel } from "./model-ref.ts";
import { collect, type DTypeOption, FROZEN_DTYPE_HELP, frozenDType, numberBetween, threadCount, wholeNumber } from "./options.ts";
import { print, printJsonLine } from "./output.ts";

interface GenerateOptions {
  model: string;
  prompt?: string;
  input?: string;
  n: number;
  temperature: number;
  topP: number;
  topK: number;
  maxTokens: number;
  seed: number;
  chat?: boolean;
  stop?: string[];
  json?: boolean;
  threads?: number | "auto";
  dtype?: DTypeOption;
  runs?: string;
}

/** One request: the text that the model sees, as text and tokens. */
interface Request extends Prompt {
  readonly id?: string | number;
  readonly text: string;
}

const PORTION = 64;

export function generateCommand(): Command {
  return new Command("generate")
    .description("sample completions of a prompt, or of many")
    .requiredOption("--model <model>", "model directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option("--prompt <text>", "one prompt")
    .option(
      "--input <file>",
      'JSON Lines of {"prompt"} or {"tokens"} or {"messages": [{"role", "content"}]}; - reads standard input',
    )
    .option("-n, --n <count>", "completions per prompt", wholeNumber(1), 1)
    .option("--temperature <t>", "softmax temperature; 0 is greedy", numberBetween(0), 1)
    .option("--top-p <share>", "nucleus mass; 1 is off", numberBetween(0, 1), 1)
    .option("--top-k <count>", "keep the k likeliest tokens; 0 is off", wholeNumber(0), 0)
    .option("--max-tokens <count>", "longest completion", wholeNumber(1), 256)
    .option("--seed <number>", "seed of the draws", wholeNumber(0), 0)
    .option("--chat", "the prompt is a user message: render it with the model's chat template")
    .option("--stop <text>", "end a completion at this text; may be repeated", collect)
    .option("--threads <count>", "threads, or auto", threadCount)
    .option("--dtype <format>", FROZEN_DTYPE_HELP, frozenDType)
    .option("--runs <dir>", "where runs live")
    .option("--json", 'print {"prompt", "completions"} per prompt')
    .addHelpText(
      "after",
      "\nExamples:\n  rzero generate --model tiny-base --chat --prompt 'What is 47+85?' -n 4\n  rzero generate --model ./Qwen3-0.6B --input prompts.jsonl --temperature 0 --json",
    )
    .action(generate);
}

async function generate(options: GenerateOptions): Promise<void> {
  if ((options.prompt === undefined) === (options.input === undefined))
    throw new ConfigError(
      `generate: expected either --prompt or --input, got ${options.prompt === undefined ? "neither" : "both"}.`,
    );
  if (options.topP === 0) throw new ConfigError("generate: expected --top-p in (0, 1], got 0.");
  const model = resolveModel(options.model, options.runs);
  const limits = { vocabSize: modelVocabSize(model.dir), context: modelContext(model.dir) };
  await withSnapshot(model.dir, options, async (snapshot, tokenizer) => {
    const requests = requestsOf(options, tokenizer, limits);
    await sampleAll(snapshot, tokenizer, requests, options);
  });
}

function requestsOf(options: GenerateOptions, tokenizer: Tokenizer, limits: { vocabSize: number; context: number }): Request[] {
  const check = (request: Request, where: string) => {
    if (request.tokens.length === 0) throw new DataError(`${where}: expected a prompt of at least one token, got an empty one.`);
    if (request.tokens.length < limits.context) return request;
    throw new DataError(
      `${where}: expected a prompt shorter than the model's context of ${limits.context} tokens, got ${request.tokens.length}.`,
    );
  };
  if (options.prompt !== undefined) return [check(textRequest(options.prompt, options.chat, tokenizer), "--prompt")];
  return readJsonl(options.input ?? "-", (value, where) => {
    const row = expectObject(value, where);
    const id = idOf(row, where);
    if (row.tokens !== undefined) {
      const tokens = expectTokens(row.tokens, where, limits.vocabSize);
      return check({ id, tokens, text: tokens.length > 0 ? tokenizer.decode(tokens) : "" }, where);
    }
    if (row.messages !== undefined) {
      const text = tokenizer.renderChat(expectMessages(row.messages, where));
      return check({ id, text, tokens: tokenizer.encode(text) }, where);
    }
    if (row.prompt === undefined)
      throw new DataError(`${where}: expected "prompt", "tokens" or "messages", got keys ${preview(Object.keys(row))}.`);
    return check({ id, ...textRequest(expectText(row.prompt, "prompt", where), options.chat, tokenizer) }, where);
  });
}

function textRequest(prompt: string, chat: boolean | undefined, tokenizer: Tokenizer): Request {
  const text = chat ? tokenizer.renderChat([{ role: "user", content: prompt }]) : prompt;
  return { text, tokens: tokenizer.encode(text) };
}

function expectMessages(value: unknown, where: string): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0)
    throw new DataError(`${where}: expected "messages" to be a list that is not empty, got ${preview(value)}.`);
  return value.map((item) => {
    const { role, content } = expectObject(item, where);
    if (role !== "system" && role !== "user" && role !== "assistant")
      throw new DataError(`${where}: expected "role" to be system, user or assistant, got ${preview(role)}.`);
    return { role, content: expectText(content, "content", where) };
  });
}

async function sampleAll(
  snapshot: Snapshot,
  tokenizer: Tokenizer,
  requests: readonly Request[],
  options: GenerateOptions,
): Promise<void> {
  const params: SamplingParams = {
    n: options.n,
    maxTokens: options.maxTokens,
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK,
    stopTokens: tokenizer.stopTokens,
    stopStrings: options.stop,
    seed: options.seed,
  };
  const progress = new ProgressLine();
  for (let start = 0; start < requests.length; start += PORTION) {
    const portion = requests.slice(start, start + PORTION);
    const before = start * options.n;
    const completions = await snapshot.sample(portion, params, (done, _total, tokens) =>
      progress.update("generate", before + done, requests.length * options.n, `${tokens} tokens`),
    );
    progress.clear();
    for (const [index, request] of portion.entries()) show(request, completions[index], options, requests.length);
  }
}

function show(
  request: Request,
  completions: Awaited<ReturnType<Snapshot["sample"]>>[number],
  options: GenerateOptions,
  requests: number,
): void {
  if (options.json) {
    printJsonLine({
      id: request.id,
      prompt: request.text,
      completions: completions.map(({ text, tokens, logprobs, stopReason }) => ({
        text,
        tokens: [...tokens],
        logprobs: [...logprobs],
        stopReason,
      })),
    });
    return;
  }
  if (requests > 1) print(`# ${request.id ?? request.text.trimEnd()}`);
  for (const { text, stopReason } of completions) print(stopReason === "length" ? `${text} […]` : text);
}
