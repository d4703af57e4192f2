// The Sampler over a pool of endpoints: splits a call into requests and puts the answers back in order. With our own servers a completion
// depends on (seed, prompt, sample index) alone, as the contract says; other servers promise no such thing, and the seeds they get make
// it likely at best.

import type { Spend } from "../../metered.ts";
import type { Completion, Progress, Prompt, Sampler, SamplingParams } from "../../types.ts";
import type { EndpointPool } from "./pool.ts";
import type { Weights } from "./weights.ts";
import type { Draw } from "./wire.ts";

/** See the file header. `samplesPerRequest` bounds how many completions one request asks for. */
export class PoolSampler implements Sampler {
  /** The slowest completions of a call leave most endpoints without work. */
  readonly overlap = 2;
  readonly #pool: EndpointPool;
  readonly #weights: Weights;
  readonly #samplesPerRequest: number;
  readonly #spend: Spend;

  constructor(pool: EndpointPool, weights: Weights, samplesPerRequest: number, spend: Spend = () => {}) {
    this.#pool = pool;
    this.#weights = weights;
    this.#samplesPerRequest = samplesPerRequest;
    this.#spend = spend;
  }

  async sample(prompts: readonly Prompt[], params: SamplingParams, on?: Progress): Promise<Completion[][]> {
    const found = prompts.map(() => new Array<Completion>(params.n));
    const begin = params.firstSample ?? 0;
    const pieces: { prompt: number; at: number; draw: Draw }[] = [];
    prompts.forEach(({ tokens }, prompt) => {
      for (let at = 0; at < params.n; at += this.#samplesPerRequest) {
        const n = Math.min(this.#samplesPerRequest, params.n - at);
        pieces.push({ prompt, at, draw: { prompt: tokens, first: begin + at, n, params } });
      }
    });
    let done = 0;
    let tokens = 0;
    const total = prompts.length * params.n;
    const take = (index: number, completions: readonly Completion[]) => {
      const { prompt, at } = pieces[index];
      const before = tokens;
      completions.forEach((completion, k) => {
        found[prompt][at + k] = completion;
        tokens += completion.tokens.length;
      });
      this.#spend({ prompt: prompts[prompt].tokens.length, sample: tokens - before, train: 0 });
      done += completions.length;
      on?.(done, total, tokens);
    };
    await this.#pool.run(
      pieces.map(({ draw }) => draw),
      this.#weights,
      take,
    );
    return found;
  }
}
