// The hand-written backward against central differences in float64, for every parameter of two-layer micro models: QK-norm, biases,
// tied and untied heads, grouped queries, masked targets, several sequences in one batch and several behind one shared prompt.
// The loss that is differenced computes each sequence alone.

import { describe, expect, it } from "vitest";
import { parseModelConfig } from "../../src/engine/local/hf-config.ts";
import type { Sequence } from "../../src/engine/local/packed-batch.ts";
import { Transformer } from "../../src/engine/local/transformer.ts";
import { rngFrom } from "../../src/util/rng.ts";
import { ReferenceDevice, referenceData } from "../contract/reference-device.ts";
import { exactLoss } from "./exact-loss.ts";

const SIZES = {
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 4,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  initializer_range: 0.5,
};
const LLAMA3 = { rope_type: "llama3", factor: 4, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8 };
const MODELS = {
  "qwen3, tied": { ...SIZES, model_type: "qwen3", tie_word_embeddings: true, rope_theta: 100 },
  "qwen2, untied, one key head": { ...SIZES, model_type: "qwen2", num_key_value_heads: 1, rope_theta: 100 },
  "llama, all biases, scaled RoPE": {
    ...SIZES,
    model_type: "llama",
    attention_bias: true,
    rope_theta: 100,
    rope_scaling: LLAMA3,
  },
};
/** Per parameter, this many elements (spread over it) are varied. */
const SAMPLES = 6;
const EPSILON = 1e-5;

describe.each(Object.entries(MODELS))("%s", (_, raw) => {
  const config = parseModelConfig(raw, "micro model");
  const model = Transformer.random(new ReferenceDevice(), config, 3, "trainable");
  const { data, dLogprobs } = randomBatch();
  // Norms and biases off their neutral values, so that their gradients are put to the test.
  for (const spec of model.weights.specs) {
    const rng = rngFrom(9, spec.name);
    const value = referenceData(model.weights.value(spec.name));
    if (spec.kind === "norm" || spec.kind === "bias") for (let i = 0; i < value.length; i++) value[i] += 0.3 * rng.normal();
  }
  model.weights.repack();
  model.forward(data);
  model.backward(dLogprobs);

  it("is the same, to the bit, when layers are computed again instead of kept", () => {
    const again = Transformer.random(new ReferenceDevice(), config, 3, "trainable", { recompute: true });
    referenceData(again.weights.values).set(referenceData(model.weights.values));
    again.weights.repack();
    again.forward(data);
    again.backward(dLogprobs);
    expect(again.weights.gradients).toBeDefined();
    for (const { name } of model.weights.specs)
      expect(referenceData(again.weights.gradient(name))).toEqual(referenceData(model.weights.gradient(name)));
  });

  it.each(model.weights.specs.map((spec) => spec.name))("%s", (name) => {
    const value = referenceData(model.weights.value(name));
    const gradient = referenceData(model.weights.gradient(name));
    for (let sample = 0; sample < SAMPLES; sample++) {
      const i = Math.floor(((sample + 0.5) / SAMPLES) * value.length);
      const difference = (lossAt(i, EPSILON) - lossAt(i, -EPSILON)) / (2 * EPSILON);
      expect(Math.abs(gradient[i] - difference)).toBeLessThan(1e-7 + 1e-6 * Math.abs(difference));
    }

    function lossAt(i: number, change: number): number {
      const kept = value[i];
      value[i] = kept + change;
      model.weights.repack();
      const loss = exactLoss(model, data, dLogprobs);
      value[i] = kept;
      return loss;
    }
  });
});

/** Lone sequences between two groups with prompts of 3 and 1 tokens; completions of one token and twice the same one among them. */
function randomBatch(): { data: Sequence[]; dLogprobs: Float32Array[] } {
  const rng = rngFrom(4);
  const draw = (length: number): number[] => Array.from({ length }, () => rng.int(SIZES.vocab_size));
  const sequence = (tokens: number[], from: number): Sequence => ({
    tokens: Int32Array.from(tokens),
    weights: Float32Array.from({ length: tokens.length - 1 }, (_, t) => (t < from || (t - from) % 3 === 1 ? 0 : 1)),
  });
  const [prompt, twice] = [draw(3), draw(4)];
  const data = [
    sequence([...prompt, ...twice], 2),
    sequence(draw(7), 0),
    sequence([...prompt, ...draw(5)], 2),
    sequence([5, ...draw(2)], 0),
    sequence([...prompt, ...draw(1)], 2),
    sequence([...prompt, ...twice], 2),
    sequence([5, ...draw(4)], 0),
    sequence(draw(10), 4),
  ];
  return { data, dLogprobs: data.map(({ weights }) => weights.map((weight) => weight * rng.normal())) };
}
