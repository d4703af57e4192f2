// Every path inside a run directory, so that no other file spells one. Does NOT touch the disk.
// runs/<name>/{config.yaml, run.json, events.jsonl, done.json} and runs/<name>/iteration-01/<phase>/{…, done.json}.

import { join, resolve } from "node:path";
import { ConfigError } from "../util/errors.ts";

/** The phases of an iteration, in order. The guard comes before the evaluation, whose truth it may not know. */
export const PHASES = ["challenger", "curriculum", "solver", "guard", "evaluation"] as const;
export type Phase = (typeof PHASES)[number];

/** The two policies. */
export type Role = "challenger" | "solver";

/** Where runs live: the option, else RZERO_RUNS, else ./runs. */
export function runsRoot(option?: string): string {
  return resolve(option ?? (process.env.RZERO_RUNS || "runs"));
}

/** Checks that a run name is a plain file name. Errors: ConfigError. */
export function checkRunName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) return name;
  throw new ConfigError(
    `run name: expected letters, digits, ".", "_" and "-" (at most 100, the first a letter or digit), got "${name}". Choose another name.`,
  );
}

/** `iteration-01` of iteration 1. Iteration 0 is the base model, before any training. */
export function iterationDirName(iteration: number): string {
  return `iteration-${String(iteration).padStart(2, "0")}`;
}

/** Paths of one run. */
export interface RunLayout {
  readonly name: string;
  readonly dir: string;
  /** Resolved configuration; reruns the run. */
  readonly config: string;
  /** When, with which versions and on which CPU the run was made. */
  readonly info: string;
  /** Append-only log of what happened. */
  readonly events: string;
  /** Written last of all: the run is complete; holds its summary. */
  readonly done: string;
  /** What resuming must know of the machine: the size of micro-batches after a lack of memory. */
  readonly engine: string;
  /** What the run has spent, where it has a budget: tokens and seconds over all its resumptions. */
  readonly spent: string;
  /** How far the phase in progress is (progress.ts); only while the run goes. */
  readonly progress: string;
  /** Each iteration's Solver on each iteration's questions, where it was measured. */
  readonly matrix: string;
  /** Where the run is tracked and how much of its events is there; absent when it is not. */
  readonly tracking: string;
  /** Process that works on the run right now. */
  readonly lock: string;
}

export function runLayout(root: string, name: string): RunLayout {
  const dir = join(root, checkRunName(name));
  return {
    name,
    dir,
    config: join(dir, "config.yaml"),
    info: join(dir, "run.json"),
    events: join(dir, "events.jsonl"),
    done: join(dir, "done.json"),
    engine: join(dir, "engine.json"),
    spent: join(dir, "spent.json"),
    progress: join(dir, "progress.json"),
    matrix: join(dir, "matrix.json"),
    tracking: join(dir, "mlflow.json"),
    lock: join(dir, "lock.json"),
  };
}

/** Paths of one phase of one iteration. */
export interface PhaseLayout {
  readonly dir: string;
  /** Written last: the phase is complete. */
  readonly done: string;
  /** Questions of the phase, one per line. */
  readonly questions: string;
  /** Step metrics, one line per step. */
  readonly metrics: string;
  /** The policy after the phase, a Hugging Face directory. */
  readonly model: string;
  /** Resumable trainer state (weights in f32, moments, step count). */
  readonly state: string;
  /** Completions of the steps in flight (rollout/journal.ts), one file per sampling call. */
  readonly journal: string;
  /** Training checkpoints of the phase, one directory per optimizer step. */
  readonly checkpoints: string;
  /** Graded answers of an evaluation phase, held-out votes of a guard phase, one question per line. */
  readonly answers: string;
  /** Rollouts that a training phase learnt from, one file per step (rollout/archive.ts). */
  readonly rollouts: string;
  /** What is true of the phase's questions, where an oracle knows; for reports alone. */
  readonly truths: string;
}

/** The archived rollouts of one step, from 1, in the phase's directory of them. */
export function rolloutFile(dir: string, step: number): string {
  return join(dir, `step-${String(step).padStart(6, "0")}.jsonl`);
}

export function phaseLayout(run: RunLayout, iteration: number, phase: Phase): PhaseLayout {
  const dir = join(run.dir, iterationDirName(iteration), phase);
  return {
    dir,
    done: join(dir, "done.json"),
    questions: join(dir, "questions.jsonl"),
    metrics: join(dir, "metrics.jsonl"),
    model: join(dir, "model"),
    state: join(dir, "state"),
    journal: join(dir, "journal"),
    checkpoints: join(dir, "checkpoints"),
    answers: join(dir, "answers.jsonl"),
    rollouts: join(dir, "rollouts"),
    truths: join(dir, "truths.jsonl"),
  };
}
