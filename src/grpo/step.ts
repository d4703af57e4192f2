// One rollout step of GRPO against a Trainer: reference logprobs, one or more optimizer steps, health measures. A number that is not
// finite never reaches the weights: that optimizer step is skipped and says why.
// Knows rollouts and their advantages, not where rewards come from. The only file here that does I/O, through the Trainer.
// Source: docs/algorithm.md, GRPO. Departure 1: the loss is normalised over the whole optimizer step, and where `micro-batch-mean` does
// as released does, over parts that the configuration names, never over what the engine happens to pack together.

import type { AdamWParams, Datum, Metrics, Scorer, Trainer } from "../engine/types.ts";
import { type CorrectionOptions, correct, isCorrecting, type MismatchMeasure, withFactors } from "./correction.ts";
import {
  attachReference,
  countTrainedTokens,
  type DatumInput,
  type LossNormalisation,
  makeDatum,
  normaliseWeights,
} from "./datum.ts";
import { type GrpoLossOptions, grpoLoss } from "./loss.ts";
import { findOffender, type SkippedUpdate, watchLoss } from "./watch.ts";

/** Means over the applied optimizer steps of one rollout step; see TrainingMetrics for the meaning of each. All 0 when none was applied. */
export interface GrpoStepMetrics {
  readonly loss: number;
  readonly klPenalty: number;
  readonly clipFractionLow: number;
  readonly clipFractionHigh: number;
  readonly entropy: number;
  readonly gradNorm: number;
  readonly samplerMismatch: number;
  readonly tokens: number;
  /** Mean of the same differences, and of their k3, in nats; absent when there is no difference. */
  readonly samplerMismatchMean?: number;
  readonly samplerMismatchK3?: number;
  /** Share of tokens masked for their mismatch, and mean importance weight of the others; absent when nothing was corrected. */
  readonly correctionMasked?: number;
  readonly correctionWeight?: number;
  /** Optimizer steps that were skipped; absent when none was. */
  readonly skippedUpdates?: number;
}

/** What one optimizer step left; finite numbers only, so that it survives JSON. */
export interface OptimizerStep {
  /** Summed metrics of the loss with `loss` and `gradNorm`; absent when the update was skipped. */
  readonly metrics?: Metrics;
  /** Largest |training − sampling logprob|, of the first optimizer step of a rollout step; its mean and k3, and what was corrected. */
  readonly mismatch: number;
  readonly differences?: Differences;
  readonly skipped?: SkippedUpdate;
}

/** Part of GrpoStepMetrics. */
type Differences = Pick<GrpoStepMetrics, "samplerMismatchMean" | "samplerMismatchK3" | "correctionMasked" | "correctionWeight">;

export interface GrpoStepInput {
  readonly rollouts: readonly DatumInput[];
  readonly grpo: GrpoLossOptions & {
    readonly lossNormalisation: LossNormalisation;
    readonly microBatch?: number;
    /** A step that is corrected must be done from its start: `done` is empty. */
    readonly correction?: CorrectionOptions;
  };
  /** Longest completion in tokens; needed by the normalisation `constant`. */
  readonly maxTokens?: number;
  readonly optimizer: AdamWParams;
  /** Rollouts per optimizer step; more than one step makes the later ones off-policy, which the importance ratio corrects. */
  readonly rolloutsPerOptimizerStep: number;
  /** Optimizer steps of this rollout step that the trainer has behind it (a resumed run); default none. */
  readonly done?: readonly OptimizerStep[];
  /** Largest gradient norm of an update right now; default: any finite one. */
  readonly largestNorm?: () => number;
  /** Called after each optimizer step, with all so far. What it throws ends the rollout step there. */
  readonly after?: (done: readonly OptimizerStep[]) => Promise<void>;
}

/** Trains on one batch of rollouts. `reference` is needed when the KL weight is not 0. Errors: EngineError. */
export async function grpoStep(trainer: Trainer, reference: Scorer | undefined, input: GrpoStepInput): Promise<GrpoStepMetrics> {
  const rollouts = input.rollouts.map(makeDatum);
  const done = [...(input.done ?? [])];
  const { data, factors, mismatch } = await corrected(trainer, rollouts, input);
  const size = input.rolloutsPerOptimizerStep;
  for (let start = done.length * size; start < data.length; start += size) {
    const part = await withReferenceLogprobs(data.slice(start, start + size), reference);
    const { lossNormalisation, microBatch } = input.grpo;
    const normalised = normaliseWeights(part, lossNormalisation, { maxTokens: input.maxTokens, microBatch });
    const batch = withFactors(normalised, factors?.slice(start, start + size));
    const step = { ...(await optimizerStep(trainer, batch, input)), ...(done.length === 0 ? mismatch : {}) };
    done.push(step.skipped?.datum === undefined ? step : { ...step, skipped: shifted(step.skipped, start) });
    await input.after?.([...done]);
  }
  return summarise(
    done,
    rollouts.reduce((sum, datum) => sum + countTrainedTokens(datum), 0),
  );
}

