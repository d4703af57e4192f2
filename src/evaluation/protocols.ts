// How often and at which temperature each benchmark is asked. `paper`: greedy pass@1, and mean@32 for AMC and AIME (R-Zero, section
// 4.1). `sampled`: mean@k and pass@k at a stated temperature. Knows no model.
// Departures from the released code: its 32 copies run at temperature 0, so that they are one answer; ours are drawn.

import { ConfigError } from "../util/errors.ts";
import type { BenchmarkSource } from "./catalogue.ts";

/** Names of the protocols. */
export const PROTOCOLS = ["paper", "sampled"] as const;
export type ProtocolName = (typeof PROTOCOLS)[number];

/** How one benchmark is asked. */
export interface SamplingPlan {
  /** Answers per question. */
  readonly samples: number;
  /** 0 is greedy. */
  readonly temperature: number;
}

/** What the user asked for; absent is the protocol's own. */
export interface AskedSampling {
  readonly samples?: number;
  readonly temperature?: number;
}

/** Temperature of drawn answers where none is asked for: that of R-Zero's own sampling. */
export const DEFAULT_TEMPERATURE = 1;

/** The plan of a benchmark; one without an entry in the table counts as pass@1 in `paper`. Errors: ConfigError. */
export function planFor(protocol: ProtocolName, source: BenchmarkSource | undefined, asked: AskedSampling): SamplingPlan {
  if (protocol === "sampled") {
    const samples = asked.samples ?? 1;
    return { samples, temperature: asked.temperature ?? (samples === 1 ? 0 : DEFAULT_TEMPERATURE) };
  }
  if (asked.samples !== undefined)
    throw new ConfigError("--samples: expected none with --protocol paper, which has its own. Use --protocol sampled.");
  if (source?.paperSamples !== 32) return { samples: 1, temperature: 0 };
  const temperature = asked.temperature ?? DEFAULT_TEMPERATURE;
  if (temperature === 0)
    throw new ConfigError(`--temperature: expected more than 0 for mean@32 of ${source.name}, got 0: 32 greedy answers are one.`);
  return { samples: 32, temperature };
}

/** The k of pass@k that are reported: powers of 2 below the number of samples, and that number. */
export function passCounts(samples: number): number[] {
  const counts = [];
  for (let k = 1; k < samples; k *= 2) counts.push(k);
  return [...counts, samples];
}
