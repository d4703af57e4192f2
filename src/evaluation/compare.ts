// Two evaluations of the same questions, compared question by question: paired bootstrap over questions, as the question is what was
// drawn from the world, not the sample. Knows results, not models.

import { DataError } from "../util/errors.ts";
import { rngFrom } from "../util/rng.ts";
import type { BenchResultWithItems, EvaluationResult } from "./results.ts";
import { mean, pairedDifference } from "./statistics.ts";

/** A paired comparison; `difference` is meanA − meanB. */
export interface Comparison {
  readonly questions: number;
  readonly meanA: number;
  readonly meanB: number;
  readonly difference: number;
  /** 95 % interval of the difference. */
  readonly ci95: readonly [number, number];
  /** Two-sided, of no difference. */
  readonly pValue: number;
  /** Questions on which A scored more, B scored more, and both the same. */
  readonly better: number;
  readonly worse: number;
  readonly equal: number;
}

/** All questions that both have, and each benchmark of its own when there are several. */
export interface ResultComparison extends Comparison {
  readonly benches: readonly (Comparison & { readonly name: string })[];
  /** Settings in which the two differ: a difference of scores may come from them. */
  readonly differentSettings: readonly string[];
}

const RESAMPLES = 10_000;

/** Compares two results over the benchmarks whose questions are the same in both. Errors: DataError when there is none. */
export function compareResults(a: EvaluationResult, b: EvaluationResult, seed: number): ResultComparison {
  const pairs = a.benches.flatMap((bench) => {
    const other = b.benches.find(({ sha256 }) => sha256 === bench.sha256);
    return other ? [{ name: bench.name, scoresA: scoresOf(bench), scoresB: scoresOf(other) }] : [];
  });
  if (pairs.length === 0)
    throw new DataError(
      `compare: expected results over the same questions, got ${namesOf(a)} and ${namesOf(b)}, whose data hashes differ.`,
    );
  const benches = pairs.map(({ name, scoresA, scoresB }) => ({ name, ...compareScores(scoresA, scoresB, seed) }));
  const together =
    pairs.length === 1
      ? compareScores(pairs[0].scoresA, pairs[0].scoresB, seed)
      : compareScores(
          pairs.flatMap(({ scoresA }) => scoresA),
          pairs.flatMap(({ scoresB }) => scoresB),
          seed,
        );
  return { ...together, benches, differentSettings: differentSettings(a, b) };
}

/** Compares per-question scores: entry i of both belongs to one question. */
export function compareScores(scoresA: readonly number[], scoresB: readonly number[], seed: number): Comparison {
  const rng = rngFrom(seed, "compare");
  const paired = pairedDifference(scoresA, scoresB, () => rng.next(), { resamples: RESAMPLES });
  const count = (sign: number) => scoresA.filter((score, index) => Math.sign(score - scoresB[index]) === sign).length;
  return {
    questions: scoresA.length,
    meanA: mean(scoresA),
    meanB: mean(scoresB),
    ...paired,
    better: count(1),
    worse: count(-1),
    equal: count(0),
  };
}

function scoresOf({ items }: BenchResultWithItems): number[] {
  return items.map(({ score }) => score);
}

function namesOf({ benches }: EvaluationResult): string {
  return benches.map(({ name, questions }) => `${name} (${questions})`).join(", ");
}

function differentSettings(a: EvaluationResult, b: EvaluationResult): string[] {
  const flat = ({ settings, benches, rzero }: EvaluationResult): Record<string, string> => ({
    rzero,
    ...Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, JSON.stringify(value)])),
    samples: JSON.stringify(benches.map(({ samples }) => samples)),
    temperature: JSON.stringify(benches.map(({ temperature }) => temperature)),
  });
  const [left, right] = [flat(a), flat(b)];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].filter((key) => left[key] !== right[key]);
}
