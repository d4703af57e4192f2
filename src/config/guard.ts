// Configuration of the guard: what it measures on, the rules that judge an iteration, and what a broken rule leads to.
// Does NOT know how a measure comes about (selfplay/guard.ts) or how a rule is judged (selfplay/guard-rules.ts).

import { z } from "zod";
import { confirm } from "./parts.ts";

/** What the guard measures after an iteration; docs/guard.md says how. Nothing here reads a benchmark. */
export const GUARD_MEASURES = [
  "selfConsistency",
  "confirmed",
  "agreement",
  "labelAccuracy",
  "distinct",
  "clusters",
  "voteShare",
  "inBand",
  "wellFormed",
  "meanTokens",
  "truncated",
  "entropy",
  "klToBase",
] as const;

/** What a broken rule may lead to, the weakest first. */
export const GUARD_ACTIONS = ["warn", "stop", "rollback"] as const;

/** How a rule compares a measure. */
export const GUARD_CONDITIONS = ["below", "above", "fall", "rise", "times"] as const;

const rule = z
  .strictObject({
    measure: z.enum(GUARD_MEASURES),
    /** Broken below, or above, this value. */
    below: z.number().optional(),
    above: z.number().optional(),
    /** Broken when it is more than this below the best so far; more than this above the base model's; more than so many times that. */
    fall: z.number().min(0).optional(),
    rise: z.number().min(0).optional(),
    times: z.number().positive().optional(),
    /** Iterations in a row in which it must be broken. */
    patience: z.int().min(1).default(1),
    /** Absent: guard.action. */
    action: z.enum(GUARD_ACTIONS).optional(),
  })
  .refine((given) => GUARD_CONDITIONS.filter((condition) => given[condition] !== undefined).length === 1, {
    error: `expected exactly one of ${GUARD_CONDITIONS.join(", ")}`,
  });

/** Limits that a healthy run of the tiny world keeps far from; each has an option, none is a law. */
const RULES: z.input<typeof rule>[] = [
  { measure: "selfConsistency", fall: 0.15 },
  { measure: "truncated", rise: 0.3 },
  { measure: "entropy", below: 0.002, action: "warn" },
  { measure: "meanTokens", times: 4, action: "warn" },
  { measure: "klToBase", above: 2, action: "warn" },
  { measure: "distinct", below: 0.5, action: "warn" },
  { measure: "wellFormed", below: 0.3, action: "warn" },
  { measure: "labelAccuracy", below: 0.6, action: "warn" },
];

/** The `guard` section of a configuration. */
export const guardSchema = z.strictObject({
  /** Measure and judge after every iteration; false leaves only the evaluation. */
  enabled: z.boolean().default(true),
  /** What the Solver's agreement with itself is measured on: the same questions in every iteration. */
  heldOut: z
    .strictObject({
      /** JSON Lines of {"question"}; absent: questions of the first iteration's pool that its curriculum left out. */
      data: z.string().min(1).optional(),
      questions: z.int().min(1).default(64),
      /** Answers per question. */
      answers: z.int().min(2).default(8),
      /** With answers, only votes that the base's majority confirms count for the score by which iterations are compared. */
      confirm,
    })
    .prefault({}),
  /** Measure the KL divergence to the base model, which is opened for it. */
  klToBase: z.boolean().default(true),
  rules: z.array(rule).default(() => RULES.map((item) => ({ patience: 1, ...item }))),
  /** What a broken rule without an action of its own leads to. */
  action: z.enum(GUARD_ACTIONS).default("warn"),
  /** Rollbacks of a run; a broken rule after so many stops it. */
  maxRollbacks: z.int().min(0).default(2),
});

export type GuardConfig = z.output<typeof guardSchema>;
export type GuardRule = z.output<typeof rule>;
export type GuardMeasure = (typeof GUARD_MEASURES)[number];
export type GuardAction = (typeof GUARD_ACTIONS)[number];
export type GuardCondition = (typeof GUARD_CONDITIONS)[number];
