// The engine's block of the configuration, with the adapters it may train. Does NOT know the rest (schema.ts).

import { z } from "zod";
import { LORA_TARGETS } from "./defaults.ts";
import { count, countOrOff, positive, pricing } from "./parts.ts";

/** y = x·Wᵀ + (alpha / rank)·(x·Aᵀ)·Bᵀ; only A and B train. Defaults: PEFT's common choice. */
const lora = z.strictObject({
  rank: count.max(1024).default(16),
  alpha: positive.default(32),
  /** Which weights of every layer get an adapter. */
  targets: z
    .array(z.enum(LORA_TARGETS))
    .min(1)
    .default(() => [...LORA_TARGETS]),
  dropout: z
    .number()
    .refine((value) => value === 0, { error: "expected 0: dropout would make rollouts and training compute different models" })
    .default(0),
  /** Seed of A; absent: the run's. B starts at zero. */
  seed: countOrOff.max(0x7fffffff).optional(),
});

/** The local engine: C kernels on this machine's CPU. */
export const localEngine = z.strictObject({
  kind: z.literal("local").default("local"),
  /** Worker threads of the kernels; `auto` takes what the machine offers. No result depends on it. */
  threads: z.union([z.literal("auto"), count]).default("auto"),
  /** Sequences decoded at once (continuous batching refills a finished one). No result depends on it. */
  slots: count.default(256),
  /**
   * Most tokens packed into one forward and backward pass; a large model takes fewer, so that its activations stay below 1.5 GiB. No
   * result depends on it beyond rounding order.
   */
  maxTokensPerMicroBatch: count.default(8192),
  /**
   * Format of matrix products. `auto`: bf16 where the CPU has its dot product, else f32, so results may differ between machines;
   * masters, sums and all between two products are f32 in both.
   */
  dtype: z.enum(["auto", "f32", "bf16"]).default("auto"),
  /** Format of frozen roles that answer (voting for rewards and labels, evaluation), never of rollouts or of the reference. */
  frozenDtype: z.enum(["same", "f32", "bf16", "int8"]).default("same"),
  /** Format of AdamW's moments; bf16 halves their memory. */
  optimizerDtype: z.enum(["f32", "bf16"]).default("f32"),
  /**
   * Compute activations again in the backward pass instead of keeping them: less memory, about a third more time, the same bits.
   * `auto`: in passes that would need more than 1.5 GiB otherwise.
   */
  recompute: z.union([z.boolean(), z.literal("auto")]).default("auto"),
  /** Train low-rank adapters over the frozen base instead of whole models; Challenger, Solver and reference then share its memory. */
  lora: lora.optional(),
  pricing: pricing.optional(),
});

/** What a Tinker server trains of a model. Its adapters have alpha 32. */
const tinkerLora = z.strictObject({
  /** 0: all weights, where the server can. */
  rank: countOrOff.max(1024).default(32),
  /** Adapters on the attention's and on the MLP's weights, and on the vocabulary's. */
  attention: z.boolean().default(true),
  mlp: z.boolean().default(true),
  unembed: z.boolean().default(false),
  /** Seed of fresh adapters; absent: the run's. */
  seed: countOrOff.max(0x7fffffff).optional(),
});

/** http or https; a name, a password or a query could be a key, and addresses are written down. */
const address = z.string().refine(isPlainAddress, {
  error: "expected an http or https address without a user name and without a query; keys come from the environment (apiKeyEnv)",
});

function isPlainAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search } = new URL(text);
  return /^https?:$/.test(protocol) && username === "" && password === "" && search === "";
}

/** Servers of the Tinker protocol: Thinking Machines' service, SkyRL and others, `rzero serve --protocol tinker`. */
export const tinkerEngine = z.strictObject({
  kind: z.literal("tinker"),
  /** Address before /api/v1, or several: the policies are spread over them. */
  url: z.union([address, z.array(address).min(1).max(16)]),
  /** Variable of the environment that holds the key. */
  apiKeyEnv: z
    .string()
    .refine((name) => /^[A-Za-z_]\w*$/.test(name), { error: "expected the name of a variable, not a key" })
    .default("TINKER_API_KEY"),
  /** The server's name of the base model; absent: the only one it has. `base` is the same model on this machine, for its tokenizer. */
  model: z.string().min(1).optional(),
  /** Directory with the tokenizer; absent: `base`. */
  tokenizer: z.string().min(1).optional(),
  lora: tinkerLora.prefault({}),
  /** Most tokens of one training request; the server may split it further. */
  maxTokensPerMicroBatch: count.default(8192),
  /** Codec of training requests; `auto`: JSON where the server takes it, else protobuf. */
  codec: z.enum(["auto", "json", "protobuf"]).default("auto"),
  /** Loss of the server that applies our gradients, and how it averages; `auto`: found out at the start on a throwaway model. */
  loss: z.enum(["auto", "cross_entropy", "importance_sampling", "ppo"]).default("auto"),
  reduction: z.enum(["auto", "sum", "token-mean", "sequence-mean"]).default("auto"),
  /** Sampling requests under way at once, at most; fewer while the server is busy. */
  concurrency: count.max(10_000).default(128),
  /** A poll for a result; the SDK's 45. */
  pollSeconds: positive.default(45),
  /** From a request to its result. */
  deadlineSeconds: positive.default(6 * 3600),
  /** Without a sign of life for so long the run stops, resumable. */
  patienceSeconds: positive.default(1800),
  pricing: pricing.optional(),
});

/** Which engine runs the models. */
export const engine = z.discriminatedUnion("kind", [localEngine, tinkerEngine]);

/** The seed of fresh adapters is the run's unless it is given. */
export function withLoraSeed<E extends z.output<typeof engine>>(engine: E, seed: number): E {
  return engine.lora === undefined ? engine : { ...engine, lora: { ...engine.lora, seed: engine.lora.seed ?? seed } };
}
