// A rollout and a group of them. A Group can only be built from one prompt, so advantages never mix prompts by accident.

import type { Completion, Prompt } from "../engine/types.ts";

/** A prompt, what was sampled for it, and its reward. */
export interface Rollout {
  readonly prompt: Prompt;
  readonly completion: Completion;
  readonly reward: number;
}

/** Rollouts of one prompt, the unit of group-relative advantages. */
export interface Group {
  readonly prompt: Prompt;
  readonly completions_G: readonly Completion[];
  readonly rewards_G: readonly number[];
}

/** Builds a group. Errors: internal, when a reward is missing or not finite. */
export function makeGroup(prompt: Prompt, completions_G: readonly Completion[], rewards_G: readonly number[]): Group {
  if (completions_G.length !== rewards_G.length || completions_G.length === 0)
    throw new Error(`internal: group of ${completions_G.length} completions with ${rewards_G.length} rewards`);
  const bad = rewards_G.findIndex((reward) => !Number.isFinite(reward));
  if (bad >= 0) throw new Error(`internal: reward ${bad} of a group is ${rewards_G[bad]}`);
  return { prompt, completions_G, rewards_G };
}
