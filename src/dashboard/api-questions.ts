// The part of the dashboard's JSON interface about questions and their answers; see api.ts. Pure: no Node, no DOM.

import type { Role } from "../store/layout.ts";
import { type IndexState, ROUTES } from "./api.ts";

/** Where a question comes from: the pool of a curriculum phase, or a rollout of a Challenger step (where the run archives them). */
export const SOURCES = ["pool", "challenger"] as const;
export type Source = (typeof SOURCES)[number];

/** What a table of questions can be sorted by. `order`: as posed. */
export const SORTS = ["order", "share", "reward", "length", "answers", "cluster", "trained"] as const;
export type Sort = (typeof SORTS)[number];

/** Pseudo-label against truth: `unknown` where there is no truth. */
export const LABELS = ["right", "wrong", "unknown"] as const;
export type LabelState = (typeof LABELS)[number];

/** Which questions, in which order, which window of them. Lists are alternatives; an absent or empty one is no condition. */
export interface QuestionQuery {
  readonly run?: readonly string[];
  readonly iteration?: readonly number[];
  readonly source?: Source;
  /** `kept`, or reasons of rejection; of Challenger rollouts `wellFormed`, `malformed` or a fault. */
  readonly verdict?: readonly string[];
  readonly label?: LabelState;
  readonly cluster?: number;
  /** Whether a step trained on it. */
  readonly trained?: boolean;
  /** Ends of p̂, both included. */
  readonly minShare?: number;
  readonly maxShare?: number;
  /** Words that the text has, all of them; the last one may be a beginning. */
  readonly search?: string;
  /** Default `order`, ascending. */
  readonly sort?: Sort;
  readonly descending?: boolean;
  /** Window; default 0 and 100, at most MOST_ROWS. */
  readonly offset?: number;
  readonly limit?: number;
}

/** The path that asks for a window of questions. */
export function questionSearch(query: QuestionQuery): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query))
    for (const one of Array.isArray(value) ? value : [value])
      if (one !== undefined && one !== "") search.append(key, String(one));
  return `${ROUTES.questions}?${search}`;
}

export interface QuestionPage {
  /** Questions that meet the conditions; absent while they are still being counted: ask again. */
  readonly total?: number;
  readonly offset: number;
  readonly rows: readonly QuestionRow[];
  readonly index: IndexState;
}

/** An answer and how many gave it. */
export interface VoteCount {
  /** null: answers without a box. */
  readonly answer: string | null;
  readonly count: number;
}

export interface QuestionRow {
  /** Stays the same when the index is built anew. */
  readonly id: string;
  readonly run: string;
  readonly iteration: number;
  readonly source: Source;
  /** Rollout step, of Challenger rollouts. */
  readonly step?: number;
  /** Line of its file, from 1. */
  readonly line: number;
  readonly question: string;
  readonly ownAnswer?: string;
  /** Pseudo-label: the majority answer. */
  readonly label?: string;
  readonly truth?: string;
  /** Absent where truth is unknown. */
  readonly labelRight?: boolean;
  /** A human question of known answer. */
  readonly anchor?: boolean;
  /** p̂; absent where nobody was asked. */
  readonly share?: number;
  /** Most frequent first, by text. */
  readonly votes: readonly VoteCount[];
  readonly answers: number;
  readonly verdict: string;
  /** Cluster of the diversity map. */
  readonly cluster?: number;
  readonly reward?: RewardParts;
  /** Groups of answers that steps trained on, as far as they are archived. */
  readonly trained: number;
}

/** Parts of the Challenger's reward; penalties are positive. */
export interface RewardParts {
  readonly total: number;
  readonly uncertainty: number;
  readonly repetition: number;
  readonly novelty: number;
}

export interface QuestionDetail {
  readonly question: QuestionRow;
  /** The extracted answers in the order drawn; null: without a box. */
  readonly answers: readonly (string | null)[];
  /** Groups of rollouts on it, by step. */
  readonly groups: readonly GroupRef[];
  /** Earlier questions of the run with the nearest wording, the nearest first. */
  readonly nearest: readonly Neighbour[];
}

export interface GroupRef {
  readonly id: string;
  readonly role: Role;
  readonly iteration: number;
  readonly step: number;
  readonly samples: number;
  readonly reward: number;
}

export interface Neighbour {
  readonly id: string;
  readonly question: string;
  readonly iteration: number;
  /** Dice coefficient of their word n-grams of order 1 to 3, in [0, 1]. */
  readonly similarity: number;
}

/** Rollouts of one prompt in one step: a question's answers, or one posed question. */
export interface RolloutGroup extends GroupRef {
  readonly rollouts: readonly ArchivedRollout[];
}

export interface ArchivedRollout {
  readonly sample: number;
  readonly text: string;
  /** Cut at the token limit. */
  readonly truncated: boolean;
  readonly reward: number;
  /** The same for each of its tokens. */
  readonly advantage: number;
  /** Texts put together are `text` and what the tokenizer leaves out of it. */
  readonly tokens: readonly ArchivedToken[];
}

export interface ArchivedToken {
  readonly id: number;
  readonly text: string;
  /** Raw, in nats; rounded to 4 digits. */
  readonly logprob: number;
}
