// Parts that several blocks of the configuration share: scalars, sampling, GRPO and AdamW, each with its defaults and their source.
// Does NOT know the blocks (schema.ts). A default without another source is the paper's setting (arXiv 2508.05004).

import { z } from "zod";

export const count = z.int().min(1);
export const countOrOff = z.int().min(0);
export const share = z.number().min(0).max(1);
export const positive = z.number().positive();
export const notNegative = z.number().min(0);

/** [low, high] of a share, with low ≤ high. */
export const band = z
  .tuple([share, share])
  .refine(([low, high]) => low <= high, { error: "expected [low, high] with low ≤ high" });

/** [low, high] of a ratio, around 1. */
const ratioBand = z
  .tuple([notNegative, positive])
  .refine(([low, high]) => low <= 1 && high >= 1, { error: "expected [low, high] with low ≤ 1 ≤ high" });

/** How to sample; the meaning of each key is that of SamplingParams in engine/types.ts. */
export function samplingWith(defaults: { temperature: number; topP: number; topK: number; maxTokens: number }) {
  return z.strictObject({
    temperature: notNegative.default(defaults.temperature),
    topP: z.number().gt(0).max(1).default(defaults.topP),
    topK: countOrOff.default(defaults.topK),
    maxTokens: count.default(defaults.maxTokens),
  });
}

/** GRPO of one role; grpo/advantage.ts, grpo/policy-loss.ts and grpo/datum.ts quote the equations and their papers. */
export const grpo = z.strictObject({
  /** Advantage: (r − mean) / std (`grpo`); r − mean (`dr-grpo`, 2503.20783); r − mean of the others (`rloo`, 2402.14740). */
  estimator: z.enum(["grpo", "dr-grpo", "rloo"]).default("grpo"),
  /** Policy loss: clipped ratio (`ppo`), clipped detached ratio (`cispo`, 2506.13585), sequence ratio (`gspo`, 2507.18071; clip about 3e-4). */
  loss: z.enum(["ppo", "cispo", "gspo"]).default("ppo"),
  /** The importance ratio is clipped to [1 − clipLow, 1 + clipHigh] (released: 0.2 and 0.3). */
  clipLow: share.default(0.2),
  clipHigh: notNegative.default(0.3),
  /** Dual clip of `ppo`: bound of the ratio for negative advantages (released: 3.0); 0 switches it off. */
  clipDual: notNegative.default(3),
  /** Weight β of the KL penalty (k3) to the reference model (released: 1e-2); 0 needs no reference. */
  klWeight: notNegative.default(0.01),
  /** Reference model: the policy at the start of its phase (released), or the base model. */
  reference: z.enum(["phase-start", "base"]).default("phase-start"),
  /** Weight of the entropy bonus, in nats per token; 0 switches it off. */
  entropyWeight: notNegative.default(0),
  /**
   * Mean over all completion tokens of the optimizer step (`token-mean`); over each sequence first (`sequence-mean`); token sum over
   * sequences × maxTokens (`constant`, dr-grpo's); over `microBatch` sequences first, then over those (`micro-batch-mean`, released).
   */
  lossNormalisation: z.enum(["token-mean", "sequence-mean", "constant", "micro-batch-mean"]).default("token-mean"),
  /** Correction of sampler mismatch (grpo/correction.ts), where sampler and trainer are different programs; costs one more pass a step. */
  correction: z
    .strictObject({
      /** Truncated importance weights, of tokens or of whole sequences. */
      importance: z.enum(["none", "token", "sequence"]).default("none"),
      /** C, the largest of them (Yao et al. 2025: 2). */
      truncate: positive.default(2),
      /** Bands of the ratio of training to sampling probability, of tokens and of a sequence's geometric mean; outside is not trained on. */
      tokenMask: ratioBand.optional(),
      sequenceMask: ratioBand.optional(),
    })
    .prefault({}),
  /** Sequences that `micro-batch-mean` averages over first; what the engine packs together does not matter to it. */
  microBatch: count.default(4),
});

export const optimizer = z.strictObject({
  /** AdamW at a constant rate (released: 1e-6, full fine-tuning of 4B to 8B models). */
  learningRate: notNegative.default(1e-6),
  /** PyTorch's betas and epsilon, which released leaves as they are. */
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.999),
  epsilon: positive.default(1e-8),
  /** Decoupled weight decay (released: 1e-2). */
  weightDecay: notNegative.default(0.01),
  /** Largest global gradient norm (released: 1.0); 0 switches clipping off. */
  clipNorm: notNegative.default(1),
  /** Clear the moments at the start of each phase (released: every phase is a new training job). */
  fresh: z.boolean().default(true),
});

/** US dollars per million tokens, for --plan and --budget; nothing is paid or asked for. */
export const pricing = z.strictObject({
  /** Prompt tokens that are read. */
  prompt: notNegative.default(0),
  /** Tokens that are sampled. */
  sample: notNegative.default(0),
  /** Tokens that are trained on, prompt and completion. */
  train: notNegative.default(0),
});

/** A second opinion: the base model votes too, and its majority confirms an answer, or does not. */
export const confirm = z
  .strictObject({
    /** Answers of the base per question; 0 switches it off. */
    answers: countOrOff.default(0),
    /** Smallest share of them that the majority needs to count. */
    minShare: share.default(0),
    /** What each of them begins with, for example <think>. */
    forcedPrefix: z.string().min(1).optional(),
  })
  .prefault({});
