// What `rzero eval` and `rzero compare` share: one model on some benchmarks, resumable, with its result as a file.

import { basename, dirname, join } from "node:path";
import type { Command } from "commander";
import { baseDirectory } from "../engine/adapters.ts";
import { answeringFormat } from "../engine/create.ts";
import type { Snapshot, Tokenizer } from "../engine/types.ts";
import { type JudgeSettings, judgeSettings } from "../evaluation/judge.ts";
import type { Benchmark } from "../evaluation/load.ts";
import { hashModel } from "../evaluation/model-hash.ts";
import { PROTOCOLS, type ProtocolName, planFor } from "../evaluation/protocols.ts";
import {
  type BenchResultWithItems,
  type EvaluationResult,
  type EvaluationSettings,
  fingerprintOf,
} from "../evaluation/results.ts";
import { evaluateBenches, type PlannedBench } from "../evaluation/session.ts";
import { runsRoot } from "../store/layout.ts";
import { ConfigError } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import { packageVersion } from "../util/package-root.ts";
import { ProgressLine } from "../util/progress.ts";
import { engineConfig, withSnapshot } from "./engine.ts";
import { type ModelRef, promptsFor, resolveModel } from "./model-ref.ts";
import { type DTypeOption, FROZEN_DTYPE_HELP, frozenDType, numberBetween, oneOf, threadCount, wholeNumber } from "./options.ts";
import { say } from "./output.ts";
import { onInterrupt } from "./signals.ts";

/** Options of both commands. */
export interface EvaluationOptions {
  readonly protocol: ProtocolName;
  readonly samples?: number;
  readonly temperature?: number;
  readonly topP: number;
  readonly topK: number;
  readonly maxTokens: number;
  readonly seed: number;
  readonly recipe?: string;
  readonly forcedPrefix?: string;
  readonly batch: number;
  readonly threads?: number | "auto";
  readonly dtype?: DTypeOption;
  readonly runs?: string;
  readonly out?: string;
  readonly judge?: string;
  readonly judgeModel?: string;
}

/** Adds the options of sampling to a command. */
export function addEvaluationOptions(command: Command): Command {
  return command
    .option(
      "--protocol <name>",
      "paper (greedy; mean@32 for AMC and AIME) or sampled (mean@k, pass@k)",
      oneOf(...PROTOCOLS),
      "sampled",
    )
    .option("--samples <k>", "sampled answers per question, k of mean@k (default: 1)", wholeNumber(1))
    .option("--temperature <t>", "softmax temperature; 0 is greedy (default: 0 for one sample, else 1)", numberBetween(0))
    .option("--top-p <share>", "nucleus mass; 1 is off", numberBetween(0, 1), 1)
    .option("--top-k <count>", "keep the k likeliest tokens; 0 is off", wholeNumber(0), 0)
    .option("--max-tokens <count>", "longest answer", wholeNumber(1), 1024)
    .option("--seed <number>", "seed of the draws", wholeNumber(0), 0)
    .option("--recipe <name>", "take the Solver's prompt from this recipe (default: the model's own)")
    .option("--forced-prefix <text>", "begin every answer with this text, for example <think>")
    .option("--batch <count>", "answers drawn between two writes to the journal; changes no number", wholeNumber(1), 512)
    .option("--threads <count>", "threads, or auto; changes no number", threadCount)
    .option("--dtype <format>", FROZEN_DTYPE_HELP, frozenDType)
    .option("--runs <dir>", "where runs live (default: RZERO_RUNS or ./runs)");
}

/** Ctrl-C of an evaluation: stops at the next write to the journal. */
export function evaluationSignal(): AbortSignal {
  return onInterrupt("stopping after the questions under way; the same command goes on from there");
}

/** Checks what can be checked before anything is loaded. Errors: ConfigError. */
export function checkEvaluationOptions({ topP, judge, judgeModel }: EvaluationOptions): void {
  if (topP === 0) throw new ConfigError("--top-p: expected a share in (0, 1], got 0.");
  if ((judge === undefined) !== (judgeModel === undefined))
    throw new ConfigError(
      `expected --judge and --judge-model together, got only ${judge === undefined ? "--judge-model" : "--judge"}.`,
    );
}

