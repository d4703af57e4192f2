// The three presets as partial configurations: what the paper states, what the released code does, and what this project
// adds to the paper. A recipe's own keys go over its preset. Does NOT hold defaults (schema.ts).
// Sources: arXiv 2508.05004; the code released with it; docs/algorithm.md lists every difference.

import type { ConfigInput, PresetName } from "./schema.ts";

/** As the paper states it. Every key repeats a default, so that the three presets can be read side by side. */
const paper: ConfigInput = {
  challenger: {
    solverAnswers: 10,
    advantage: { baseline: "group" },
    reward: { uncertainty: "tent", malformed: "zero", clampAtZero: true, wellFormed: "question-and-box" },
  },
  votes: { missing: "no-vote", truncated: "as-is" },
  curriculum: {
    poolSize: 8000,
    answers: 10,
    band: [0.25, 0.75],
    filters: { words: false, textLabels: false },
    deduplicate: "none",
  },
  solver: { reward: { correct: 1, format: 0 } },
  guard: { action: "warn" },
};

/** Token mean per part of four sequences, then the mean of the parts: what a trainer with such micro-batches computes (EasyR1's verl). */
const PER_MICRO_BATCH = { lossNormalisation: "micro-batch-mean", microBatch: 4 } as const;

/**
 * As the released code does it. One departure: its checkpoints 5 of 6 and 15 of 20 are the schedule here (steps that are thrown
 * away are not run).
 */
const released: ConfigInput = {
  challenger: {
    steps: 5,
    questionsPerStep: 2048,
    groupSize: 4,
    questionsPerOptimizerStep: 64,
    solverAnswers: 10,
    advantage: { baseline: "group" },
    reward: { uncertainty: "min", malformed: "penalty", clampAtZero: false, wellFormed: "question" },
    grpo: PER_MICRO_BATCH,
  },
  votes: { missing: "none-vote", truncated: "as-is", equivalence: "mathruler" },
  curriculum: { poolSize: 8000, answers: 9, band: [0.3, 0.8], filters: { words: true, textLabels: true }, deduplicate: "none" },
  solver: {
    steps: 15,
    questionsPerStep: 512,
    groupSize: 5,
    questionsPerOptimizerStep: 128,
    reward: { correct: 0.9, format: 0.1 },
    grpo: PER_MICRO_BATCH,
  },
};

/**
 * The paper with what a study over seeds kept (docs/log.md): one pooled baseline for the Challenger, whose prompts are all the same text;
 * a reward that peaks above one half, where labels are still right, and a band to match; the Challenger starts from the base in every
 * iteration and is held to it, because one that goes on learns what the Solver is wrong about in unison; truncated answers are no votes,
 * because a cut answer looks like disagreement; no question twice, nor more often than twice in a phase; labels that the base model's majority
 * confirms, because its errors do not grow; and a guard that scores by the same yardstick, goes back, and ends a run that no longer gains.
 */
const improved: ConfigInput = {
  ...paper,
  challenger: {
    ...paper.challenger,
    start: "base",
    advantage: { baseline: "batch" },
    reward: { ...paper.challenger?.reward, uncertainty: "window", window: [0.2, 0.9] },
    grpo: { klWeight: 0.05, reference: "base" },
  },
  votes: { ...paper.votes, truncated: "no-vote" },
  curriculum: {
    ...paper.curriculum,
    band: [0.3, 0.9],
    filters: { words: false, textLabels: false, quality: true },
    deduplicate: "exact",
    excludeEarlier: true,
    confirm: { answers: 10, minShare: 0.4 },
  },
  solver: { ...paper.solver, maxUses: 2, grpo: { klWeight: 0.1 } },
  guard: { action: "rollback", heldOut: { questions: 400, confirm: { answers: 10 } } },
  schedule: { stop: { patience: 1 } },
};

/** Presets by name. */
export const PRESETS: Record<PresetName, ConfigInput> = { paper, released, improved };
