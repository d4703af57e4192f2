// Opens the engine for one command and closes it whatever happens.

import type { EngineConfig } from "../config/schema.ts";
import { configSchema } from "../config/schema.ts";
import { createEngine } from "../engine/create.ts";
import type { Engine, Snapshot, Tokenizer } from "../engine/types.ts";

/** Engine options of commands that have no recipe. */
export interface EngineOptions {
  readonly threads?: number | "auto";
}

/** The default engine configuration with a command's options. */
export function engineConfig({ threads }: EngineOptions): EngineConfig {
  const { engine } = configSchema.parse({});
  return threads === undefined ? engine : { ...engine, threads };
}

/** Runs `use` with an engine. Errors: those of the engine. */
export async function withEngine<T>(config: EngineConfig, use: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = await createEngine(config);
  try {
    return await use(engine);
  } finally {
    await engine.dispose();
  }
}

/** Runs `use` with frozen weights and their tokenizer. */
export async function withSnapshot<T>(
  dir: string,
  options: EngineOptions,
  use: (snapshot: Snapshot, tokenizer: Tokenizer) => Promise<T>,
): Promise<T> {
  return withEngine(engineConfig(options), async (engine) => {
    const tokenizer = await engine.openTokenizer(dir);
    const snapshot = await engine.openSnapshot(dir);
    try {
      return await use(snapshot, tokenizer);
    } finally {
      await snapshot.dispose();
    }
  });
}
