// The engine of a run: the one that trains, and before it the servers that answer for frozen roles, where the recipe names some.
// Knows the configuration; the engines come from engine/create.ts.

import type { Config } from "../config/schema.ts";
import { createSampledEngine } from "../engine/create.ts";
import { readModelConfig } from "../engine/rates.ts";
import type { Engine } from "../engine/types.ts";
import { withEngine } from "./engine.ts";
import { say } from "./output.ts";
import { benchSizes } from "./plan.ts";
import { frozenContext } from "./workload.ts";

/** Runs `use` with the engine of a run on the base model in `baseDir`. Errors: those of the engine; ConfigError for a wrong server. */
export function withRunEngine<T>(
  config: Config,
  baseDir: string,
  maxTokensPerMicroBatch: number,
  use: (engine: Engine) => Promise<T>,
): Promise<T> {
  return withEngine({ ...config.engine, maxTokensPerMicroBatch }, use, async (engine) => {
    if (config.sampler === undefined) return engine;
    const { maxPositions, vocabSize } = readModelConfig(baseDir);
    return createSampledEngine(engine, config.sampler, {
      baseDir,
      vocabSize,
      context: frozenContext(config, benchSizes(config), maxPositions),
      env: process.env,
      say: (line) => say(`sampler: ${line}`),
    });
  });
}
