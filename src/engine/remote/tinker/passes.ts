// Training sequences as the Tinker protocol has them, and any loss as one that its servers know: the loss is computed here, from the
// logprobs of a `forward`, and its gradient dC/dlogprob is applied by a server-side loss whose own gradient is exactly that. Pure.
//   cross_entropy        −Σ w·lp with w = −dC/dlp, of either sign
//   importance_sampling  −Σ ρ·A with A = −dC/dlp and ρ = exp(lp − lp) = 1: the logprobs sent are those of the same weights
//   ppo                  the same: at ρ = 1 nothing is clipped
// Servers that average are made to sum: the values are multiplied by what the server will divide by.

import type { Tensors } from "../../../tinker-wire/tensor.ts";
import { floats, ints } from "../../../tinker-wire/tensor.ts";
import type { WireDatum } from "../../../tinker-wire/training.ts";
import type { Datum } from "../../types.ts";

/** The server-side loss that applies a gradient. */
export const GRADIENT_LOSSES = ["cross_entropy", "importance_sampling", "ppo"] as const;
export type GradientLoss = (typeof GRADIENT_LOSSES)[number];

/**
 * How a server brings the losses of tokens together, with `weights` of 1 on the trained ones: their sum; their mean over the request;
 * their mean over each sequence and then over the sequences.
 */
export const REDUCTIONS = ["sum", "token-mean", "sequence-mean"] as const;
export type Reduction = (typeof REDUCTIONS)[number];

/** How gradients are given to a server. */
export interface GradientForm {
  readonly loss: GradientLoss;
  readonly reduction: Reduction;
  /** Whether the server takes `mask`; see tinker-wire/protocol.ts. */
  readonly mask: boolean;
}

/** A sequence whose logprobs are wanted where its weights are not 0. */
export function forwardDatum({ tokens, weights }: Pick<Datum, "tokens" | "weights">, mask: boolean): WireDatum {
  const wanted = floats(maskOf(weights));
  return wireDatum(tokens, { weights: wanted, ...(mask ? { mask: wanted } : {}) });
}

/**
 * The sequences of one request that adds the gradient of Σ dLogprobs·lp. `logprobs` are those of the weights as they are; entries
 * without a weight are 0 in the result.
 */
export function gradientData(
  data: readonly Pick<Datum, "tokens" | "weights">[],
  logprobs: readonly Float32Array[],
  dLogprobs: readonly Float32Array[],
  { loss, reduction, mask }: GradientForm,
): WireDatum[] {
  const scales = divisors(data, reduction);
  return data.map(({ tokens, weights }, i) => {
    const wanted = maskOf(weights);
    const gains = dLogprobs[i].map((value, t) => (wanted[t] === 0 ? 0 : -value * scales[i]));
    if (loss === "cross_entropy") return wireDatum(tokens, { weights: floats(gains), ...(mask ? { mask: floats(wanted) } : {}) });
    return wireDatum(tokens, { weights: floats(wanted), advantages: floats(gains), logprobs: floats(logprobs[i]) });
  });
}

/** What a server of this reduction divides each sequence's sum by. */
function divisors(data: readonly Pick<Datum, "weights">[], reduction: Reduction): number[] {
  const tokens = data.map(({ weights }) => weights.reduce((count, weight) => count + (weight === 0 ? 0 : 1), 0));
  if (reduction === "sum") return tokens.map(() => 1);
  if (reduction === "sequence-mean") return tokens.map((count) => count * data.length);
  const all = tokens.reduce((sum, count) => sum + count, 0);
  return tokens.map(() => all);
}

/** 1 where there is a weight. */
function maskOf(weights: Float32Array): Float32Array {
  return weights.map((weight) => (weight === 0 ? 0 : 1));
}

function wireDatum(tokens: Int32Array, inputs: Tensors): WireDatum {
  return { tokens: tokens.slice(0, -1), inputs: { target_tokens: ints(tokens.slice(1)), ...inputs } };
}
