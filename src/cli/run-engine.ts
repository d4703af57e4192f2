// The engine of a run: the one that trains, and before it the servers that answer for frozen roles, where the recipe names some.
// Knows the configuration; the engines come from engine/create.ts.

import type { Config } from "../config/schema.ts";
import { createSampledEngine } from "../engine/create.ts";
import { meteredEngine } from "../engine/metered.ts";
import { readModelConfig } from "../engine/rates.ts";
import type { Engine } from "../engine/types.ts";
import type { Budget } from "./budget.ts";
import { withEngine } from "./engine.ts";
import { say } from "./output.ts";
import { benchSizes } from "./plan.ts";
import { frozenContext } from "./workload.ts";

/** Where a run is, and who hears what its engine finds out. */
export interface RunPlace {
  readonly baseDir: string;
  readonly runDir: string;
  readonly maxTokensPerMicroBatch: number;
  readonly report: (message: string) => void;
  /** Counts what is spent. */
  readonly budget?: Budget;
}

/** Runs `use` with the engine of a run on the base model in `baseDir`. Errors: those of the engine; ConfigError for a wrong server. */
export function withRunEngine<T>(
  config: Config,
  { baseDir, runDir, maxTokensPerMicroBatch, report, budget }: RunPlace,
  use: (engine: Engine) => Promise<T>,
): Promise<T> {
  const wrap = async (bare: Engine) => {
    const engine = budget === undefined ? bare : meteredEngine(bare, (tokens) => budget.spend("engine", tokens));
    if (config.sampler === undefined) return engine;
    const { maxPositions, vocabSize } = readModelConfig(baseDir);
    return createSampledEngine(engine, config.sampler, {
      baseDir,
      vocabSize,
      context: frozenContext(config, benchSizes(config), maxPositions),
      env: process.env,
      say: (line) => say(`sampler: ${line}`),
      spend: (tokens) => budget?.spend("sampler", tokens),
    });
  };
  const run = { runDir, longest: longestCompletion(config), report };
  return withEngine({ ...config.engine, maxTokensPerMicroBatch }, use, { run, wrap });
}

/** New tokens of the longest completion that a run asks for. */
function longestCompletion({ challenger, curriculum, solver, evaluation }: Config): number {
  const { sampling, solverSampling } = challenger;
  const all = [sampling, solverSampling, curriculum.sampling, curriculum.solverSampling, solver.sampling, evaluation];
  return Math.max(...all.map(({ maxTokens }) => maxTokens));
}
