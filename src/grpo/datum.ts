// Builds training sequences: prompt and completion in one, with per-token fields, and the weights that hold the loss mask
// and all normalisation. Knows no loss and no engine beyond the Datum type.
// Fields have N − 1 entries for N tokens: entry i belongs to tokens[i + 1], so the prompt's last entry is P − 2.

import type { Completion, Datum, Prompt } from "../engine/types.ts";

/** One rollout on its way to becoming a datum; its advantage is that of each of its tokens. */
export interface DatumInput {
  readonly prompt: Prompt;
  readonly completion: Pick<Completion, "tokens" | "logprobs">;
  readonly advantage: number;
}

/** How one optimizer step averages its loss; see normaliseWeights. */
export type LossNormalisation = "token-mean" | "sequence-mean" | "constant" | "micro-batch-mean";

/** The figures that some normalisations need. */
export interface NormalisationSizes {
  /** Longest completion in tokens, of `constant`. */
  readonly maxTokens?: number;
  /** Sequences per part, of `micro-batch-mean`. */
  readonly microBatch?: number;
}

/**
 * A datum with weight 1 on every completion token and 0 on the prompt. Errors: internal, when the prompt is empty (the
 * first token has no logprob), the completion is empty, or its logprobs do not match it.
 */
export function makeDatum({ prompt, completion, advantage }: DatumInput): Datum {
  const [prompted, sampled, logprobs] = [prompt.tokens.length, completion.tokens.length, completion.logprobs.length];
  if (prompted === 0 || sampled === 0 || logprobs !== sampled)
    throw new Error(`internal: datum of ${prompted} prompt and ${sampled} completion tokens with ${logprobs} logprobs`);
  const tokens = new Int32Array(prompted + sampled);
  tokens.set(prompt.tokens);
  tokens.set(completion.tokens, prompted);
  const first = prompted - 1;
  const field = () => new Float32Array(tokens.length - 1);
  const samplingLogprobs = field();
  samplingLogprobs.set(completion.logprobs, first);
  return { tokens, weights: field().fill(1, first), advantages: field().fill(advantage, first), samplingLogprobs };
}

/** The datum with the reference model's logprobs, as a Scorer returned them for it. */
export function attachReference(datum: Datum, referenceLogprobs: Float32Array): Datum {
  if (referenceLogprobs.length !== datum.tokens.length - 1)
    throw new Error(`internal: ${referenceLogprobs.length} reference logprobs for ${datum.tokens.length} tokens`);
  return { ...datum, referenceLogprobs };
}

/** Tokens with a weight. */
export function countTrainedTokens(datum: Pick<Datum, "weights">): number {
  let count = 0;
  for (const weight of datum.weights) if (weight !== 0) count++;
  return count;
}

/**
 * Scales the weights so that the summed loss of all these data is a mean. Call it once with everything of one optimizer
 * step, before splitting into micro-batches. `token-mean`: weights sum to 1 over the step. `sequence-mean`: each sequence
 * with any weight sums to 1 / number of such sequences. `constant`: divided by such sequences × maxTokens (Dr. GRPO, 2503.20783: no
 * sequence counts less for being long). `micro-batch-mean`: token mean in each run of `microBatch` sequences, then the mean of those
 * (released). Relative weights within a sequence are kept. Weights must be ≥ 0. Errors: internal, without the size that is needed.
 */
export function normaliseWeights(data: readonly Datum[], mode: LossNormalisation, sizes: NormalisationSizes = {}): Datum[] {
  const sums = data.map(({ weights }) => weights.reduce((sum, weight) => sum + weight, 0));
  const divisors = divisorsOf(sums, mode, sizes);
  return data.map((datum, index) => {
    const divisor = divisors[index];
    return divisor > 0 ? { ...datum, weights: datum.weights.map((weight) => weight / divisor) } : datum;
  });
}

/** What each sequence's weights are divided by, from their sums. */
function divisorsOf(sums: readonly number[], mode: LossNormalisation, { maxTokens, microBatch }: NormalisationSizes): number[] {
  const sequences = sums.filter((sum) => sum > 0).length;
  switch (mode) {
    case "token-mean": {
      const total = sums.reduce((sum, value) => sum + value, 0);
      return sums.map(() => total);
    }
    case "sequence-mean":
      return sums.map((sum) => sum * sequences);
    case "constant": {
      if (maxTokens === undefined) throw new Error("internal: loss normalisation constant needs maxTokens");
      return sums.map(() => maxTokens * sequences);
    }
    case "micro-batch-mean": {
      if (microBatch === undefined) throw new Error("internal: loss normalisation micro-batch-mean needs microBatch");
      const parts = Array.from({ length: Math.ceil(sums.length / microBatch) }, (_, part) =>
        sums.slice(part * microBatch, (part + 1) * microBatch).reduce((sum, value) => sum + value, 0),
      );
      const filled = parts.filter((sum) => sum > 0).length;
      return sums.map((_, index) => parts[Math.floor(index / microBatch)] * filled);
    }
  }
}
