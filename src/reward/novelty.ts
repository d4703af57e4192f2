// How much a question is like those of earlier iterations: a penalty that one batch alone cannot see. Knows an archive of texts, not where it
// comes from. Source: R-Diverse (2602.13103), memory-augmented penalty: γ·[max sim − 0.5]₊ + (1 − γ)·[mean sim − 0.25]₊, γ = 0.5.
// Departure: 1. similarity is that of wordings (BLEU or n-grams); theirs embeds a program that solves the question.

import { ReferenceTexts, type SimilarityKind } from "./bleu.ts";

/** The penalty's constants; the keys are those of the configuration. */
export interface NoveltyOptions {
  /** Weight of the penalty; 0 switches it off. */
  readonly weight: number;
  readonly similarity: SimilarityKind;
  /** γ. */
  readonly greatest: number;
  /** Similarities up to these cost nothing. */
  readonly greatestFrom: number;
  readonly meanFrom: number;
  /** Archived questions below which there is no penalty. */
  readonly minQuestions: number;
}

/** Similarity of a question to the archive; all in [0, 1]. */
export interface ArchiveSimilarity {
  readonly greatest: number;
  readonly mean: number;
}

/** Questions of earlier iterations, ready to be compared with. Equal questions are compared once. */
export class QuestionArchive {
  readonly size: number;
  readonly #texts: ReferenceTexts;
  readonly #known = new Map<string, ArchiveSimilarity>();

  constructor(texts: readonly string[]) {
    this.#texts = new ReferenceTexts(texts);
    this.size = texts.length;
  }

  /** Greatest and mean similarity of `text` to the archived questions; 0 and 0 for an empty archive. */
  similarity(text: string, kind: SimilarityKind): ArchiveSimilarity {
    if (this.size === 0) return { greatest: 0, mean: 0 };
    const key = `${kind} ${text}`;
    let found = this.#known.get(key);
    if (found === undefined) {
      const values = this.#texts.similarities(text, kind);
      found = { greatest: greatestOf(values), mean: values.reduce((sum, value) => sum + value, 0) / this.size };
      this.#known.set(key, found);
    }
    return found;
  }
}

/** The penalty of a question, 0 or more: at most weight · (γ·(1 − greatestFrom) + (1 − γ)·(1 − meanFrom)). */
export function noveltyPenalty(text: string, archive: QuestionArchive, options: NoveltyOptions): number {
  if (options.weight === 0 || archive.size < options.minQuestions) return 0;
  const { greatest, mean } = archive.similarity(text, options.similarity);
  const above = (value: number, from: number) => Math.max(0, value - from);
  return (
    options.weight *
    (options.greatest * above(greatest, options.greatestFrom) + (1 - options.greatest) * above(mean, options.meanFrom))
  );
}

function greatestOf(values: Float64Array): number {
  let greatest = 0;
  for (const value of values) if (value > greatest) greatest = value;
  return Math.min(1, greatest);
}