/** Evaluates one model; an interrupted evaluation of the same weights, data and settings goes on. Gives the result and its file. */
export async function evaluateOne(
  name: string,
  benches: readonly Benchmark[],
  options: EvaluationOptions,
  signal: AbortSignal,
): Promise<{ result: EvaluationResult; file: string }> {
  const model = resolveModel(name, options.runs);
  const planned = benches.map((bench) => ({ bench, plan: planFor(options.protocol, bench.source, options) }));
  const messages = promptsFor(model, options.recipe).solver;
  const settings = settingsOf(options, messages);
  const modelHash = await hashModel(model.dir, baseDirectory(model.dir));
  const rzero = packageVersion();
  const plans = planned.map(({ bench: { sha256 }, plan }) => ({ sha256, plan }));
  const fingerprint = fingerprintOf(modelHash, plans, settings, rzero);
  const file = options.out ?? defaultFile(model, benches, fingerprint, options.runs);
  const toResult = (results: readonly BenchResultWithItems[]): EvaluationResult => ({
    kind: "rzero-evaluation",
    rzero,
    fingerprint,
    model: name,
    modelHash,
    settings,
    benches: results,
  });
  let result: EvaluationResult | undefined;
  await withSnapshot(model.dir, options, async (sampler: Snapshot, tokenizer: Tokenizer) => {
    await sampleAll({ sampler, tokenizer, planned, settings, messages, file, fingerprint, options, signal }, (results) => {
      result = toResult(results);
      writeFileAtomic(file, `${JSON.stringify(result)}\n`);
    });
  });
  if (result === undefined) throw new Error("internal: an evaluation ended without a result");
  return { result, file };
}

interface SampleAll {
  readonly sampler: Snapshot;
  readonly tokenizer: Tokenizer;
  readonly planned: readonly PlannedBench[];
  readonly settings: EvaluationSettings;
  readonly messages: ReturnType<typeof promptsFor>["solver"];
  readonly file: string;
  readonly fingerprint: string;
  readonly options: EvaluationOptions;
  readonly signal: AbortSignal;
}

async function sampleAll(
  { sampler, tokenizer, planned, settings, messages, file, fingerprint, options, signal }: SampleAll,
  keep: (results: readonly BenchResultWithItems[]) => void,
): Promise<void> {
  const progress = new ProgressLine();
  const beside = (ending: string) => join(dirname(file), `${basename(file).replace(/\.json$/, "")}.${ending}.jsonl`);
  try {
    await evaluateBenches(
      {
        sampler,
        benches: planned,
        sampling: { ...settings, tokenizer, messages },
        journal: beside("journal"),
        answers: beside("answers"),
        fingerprint,
        chunkCompletions: options.batch,
        judge: judgeOf(options),
        signal,
        on: (activity, done, total) => progress.update(activity, done, total),
        onOpen: ({ resumed, dropped }) => {
          if (resumed > 0) say(`going on: ${resumed} questions are finished already`);
          if (dropped) say("the journal beside the result is of other weights, data or settings: starting over");
        },
      },
      keep,
    );
  } finally {
    progress.clear();
  }
}

function judgeOf({ judge, judgeModel }: EvaluationOptions): JudgeSettings | undefined {
  return judge === undefined || judgeModel === undefined ? undefined : judgeSettings(judge, judgeModel, process.env);
}

function settingsOf(
  { protocol, seed, topP, topK, maxTokens, forcedPrefix, dtype }: EvaluationOptions,
  prompt: unknown,
): EvaluationSettings {
  return { protocol, seed, topP, topK, maxTokens, forcedPrefix, dtype: answeringFormat(engineConfig({ dtype })), prompt };
}

/** A name that tells what it is and differs whenever a number could. */
function defaultFile(
  { name, dir, run }: ModelRef,
  benches: readonly Benchmark[],
  fingerprint: string,
  runs: string | undefined,
): string {
  const plain = (text: string) => text.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 60);
  const names = plain(benches.map(({ name }) => name).join("+"));
  return join(runsRoot(runs), "evaluations", `${plain(run ? name : basename(dir))}.${names}.${fingerprint.slice(0, 12)}.json`);
}
