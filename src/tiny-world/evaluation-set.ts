// The evaluation and tuning sets: equally many questions of every family and level, none of which the corpus may
// contain. Level 5 occurs nowhere else. Knows nothing of models.

import type { Kind } from "./family.ts";
import { FAMILIES } from "./oracle.ts";
import { createRng, mixSeed } from "./random.ts";
import { type Split, split } from "./split.ts";

/** One line of evaluation.jsonl. */
export interface EvaluationItem {
  readonly id: string;
  readonly question: string;
  readonly answer: string;
  /** Name of the family. */
  readonly category: string;
  readonly kind: Kind;
  readonly level: number;
}

/** Levels of the evaluation; the corpus has all but the last. */
export const LEVELS = [1, 2, 3, 4, 5] as const;
export const CORPUS_LEVELS = [1, 2, 3, 4] as const;

/** Questions of each family and level. */
export const PER_CELL = 12;

/** Makes a set: distinct questions of one side of the split, in the order family, level, number. */
export function evaluationSet(side: Exclude<Split, "corpus">, seed: number): EvaluationItem[] {
  const items: EvaluationItem[] = [];
  FAMILIES.forEach((family, familyIndex) => {
    for (const level of LEVELS) {
      const rng = createRng(mixSeed(seed, familyIndex, level));
      const seen = new Set<string>();
      while (seen.size < PER_CELL) {
        const { question, answer } = family.pose(level, rng);
        if (seen.has(question) || split(question) !== side) continue;
        seen.add(question);
        const id = `${family.name}-${level}-${String(seen.size).padStart(2, "0")}`;
        items.push({ id, question, answer, category: family.name, kind: family.kind, level });
      }
    }
  });
  return items;
}
