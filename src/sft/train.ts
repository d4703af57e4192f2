// Supervised fine-tuning through a Trainer: weighted negative log-likelihood of given tokens. Also makes the embedded base
// model. Knows examples and a Trainer; no files, no roles. Normalisation enters as datum weights, as everywhere.

import type { AdamWParams, Datum, LossFn, Trainer } from "../engine/types.ts";
import { DataError, InterruptedError } from "../util/errors.ts";
import { rngFrom } from "../util/rng.ts";
import type { Example } from "./examples.ts";
import { type Batching, batchesOf, type RateSchedule, rateAt } from "./schedule.ts";

export interface SftOptions {
  readonly trainer: Trainer;
  readonly examples: readonly Example[];
  readonly batching: Batching;
  /** Optimizer steps; passes over the data are repeated, each in its own order, until they are done. */
  readonly steps: number;
  /**
   * `batch`: each step's loss is divided by its own total weight. `constant`: by the same number each step (the mean total
   * weight), so that every token counts alike, whatever shares its step; a per-batch mean over-weights short batches.
   */
  readonly normalise: "batch" | "constant";
  readonly schedule: RateSchedule;
  readonly optimizer: Omit<AdamWParams, "learningRate">;
  readonly seed: number;
  readonly on?: (step: SftStep) => void;
  readonly signal?: AbortSignal;
}

/** One optimizer step. */
export interface SftStep {
  /** 1-based. */
  readonly step: number;
  readonly steps: number;
  /** Weighted mean of −logprob over the trained tokens of the batch, in nats, before the step. */
  readonly loss: number;
  /** Global gradient norm before clipping. */
  readonly gradNorm: number;
  readonly lr: number;
  /** Tokens of the batch. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
}

/** Loss −Σ w·logprob; all normalisation is in the weights. */
export const negativeLogLikelihood: LossFn = (logprobs, { weights }) => {
  let loss = 0;
  const dLogprobs = new Float32Array(logprobs.length);
  for (let i = 0; i < logprobs.length; i++) {
    if (weights[i] === 0) continue;
    loss -= weights[i] * logprobs[i];
    dLogprobs[i] = -weights[i];
  }
  return { loss, dLogprobs, metrics: {} };
};

/** Steps of one pass over the data. */
export function stepsPerEpoch(examples: readonly Example[], batching: Batching): number {
  return batchesOf(
    examples.map(({ tokens }) => tokens.length),
    batching,
    rngFrom(0),
  ).length;
}

/** Trains for `steps` steps. Errors: DataError when nothing is to be trained; InterruptedError; those of the Trainer. */
export async function trainSft(options: SftOptions): Promise<void> {
  const { trainer, examples, steps, schedule } = options;
  const weightOf_D = examples.map(({ weights_T }) => weights_T.reduce((sum, weight) => sum + weight, 0));
  const totalWeight = weightOf_D.reduce((sum, weight) => sum + weight, 0);
  if (totalWeight === 0)
    throw new DataError("sft: expected at least one token to train on, got none. Give completions of at least one token.");
  const constant = totalWeight / stepsPerEpoch(examples, options.batching);
  const batches = batchStream(options);
  for (let step = 1; step <= steps; step++) {
    if (options.signal?.aborted) throw new InterruptedError("sft: interrupted; nothing was written.");
    const started = performance.now();
    const batch = batches.next().value;
    const batchWeight = batch.reduce((sum, index) => sum + weightOf_D[index], 0);
    const divisor = options.normalise === "constant" ? constant : Math.max(batchWeight, Number.MIN_VALUE);
    const data = batch.map((index) => datumOf(examples[index], divisor)).filter(({ tokens }) => tokens.length > 1);
    const { loss } = data.length > 0 ? await trainer.forwardBackward(data, negativeLogLikelihood) : { loss: 0 };
    const lr = rateAt(step, steps, schedule);
    const { gradNorm } = await trainer.optimStep({ ...options.optimizer, learningRate: lr });
    const tokens = batch.reduce((sum, index) => sum + examples[index].tokens.length, 0);
    const tokensPerSecond = tokens / ((performance.now() - started) / 1000);
    options.on?.({
      step,
      steps,
      loss: batchWeight > 0 ? (loss * divisor) / batchWeight : 0,
      gradNorm,
      lr,
      tokens,
      tokensPerSecond,
    });
  }
}

/** Batches without end: one pass after the other, each shuffled by (seed, pass). */
function* batchStream({ examples, batching, seed }: SftOptions): Generator<number[], never> {
  const lengths = examples.map(({ tokens }) => tokens.length);
  for (let epoch = 0; ; epoch++) yield* batchesOf(lengths, batching, rngFrom(seed, "sft", epoch));
}

function datumOf({ tokens, weights_T }: Example, divisor: number): Datum {
  return { tokens, weights: weights_T.map((weight) => weight / divisor) };
}
