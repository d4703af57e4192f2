// How much ground a pool of questions covers: different texts, texts that no earlier pool had, different n-grams, clusters of near wordings.
// Reporting, and a rule to stop; no reward reads it. Knows texts alone. Source: docs/algorithm.md, known failures (questions get alike).

import { countDistinctGrams } from "../reward/bleu.ts";
import { measureRepetition } from "../reward/repetition.ts";
import { normaliseQuestion } from "./filter.ts";

/** Questions that are clustered at most: the first ones, which are as good a sample as any. */
export const MAX_CLUSTERED = 512;

/** Coverage of one pool. */
export interface Coverage {
  /** Different texts among the questions, in (0, 1]; 0 without questions. */
  readonly distinctShare: number;
  /** Share of the questions whose text no earlier pool had. */
  readonly newShare: number;
  /** Different word 4-grams among all of them. */
  readonly distinctGramShare: number;
  /** Clusters (average linkage at BLEU distance 0.5) of the first `clustered` questions. */
  readonly clusters: number;
  readonly clustered: number;
}

/** Measures a pool against the texts of earlier ones, given as `normaliseQuestion` gives them. */
export function measureCoverage(questions: readonly string[], earlier: ReadonlySet<string>): Coverage {
  const texts = questions.map(normaliseQuestion);
  const n = texts.length;
  if (n === 0) return { distinctShare: 0, newShare: 0, distinctGramShare: 0, clusters: 0, clustered: 0 };
  const { distinct, total } = countDistinctGrams(texts);
  const sample = texts.slice(0, MAX_CLUSTERED);
  return {
    distinctShare: new Set(texts).size / n,
    newShare: texts.filter((text) => !earlier.has(text)).length / n,
    distinctGramShare: distinct / total,
    clusters: measureRepetition(sample).clusters,
    clustered: sample.length,
  };
}
