// Every file of assets/tiny-base/ except the weights, as text: made here, so that a test can hold the committed files
// to their generator. Knows nothing of where they are written.

import { CHAT_TEMPLATE } from "./chat.ts";
import { evaluationSet, probeSet } from "./evaluation-set.ts";
import { END_ID, PAD_ID, tokenizerConfig, tokenizerJson, VOCABULARY } from "./tokenizer.ts";

/** Seeds of the question sets. */
export const EVALUATION_SEED = 1;
export const TUNING_SEED = 2;
export const PROBE_SEED = 3;

/** The content of config.json: the shape of the embedded base model, in the keys of Qwen3. */
export function modelConfig(): object {
  return {
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    dtype: "bfloat16",
    vocab_size: VOCABULARY.length,
    hidden_size: 128,
    intermediate_size: 352,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
    hidden_act: "silu",
    attention_bias: false,
    attention_dropout: 0,
    rms_norm_eps: 1e-6,
    rope_theta: 10000,
    rope_scaling: null,
    max_position_embeddings: 256,
    initializer_range: 0.02,
    tie_word_embeddings: true,
    use_cache: true,
    use_sliding_window: false,
    sliding_window: null,
    bos_token_id: null,
    eos_token_id: END_ID,
    pad_token_id: PAD_ID,
  };
}

/** The content of generation_config.json. */
export function generationConfig(): object {
  return { eos_token_id: [END_ID, PAD_ID], pad_token_id: PAD_ID, do_sample: true, temperature: 1 };
}

const pretty = (value: object) => `${JSON.stringify(value, null, 2)}\n`;
const lines = (items: readonly object[]) => items.map((item) => `${JSON.stringify(item)}\n`).join("");

/** File name to content. */
export function tinyBaseFiles(): Record<string, string> {
  return {
    "tokenizer.json": pretty(tokenizerJson()),
    "tokenizer_config.json": pretty(tokenizerConfig()),
    "chat_template.jinja": CHAT_TEMPLATE,
    "config.json": pretty(modelConfig()),
    "generation_config.json": pretty(generationConfig()),
    "evaluation.jsonl": lines(evaluationSet("evaluation", EVALUATION_SEED)),
    "tuning.jsonl": lines(evaluationSet("tuning", TUNING_SEED)),
    "probes.jsonl": lines(probeSet(PROBE_SEED)),
  };
}
