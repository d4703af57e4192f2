// The result of an evaluation as a file: what was measured (weights, data, settings, each by its hash), the scores, and every question's
// answers, so that two results can be compared question by question later. Knows no engine.

import type { BenchScore } from "../store/events.ts";
import { expectObject, type JsonObject, preview, readJson } from "../store/jsonl.ts";
import { DataError } from "../util/errors.ts";
import { sha256 } from "../util/files.ts";
import type { GradedAnswer } from "./grading.ts";
import type { JudgeVerdict } from "./judge.ts";
import type { Benchmark } from "./load.ts";
import type { ModelHash } from "./model-hash.ts";
import { type ProtocolName, passCounts, type SamplingPlan } from "./protocols.ts";
import { groupBy, meanPassAtK, meanWithInterval, shareCorrect } from "./runner.ts";

/** Everything the numbers depend on beside weights and data. Batch size and threads are not here: they change nothing. */
export interface EvaluationSettings {
  readonly protocol: ProtocolName;
  readonly seed: number;
  readonly topP: number;
  readonly topK: number;
  readonly maxTokens: number;
  readonly forcedPrefix?: string;
  /** Format of the weights: f32, bf16 or int8. */
  readonly dtype?: string;
  /** The Solver's prompt messages. */
  readonly prompt: unknown;
}

/** One question of a result. */
export interface ResultItem {
  /** Its id, else its number from 0 as text. */
  readonly id: string;
  readonly category?: string;
  readonly truth: string;
  /** Share of its samples that are correct. */
  readonly score: number;
  readonly answers: readonly {
    /** null: no answer was found. */
    readonly answer: string | null;
    readonly correct: boolean;
    readonly truncated: boolean;
    readonly judge?: JudgeVerdict;
  }[];
}

/** A mean over some questions. */
export interface GroupScore {
  readonly questions: number;
  readonly mean: number;
  readonly ci95: readonly [number, number];
}

/** What a judge said beside our verdicts. */
export interface JudgeSummary {
  readonly model: string;
  /** Mean over questions by the judge's verdicts; a failed one counts as wrong. */
  readonly mean: number;
  /** Answers on which it agrees with us, does not, and on which it failed. */
  readonly agreed: number;
  readonly disagreed: number;
  readonly failed: number;
}

/** One benchmark of a result. */
export interface BenchResult {
  readonly name: string;
  readonly sha256: string;
  /** Commit of the data set, when it came from the Hub. */
  readonly commit?: string;
  readonly questions: number;
  readonly samples: number;
  readonly temperature: number;
  readonly mean: number;
  readonly ci95: readonly [number, number];
  readonly passAtK: number;
  /** Unbiased pass@k for some k up to the number of samples. */
  readonly passAt: Readonly<Record<string, number>>;
  readonly unparsed: number;
  readonly truncated: number;
  readonly categories: Readonly<Record<string, number>>;
  readonly kinds: Readonly<Record<string, number>>;
  readonly levels: Readonly<Record<string, number>>;
  /** Categories with their intervals. */
  readonly byCategory: Readonly<Record<string, GroupScore>>;
  readonly judge?: JudgeSummary;
}

/** A benchmark's result with its questions. */
export interface BenchResultWithItems extends BenchResult {
  readonly items: readonly ResultItem[];
}

/** The whole file. */
export interface EvaluationResult {
  readonly kind: "rzero-evaluation";
  readonly rzero: string;
  readonly fingerprint: string;
  readonly model: string;
  readonly modelHash: ModelHash;
  readonly settings: EvaluationSettings;
  readonly benches: readonly BenchResultWithItems[];
}

/** A hash of everything the numbers depend on, the version of the program included. */
export function fingerprintOf(
  modelHash: ModelHash,
  benches: readonly { readonly sha256: string; readonly plan: SamplingPlan }[],
  settings: EvaluationSettings,
  rzero: string,
): string {
  const parts = [rzero, modelHash, benches.map(({ sha256, plan }) => [sha256, plan.samples, plan.temperature]), settings];
  return sha256(JSON.stringify(parts));
}

/** Puts one benchmark's result together. */
export function benchResult(
  bench: Benchmark,
  score: BenchScore,
  graded: readonly (readonly GradedAnswer[])[],
  seed: number,
): BenchResultWithItems {
  const { questions, samples, temperature, passAtK, sampled } = score;
  const shares = shareCorrect(graded);
  const categories = groupBy(
    bench.questions.map(({ category }) => category),
    shares,
  );
  return {
    name: bench.name,
    sha256: bench.sha256,
    commit: bench.commit,
    questions,
    samples,
    temperature,
    mean: sampled.mean,
    ci95: sampled.ci95,
    passAtK,
    passAt: Object.fromEntries(passCounts(samples).map((k) => [k, meanPassAtK(graded, k)])),
    unparsed: sampled.unparsed,
    truncated: sampled.truncated,
    categories: sampled.categories,
    kinds: sampled.kinds,
    levels: sampled.levels,
    byCategory: Object.fromEntries(
      [...categories].map(([name, values]) => [name, { questions: values.length, ...meanWithInterval(values, seed) }]),
    ),
    items: bench.questions.map(({ id, category, answer: truth }, index) => ({
      id: id ?? String(index),
      category,
      truth,
      score: shares[index],
      answers: graded[index].map(({ answer, correct, truncated }) => ({ answer: answer ?? null, correct, truncated })),
    })),
  };
}

/** Reads a result file. Errors: DataError when it is none. */
export function readResult(file: string): EvaluationResult {
  const value = expectObject(readJson(file), file);
  if (value.kind !== "rzero-evaluation" || !Array.isArray(value.benches))
    throw new DataError(`${file}: expected a result of rzero eval ("kind": "rzero-evaluation"), got ${preview(value.kind)}.`);
  value.benches.forEach((bench, index) => {
    checkBench(bench, `${file}: benches[${index}]`);
  });
  return value as unknown as EvaluationResult;
}

function checkBench(value: unknown, where: string): void {
  const { name, sha256, items } = expectObject(value, where);
  if (typeof name !== "string" || typeof sha256 !== "string" || !Array.isArray(items) || items.length === 0)
    throw new DataError(`${where}: expected a name, a sha256 and items, got ${preview({ name, sha256, items })}.`);
  items.forEach((item, index) => {
    const { score } = expectObject(item, `${where}.items[${index}]`);
    if (typeof score !== "number" || !(score >= 0 && score <= 1))
      throw new DataError(`${where}.items[${index}]: expected "score" in [0, 1], got ${preview(score)}.`);
  });
}

/** The result without its questions: what goes to standard output. */
export function withoutItems({ model, modelHash, settings, benches, fingerprint }: EvaluationResult): JsonObject {
  const { prompt: _, ...rest } = settings;
  return { model, benches: benches.map(({ items: _items, ...bench }) => bench), modelHash, settings: rest, fingerprint };
}
