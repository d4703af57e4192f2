// Counts the tokens that pass through an engine: read as prompts, sampled, trained on. Changes nothing of what it does.
// Knows no prices and no limits.

import type { Engine, Prompt, Snapshot, Trainer } from "./types.ts";

/** Tokens by what was done with them. A prompt counts once per call, however many completions it gets. */
export interface TokenCounts {
  readonly prompt: number;
  readonly sample: number;
  readonly train: number;
}

/** Told of tokens as they are used. */
export type Spend = (tokens: TokenCounts) => void;

/** `engine`, with every token told to `spend`. */
export function meteredEngine(engine: Engine, spend: Spend): Engine {
  return {
    openSnapshot: async (dir, options) => meteredSnapshot(await engine.openSnapshot(dir, options), spend),
    openTrainer: async (dir) => meteredTrainer(await engine.openTrainer(dir), spend),
    openTokenizer: (dir) => engine.openTokenizer(dir),
    dispose: () => engine.dispose(),
  };
}

function meteredSnapshot(snapshot: Snapshot, spend: Spend): Snapshot {
  const { openLive } = snapshot;
  return {
    overlap: snapshot.overlap,
    sample: async (prompts, params, on) => {
      const groups = await snapshot.sample(prompts, params, on);
      spend({ prompt: tokensOf(prompts), sample: groups.reduce((sum, group) => sum + tokensOf(group), 0), train: 0 });
      return groups;
    },
    logprobs: async (data) => {
      const scores = await snapshot.logprobs(data);
      spend({ prompt: tokensOf(data), sample: 0, train: 0 });
      return scores;
    },
    ...(openLive && { openLive: (options) => openLive.call(snapshot, options) }),
    dispose: () => snapshot.dispose(),
  };
}

function meteredTrainer(trainer: Trainer, spend: Spend): Trainer {
  return new Proxy(trainer, {
    get: (target, name: keyof Trainer) => {
      if (name === "snapshot")
        return async (...call: Parameters<Trainer["snapshot"]>) => meteredSnapshot(await target.snapshot(...call), spend);
      if (name === "forwardBackward")
        return async (...call: Parameters<Trainer["forwardBackward"]>) => {
          const metrics = await target.forwardBackward(...call);
          spend({ prompt: 0, sample: 0, train: tokensOf(call[0]) });
          return metrics;
        };
      const value: unknown = target[name];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function tokensOf(items: readonly Pick<Prompt, "tokens">[]): number {
  return items.reduce((sum, { tokens }) => sum + tokens.length, 0);
}
