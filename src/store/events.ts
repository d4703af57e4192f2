// What a run tells while it goes, and what its phase markers hold: one typed table of events, metrics and scores. They go to
// events.jsonl and done.json; the command line prints them; nothing else may depend on their text. Rates and durations are in seconds; shares are in [0, 1].

import type { GuardAction, GuardCondition, GuardMeasure } from "../config/guard.ts";
import type { Phase, Role } from "./layout.ts";

/** Health of one optimizer or rollout step; keys are `phase/noun` in reports. */
export interface TrainingMetrics {
  /** Loss summed with the datum weights, mean over the optimizer steps of the rollout step. */
  readonly loss: number;
  /** Weighted mean of k3 to the reference model, in nats per token. */
  readonly klPenalty: number;
  /** Share of tokens whose importance ratio was clipped from below and above. */
  readonly clipFractionLow: number;
  readonly clipFractionHigh: number;
  /** Mean −logprob of the trained tokens, in nats: a rough entropy. */
  readonly entropy: number;
  /** Global gradient norm before clipping, mean over optimizer steps. */
  readonly gradNorm: number;
  /** Largest |training − sampling logprob| before the first update of the step; exactly 0 on the local engine. */
  readonly samplerMismatch: number;
  /** Mean of the same differences, and of their k3 (grpo/correction.ts), in nats; absent when there is no difference. */
  readonly samplerMismatchMean?: number;
  readonly samplerMismatchK3?: number;
  /** Share of tokens masked for their mismatch, and mean importance weight of the others; absent when nothing was corrected. */
  readonly correctionMasked?: number;
  readonly correctionWeight?: number;
  /** Completion tokens trained on. */
  readonly tokens: number;
  /** Groups whose rewards were all equal, of `groups`: no policy gradient from them. */
  readonly zeroVarianceGroups: number;
  readonly groups: number;
  /** Optimizer steps whose update was skipped for a number that was not finite, or for a spike; absent when none was. */
  readonly skippedUpdates?: number;
}

/** One Challenger rollout step. */
export interface ChallengerMetrics extends TrainingMetrics {
  readonly reward: number;
  readonly uncertainty: number;
  readonly repetitionPenalty: number;
  /** Share of completions that hold a well-formed question. */
  readonly wellFormed: number;
  /** Mean vote share over well-formed questions. */
  readonly voteShare: number;
  /** Share of all completions whose vote share lies in the curriculum's band. */
  readonly inBand: number;
  /** Mean level of the questions that the oracle can read, when there is an oracle. */
  readonly level?: number;
  readonly meanTokens: number;
  /** Solver answers that were cut at maxTokens, share. */
  readonly truncatedAnswers: number;
  /** Mean penalty for being like earlier questions; absent when that is off. */
  readonly noveltyPenalty?: number;
  /** Questions that the quality gate stopped, by fault; absent when it stopped none. */
  readonly faults?: Readonly<Record<string, number>>;
}

/** One Solver rollout step. */
export interface SolverMetrics extends TrainingMetrics {
  readonly reward: number;
  readonly meanTokens: number;
  readonly truncated: number;
  /** Questions drawn from the curriculum, refills of dynamic sampling with them; absent when that is off. */
  readonly drawn?: number;
}

