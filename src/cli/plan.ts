// The plan of a run as the command line shows it: memory and time of each phase before anything is done, and the refusal of what does
// not fit. Knows the configuration; the figures come from engine/plan.ts.

import { freemem } from "node:os";
import type { Config } from "../config/schema.ts";
import { type PlanOptions, planRun, type RunPlan, type RunWork } from "../engine/plan.ts";
import { measureRates, readModelConfig, resolveFormats } from "../engine/rates.ts";
import { readBench } from "../evaluation/benchmarks.ts";
import { ConfigError } from "../util/errors.ts";
import { formatBytes, formatCount, formatDuration, formatTable } from "../util/format.ts";
import { type BenchSize, workOf } from "./workload.ts";

/** A plan, what it was made from, and what the machine has. */
export interface MachinePlan extends RunPlan {
  readonly model: string;
  readonly format: string;
  readonly threads: number;
  readonly gflops: number;
  readonly streamGBs: number;
  readonly freeBytes: number;
  readonly fits: boolean;
  /** Changes of the configuration that make it fit, or bring it nearest, with the memory they lead to; only when it does not fit. */
  readonly changes: readonly { readonly change: string; readonly peakBytes: number }[];
}

/** Plans a run of `config` on the model in `dir`. Takes up to half a second of measuring. Errors: DataError, EngineError. */
export function makePlan(config: Config, dir: string, model: string): MachinePlan {
  const modelConfig = readModelConfig(dir);
  const { engine } = config;
  if (engine.kind !== "local") throw new Error("internal: a plan of this machine for an engine elsewhere");
  const { threads, ...formats } = resolveFormats(engine);
  const options: PlanOptions = { ...engine, ...formats };
  const work = workOf(config, benchSizes(config), modelConfig.maxPositions);
  const rates = measureRates(modelConfig, formats.format, threads);
  const plan = planRun(modelConfig, options, work, rates);
  const freeBytes = availableBytes();
  const fits = plan.peakBytes <= freeBytes;
  const peakOf = (changed: PlanOptions) => planRun(modelConfig, changed, work, rates).peakBytes;
  const changes = fits ? [] : changesOf(options, work, peakOf);
  return { ...plan, model, format: formats.format, threads, ...rates, freeBytes, fits, changes };
}

/** The plan as text. */
export function describePlan(plan: MachinePlan): string {
  const { model, parameters, format, threads, freeBytes, peakBytes, seconds } = plan;
  const rows = plan.phases.map((phase) => [
    phase.times > 1 ? `${phase.name} ×${phase.times}` : phase.name,
    ...[phase.weights, phase.gradients, phase.optimizer, phase.copy, phase.activations, phase.cache, phase.total].map(
      formatBytes,
    ),
    formatCount(phase.tokens),
    formatDuration(phase.seconds),
  ]);
  const header = [
    "phase",
    "weights",
    "gradients",
    "optimizer",
    "state copy",
    "activations",
    "kv cache",
    "peak",
    "tokens ≤",
    "time ≤",
  ];
  return (
    `${model}: ${formatCount(parameters)} parameters, ${format}, ${threads} ${threads === 1 ? "thread" : "threads"}; ` +
    `needs ${formatBytes(peakBytes)} of ${formatBytes(freeBytes)} free, at most ${formatDuration(seconds)} if every text runs to its limit\n` +
    formatTable(header, rows)
  );
}

/** Refuses a plan that does not fit. Errors: ConfigError with the numbers and what to change. */
export function expectFit(plan: MachinePlan): void {
  if (plan.fits) return;
  const worst = plan.phases.reduce((most, phase) => (phase.total > most.total ? phase : most));
  const parts = (["weights", "gradients", "optimizer", "copy", "activations", "cache"] as const)
    .map((part) => `${part} ${formatBytes(worst[part])}`)
    .join(", ");
  const changes = plan.changes.map(({ change, peakBytes }) => `${change} (${formatBytes(peakBytes)})`).join(", ");
  throw new ConfigError(
    `memory: expected at most ${formatBytes(plan.freeBytes)}, which are free, got a plan of ${formatBytes(plan.peakBytes)} in phase ` +
      `${worst.name} (${parts}). ${changes ? `What brings it down: ${changes}.` : "Take a smaller model or another machine."}`,
  );
}

/** Each change alone and all together; those that help, the strongest first. */
function changesOf(options: PlanOptions, work: RunWork, peakOf: (options: PlanOptions) => number) {
  const now = peakOf(options);
  const longest = Math.max(...work.phases.map(({ training }) => (training ? training.promptTokens + training.newTokens : 0)));
  const rows = Math.max(longest, 1024);
  const single: [string, Partial<PlanOptions>][] = [
    ["engine.dtype=bf16", { format: "bf16" }],
    ["engine.lora.rank=16", { lora: options.lora ?? { rank: 16 } }],
    ["engine.optimizerDtype=bf16", { optimizerDtype: "bf16" }],
    ["engine.recompute=true", { recompute: true }],
    [`engine.maxTokensPerMicroBatch=${rows}`, { maxTokensPerMicroBatch: Math.min(rows, options.maxTokensPerMicroBatch) }],
    ["engine.slots=16", { slots: Math.min(16, options.slots) }],
  ];
  const each = single.map(([change, part]) => ({ change, peakBytes: peakOf({ ...options, ...part }) }));
  const helpful = each.filter(({ peakBytes }) => peakBytes < 0.98 * now).sort((a, b) => a.peakBytes - b.peakBytes);
  if (helpful.length < 2) return helpful;
  const parts = single.filter(([name]) => helpful.some(({ change }) => change === name)).map(([, part]) => part);
  const together = { change: "all of these", peakBytes: peakOf(Object.assign({}, options, ...parts)) };
  return [...helpful, together];
}

/** Questions of each benchmark and their mean length. */
export function benchSizes({ evaluation }: Config): BenchSize[] {
  return evaluation.benches.map(({ data }) => {
    const questions = readBench(data);
    const characters = questions.reduce((sum, { question }) => sum + question.length, 0) / Math.max(1, questions.length);
    return { questions: questions.length, characters };
  });
}

/** Memory that a process may still take: free, or held by caches that give way. */
function availableBytes(): number {
  return Math.max(freemem(), process.availableMemory?.() ?? 0);
}
