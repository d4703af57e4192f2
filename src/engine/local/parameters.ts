// The parameters of a model: Hugging Face names, shapes and kinds, in transformers' order, derived from the configuration alone.
// It holds no value. Source: modeling_qwen3.py, modeling_qwen2.py, modeling_llama.py of transformers.

import type { ModelConfig } from "./hf-config.ts";

/** `linear` weights are multiplied through packed panels; `embedding` is a table of rows; `norm` and `bias` are vectors. */
export type ParameterKind = "linear" | "embedding" | "norm" | "bias";

/** One named parameter; linear weights are [out, in]. */
export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: ParameterKind;
}

/** Name of the embedding table. */
export const EMBEDDING = "model.embed_tokens.weight";
/** Name of the final norm. */
export const FINAL_NORM = "model.norm.weight";
/** Name of the output head; absent when the embedding is tied. */
export const HEAD = "lm_head.weight";

/** Prefix of the names of layer `index`. */
export function layerPrefix(index: number): string {
  return `model.layers.${index}`;
}

/** All parameters of a model, each once. */
export function parameterSpecs(c: ModelConfig): ParameterSpec[] {
  const specs: ParameterSpec[] = [{ name: EMBEDDING, shape: [c.vocabSize, c.hiddenSize], kind: "embedding" }];
  for (let layer = 0; layer < c.layers; layer++) specs.push(...layerSpecs(c, layerPrefix(layer)));
  specs.push(norm(FINAL_NORM, c.hiddenSize));
  if (!c.tiedEmbeddings) specs.push({ name: HEAD, shape: [c.vocabSize, c.hiddenSize], kind: "linear" });
  return specs;
}

function layerSpecs(c: ModelConfig, prefix: string): ParameterSpec[] {
  const attention = `${prefix}.self_attn`;
  const queryDim = c.queryHeads * c.headDim;
  const keyDim = c.kvHeads * c.headDim;
  return [
    ...linear(`${attention}.q_proj`, queryDim, c.hiddenSize, c.qkvBias),
    ...linear(`${attention}.k_proj`, keyDim, c.hiddenSize, c.qkvBias),
    ...linear(`${attention}.v_proj`, keyDim, c.hiddenSize, c.qkvBias),
    ...linear(`${attention}.o_proj`, c.hiddenSize, queryDim, c.outputBias),
    ...(c.qkNorm ? [norm(`${attention}.q_norm.weight`, c.headDim), norm(`${attention}.k_norm.weight`, c.headDim)] : []),
    ...linear(`${prefix}.mlp.gate_proj`, c.intermediateSize, c.hiddenSize, false),
    ...linear(`${prefix}.mlp.up_proj`, c.intermediateSize, c.hiddenSize, false),
    ...linear(`${prefix}.mlp.down_proj`, c.hiddenSize, c.intermediateSize, false),
    norm(`${prefix}.input_layernorm.weight`, c.hiddenSize),
    norm(`${prefix}.post_attention_layernorm.weight`, c.hiddenSize),
  ];
}

function linear(prefix: string, outDim: number, inDim: number, bias: boolean): ParameterSpec[] {
  const weight: ParameterSpec = { name: `${prefix}.weight`, shape: [outDim, inDim], kind: "linear" };
  return bias ? [weight, { name: `${prefix}.bias`, shape: [outDim], kind: "bias" }] : [weight];
}

function norm(name: string, dim: number): ParameterSpec {
  return { name, shape: [dim], kind: "norm" };
}

/** [out, in] of each linear weight of a model, by its name without `.weight`. */
export function linearShapes(config: ModelConfig): (name: string) => readonly number[] {
  const shapes = new Map(parameterSpecs(config).map(({ name, shape }) => [name, shape]));
  return (name) => {
    const shape = shapes.get(`${name}.weight`);
    if (shape === undefined) throw new Error(`internal: no linear weight ${name}`);
    return shape;
  };
}