/** What the curriculum phase made. */
export interface CurriculumMetrics {
  /** Challenger completions sampled. */
  readonly pool: number;
  readonly wellFormed: number;
  readonly kept: number;
  /** Rejections by reason; with `kept` they add up to `pool`. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Mean vote share over well-formed questions of the pool, and over the kept ones. */
  readonly voteShare: number;
  readonly keptVoteShare: number;
  /** Share of the pool inside the band. */
  readonly inBand: number;
  /** Share of kept questions whose pseudo-label is the oracle's truth, among those it can read; absent without an oracle. */
  readonly labelAccuracy?: number;
  /** Share of kept questions that the oracle can read. */
  readonly answerable?: number;
  /** Mean level of readable questions of the pool, and of the kept ones. */
  readonly level?: number;
  readonly keptLevel?: number;
  /** Human questions added beside the kept ones; absent when there are none. */
  readonly anchors?: number;
  readonly truncatedAnswers: number;
  /** Different texts, n-grams and clusters among the well-formed questions; see curriculum/coverage.ts. */
  readonly coverage: {
    readonly distinctShare: number;
    readonly newShare: number;
    readonly distinctGramShare: number;
    readonly clusters: number;
    readonly clustered: number;
  };
  /** Questions that got more votes; absent when none did. */
  readonly extraVotes?: number;
  /** Label accuracy as the probes let one expect it, with the 95 % interval; absent without probes. */
  readonly audit?: {
    readonly probes: number;
    readonly alike?: number;
    readonly mean: number;
    readonly ci95: readonly [number, number];
  };
}

/** What the guard measured; a measure that could not be taken is absent. docs/guard.md says what each is. */
export type GuardMeasures = Partial<Readonly<Record<GuardMeasure, number>>>;

/** A rule that an iteration broke. */
export interface BrokenRule {
  readonly measure: GuardMeasure;
  readonly condition: GuardCondition;
  /** The value that may not be passed, computed where the rule compares. */
  readonly limit: number;
  readonly value: number;
  readonly reason: string;
  readonly action: GuardAction;
}

/** What follows an iteration; `to`: the iteration whose policies the next one starts from, 0 for the base model. */
export type GuardDecision = { readonly action: "none" | "warn" | "stop" } | { readonly action: "rollback"; readonly to: number };

/** An iteration and the guard's score of it: what it gives its own answers, or those of them that the base confirms; absent without held-out questions. */
export interface GuardBest {
  readonly iteration: number;
  readonly score?: number;
}

/** The marker of a guard phase. */
export interface GuardReport {
  readonly iteration: number;
  readonly measures: GuardMeasures;
  /** Held-out questions behind the score: those that no curriculum has kept. */
  readonly heldOut: number;
  /** Counts of the pool's vote shares in ten equal bins of [0, 1]. */
  readonly histogram: readonly number[];
  readonly broken: readonly BrokenRule[];
  readonly decision: GuardDecision;
  /** The best iteration so far. */
  readonly best: GuardBest;
  /** The base model's measures, in iteration 1 alone. */
  readonly base?: GuardMeasures;
}

/** One score: mean over questions, in [0, 1]. */
export interface Score {
  readonly mean: number;
  /** Bootstrap 95 % interval over questions. */
  readonly ci95: readonly [number, number];
  /** Mean per category of the benchmark, and per kind and level where its questions have them. */
  readonly categories: Readonly<Record<string, number>>;
  readonly kinds: Readonly<Record<string, number>>;
  readonly levels: Readonly<Record<string, number>>;
  /** Answers without a box, and answers cut at the token limit: counts over all samples; both are wrong. */
  readonly unparsed: number;
  readonly truncated: number;
}

/** One benchmark of one policy. */
export interface BenchScore {
  readonly name: string;
  readonly questions: number;
  /** Samples per question behind `sampled`. */
  readonly samples: number;
  readonly temperature: number;
  readonly greedy?: Score;
  /** mean@k at `temperature`. */
  readonly sampled: Score;
  /** Share of questions with at least one right answer among k (unbiased pass@k with k = samples). */
  readonly passAtK: number;
  /** Share of sampled answers that think, when the recipe names a thinking prefix (evaluation.forcedPrefix). */
  readonly thinks?: number;
}

