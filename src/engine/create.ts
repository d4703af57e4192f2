// The only switch on an engine's kind. Knows which kinds there are, nothing of what they do.

import { availableParallelism } from "node:os";
import { ConfigError } from "../util/errors.ts";
import type { Pricing } from "./cost.ts";
import { bestFormat } from "./local/device/cpu/device.ts";
import { createLocalEngine } from "./local/engine.ts";
import type { LoraTarget } from "./local/lora.ts";
import { type SampledEngineOptions, type SamplerConfig, sampleElsewhere } from "./remote/openai/engine.ts";
import { createTinkerEngine, type TinkerEngineOptions } from "./remote/tinker/engine.ts";
import type { Engine } from "./types.ts";

/** The local engine's part of a configuration; see config/schema.ts for defaults and ranges. */
export interface LocalEngineConfig {
  readonly kind: "local";
  readonly pricing?: Pricing;
  readonly threads?: number | "auto";
  readonly slots?: number;
  readonly maxTokensPerMicroBatch?: number;
  readonly dtype?: "auto" | "f32" | "bf16";
  readonly frozenDtype?: "same" | "f32" | "bf16" | "int8";
  readonly optimizerDtype?: "f32" | "bf16";
  readonly recompute?: boolean | "auto";
  readonly lora?: {
    readonly rank: number;
    readonly alpha: number;
    readonly targets: readonly LoraTarget[];
    /** Seed of fresh adapters; default 0. */
    readonly seed?: number;
  };
}

/** The part of a configuration that names Tinker servers. */
export interface TinkerEngineConfig extends Omit<TinkerEngineOptions, "urls" | "lora" | RunOption> {
  readonly kind: "tinker";
  readonly pricing?: Pricing;
  readonly url: string | readonly string[];
  readonly lora: Omit<TinkerEngineOptions["lora"], "seed"> & { readonly seed?: number };
}

export type EngineConfig = LocalEngineConfig | TinkerEngineConfig;

type RunOption = "runDir" | "longest" | "report" | "clock" | "random";

/** What a run tells its engine beside the configuration. */
export type EngineRun = Pick<TinkerEngineOptions, "runDir" | "longest" | "report">;

/** In which format an engine of this configuration computes answers that nobody trains on, on this CPU. Errors: EngineError. */
export function answeringFormat({ dtype = "auto", frozenDtype = "same" }: LocalEngineConfig): "f32" | "bf16" | "int8" {
  if (frozenDtype !== "same") return frozenDtype;
  return dtype === "auto" ? bestFormat() : dtype;
}

/** Starts the engine that the configuration asks for. Errors: ConfigError (unknown kind), EngineError (it cannot start). */
export function createEngine(config: EngineConfig, run: EngineRun = {}): Engine {
  switch (config.kind) {
    case "local": {
      const { kind: _, lora, pricing: __, ...options } = config;
      const threads = config.threads === "auto" || config.threads === undefined ? availableParallelism() : config.threads;
      return createLocalEngine({ ...options, threads, lora: lora && { ...lora, seed: lora.seed ?? 0 } });
    }
    case "tinker": {
      const { kind: _, url, lora, pricing: __, ...options } = config;
      const urls = typeof url === "string" ? [url] : url;
      return createTinkerEngine({ ...options, ...run, urls, lora: { ...lora, seed: lora.seed ?? 0 } });
    }
    default:
      throw new ConfigError(`engine.kind: expected "local" or "tinker", got ${JSON.stringify((config as EngineConfig).kind)}.`);
  }
}

/**
 * Lets the servers of a configuration answer for the frozen snapshots of `engine`, which belongs to the result from then on.
 * Errors: ConfigError (a wrong kind, key, model, context or server), EngineError (no server can be reached).
 */
export async function createSampledEngine(engine: Engine, config: SamplerConfig, options: SampledEngineOptions): Promise<Engine> {
  if (config.kind === "openai") return sampleElsewhere(engine, config, options);
  throw new ConfigError(`sampler.kind: expected "openai", got ${JSON.stringify(config.kind)}.`);
}
