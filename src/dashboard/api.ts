// The dashboard's JSON interface: routes and the shape of every answer, shared by the server and the page. Pure: no Node, no DOM.
// Every route is GET and answers JSON, but for the two event streams. Times are ISO 8601 in UTC, durations seconds, shares in [0, 1].
// A problem is `{"error": {"message"}}` with status 400 (bad query), 403 (wrong Host), 404, or 503 (the index is not there yet).

import type {
  BenchScore,
  BrokenRule,
  CurriculumMetrics,
  GuardBest,
  GuardDecision,
  GuardMeasures,
  Score,
} from "../store/events.ts";
import type { Phase, Role } from "../store/layout.ts";
import type { MatrixCell, MatrixGrid } from "../store/matrix.ts";

const run = (name: string) => `/api/runs/${encodeURIComponent(name)}`;

/** Paths of the interface; queries are said beside the type of the answer. */
export const ROUTES = {
  /** Runs. */
  runs: "/api/runs",
  /** SSE, no history: `runs` (Runs) when connected and whenever a run's row changes, at most twice a second. */
  watch: "/api/events",
  /** Comparison; `run=A&run=B…`, 1 to 6 of them; `points`. */
  compare: "/api/compare",
  /** QuestionPage; the query is QuestionQuery, see `questionSearch`. */
  questions: "/api/questions",
  /** QuestionDetail; `id`. */
  question: "/api/question",
  /** RolloutGroup; `id` of a group. */
  group: "/api/group",
  /** RunDetail. */
  run,
  /** CurveSet[]; `points`: at most so many per curve (default 2000), neighbours are averaged. */
  curves: (name: string) => `${run(name)}/curves`,
  /** Scores. */
  scores: (name: string) => `${run(name)}/scores`,
  /** Matrix. */
  matrix: (name: string) => `${run(name)}/matrix`,
  /** Diversity. */
  diversity: (name: string) => `${run(name)}/diversity`,
  /** Health. */
  health: (name: string) => `${run(name)}/health`,
  /**
   * SSE: `event` (StreamedEvent) for each line of the run's log, its `id` a place in the log. Begins after `after=ID` or the header
   * Last-Event-ID, else with the events to come; `after=0` gives all. `progress` (LiveProgress, no id), `state` (RunRow, no id) on change.
   * `reset` when the id is not one of this log (the run was made anew): load the page's data again.
   */
  events: (name: string) => `${run(name)}/events`,
} as const;

/** Runs that one comparison may hold. */
export const MOST_COMPARED = 6;
/** Rows that one window of questions may hold. */
export const MOST_ROWS = 500;

/** The query index: `building` while files are read for the first time, with the share that was read. */
export interface IndexState {
  readonly state: "building" | "ready" | "failed";
  /** Share of the bytes. */
  readonly done: number;
  readonly problem?: string;
  /** Changes with the content: what was asked before under another revision may have changed. */
  readonly revision: number;
}

/** A score of a policy over all benchmarks: the mean of their means; `ci95` where there is one benchmark. */
export interface HeadlineScore {
  readonly iteration: number;
  readonly mean: number;
  readonly ci95?: readonly [number, number];
}

/** One run in the table of runs. Facts that cannot be read are absent. */
export interface RunRow {
  readonly name: string;
  readonly state: "new" | "running" | "stopped" | "done" | "damaged";
  /** Why it is damaged. */
  readonly problem?: string;
  readonly recipe?: string;
  readonly preset?: string;
  readonly seed?: number;
  readonly base?: string;
  /** `local`, or how else the engine is called. */
  readonly engine?: string;
  readonly created?: string;
  /** Last event or, without one, `created`. */
  readonly updated?: string;
  readonly iterations?: number;
  /** The phase in progress, or the last one. */
  readonly at?: { readonly iteration: number; readonly phase: Phase };
  /** Share of the run's work that is done, by steps; 1 when it is complete. */
  readonly progress: number;
  /** Seconds of work so far, and to come as far as the past tells; absent when nothing tells. */
  readonly seconds: number;
  readonly secondsLeft?: number;
  readonly baseScore?: HeadlineScore;
  /** Of the iteration that the run ends with, or would end with now. */
  readonly bestScore?: HeadlineScore;
}

export interface Runs {
  /** Directory of the runs, for people. */
  readonly root: string;
  readonly runs: readonly RunRow[];
  readonly index: IndexState;
}

/** One phase of the timeline, in the order of the loop; phases to come are `waiting`. */
export interface PhaseSpan {
  readonly iteration: number;
  readonly phase: Phase;
  readonly state: "waiting" | "running" | "done" | "stopped";
  readonly start?: string;
  /** Of a finished phase; of one in progress: since its start. */
  readonly seconds?: number;
  /** Of training phases: steps done and to do. */
  readonly step?: number;
  readonly steps?: number;
}

/** What a running phase is doing inside its step. */
export interface LiveProgress {
  readonly time: string;
  readonly iteration: number;
  readonly phase: Phase;
  /** For people: posing, voting, … */
  readonly activity: string;
  readonly done: number;
  readonly total: number;
  readonly tokens: number;
}

/** Something people should see: warnings, skipped updates, rollbacks, restarts, pauses, early stops, interruptions. */
export interface Notice {
  readonly time: string;
  readonly event: string;
  readonly iteration?: number;
  readonly phase?: Phase;
  readonly text: string;
}