export type RunEvent =
  | {
      readonly event: "start";
      readonly run: string;
      readonly recipe: string;
      readonly seed: number;
      readonly iterations: number;
      readonly resumed: boolean;
    }
  | {
      readonly event: "phase";
      readonly iteration: number;
      readonly phase: Phase;
      readonly state: "start" | "done";
      readonly seconds?: number;
    }
  | {
      readonly event: "challenger-step";
      readonly iteration: number;
      readonly step: number;
      readonly steps: number;
      readonly seconds: number;
      readonly metrics: ChallengerMetrics;
      /** The question nearest to the edge, and how many of its `m` answers agree. */
      readonly example?: string;
      readonly exampleVote?: { readonly count: number; readonly m: number };
    }
  /** The run ends after this iteration, by a rule of schedule.stop. */
  | { readonly event: "early-stop"; readonly iteration: number; readonly reason: string }
  | { readonly event: "curriculum"; readonly iteration: number; readonly metrics: CurriculumMetrics }
  | {
      readonly event: "solver-step";
      readonly iteration: number;
      readonly step: number;
      readonly steps: number;
      readonly seconds: number;
      readonly metrics: SolverMetrics;
    }
  | {
      readonly event: "evaluation";
      readonly iteration: number;
      readonly line: "solver" | "forced-prefix";
      readonly benches: readonly BenchScore[];
    }
  | {
      readonly event: "guard";
      readonly iteration: number;
      readonly measures: GuardMeasures;
      readonly decision: GuardDecision;
      readonly best: GuardBest;
    }
  /** One broken rule; `line` names it. */
  | ({ readonly event: "guard-decision"; readonly iteration: number; readonly line: string } & BrokenRule)
  | ({ readonly event: "step-skipped" } & SkippedStep)
  /** Back to the checkpoint before several skipped updates in a row. */
  | {
      readonly event: "rollback";
      readonly iteration: number;
      readonly phase: Role;
      /** The first step that is done again. */
      readonly step: number;
      readonly report: string;
    }
  /** The run waits for room on the disk; `event` is told again when it goes on. */
  | {
      readonly event: "paused";
      readonly state: "waiting" | "over";
      /** What is to be written, where, and how much it needs and finds, in bytes. */
      readonly what: string;
      readonly dir: string;
      readonly need: number;
      readonly free: number;
    }
  /** The engine's worker was lost for want of memory; another goes on with smaller micro-batches. */
  | { readonly event: "restart"; readonly reason: string; readonly maxTokensPerMicroBatch: number }
  /** What an engine found out about a server of its own, for people. */
  | { readonly event: "engine"; readonly message: string }
  | { readonly event: "warning"; readonly iteration: number; readonly phase: Phase; readonly message: string }
  | { readonly event: "interrupted"; readonly run: string; readonly iteration: number; readonly phase: Phase }
  | ({ readonly event: "done" } & RunSummary);

/** An update that was held back, and the datum it was held back for. */
export interface SkippedStep {
  readonly iteration: number;
  readonly phase: Role;
  /** Rollout step, from 1, and optimizer step within it, from 1. */
  readonly step: number;
  readonly update: number;
  readonly reason: string;
  /** The bad number as text. */
  readonly value: string;
  /** Line of the question in the phase's questions (Solver), from 1; absent for the Challenger, whose prompt is always the same. */
  readonly question?: number;
  /** Index of the completion among those of its prompt, from 0; absent when no single datum is to blame. */
  readonly sample?: number;
}

/** Last line of a run. */
export interface RunSummary {
  readonly run: string;
  /**
   * The iteration that the run ends with; 0 is the base model. `guard`: by the guard's score, which no benchmark enters; `evaluation`: by
   * the highest sampled mean, where there is no guard.
   */
  readonly best: GuardBest & { readonly by: "guard" | "evaluation" };
  /** Iteration after which the guard ended the run early; absent otherwise. */
  readonly stopped?: number;
  readonly base: { readonly solver: readonly BenchScore[] };
  readonly final: { readonly iteration: number; readonly solver: readonly BenchScore[] };
  readonly seconds: number;
}

/** Progress inside a step, not stored: what is being done, how far, tokens so far. */
export interface ProgressEvent {
  readonly event: "progress";
  readonly iteration: number;
  readonly phase: Phase;
  readonly activity: string;
  readonly done: number;
  readonly total: number;
  readonly tokens: number;
}
