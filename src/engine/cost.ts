// What the phases of a run will cost: tokens by what is done with them, dollars where prices are given, GPU-hours under assumptions that
// are stated wherever the figure is. Pure; upper bounds, as all of plan.ts: every text is taken to run to its limit.

import type { TokenCounts } from "./metered.ts";
import type { PhaseWork, RunWork } from "./plan.ts";

/** US dollars per million tokens. */
export interface Pricing {
  readonly prompt: number;
  readonly sample: number;
  readonly train: number;
}

/** Who does the work: the engine that trains, and servers that answer for frozen roles. */
export interface Prices {
  readonly engine?: Pricing;
  readonly sampler?: Pricing;
}

/** One phase, as often as it happens. */
export interface PhaseCost {
  readonly name: string;
  readonly times: number;
  readonly engine: TokenCounts;
  readonly sampler: TokenCounts;
  /** Absent without prices. */
  readonly usd?: number;
  readonly gpuHours: number;
}

/** All phases. */
export interface RunCost {
  readonly phases: readonly PhaseCost[];
  readonly tokens: number;
  readonly usd?: number;
  readonly gpuHours: number;
}

/** What GPU-hours assume; ours, not measured. Source of the peak: NVIDIA's data sheet of the H100 SXM, bf16 without sparsity. */
export const GPU_ASSUMPTIONS = { gpu: "H100 or H200 SXM", peakTflops: 989, prompt: 0.4, sample: 0.1, train: 0.35 } as const;

const NONE: TokenCounts = { prompt: 0, sample: 0, train: 0 };

/** Costs of a run's work. `pooled` says in which phases frozen roles are answered by servers. `parameters`: of the model. */
export function costOf(work: RunWork, parameters: number, pooled: (phase: PhaseWork) => boolean, prices: Prices): RunCost {
  const phases = work.phases.map((phase) => costOfPhase(phase, parameters, pooled(phase), prices));
  const priced = prices.engine !== undefined || prices.sampler !== undefined;
  return {
    phases,
    tokens: phases.reduce((sum, { engine, sampler }) => sum + totalOf(engine) + totalOf(sampler), 0),
    ...(priced && { usd: phases.reduce((sum, { usd = 0 }) => sum + usd, 0) }),
    gpuHours: phases.reduce((sum, { gpuHours }) => sum + gpuHours, 0),
  };
}

/** All tokens together. */
export function totalOf({ prompt, sample, train }: TokenCounts): number {
  return prompt + sample + train;
}

/** The sum of two. */
export function addTokens(a: TokenCounts, b: TokenCounts): TokenCounts {
  return { prompt: a.prompt + b.prompt, sample: a.sample + b.sample, train: a.train + b.train };
}

/** Dollars of tokens; 0 without a price. */
export function usdOf(tokens: TokenCounts, price: Pricing | undefined): number {
  if (price === undefined) return 0;
  return (tokens.prompt * price.prompt + tokens.sample * price.sample + tokens.train * price.train) / 1e6;
}

function costOfPhase(phase: PhaseWork, parameters: number, pooled: boolean, prices: Prices): PhaseCost {
  let [engine, sampler] = [NONE, NONE];
  for (const { calls, prompts, completions, promptTokens, newTokens, frozen } of phase.sampling) {
    const drawn = { prompt: calls * prompts * promptTokens, sample: calls * completions * newTokens, train: 0 };
    if (pooled && frozen) sampler = addTokens(sampler, drawn);
    else engine = addTokens(engine, drawn);
  }
  if (phase.training) {
    const { steps, rollouts, promptTokens, newTokens, reference } = phase.training;
    const all = steps * rollouts * (promptTokens + newTokens);
    engine = addTokens(engine, { prompt: reference ? all : 0, sample: 0, train: all });
  }
  const times = (counts: TokenCounts): TokenCounts => ({
    prompt: phase.times * counts.prompt,
    sample: phase.times * counts.sample,
    train: phase.times * counts.train,
  });
  const [byEngine, bySampler] = [times(engine), times(sampler)];
  const priced = prices.engine !== undefined || prices.sampler !== undefined;
  return {
    name: phase.name,
    times: phase.times,
    engine: byEngine,
    sampler: bySampler,
    ...(priced && { usd: usdOf(byEngine, prices.engine) + usdOf(bySampler, prices.sampler) }),
    gpuHours: gpuHoursOf(addTokens(byEngine, bySampler), parameters),
  };
}

/** Two operations per parameter and token forward, four more backward. */
function gpuHoursOf({ prompt, sample, train }: TokenCounts, parameters: number): number {
  const { peakTflops, ...shares } = GPU_ASSUMPTIONS;
  const work = (2 * prompt) / shares.prompt + (2 * sample) / shares.sample + (6 * train) / shares.train;
  return (work * parameters) / (1e12 * peakTflops) / 3600;
}
