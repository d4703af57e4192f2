// One rollout step of GRPO against a Trainer: reference logprobs, one or more optimizer steps, health measures.
// Knows rollouts and their advantages, not where rewards come from. The only file here that does I/O, through the Trainer.
// Source: docs/algorithm.md, GRPO. Departure 1: the loss is normalised over the whole optimizer step (released: per micro-batch).

import type { AdamWParams, Datum, LossFn, Metrics, Scorer, Trainer } from "../engine/types.ts";
import {
  attachReference,
  countTrainedTokens,
  type DatumInput,
  type LossNormalisation,
  makeDatum,
  normaliseWeights,
} from "./datum.ts";
import { type GrpoLossOptions, grpoLoss, samplerMismatch } from "./loss.ts";

/** Means over the optimizer steps of one rollout step; see TrainingMetrics for the meaning of each. */
export interface GrpoStepMetrics {
  readonly loss: number;
  readonly klPenalty: number;
  readonly clipFractionLow: number;
  readonly clipFractionHigh: number;
  readonly entropy: number;
  readonly gradNorm: number;
  readonly samplerMismatch: number;
  readonly tokens: number;
}

export interface GrpoStepInput {
  readonly rollouts: readonly DatumInput[];
  readonly grpo: GrpoLossOptions & { readonly lossNormalisation: LossNormalisation };
  readonly optimizer: AdamWParams;
  /** Rollouts per optimizer step; more than one step makes the later ones off-policy, which the importance ratio corrects. */
  readonly rolloutsPerOptimizerStep: number;
}

/** Trains on one batch of rollouts. `reference` is needed when the KL weight is not 0. Errors: EngineError. */
export async function grpoStep(trainer: Trainer, reference: Scorer | undefined, input: GrpoStepInput): Promise<GrpoStepMetrics> {
  const data = await withReferenceLogprobs(input.rollouts.map(makeDatum), reference);
  const steps: Metrics[] = [];
  let mismatch = 0;
  for (let start = 0; start < data.length; start += input.rolloutsPerOptimizerStep) {
    const batch = normaliseWeights(data.slice(start, start + input.rolloutsPerOptimizerStep), input.grpo.lossNormalisation);
    const measured = measuringMismatch(grpoLoss(input.grpo));
    const metrics = await trainer.forwardBackward(batch, measured.loss);
    if (start === 0) mismatch = measured.largest();
    steps.push({ ...metrics, ...(await trainer.optimStep(input.optimizer)) });
  }
  const mean = (key: string) => steps.reduce((sum, metrics) => sum + metrics[key], 0) / steps.length;
  return {
    loss: mean("loss"),
    klPenalty: mean("kl"),
    clipFractionLow: mean("clipFractionLow"),
    clipFractionHigh: mean("clipFractionHigh"),
    entropy: mean("entropyEstimate"),
    gradNorm: mean("gradNorm"),
    samplerMismatch: mismatch,
    tokens: data.reduce((sum, datum) => sum + countTrainedTokens(datum), 0),
  };
}

async function withReferenceLogprobs(data: readonly Datum[], reference: Scorer | undefined): Promise<readonly Datum[]> {
  if (!reference) return data;
  const referenceLogprobs = await reference.logprobs(data);
  return data.map((datum, index) => attachReference(datum, referenceLogprobs[index]));
}

/** The same loss, which also remembers the largest |training − sampling logprob| it saw on trained tokens. */
function measuringMismatch(loss: LossFn): { loss: LossFn; largest: () => number } {
  let largest = 0;
  return {
    loss: (logprobs, datum) => {
      largest = Math.max(largest, samplerMismatch([{ trainingLogprobs: logprobs, datum }]).maxDifference);
      return loss(logprobs, datum);
    },
    largest: () => largest,
  };
}