export interface RunDetail {
  readonly row: RunRow;
  /** rzero, node, cpu: versions and machine that made it. */
  readonly made: Readonly<Record<string, string>>;
  readonly timeline: readonly PhaseSpan[];
  readonly live?: LiveProgress;
  /** Newest question that a step told. */
  readonly example?: string;
  readonly notices: readonly Notice[];
  /** The resolved configuration as YAML. */
  readonly config: string;
  /** Id of the last event behind this answer: a stream begun `after` it misses nothing. */
  readonly lastEventId: string;
}

/** Curves that a role may have, in the order of the page; a missing one is not in the set. */
export const CURVES = [
  { key: "reward", title: "reward" },
  { key: "uncertainty", title: "uncertainty reward" },
  { key: "repetitionPenalty", title: "repetition penalty" },
  { key: "noveltyPenalty", title: "novelty penalty" },
  { key: "voteShare", title: "vote share" },
  { key: "wellFormed", title: "valid share" },
  { key: "inBand", title: "share in the band" },
  { key: "level", title: "level of the questions" },
  { key: "klPenalty", title: "KL to the reference (nats)" },
  { key: "entropy", title: "entropy (nats)" },
  { key: "meanTokens", title: "length (tokens)" },
  { key: "truncated", title: "truncated share" },
  { key: "clipFractionLow", title: "clip fraction, low" },
  { key: "clipFractionHigh", title: "clip fraction, high" },
  { key: "gradNorm", title: "gradient norm" },
  { key: "loss", title: "loss" },
  { key: "zeroVarianceShare", title: "groups of equal rewards, share" },
  { key: "samplerMismatch", title: "sampler mismatch (nats)" },
  { key: "tokensPerSecond", title: "trained tokens per second" },
] as const;

/** One of CURVES' keys. */
export type CurveKey = (typeof CURVES)[number]["key"];

/** All curves of a role over the run's steps, as columns of equal length; null: not measured there. */
export interface CurveSet {
  readonly role: Role;
  /** Rollout step counted through all iterations, from 1; ascending. */
  readonly x: readonly number[];
  /** Iteration of each point, and step within it. */
  readonly iteration: readonly number[];
  readonly step: readonly number[];
  readonly curves: Readonly<Partial<Record<CurveKey, readonly (number | null)[]>>>;
}

/** One scored policy: a column of the final table. */
export interface ScoreColumn {
  readonly iteration: number;
  /** `forced-prefix`: the base model made to think (the elicitation line). */
  readonly line: "solver" | "forced-prefix";
  readonly benches: readonly BenchScore[];
}

export interface Scores {
  readonly columns: readonly ScoreColumn[];
  readonly best?: GuardBest & { readonly by?: string };
}

export type { BenchScore, BrokenRule, GuardBest, GuardDecision, GuardMeasures, MatrixCell, Phase, Role, Score };

export interface Comparison {
  readonly runs: readonly { readonly row: RunRow; readonly curves: readonly CurveSet[]; readonly scores: Scores }[];
}

/** Each iteration's Solver (row) on each iteration's questions (column). */
export interface Matrix extends MatrixGrid {
  /** What computes it, when there is none. */
  readonly command: string;
}

/** Coverage per iteration, and a sample of questions on a plane where near wordings are near. */
export interface Diversity {
  readonly iterations: readonly (CurriculumMetrics["coverage"] & { readonly iteration: number; readonly questions: number })[];
  readonly points: readonly MapPoint[];
  /** Clusters of the map, the largest first. */
  readonly clusters: readonly MapCluster[];
  /** Questions that the points are a sample of. */
  readonly total: number;
}

export interface MapPoint {
  readonly id: string;
  readonly iteration: number;
  /** In [0, 1]². */
  readonly x: number;
  readonly y: number;
  readonly cluster: number;
  readonly share: number;
  readonly verdict: string;
}

export interface MapCluster {
  readonly cluster: number;
  /** The question nearest to its middle. */
  readonly example: string;
  readonly x: number;
  readonly y: number;
  /** Questions of the whole run in it, by iteration. */
  readonly sizes: Readonly<Record<number, number>>;
}

/** One measure of the guard over the iterations; 0 is the base model. */
export interface HealthMeasure {
  readonly measure: string;
  readonly values: readonly { readonly iteration: number; readonly value: number }[];
  readonly rules: readonly HealthRule[];
}

export interface HealthRule {
  readonly condition: "below" | "above" | "fall" | "rise" | "times";
  /** The number in the configuration. */
  readonly limit: number;
  readonly action: "warn" | "stop" | "rollback";
  readonly patience: number;
  /** The value that may not be passed, per iteration. */
  readonly bounds: readonly { readonly iteration: number; readonly bound: number }[];
}

export interface Health {
  readonly enabled: boolean;
  readonly measures: readonly HealthMeasure[];
  readonly decisions: readonly {
    readonly iteration: number;
    readonly decision: GuardDecision;
    readonly broken: readonly BrokenRule[];
    readonly best: GuardBest;
    /** Counts of the pool's vote shares in ten equal bins of [0, 1]. */
    readonly histogram: readonly number[];
    readonly heldOut: number;
  }[];
  readonly notices: readonly Notice[];
}

/** Data of an `event` of the stream: a line of events.jsonl, see store/events.ts. */
export interface StreamedEvent {
  readonly run: string;
  readonly event: { readonly time: string; readonly event: string } & Readonly<Record<string, unknown>>;
}