/** The data of a rollout step with their mismatch corrected, where that is asked for: one pass tells the trainer's logprobs. */
async function corrected(
  trainer: Trainer,
  rollouts: readonly Datum[],
  { grpo, done = [], optimizer }: GrpoStepInput,
): Promise<{
  data: readonly Datum[];
  factors?: readonly Float32Array[];
  mismatch?: Pick<OptimizerStep, "mismatch" | "differences">;
}> {
  if (!isCorrecting(grpo.correction)) return { data: rollouts };
  if (done.length > 0) throw new Error("internal: a corrected rollout step must be done from its start");
  const seen = new Map<Datum, Float32Array>();
  await trainer.forwardBackward(rollouts, (logprobs, datum) => {
    seen.set(datum, logprobs.slice());
    return { loss: 0, dLogprobs: new Float32Array(logprobs.length), metrics: {} };
  });
  // Nothing is left of the pass, whatever zeros may do to a sum.
  await trainer.optimStep({ ...optimizer, skipAbove: -1 });
  const logprobs = rollouts.map((datum) => seen.get(datum) as Float32Array);
  const { data, factors, mismatch, masked, meanFactor } = correct(rollouts, logprobs, grpo.correction);
  // A logprob that is no number is left to the watch over the loss, which names it.
  if (!Number.isFinite(mismatch.max)) return { data: rollouts };
  const differences = { ...differencesOf(mismatch), correctionMasked: masked, correctionWeight: meanFactor };
  return { data, factors, mismatch: mismatch.max === 0 ? undefined : { mismatch: mismatch.max, differences } };
}

function differencesOf({ mean, max, k3 }: MismatchMeasure): Differences | undefined {
  return max === 0 ? undefined : { samplerMismatchMean: mean, samplerMismatchK3: k3 };
}

/** One update from one batch, unless its numbers are bad. */
async function optimizerStep(trainer: Trainer, batch: readonly Datum[], input: GrpoStepInput): Promise<OptimizerStep> {
  const { entropyWeight = 0 } = input.grpo;
  const loss = grpoLoss(entropyWeight === 0 ? input.grpo : { ...input.grpo, entropyBaseline: samplingEntropy(batch) });
  const watched = watchLoss(loss, batch);
  const metrics = await trainer.forwardBackward(batch, watched.loss);
  const measure = watched.mismatch();
  const mismatch = measure.max;
  const differences = differencesOf(measure);
  const told = { mismatch, ...(differences && { differences }) };
  const offence = watched.offence();
  if (offence !== undefined) {
    await trainer.optimStep({ ...input.optimizer, skipAbove: -1 });
    return { mismatch: 0, skipped: offence };
  }
  const bound = input.largestNorm?.() ?? Number.POSITIVE_INFINITY;
  const { gradNorm, applied } = await trainer.optimStep({ ...input.optimizer, skipAbove: bound });
  if (applied) return { metrics: { ...metrics, gradNorm }, ...told };
  if (Number.isFinite(gradNorm)) return { ...told, skipped: { reason: "gradient spike", value: `${gradNorm}`, bound } };
  const datum = await findOffender(trainer, batch, loss, input.optimizer);
  return { ...told, skipped: { reason: "gradient norm", value: `${gradNorm}`, datum } };
}

/** Mean −sampling logprob over the trained tokens, in nats: a constant of the step, so that it does not bend the entropy bonus. */
function samplingEntropy(batch: readonly Datum[]): number {
  let sum = 0;
  let tokens = 0;
  for (const { weights, samplingLogprobs } of batch)
    for (let t = 0; samplingLogprobs !== undefined && t < weights.length; t++) {
      if (weights[t] === 0) continue;
      sum -= samplingLogprobs[t];
      tokens++;
    }
  return tokens === 0 ? 0 : sum / tokens;
}

function shifted(skipped: SkippedUpdate, start: number): SkippedUpdate {
  return { ...skipped, datum: skipped.datum === undefined ? undefined : skipped.datum + start };
}

function summarise(done: readonly OptimizerStep[], tokens: number): GrpoStepMetrics {
  const applied = done.flatMap(({ metrics }) => (metrics === undefined ? [] : [metrics]));
  const mean = (key: string) =>
    applied.length === 0 ? 0 : applied.reduce((sum, metrics) => sum + metrics[key], 0) / applied.length;
  const skippedUpdates = done.length - applied.length;
  return {
    loss: mean("loss"),
    klPenalty: mean("kl"),
    clipFractionLow: mean("clipFractionLow"),
    clipFractionHigh: mean("clipFractionHigh"),
    entropy: mean("entropyEstimate"),
    gradNorm: mean("gradNorm"),
    samplerMismatch: done[0]?.mismatch ?? 0,
    ...done[0]?.differences,
    tokens,
    ...(skippedUpdates > 0 ? { skippedUpdates } : {}),
  };
}

async function withReferenceLogprobs(data: readonly Datum[], reference: Scorer | undefined): Promise<readonly Datum[]> {
  if (!reference) return data;
  const referenceLogprobs = await reference.logprobs(data);
  return data.map((datum, index) => attachReference(datum, referenceLogprobs[index]));
}
