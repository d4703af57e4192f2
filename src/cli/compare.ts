// `rzero compare`: are two models different on the same questions? Two models are evaluated alike first; two results are read.

import { existsSync, statSync } from "node:fs";
import { Command } from "commander";
import { type Comparison, compareResults, type ResultComparison } from "../evaluation/compare.ts";
import type { Benchmark } from "../evaluation/load.ts";
import { type EvaluationResult, readResult } from "../evaluation/results.ts";
import { ConfigError } from "../util/errors.ts";
import { formatPercent, formatTable } from "../util/format.ts";
import { type BenchmarkOptions, benchmarkNames, benchmarksOf } from "./benchmark-options.ts";
import {
  addEvaluationOptions,
  checkEvaluationOptions,
  type EvaluationOptions,
  evaluateOne,
  evaluationSignal,
} from "./evaluation.ts";
import { resolveModel } from "./model-ref.ts";
import { collect, wholeNumber } from "./options.ts";
import { print, printJson, say } from "./output.ts";

interface CompareOptions extends EvaluationOptions, BenchmarkOptions {
  readonly json?: boolean;
}

export function compareCommand(): Command {
  const command = new Command("compare")
    .description("paired comparison of two models, or of two evaluations")
    .argument("<a>", "model (directory, tiny-base, RUN[:ITERATION[:solver|challenger]]) or result file of rzero eval")
    .argument("<b>", "the other, of the same sort")
    .option("--data <file>", 'models: .jsonl, .csv or .parquet with "question", "answer"; may be repeated', collect)
    .option("--bench <names>", `models: benchmarks, comma-separated: ${benchmarkNames().join(", ")}`)
    .option("--bench-dir <dir>", "models: directory of benchmark files as downloaded; nothing is fetched")
    .option("--limit <count>", "models: only the first questions of each benchmark", wholeNumber(1));
  return addEvaluationOptions(command)
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nThe difference is A minus B, in shares of 1; its interval and p value come from a paired bootstrap over questions.\n" +
        "\nExamples:\n  rzero compare tiny-001 tiny-base --data questions.jsonl --samples 8" +
        "\n  rzero compare runs/evaluations/after.json runs/evaluations/before.json --json",
    )
    .action(compare);
}

async function compare(nameA: string, nameB: string, options: CompareOptions): Promise<void> {
  checkEvaluationOptions(options);
  const [a, b] =
    isResult(nameA) || isResult(nameB) ? await readBoth(nameA, nameB, options) : await evaluateBoth(nameA, nameB, options);
  const comparison = compareResults(a, b, options.seed);
  if (comparison.differentSettings.length > 0)
    say(`the two differ in ${comparison.differentSettings.join(", ")}: a difference of scores may come from there`);
  if (options.json) printJson({ a: nameA, b: nameB, ...comparison });
  else show(nameA, nameB, comparison);
}

function isResult(name: string): boolean {
  return name.endsWith(".json") && existsSync(name) && statSync(name).isFile();
}

async function readBoth(nameA: string, nameB: string, options: CompareOptions): Promise<[EvaluationResult, EvaluationResult]> {
  for (const name of [nameA, nameB])
    if (!isResult(name))
      throw new ConfigError(`compare: expected two models or two result files, got one of each: ${name} is no result file.`);
  const [a, b] = [readResult(nameA), readResult(nameB)];
  if (options.bench === undefined && options.data === undefined) return [a, b];
  const wanted = new Set((await benchmarksOf(options)).map(({ sha256 }) => sha256));
  const only = (result: EvaluationResult) => ({ ...result, benches: result.benches.filter(({ sha256 }) => wanted.has(sha256)) });
  return [only(a), only(b)];
}

async function evaluateBoth(
  nameA: string,
  nameB: string,
  options: CompareOptions,
): Promise<[EvaluationResult, EvaluationResult]> {
  for (const name of [nameA, nameB]) resolveModel(name, options.runs); // a mistyped second name is told before the first hour
  const benches: Benchmark[] = await benchmarksOf(options);
  const signal = evaluationSignal();
  const a = await evaluateOne(nameA, benches, options, signal);
  say(`${nameA}: ${a.file}`);
  const b = await evaluateOne(nameB, benches, options, signal);
  say(`${nameB}: ${b.file}`);
  return [a.result, b.result];
}

function show(nameA: string, nameB: string, { benches, ...together }: ResultComparison): void {
  const row = (name: string, { questions, meanA, meanB, difference, ci95, pValue, better, worse }: Comparison) => [
    name,
    String(questions),
    formatPercent(meanA),
    formatPercent(meanB),
    signed(difference),
    `${signed(ci95[0])} … ${signed(ci95[1])}`,
    pValue.toFixed(4),
    `${better}:${worse}`,
  ];
  print(`A = ${nameA}, B = ${nameB}; in percent, difference A − B\n`);
  const rows = benches.map((bench) => row(bench.name, bench));
  if (benches.length > 1) rows.push(row("all questions", together));
  print(formatTable(["bench", "questions", "A", "B", "difference", "95 % interval", "p", "A better:worse"], rows));
}

function signed(share: number): string {
  return `${share > 0 ? "+" : ""}${formatPercent(share)}`;
}
