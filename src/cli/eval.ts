// `rzero eval`: accuracy of a model on questions with known answers, with bootstrap confidence intervals.

import { existsSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { Command } from "commander";
import type { Sampler, Tokenizer } from "../engine/types.ts";
import { type BenchQuestion, readBench } from "../evaluation/benchmarks.ts";
import { evaluate } from "../evaluation/runner.ts";
import type { BenchScore, Score } from "../store/events.ts";
import { ConfigError } from "../util/errors.ts";
import { formatPercent, formatTable } from "../util/format.ts";
import { ProgressLine } from "../util/progress.ts";
import { withSnapshot } from "./engine.ts";
import { promptsFor, resolveModel, TINY_BASE_DIR } from "./model-ref.ts";
import { collect, numberBetween, threadCount, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";

interface EvalOptions {
  model: string;
  bench?: string;
  data?: string[];
  samples: number;
  temperature?: number;
  topP: number;
  topK: number;
  maxTokens: number;
  seed: number;
  recipe?: string;
  forcedPrefix?: string;
  threads?: number | "auto";
  runs?: string;
  json?: boolean;
}

/** Benchmarks that come with the package; others are given with --data. */
const EMBEDDED: Record<string, string> = {
  "tiny-world": join(TINY_BASE_DIR, "evaluation.jsonl"),
  "tiny-world-tuning": join(TINY_BASE_DIR, "tuning.jsonl"),
};

interface Bench {
  readonly name: string;
  readonly questions: readonly BenchQuestion[];
}

export function evalCommand(): Command {
  return new Command("eval")
    .description("accuracy with confidence intervals")
    .requiredOption("--model <model>", "model directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option("--bench <names>", `embedded benchmarks, comma-separated: ${Object.keys(EMBEDDED).join(", ")}`)
    .option(
      "--data <file>",
      'JSON Lines of {"question", "answer"}, optional "id", "choices", "category"; may be repeated',
      collect,
    )
    .option("--samples <k>", "sampled answers per question (mean@k)", wholeNumber(1), 1)
    .option("--temperature <t>", "softmax temperature; 0 is greedy (default: 0 for one sample, else 1)", numberBetween(0))
    .option("--top-p <share>", "nucleus mass; 1 is off", numberBetween(0, 1), 1)
    .option("--top-k <count>", "keep the k likeliest tokens; 0 is off", wholeNumber(0), 0)
    .option("--max-tokens <count>", "longest answer", wholeNumber(1), 1024)
    .option("--seed <number>", "seed of the draws", wholeNumber(0), 0)
    .option("--recipe <name>", "take the Solver's prompt from this recipe (default: the model's own)")
    .option("--forced-prefix <text>", "begin every answer with this text, for example <think>")
    .option("--threads <count>", "threads, or auto", threadCount)
    .option("--runs <dir>", "where runs live")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nExamples:\n  rzero eval --model tiny-base --bench tiny-world --samples 8 --temperature 1\n  rzero eval --model tiny-001 --data questions.jsonl --json",
    )
    .action(evaluateModel);
}

async function evaluateModel(options: EvalOptions): Promise<void> {
  if (options.topP === 0) throw new ConfigError("eval: expected --top-p in (0, 1], got 0.");
  const model = resolveModel(options.model, options.runs);
  const benches = benchesOf(options);
  const messages = promptsFor(model, options.recipe).solver;
  const temperature = options.temperature ?? (options.samples === 1 ? 0 : 1);
  await withSnapshot(model.dir, options, async (sampler: Sampler, tokenizer: Tokenizer) => {
    const progress = new ProgressLine();
    const scores: BenchScore[] = [];
    for (const { name, questions } of benches) {
      const { score } = await evaluate({
        sampler,
        tokenizer,
        messages,
        name,
        questions,
        samples: options.samples,
        temperature,
        topP: options.topP,
        topK: options.topK,
        maxTokens: options.maxTokens,
        greedy: false,
        seed: options.seed,
        forcedPrefix: options.forcedPrefix,
        on: (done, total, tokens) => progress.update(name, done, total, `${tokens} tokens`),
      });
      scores.push(score);
    }
    progress.clear();
    if (options.json) printJson({ model: options.model, benches: scores.map(toJson) });
    else show(scores);
  });
}

function benchesOf({ bench, data }: EvalOptions): Bench[] {
  if (bench === undefined && data === undefined) throw new ConfigError("eval: expected --bench or --data, got neither.");
  const named = (bench?.split(",") ?? []).map((name) => {
    const file = EMBEDDED[name.trim()];
    if (file === undefined || !existsSync(file))
      throw new ConfigError(
        `--bench: expected ${Object.keys(EMBEDDED).join(" or ")}, got "${name}". Give other benchmarks with --data FILE.jsonl.`,
      );
    return { name: name.trim(), file };
  });
  const given = (data ?? []).map((file) => ({ name: basename(file, extname(file)), file }));
  return [...named, ...given].map(({ name, file }) => ({ name, questions: readBench(file) }));
}

function toJson({ name, questions, samples, temperature, sampled, passAtK }: BenchScore): object {
  const { mean, ci95, unparsed, truncated, categories, kinds, levels } = sampled;
  return { name, questions, samples, temperature, mean, ci95, passAtK, unparsed, truncated, categories, kinds, levels };
}

function show(scores: readonly BenchScore[]): void {
  const rows = scores.map(({ name, questions, samples, temperature, sampled, passAtK }) => [
    name,
    String(questions),
    temperature === 0 ? "greedy" : `mean@${samples} T=${temperature}`,
    formatPercent(sampled.mean),
    interval(sampled),
    formatPercent(passAtK),
    String(sampled.unparsed),
    String(sampled.truncated),
  ]);
  print(formatTable(["bench", "questions", "measure", "%", "95 % interval", "pass@k", "no answer", "cut off"], rows));
  for (const { name, sampled } of scores) {
    const groups = [
      ...Object.entries(sampled.categories),
      ...Object.entries(sampled.levels).map(([level, mean]) => [`level ${level}`, mean] as const),
    ];
    if (groups.length === 0) continue;
    print(
      `\n${formatTable(
        [name, "%"],
        groups.map(([group, mean]) => [group, formatPercent(mean)]),
      )}`,
    );
  }
}

function interval({ ci95: [low, high] }: Score): string {
  return `${formatPercent(low)} … ${formatPercent(high)}`;
}
