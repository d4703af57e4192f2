// Opens the engine for one command and closes it whatever happens.

import type { LORA_TARGETS } from "../config/defaults.ts";
import type { EngineConfig, LocalEngineConfig } from "../config/schema.ts";
import { configSchema } from "../config/schema.ts";
import { createEngine, type EngineRun } from "../engine/create.ts";
import type { Engine, Snapshot, Tokenizer } from "../engine/types.ts";
import { ConfigError } from "../util/errors.ts";
import type { DTypeOption } from "./options.ts";

/** Engine options of commands that have no recipe. */
export interface EngineOptions {
  readonly threads?: number | "auto";
  /** int8 is for frozen weights alone. */
  readonly dtype?: DTypeOption;
  readonly recompute?: boolean;
  /** Train an adapter of this rank; the rest of its shape is optional. */
  readonly loraRank?: number;
  readonly loraAlpha?: number;
  readonly loraTargets?: (typeof LORA_TARGETS)[number][];
  readonly seed?: number;
}

/** The default engine configuration with a command's options. */
export function engineConfig(options: EngineOptions): LocalEngineConfig {
  const { threads, dtype, recompute, loraRank, loraAlpha, loraTargets, seed } = options;
  if (loraRank === undefined && (loraAlpha !== undefined || loraTargets !== undefined))
    throw new ConfigError("expected --lora-rank beside --lora-alpha and --lora-targets, got none.");
  const lora =
    loraRank === undefined ? undefined : { rank: loraRank, alpha: loraAlpha ?? 2 * loraRank, targets: loraTargets, seed };
  const engine = configSchema.parse({ engine: { kind: "local", lora } }).engine as LocalEngineConfig;
  return {
    ...engine,
    threads: threads ?? engine.threads,
    recompute: recompute ?? engine.recompute,
    ...(dtype === "int8" ? { frozenDtype: dtype } : { dtype: dtype ?? engine.dtype }),
  };
}

/** What `withEngine` may be told. */
export interface EngineUse {
  /** What a run tells its engine. */
  readonly run?: EngineRun;
  /** What `use` gets in place of the engine. */
  readonly wrap?: (engine: Engine) => Promise<Engine>;
}

/** Runs `use` with an engine. Errors: those of the engine. */
export async function withEngine<T>(
  config: EngineConfig,
  use: (engine: Engine) => Promise<T>,
  { run, wrap = async (engine) => engine }: EngineUse = {},
): Promise<T> {
  let engine = createEngine(config, run);
  try {
    engine = await wrap(engine);
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
    const snapshot = await engine.openSnapshot(dir, { precision: "frozen" });
    try {
      return await use(snapshot, tokenizer);
    } finally {
      await snapshot.dispose();
    }
  });
}
