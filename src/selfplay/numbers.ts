// Bad numbers in training: which gradient norm is a spike, and how many skipped updates in a row are too many.
// Source of the rule: z-score of the norm over the phase's last applied updates, as in PaLM's and OLMo's handling of spikes.

import type { SafetyConfig } from "../config/schema.ts";

type NumbersConfig = SafetyConfig["numbers"];

/** Applied norms that the rule looks back on, and the fewest that it judges by. */
export const NORM_WINDOW = 50;
const FEWEST_NORMS = 10;

/** Largest norm of an update now, from the last applied ones; Infinity while the rule is off or knows too few. */
export function largestNorm(norms: readonly number[], { spikeZScore }: NumbersConfig): number {
  if (spikeZScore === 0 || norms.length < FEWEST_NORMS) return Number.POSITIVE_INFINITY;
  const mean = norms.reduce((sum, norm) => sum + norm, 0) / norms.length;
  const variance = norms.reduce((sum, norm) => sum + (norm - mean) ** 2, 0) / (norms.length - 1);
  return mean + spikeZScore * Math.sqrt(variance);
}
