// Sizes of models: from a directory's config.json, or of published base models by name, so that a run can be planned before its model is
// downloaded. Knows no weights. Source: the models' published config.json files; OctoThinker's are Llama 3.2's.

import { parseModelConfig, readModelConfig } from "./local/hf-config.ts";
import { parameterSpecs } from "./local/parameters.ts";
import { elements } from "./local/safetensors.ts";
import { shapeConfig } from "./shapes.ts";

/** What a plan needs to know of a model. */
export interface ModelSize {
  readonly parameters: number;
  /** Longest sequence. */
  readonly maxPositions: number;
}

const QWEN3_8B = {
  ...shapeConfig("qwen3-4b"),
  hidden_size: 4096,
  intermediate_size: 12288,
  tie_word_embeddings: false,
};

const LLAMA_3_2_3B = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_act: "silu",
  attention_bias: false,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  vocab_size: 128256,
  hidden_size: 3072,
  intermediate_size: 8192,
  num_hidden_layers: 28,
  num_attention_heads: 24,
  num_key_value_heads: 8,
  head_dim: 128,
  rope_theta: 500000,
  max_position_embeddings: 131072,
};

const PUBLISHED: Readonly<Record<string, Record<string, unknown>>> = {
  "qwen3-0.6b-base": shapeConfig("qwen3-0.6b"),
  "qwen3-4b-base": shapeConfig("qwen3-4b"),
  "qwen3-8b-base": QWEN3_8B,
  "octothinker-3b-hybrid-base": LLAMA_3_2_3B,
};

/** Size of the model in a directory. Errors: DataError. */
export function sizeOfModel(dir: string): ModelSize {
  return sizeOf(readModelConfig(dir));
}

/** Size of a published model by the last part of its name; undefined when it is not known. */
export function sizeOfPublished(name: string): ModelSize | undefined {
  const config = PUBLISHED[(name.split("/").at(-1) ?? "").toLowerCase()];
  return config && sizeOf(parseModelConfig(config, name));
}

function sizeOf(config: ReturnType<typeof readModelConfig>): ModelSize {
  const parameters = parameterSpecs(config).reduce((sum, { shape }) => sum + elements(shape), 0);
  return { parameters, maxPositions: config.maxPositions };
}
