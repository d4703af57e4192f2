// The rewards of both roles, the gate on questions, and votes: keys, ranges, defaults and their sources. An option that no preset of
// the paper has is a remedy and is off by default. Does NOT compute anything (src/reward/, src/answer/vote.ts).

import { z } from "zod";
import { isLinearPattern } from "../util/linear-pattern.ts";
import { band, count, countOrOff, notNegative, share } from "./parts.ts";

/** DAPO's soft punishment of length (2503.14476, eq. 13): 0 up to maxTokens − buffer, then down to −weight at maxTokens. */
const overlong = z
  .strictObject({
    /** Tokens before the limit over which the penalty grows; 0 switches it off. */
    buffer: countOrOff.default(0),
    weight: notNegative.default(1),
  })
  .prefault({});

/** Penalty for being like earlier questions (R-Diverse's MAP, 2602.13103, whose figures these defaults are). */
const novelty = z
  .strictObject({
    /** Weight of the penalty; 0 switches it off. */
    weight: notNegative.default(0),
    /** `bleu`: BLEU-4 of the question against an archived one; `ngram`: Dice coefficient of their word n-grams of order 1 to 4. */
    similarity: z.enum(["bleu", "ngram"]).default("bleu"),
    /** γ: share of the greatest similarity in the penalty; 1 − γ is the mean similarity's. */
    greatest: share.default(0.5),
    /** A greatest, and a mean similarity up to these cost nothing. */
    greatestFrom: share.default(0.5),
    meanFrom: share.default(0.25),
    /** Archived questions below which there is no penalty. */
    minQuestions: count.default(1),
  })
  .prefault({});

/** Without back-references and look-around, so that it is matched in linear time. */
const linearPattern = z
  .string()
  .min(1)
  .max(1000)
  .refine(isLinearPattern, { error: "expected a regular expression without back-references, look-around and \\p" });

/** A gate of 0 or 1 multiplied into the uncertainty; a question that fails without its votes is not answered at all. */
const quality = z
  .strictObject({
    /** The Challenger's own answer: not asked for, boxed, or read as a mathematical value. */
    ownAnswer: z.enum(["any", "boxed", "value"]).default("any"),
    /** The Challenger's own answer must be equivalent to the majority answer. */
    agreement: z.boolean().default(false),
    /** Shortest and longest question, in tokens; 0: no limit. */
    minTokens: countOrOff.default(0),
    maxTokens: countOrOff.default(0),
    /** Greatest BLEU to a line of the Challenger's prompt, and to an archived question; 1 switches either off. */
    promptCopy: share.default(1),
    archiveCopy: share.default(1),
    /** Regular expression that a question must match, or several of which it must match one; see `linearPattern`. */
    wellPosed: z.union([linearPattern, z.array(linearPattern).min(1).max(100)]).optional(),
  })
  .prefault({});

export const challengerReward = z.strictObject({
  /** `tent`: 1 − 2·|p̂ − 1/2| (paper, eq. 2); `min`: min(p̂, 1 − p̂) (released); `window`: triangle over `window` (OpenSIR, 2511.00602). */
  uncertainty: z.enum(["tent", "min", "window"]).default("tent"),
  /** Vote shares between which `window` rewards, most in the middle (OpenSIR's best: 0.5 to 0.9). */
  window: band.default([0.5, 0.9]),
  /** Beta(a, b) prior of p̂ in the reward: (votes for the majority + a) / (m + a + b); 0, 0 leaves it as it is. */
  prior: z.strictObject({ a: notNegative.default(0), b: notNegative.default(0) }).prefault({}),
  repetition: z
    .strictObject({
      /** λ of the penalty λ·(cluster size)/(batch size); 0 switches it off. */
      weight: notNegative.default(1),
      /** Questions with 1 − BLEU below this are alike (average linkage). */
      threshold: share.default(0.5),
    })
    .prefault({}),
  /** Reward of a malformed question: 0 (paper) or −1 − repetition penalty (released). */
  malformed: z.enum(["zero", "penalty"]).default("zero"),
  /** The total is max(0, …) (paper); released does not clamp. */
  clampAtZero: z.boolean().default(true),
  /** Well-formed: a question block and a boxed own answer (paper), or the block alone (released). */
  wellFormed: z.enum(["question-and-box", "question"]).default("question-and-box"),
  /** Further conditions a question must meet; absent: none. */
  gate: z
    .strictObject({
      /** Longest question in tokens. */
      maxTokens: count.optional(),
    })
    .optional(),
  novelty,
  quality,
  overlong,
});

export const votes = z.strictObject({
  /** An answer without a box is no vote but stays in the denominator (paper), or votes as "None" (released). */
  missing: z.enum(["no-vote", "none-vote"]).default("no-vote"),
  /** A truncated answer counts by its text (paper, released), or is no vote. */
  truncated: z.enum(["no-vote", "as-is"]).default("as-is"),
  /** How answers are compared in votes and in the Solver's reward: by meaning, or as released does, by normalised text first; absent: domain.answer.policy. */
  equivalence: z.enum(["math-verify", "mathruler", "exact"]).optional(),
});

export const solverReward = z.strictObject({
  /** Weight of "equivalent to the pseudo-label" (paper: 1; released: 0.9). */
  correct: notNegative.default(1),
  /** Weight of the format <think>…</think>…\boxed{} (paper: 0; released: 0.1). */
  format: notNegative.default(0),
  overlong,
  /** Control experiment: `random` rewards 0 or `correct` by a seeded coin, whatever the answer. */
  control: z.enum(["none", "random"]).default("none"),
});
