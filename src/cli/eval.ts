// `rzero eval`: accuracy of a model on questions with known answers, with bootstrap confidence intervals.

import { Command } from "commander";
import { type BenchResult, type EvaluationResult, withoutItems } from "../evaluation/results.ts";
import { formatPercent, formatTable } from "../util/format.ts";
import { type BenchmarkOptions, benchmarkNames, benchmarksOf } from "./benchmark-options.ts";
import {
  addEvaluationOptions,
  checkEvaluationOptions,
  type EvaluationOptions,
  evaluateOne,
  evaluationSignal,
} from "./evaluation.ts";
import { collect, wholeNumber } from "./options.ts";
import { print, printJson, say } from "./output.ts";

interface EvalOptions extends EvaluationOptions, BenchmarkOptions {
  readonly model: string;
  readonly json?: boolean;
}

export function evalCommand(): Command {
  const command = new Command("eval")
    .description("accuracy with confidence intervals")
    .requiredOption("--model <model>", "model directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option("--bench <names>", `benchmarks, comma-separated: ${benchmarkNames().join(", ")}`)
    .option(
      "--data <file>",
      '.jsonl, .csv or .parquet with "question", "answer", optional "id", "choices", "category"; may be repeated',
      collect,
    )
    .option(
      "--bench-dir <dir>",
      "directory of benchmark files as downloaded; nothing is fetched (default: the Hub and its cache)",
    )
    .option("--limit <count>", "only the first questions of each benchmark", wholeNumber(1));
  return addEvaluationOptions(command)
    .option("--out <file>", "result with every question (default: in evaluations/ where runs live)")
    .option("--judge <url>", "second opinion by an OpenAI-compatible server, kept beside ours; key in RZERO_JUDGE_KEY")
    .option("--judge-model <name>", "model of the judge")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nAn interrupted evaluation goes on when the same command is given again. Benchmarks are fetched from HF_ENDPOINT with HF_TOKEN,\n" +
        "into the cache of HF_HOME; HF_HUB_OFFLINE=1 takes only what is there.\n" +
        "\nExamples:\n  rzero eval --model tiny-base --bench tiny-world --samples 8 --temperature 1" +
        "\n  rzero eval --model ./Qwen3-4B-Base --bench math-500,aime24 --protocol paper --max-tokens 4096" +
        "\n  rzero eval --model tiny-001 --data questions.jsonl --json",
    )
    .action(evaluateModel);
}

async function evaluateModel(options: EvalOptions): Promise<void> {
  checkEvaluationOptions(options);
  const benches = await benchmarksOf(options);
  const { result, file } = await evaluateOne(options.model, benches, options, evaluationSignal());
  if (options.json) printJson({ ...withoutItems(result), file });
  else show(result);
  say(`result: ${file}`);
}

function show({ benches }: EvaluationResult): void {
  print(
    formatTable(
      ["bench", "questions", "measure", "%", "95 % interval", "pass@k", "no answer", "cut off"],
      benches.map(summaryRow),
    ),
  );
  for (const { name, byCategory, levels, judge, samples, passAt } of benches) {
    const groups = [
      ...Object.entries(byCategory).map(([group, { mean, ci95, questions }]) => [
        group,
        questions,
        formatPercent(mean),
        interval(ci95),
      ]),
      ...Object.entries(levels).map(([level, mean]) => [`level ${level}`, "", formatPercent(mean), ""]),
    ];
    if (groups.length > 0)
      print(
        `\n${formatTable(
          [name, "questions", "%", "95 % interval"],
          groups.map((row) => row.map(String)),
        )}`,
      );
    if (samples > 1)
      print(
        `\n${formatTable(
          [name, "%"],
          Object.entries(passAt).map(([k, value]) => [`pass@${k}`, formatPercent(value)]),
        )}`,
      );
    if (judge)
      print(
        `\n${name}: the judge ${judge.model} says ${formatPercent(judge.mean)} %; it agrees on ${judge.agreed} answers, not on ` +
          `${judge.disagreed}, failed on ${judge.failed}`,
      );
  }
}

function summaryRow({ name, questions, temperature, samples, mean, ci95, passAtK, unparsed, truncated }: BenchResult): string[] {
  return [
    name,
    String(questions),
    temperature === 0 ? "greedy" : `mean@${samples} T=${temperature}`,
    formatPercent(mean),
    interval(ci95),
    formatPercent(passAtK),
    String(unparsed),
    String(truncated),
  ];
}

function interval([low, high]: readonly [number, number]): string {
  return `${formatPercent(low)} … ${formatPercent(high)}`;
}
