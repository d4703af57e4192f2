// Chooses the curriculum from the labelled question pool: vote share within a band, and what else a preset drops.
// Knows labelled questions, no models. Source: R-Zero section 3.2 (|p̂ − 1/2| ≤ δ); the word rules are the released code's.
// Departures, as options: 1. exact duplicates and questions of earlier iterations may be dropped. 2. so may those that fail the quality gate.

import type { LabelledQuestion } from "./question.ts";

/** What to keep; the keys are those of the configuration. */
export interface CurriculumFilterOptions {
  /** Vote shares kept, [low, high], both ends included. */
  readonly band: readonly [number, number];
  readonly filters: {
    /** Drop questions that contain "box" or ask for a proof (released). */
    readonly words: boolean;
    /** Drop questions whose pseudo-label contains "text" or is "None" (released). */
    readonly textLabels: boolean;
  };
  /** `exact`: of questions equal up to white space only the first kept one stays. */
  readonly deduplicate: "none" | "exact";
  /** Texts that must never be trained on, as `normaliseQuestion` gives them. */
  readonly heldOut?: ReadonlySet<string>;
  /** Texts that were kept in an earlier iteration and are left out, as `normaliseQuestion` gives them. */
  readonly earlier?: ReadonlySet<string>;
  /** Texts whose label the base model confirms; absent: labels need no confirmation. */
  readonly confirmed?: ReadonlySet<string>;
}

/** What becomes of a question: `kept`, or the first rule, in this order, that it broke. */
export const CURRICULUM_VERDICTS = [
  "kept",
  "malformed",
  "heldOut",
  "quality",
  "noVotes",
  "belowBand",
  "aboveBand",
  "questionWords",
  "textLabel",
  "earlier",
  "unconfirmed",
  "duplicate",
] as const;

/** One of CURRICULUM_VERDICTS. */
export type CurriculumVerdict = (typeof CURRICULUM_VERDICTS)[number];

/** The outcome for a pool. */
export interface FilteredPool {
  /** The curriculum, in pool order. */
  readonly kept: LabelledQuestion[];
  /** One verdict per question of the pool. */
  readonly verdicts: CurriculumVerdict[];
  /** How often each verdict fell; they add up to the pool. */
  readonly counts: Record<CurriculumVerdict, number>;
}

// 3/10 and 0.3 must agree although 0.1 + 0.2 and 0.3 do not.
const TOLERANCE = 1e-9;

/** Applies the rules to the pool. */
export function filterCurriculum(pool: readonly LabelledQuestion[], options: CurriculumFilterOptions): FilteredPool {
  const counts = Object.fromEntries(CURRICULUM_VERDICTS.map((verdict) => [verdict, 0])) as Record<CurriculumVerdict, number>;
  const seen = new Set<string>();
  const verdicts = pool.map((labelled) => {
    const text = normaliseQuestion(labelled.question.text);
    let verdict = judge(labelled, text, options);
    if (verdict === "kept" && options.deduplicate === "exact" && seen.has(text)) verdict = "duplicate";
    if (verdict === "kept") seen.add(text);
    counts[verdict]++;
    return verdict;
  });
  return { kept: pool.filter((_, index) => verdicts[index] === "kept"), verdicts, counts };
}

/** Whether a vote share lies in the band, both ends included, safe against rounding. */
export function inBand(voteShare: number, [low, high]: CurriculumFilterOptions["band"]): boolean {
  return voteShare >= low - TOLERANCE && voteShare <= high + TOLERANCE;
}

/** The text by which questions are compared: trimmed, runs of white space as one space. */
export function normaliseQuestion(text: string): string {
  return text.trim().replace(/\s+/g, " ");
}

function judge(
  { question, pseudoLabel, voteShare }: LabelledQuestion,
  text: string,
  options: CurriculumFilterOptions,
): CurriculumVerdict {
  if (!question.wellFormed) return "malformed";
  if (options.heldOut?.has(text)) return "heldOut";
  if (question.fault !== undefined) return "quality";
  if (pseudoLabel === undefined) return "noVotes";
  if (!inBand(voteShare, options.band)) return voteShare < options.band[0] ? "belowBand" : "aboveBand";
  if (options.filters.words && /box|\bprove\b|\bproof\b|证明/i.test(text)) return "questionWords";
  if (options.filters.textLabels && (/text/i.test(pseudoLabel) || pseudoLabel.trim() === "None")) return "textLabel";
  if (options.earlier?.has(text)) return "earlier";
  return options.confirmed?.has(question.text) === false ? "unconfirmed" : "kept";
}
