// Advantages, losses, clip fractions and derivatives against the official training code (verl). The core is compared in
// double precision; a trainer's path through Float32Array data is then held to that within float32.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { groupAdvantages } from "../../src/grpo/advantage.ts";
import { attachReference, makeDatum, normaliseWeights } from "../../src/grpo/datum.ts";
import { type GrpoMetrics, grpoLoss, grpoSequenceLoss } from "../../src/grpo/loss.ts";

interface Case {
  readonly group_size: number;
  readonly rewards: number[];
  readonly clip_low: number;
  readonly clip_high: number;
  readonly clip_dual: number;
  readonly kl_coef: number;
  readonly sampling_logprobs: number[][];
  readonly training_logprobs: number[][];
  readonly reference_logprobs: number[][];
  readonly advantages: number[];
  readonly policy_loss: number;
  readonly clip_fraction_high: number;
  readonly clip_fraction_low: number;
  readonly mean_kl_k3: number;
  readonly loss: number;
  readonly dloss_dlogprob: number[][];
}

const { cases } = JSON.parse(readFileSync(new URL("grpo.json", import.meta.url), "utf8")) as { cases: Case[] };

function optionsOf(entry: Case) {
  return { clipLow: entry.clip_low, clipHigh: entry.clip_high, clipDual: entry.clip_dual, klWeight: entry.kl_coef };
}

/** Double-precision loss of the whole batch, token mean. */
function batchLoss(entry: Case) {
  const { advantages } = groupAdvantages(entry.rewards, entry.group_size);
  const tokens = entry.training_logprobs.reduce((sum, sequence) => sum + sequence.length, 0);
  const total = { loss: 0, metrics: {} as Record<string, number>, gradients: [] as Float64Array[] };
  entry.training_logprobs.forEach((logprobs, i) => {
    const fields = {
      weights: new Float64Array(logprobs.length).fill(1 / tokens),
      advantages: new Float64Array(logprobs.length).fill(advantages[i]),
      samplingLogprobs: entry.sampling_logprobs[i],
      referenceLogprobs: entry.reference_logprobs[i],
    };
    const gradient = new Float64Array(logprobs.length);
    const { loss, metrics } = grpoSequenceLoss(logprobs, fields, optionsOf(entry), gradient);
    total.loss += loss;
    for (const key in metrics) total.metrics[key] = (total.metrics[key] ?? 0) + metrics[key];
    total.gradients.push(gradient);
  });
  return { ...total, metrics: total.metrics as GrpoMetrics };
}

function worstDifference(actual: readonly ArrayLike<number>[], expected: readonly (readonly number[])[]): number {
  let worst = 0;
  expected.forEach((row, i) => {
    expect(actual[i].length).toBe(row.length);
    row.forEach((value, t) => {
      worst = Math.max(worst, Math.abs(actual[i][t] - value));
    });
  });
  return worst;
}

describe.each(cases.map((entry, index) => [index, entry] as const))("case %d", (_, entry) => {
  it("has the official advantages", () => {
    expect(worstDifference([groupAdvantages(entry.rewards, entry.group_size).advantages], [entry.advantages])).toBeLessThan(1e-9);
  });

  it("has the official losses, clip fractions and derivatives", () => {
    const { loss, metrics, gradients } = batchLoss(entry);
    expect(Math.abs(metrics.policyLoss - entry.policy_loss)).toBeLessThan(1e-9);
    expect(Math.abs(metrics.kl / entry.mean_kl_k3 - 1)).toBeLessThan(1e-5);
    expect(Math.abs(loss - entry.loss)).toBeLessThan(1e-5 * entry.kl_coef + 1e-9);
    // Official "high" counts both sides of the clip range, official "low" the dual clip.
    expect(Math.abs(metrics.clipFractionHigh + metrics.clipFractionLow - entry.clip_fraction_high)).toBeLessThan(1e-9);
    expect(Math.abs(metrics.clipFractionDual - entry.clip_fraction_low)).toBeLessThan(1e-9);
    expect(worstDifference(gradients, entry.dloss_dlogprob)).toBeLessThan(2e-9);
  });

  it("comes out the same through data in float32, whatever the micro-batches", () => {
    const { advantages } = groupAdvantages(entry.rewards, entry.group_size);
    const prompt = { tokens: Int32Array.of(1, 2, 3) };
    const pad = (values: readonly number[]) => Float32Array.of(0, 0, ...values);
    const data = entry.sampling_logprobs.map((sampling, i) => {
      const completion = { tokens: new Int32Array(sampling.length), logprobs: Float32Array.from(sampling) };
      return attachReference(makeDatum({ prompt, completion, advantage: advantages[i] }), pad(entry.reference_logprobs[i]));
    });
    const lossFn = grpoLoss(optionsOf(entry));
    const results = normaliseWeights(data, "token-mean").map((datum, i) => lossFn(pad(entry.training_logprobs[i]), datum));
    expect(results.reduce((sum, { loss }) => sum + loss, 0)).toBeCloseTo(entry.loss, 6);
    const gradients = results.map(({ dLogprobs }) => dLogprobs.subarray(2));
    expect(worstDifference(gradients, entry.dloss_dlogprob)).toBeLessThan(1e-7);
    for (const { dLogprobs } of results) expect([...dLogprobs.subarray(0, 2)]).toEqual([0, 0]);
  });
});
