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

/** Questions of each family and level, in a set and among the probes (fewer where a level has fewer). */
export const PER_CELL = 12;
export const PROBES_PER_CELL = 60;

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

/**
 * The probes of the label audit: mathematics as the Challenger poses it, of the tuning side and of every level, so that no Solver was trained
 * on one. Distinct; a cell may have fewer than PROBES_PER_CELL where there are hardly more.
 */
export function probeSet(seed: number): Pick<EvaluationItem, "question" | "answer">[] {
  const probes = new Map<string, string>();
  FAMILIES.forEach((family, familyIndex) => {
    if (family.kind !== "mathematics") return;
    for (const level of LEVELS) {
      const rng = createRng(mixSeed(seed, familyIndex, level));
      const wanted = probes.size + PROBES_PER_CELL;
      for (let tries = 0; tries < 100 * PROBES_PER_CELL && probes.size < wanted; tries++) {
        const { question, answer } = family.pose(level, rng);
        if (split(question) === "tuning") probes.set(question, answer);
      }
    }
  });
  return [...probes].map(([question, answer]) => ({ question, answer }));
}
