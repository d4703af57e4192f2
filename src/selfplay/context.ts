// What every phase works with, and the small conventions they share: seeds, sampling parameters, interruption.

import type { Config, OptimizerConfig, SamplingConfig } from "../config/schema.ts";
import type { Oracle } from "../curriculum/audit.ts";
import type { AdamWParams, Engine, Progress, SamplingParams, Snapshot, Tokenizer, Trainer } from "../engine/types.ts";
import type { BenchQuestion } from "../evaluation/benchmarks.ts";
import type { EventLog } from "../store/event-log.ts";
import type { ProgressEvent, RunEvent } from "../store/events.ts";
import type { Phase, Role } from "../store/layout.ts";
import type { ProgressFile } from "../store/progress.ts";
import type { RunStore } from "../store/run-store.ts";
import { InterruptedError } from "../util/errors.ts";
import { rngFrom } from "../util/rng.ts";
import type { VerifierPool } from "./verifier-pool.ts";

/** A benchmark with its questions in memory. */
export interface LoadedBench {
  readonly name: string;
  readonly questions: readonly BenchQuestion[];
}

/** The end of a training phase, as a place that a policy may start from. */
export interface Standpoint {
  readonly iteration: number;
  readonly role: Role;
}

export interface LoopContext {
  readonly config: Config;
  readonly store: RunStore;
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  readonly baseDir: string;
  /** The base model, frozen, where it is the reference model of a KL term. */
  readonly base: Snapshot | undefined;
  /** One and the same trainer where one model has both roles; replaced where a policy starts over from the base. */
  challenger: Trainer;
  readonly solver: Trainer;
  /** Finished phase that a policy stands after; without an entry it is the base model. */
  readonly stands: Map<Role, Standpoint>;
  /** Places that this process has rolled back from. */
  readonly rollbacks: Set<string>;
  readonly log: EventLog;
  readonly benches: readonly LoadedBench[];
  /** Questions of known answer for the audit of labels; nothing that trains may read them. */
  readonly probes: readonly BenchQuestion[];
  /** Judges answers in place of the majority, where the recipe has one. */
  readonly verifier: VerifierPool | undefined;
  /** Human questions of the recipe; empty without any. */
  readonly anchors: readonly BenchQuestion[];
  /** Known truth for reporting; nothing that trains may read it. */
  readonly oracle: Oracle | undefined;
  readonly live: ProgressFile;
  readonly emit: (event: RunEvent) => void;
  readonly progress: (event: ProgressEvent) => void;
  readonly signal: AbortSignal;
  /** What the user types to go on. */
  readonly resumeCommand: string;
}

/** A sampling seed that is a pure function of the run's seed and a path such as ("solver", iteration, step). */
export function seedFor(config: Config, ...path: readonly (string | number)[]): number {
  return rngFrom(config.seed, ...path).int(2 ** 48);
}

/** Sampling parameters of a configuration block; `forcedPrefix` is what every completion begins with. */
export function samplingParams(
  { tokenizer }: LoopContext,
  sampling: SamplingConfig,
  n: number,
  seed: number,
  forcedPrefix?: string,
): SamplingParams {
  const params = { ...sampling, n, seed, stopTokens: tokenizer.stopTokens };
  return forcedPrefix === undefined ? params : { ...params, forcedPrefix: [...tokenizer.encode(forcedPrefix)] };
}

/** Reports how far one sampling call is. */
export function reporter(context: LoopContext, iteration: number, phase: Phase, activity: string): Progress {
  return (done, total, tokens) => context.progress({ event: "progress", iteration, phase, activity, done, total, tokens });
}

export function adamW({ learningRate, beta1, beta2, epsilon, weightDecay, clipNorm }: OptimizerConfig): AdamWParams {
  return { learningRate, beta1, beta2, epsilon, weightDecay, clipNorm };
}

/** Stops the phase where it stands when the user asked to. Errors: InterruptedError. */
export function checkInterrupted(context: LoopContext): void {
  if (context.signal.aborted)
    throw new InterruptedError(
      `run ${context.store.name}: interrupted; what is finished is saved. Go on with: ${context.resumeCommand}`,
    );
}

/** Runs `use` with a frozen copy of the policy, to the bit, and frees the copy afterwards: for rollouts and references. */
export async function withSnapshot<T>(policy: Trainer, use: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  return useAndFree(await policy.snapshot(), use);
}

/** As `withSnapshot` where the policy only answers and nothing trains on what it says: in the engine's format for frozen roles. */
export async function withFrozen<T>(policy: Trainer, use: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  return useAndFree(await policy.snapshot({ precision: "frozen" }), use);
}

/** The base model as `withFrozen`. */
export async function withFrozenBase<T>(context: LoopContext, use: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  return useAndFree(await context.engine.openSnapshot(context.baseDir, { precision: "frozen" }), use);
}

async function useAndFree<T>(snapshot: Snapshot, use: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  try {
    return await use(snapshot);
  } finally {
    await snapshot.dispose();
  }
}

/** Runs `use` with the phase's reference model; undefined when the KL term is off. */
export async function withReference<T>(
  context: LoopContext,
  policy: Trainer,
  grpo: Config["solver"]["grpo"],
  use: (reference: Snapshot | undefined) => Promise<T>,
): Promise<T> {
  if (grpo.klWeight === 0) return use(undefined);
  if (grpo.reference === "phase-start") return withSnapshot(policy, use);
  if (context.base === undefined) throw new Error("internal: the base model is the reference and was not opened");
  return use(context.base);
}

/** Mean of the values; 0 of none. */
export function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
