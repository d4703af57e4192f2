// `rzero run --plan`: tokens, dollars and GPU-hours of each phase before anything is spent. Knows the configuration; the figures come
// from engine/cost.ts.

import { existsSync } from "node:fs";
import type { Config } from "../config/schema.ts";
import { costOf, GPU_ASSUMPTIONS, type PhaseCost, type RunCost } from "../engine/cost.ts";
import { type ModelSize, sizeOfModel, sizeOfPublished } from "../engine/known-models.ts";
import { formatCount, formatDuration, formatTable } from "../util/format.ts";
import { pricesOf } from "./budget.ts";
import { resolveModel } from "./model-ref.ts";
import { benchSizes, describePlan, type MachinePlan, makePlan } from "./plan.ts";
import { BASE_EVALUATION, workOf } from "./workload.ts";

/** The cost of a run and what it is of. */
export interface CostPlan extends RunCost {
  readonly model: string;
  /** Memory and measured times, where this machine is the one that trains and has the model. */
  readonly machine?: MachinePlan;
  readonly parameters: number;
  readonly assumptions: typeof GPU_ASSUMPTIONS;
}

/** Costs of a run of `config`; a published base model need not be there yet. Errors: ConfigError (an unknown model), DataError. */
export function makeCostPlan(config: Config, runs?: string): CostPlan {
  const size = sizeOfBase(config.base, runs);
  const work = workOf(config, benchSizes(config), size.maxPositions);
  const cost = costOf(work, size.parameters, (phase) => isPooled(config, phase.name), pricesOf(config));
  const machine = config.engine.kind === "local" && size.dir !== undefined ? makePlan(config, size.dir, config.base) : undefined;
  return { ...cost, model: config.base, parameters: size.parameters, assumptions: GPU_ASSUMPTIONS, ...(machine && { machine }) };
}

/** Whether servers answer for the frozen roles of a phase: those that get no new weights know the base model alone. */
function isPooled({ sampler }: Config, phase: string): boolean {
  return sampler !== undefined && (sampler.update !== "none" || phase === BASE_EVALUATION);
}

function sizeOfBase(base: string, runs?: string): ModelSize & { readonly dir?: string } {
  const published = existsSync(base) ? undefined : sizeOfPublished(base);
  if (published !== undefined) return published;
  const { dir } = resolveModel(base, runs);
  return { ...sizeOfModel(dir), dir };
}

/** The plan as text. */
export function describeCost(plan: CostPlan, config: Config): string {
  const pooled = config.sampler !== undefined;
  const priced = plan.usd !== undefined;
  const row = ({ name, times, engine, sampler, usd = 0, gpuHours }: PhaseCost) => [
    times > 1 ? `${name} ×${times}` : name,
    ...[engine.prompt, engine.sample, engine.train].map(formatCount),
    ...(pooled ? [sampler.prompt, sampler.sample].map(formatCount) : []),
    ...(priced ? [`$${usd.toFixed(2)}`] : []),
    hours(gpuHours),
  ];
  const header = [
    "phase",
    "prompt ≤",
    "sampled ≤",
    "trained ≤",
    ...(pooled ? ["servers: prompt ≤", "sampled ≤"] : []),
    ...(priced ? ["cost ≤"] : []),
    "GPU time ≤",
  ];
  const { gpu, peakTflops, prompt, sample, train } = plan.assumptions;
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const price = priced ? `, $${plan.usd?.toFixed(2)} at the prices of the configuration` : "";
  return (
    `${plan.machine ? `${describePlan(plan.machine)}\n\n` : ""}${plan.model}, ${formatCount(plan.parameters)} parameters: at most ${formatCount(plan.tokens)} tokens${price}, ${hours(plan.gpuHours)} of one GPU, ` +
    "if every text runs to its limit\n" +
    `${formatTable(header, plan.phases.map(row))}\n` +
    `GPU time is an assumption, not a measurement: one ${gpu} of ${peakTflops} TFLOP/s in bf16, of which reading prompts reaches ` +
    `${percent(prompt)}, sampling ${percent(sample)} and training ${percent(train)}; loading weights and waiting are not in it.`
  );
}

function hours(value: number): string {
  return formatDuration(3600 * value);
}
