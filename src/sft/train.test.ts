// Supervised fine-tuning on a two-parameter model: normalisation, schedule, batching and the reading of lines.

import { describe, expect, it } from "vitest";
import type { AdamWParams, Datum, LossFn, Tokenizer, Trainer } from "../engine/types.ts";
import { DataError } from "../util/errors.ts";
import { rngFrom } from "../util/rng.ts";
import { parseExample } from "./examples.ts";
import { batchesOf, rateAt } from "./schedule.ts";
import { type SftStep, trainSft } from "./train.ts";

const tokenizer: Tokenizer = {
  encode: (text) => Int32Array.from([...text].map((character) => character.charCodeAt(0) - 97)),
  decode: () => "",
  renderChat: () => "",
  stopTokens: [],
  vocabSize: 26,
};
const options = { tokenizer, vocabSize: 26, maxTokens: 8, promptWeight: 0.1 };
const parse = (value: unknown) => parseExample(value, "f.jsonl:3", options);

describe("lines", () => {
  it("weights: text 1, completion 1, prompt by option; the border token belongs to the completion", () => {
    expect([...parse({ text: "abc" }).weights_T]).toEqual([1, 1]);
    const { tokens, weights_T, id } = parse({ prompt: "abc", completion: "de", id: 7 });
    expect([...tokens]).toEqual([0, 1, 2, 3, 4]);
    expect([...weights_T]).toEqual([Math.fround(0.1), Math.fround(0.1), 1, 1]);
    expect(id).toBe(7);
    expect([...parse({ prompt: "", completion: "ab" }).weights_T]).toEqual([1]);
    expect([...parse({ tokens: [3, 25] }).tokens]).toEqual([3, 25]);
  });

  it.each([
    [{ tokens: [1, 26] }, 'f.jsonl:3: expected "tokens" to be whole numbers in 0 … 25, got 26 at index 1.'],
    [{ tokens: [1.5] }, "got 1.5 at index 0"],
    [{ tokens: "ab" }, 'expected "tokens" to be a list'],
    [{ text: 5 }, 'expected "text" to be a string, got 5.'],
    [{ prompt: "a" }, 'expected "completion" to be a string, got nothing.'],
    [{ txt: "a" }, 'got keys ["txt"]'],
    [{ text: "" }, "expected at least one token"],
    [{ text: "abcdefghi" }, "expected at most 8 tokens"],
    [{ text: "a", id: {} }, 'expected "id"'],
    [[1], "expected a JSON object"],
  ])("refuses %j", (value, message) => {
    expect(() => parse(value)).toThrow(DataError);
    expect(() => parse(value)).toThrow(message);
  });
});

describe("schedule", () => {
  it("warms up, stays, and decays to the given share at the last step", () => {
    const rates = [1, 2, 3, 4, 5, 6, 7, 8].map((step) =>
      rateAt(step, 8, { learningRate: 2, warmup: 2, decayTo: 0.1, decaySteps: 3 }),
    );
    const expected = [1, 2, 2, 2, 2, 1.4, 0.8, 0.2];
    for (const [index, rate] of rates.entries()) expect(rate).toBeCloseTo(expected[index], 12);
    expect(rateAt(5, 5, { learningRate: 2, warmup: 0, decayTo: 0, decaySteps: 0 })).toBe(2);
  });

  it("batches hold every line once, within their budget", () => {
    const lengths = [3, 9, 2, 4, 1, 5, 3];
    const byTokens = batchesOf(lengths, { kind: "tokens", tokens: 7 }, rngFrom(1));
    expect(byTokens.flat().sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    for (const batch of byTokens) expect(batch.length === 1 || batch.reduce((sum, i) => sum + lengths[i], 0) <= 7).toBe(true);
    expect(batchesOf(lengths, { kind: "lines", lines: 3 }, rngFrom(1)).map((batch) => batch.length)).toEqual([3, 3, 1]);
    expect(batchesOf(lengths, { kind: "all" }, rngFrom(1))).toEqual([[0, 1, 2, 3, 4, 5, 6]]);
    expect(batchesOf(lengths, { kind: "lines", lines: 9 }, rngFrom(1))).not.toEqual(
      batchesOf(lengths, { kind: "lines", lines: 9 }, rngFrom(2)),
    );
  });
});

/** A model whose logprob of every token is the scalar `x`; records what it was given. */
function scalarTrainer() {
  const seen: { weights: number[][]; rates: number[] } = { weights: [], rates: [] };
  const gradients: number[] = [];
  const state = { x: -2, gradient: 0 };
  const trainer = {
    async forwardBackward(data: readonly Datum[], loss: LossFn) {
      let sum = 0;
      for (const datum of data) {
        const result = loss(new Float32Array(datum.weights.length).fill(state.x), datum);
        sum += result.loss;
        state.gradient += result.dLogprobs.reduce((a, b) => a + b, 0);
      }
      seen.weights.push(data.flatMap(({ weights }) => [...weights]));
      return { loss: sum };
    },
    async optimStep({ learningRate }: AdamWParams) {
      const gradNorm = Math.abs(state.gradient);
      gradients.push(gradNorm);
      state.x -= learningRate * state.gradient;
      state.gradient = 0;
      seen.rates.push(learningRate);
      return { gradNorm };
    },
  };
  return { trainer: trainer as unknown as Trainer, seen, gradients, state };
}

describe("training", () => {
  const examples = [parse({ text: "abcde" }), parse({ text: "ab" }), parse({ text: "abc" })];
  const train = async (normalise: "batch" | "constant", trainer: Trainer) => {
    const steps: SftStep[] = [];
    await trainSft({
      trainer,
      examples,
      batching: { kind: "lines", lines: 1 },
      steps: 3,
      normalise,
      schedule: { learningRate: 0.5, warmup: 0, decayTo: 1, decaySteps: 0 },
      optimizer: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipNorm: 0 },
      seed: 1,
      on: (step) => steps.push(step),
    });
    return steps;
  };

  it("batch: every step has gradient 1, and the loss is the mean over its tokens", async () => {
    const { trainer, gradients } = scalarTrainer();
    const steps = await train("batch", trainer);
    for (const gradient of gradients) expect(gradient).toBeCloseTo(1, 6);
    const losses = steps.map(({ loss }) => loss);
    for (const [index, expected] of [2, 1.5, 1].entries()) expect(losses[index]).toBeCloseTo(expected, 6);
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3]);
  });

  it("constant: a step weighs what its tokens weigh, and the reported loss is still the mean", async () => {
    const { trainer, gradients } = scalarTrainer();
    const steps = await train("constant", trainer);
    const mean = (4 + 1 + 2) / 3;
    expect(gradients.map((gradient) => Math.round(gradient * mean)).sort()).toEqual([1, 2, 4]);
    expect(steps[0].loss).toBeCloseTo(2, 6);
  });

  it("nothing to train on is an error", async () => {
    const { trainer } = scalarTrainer();
    const run = trainSft({
      trainer,
      examples: [parse({ text: "a" })],
      batching: { kind: "all" },
      steps: 1,
      normalise: "batch",
      schedule: { learningRate: 1, warmup: 0, decayTo: 1, decaySteps: 0 },
      optimizer: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, clipNorm: 0 },
      seed: 1,
    });
    await expect(run).rejects.toThrow(DataError);
  });
});
