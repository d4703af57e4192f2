// `rzero score`: the logprob of every token of given sequences.

import { Command } from "commander";
import type { Scorer } from "../engine/types.ts";
import { type Example, parseExample } from "../sft/examples.ts";
import { readJsonl } from "../store/jsonl.ts";
import { ProgressLine } from "../util/progress.ts";
import { withSnapshot } from "./engine.ts";
import { modelContext, modelVocabSize, resolveModel } from "./model-ref.ts";
import { type DTypeOption, FROZEN_DTYPE_HELP, frozenDType, threadCount } from "./options.ts";
import { print, printJsonLine } from "./output.ts";

interface ScoreOptions {
  model: string;
  input: string;
  json?: boolean;
  threads?: number | "auto";
  dtype?: DTypeOption;
  runs?: string;
}

const PORTION = 64;

export function scoreCommand(): Command {
  return new Command("score")
    .description("logprobs of given tokens or text")
    .requiredOption("--model <model>", "model directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .requiredOption(
      "--input <file>",
      'JSON Lines of {"tokens"} or {"text"} or {"prompt", "completion"}, optional "id"; - reads standard input',
    )
    .option("--threads <count>", "threads, or auto", threadCount)
    .option("--dtype <format>", FROZEN_DTYPE_HELP, frozenDType)
    .option("--runs <dir>", "where runs live")
    .option("--json", 'print {"id", "tokens", "logprobs"} per line; logprobs[i] belongs to tokens[i + 1]')
    .addHelpText("after", "\nExample:\n  rzero score --model tiny-base --input texts.jsonl --json")
    .action(score);
}

async function score(options: ScoreOptions): Promise<void> {
  const { dir } = resolveModel(options.model, options.runs);
  const limits = { vocabSize: modelVocabSize(dir), maxTokens: modelContext(dir), promptWeight: 1 };
  await withSnapshot(dir, options, async (snapshot, tokenizer) => {
    const examples = readJsonl(options.input, (value, where) => parseExample(value, where, { tokenizer, ...limits }));
    const progress = new ProgressLine();
    for (let start = 0; start < examples.length; start += PORTION) {
      const portion = examples.slice(start, start + PORTION);
      const logprobs = await logprobsOf(snapshot, portion);
      progress.update("score", start + portion.length, examples.length);
      progress.clear();
      for (const [index, example] of portion.entries()) show(example, logprobs[index], options.json);
    }
  });
}

/** Logprobs of each example; a sequence of one token has none and never reaches the engine. */
async function logprobsOf(scorer: Scorer, examples: readonly Example[]): Promise<Float32Array[]> {
  const data = examples
    .filter(({ tokens }) => tokens.length > 1)
    .map(({ tokens, weights_T }) => ({ tokens, weights: weights_T }));
  const scored = data.length > 0 ? await scorer.logprobs(data) : [];
  let next = 0;
  return examples.map(({ tokens }) => (tokens.length > 1 ? scored[next++] : new Float32Array(0)));
}

function show({ id, tokens }: Example, logprobs: Float32Array, json: boolean | undefined): void {
  if (json) {
    printJsonLine({ id, tokens: [...tokens], logprobs: [...logprobs] });
    return;
  }
  const sum = logprobs.reduce((total, logprob) => total + logprob, 0);
  const mean = logprobs.length > 0 ? sum / logprobs.length : 0;
  const label = id === undefined ? "" : `${id}: `;
  print(
    `${label}${tokens.length} tokens, logprob ${sum.toFixed(4)}, mean ${mean.toFixed(4)}, perplexity ${Math.exp(-mean).toFixed(3)}`,
  );
}
