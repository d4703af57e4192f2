// The sampler's block of the configuration: servers that answer for frozen roles, and what they cost. Does NOT know the rest (schema.ts).

import { z } from "zod";
import { count, positive, pricing } from "./parts.ts";

const endpoint = z.strictObject({
  /** Address, with or without /v1. */
  url: z
    .string()
    .refine((url) => /^https?:\/\/[^\s/]+/.test(url) && URL.canParse(url), {
      error: "expected an address such as http://10.0.0.5:8000",
    })
    .refine((url) => !/^[a-z]+:\/\/[^/]*@/i.test(url) && !/[?#]/.test(url), {
      error: "expected an address without a user name and without a query; keys come from the environment (apiKeyEnv)",
    }),
  /** The environment variable that holds the key; the key itself is never in a configuration. */
  apiKeyEnv: z
    .string()
    .refine((name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name), { error: "expected the name of an environment variable" })
    .optional(),
  /** The model's name there; absent: the first that the server lists. */
  model: z.string().min(1).optional(),
});

/** Frozen roles (the Solver that answers for rewards and labels, evaluation, the guard) on servers that speak OpenAI's completions. */
const openaiSampler = z.strictObject({
  kind: z.literal("openai"),
  endpoints: z
    .array(endpoint)
    .min(1)
    .max(1024)
    .refine((list) => new Set(list.map(({ url }) => url.replace(/\/+$/, "").replace(/\/v1$/, ""))).size === list.length, {
      error: "expected each address once",
    }),
  /**
   * How a policy in training reaches the servers. `none`: not at all, they answer for the base model alone. `vllm-lora`: as an adapter,
   * POST /v1/load_lora_adapter (needs engine.lora). `sglang-disk`: as a whole model, POST /update_weights_from_disk.
   */
  update: z.enum(["none", "vllm-lora", "sglang-disk"]).default("none"),
  /** A folder that this machine and all servers see under the same path; snapshots are written there. */
  directory: z
    .string()
    .refine((path) => path.startsWith("/"), { error: "expected an absolute path, the same on all machines" })
    .optional(),
  /** Element type of a whole model that is written there. */
  dtype: z.enum(["float32", "bfloat16"]).default("bfloat16"),
  /** `ids`: servers must return token ids. `retokenise`: texts will do and are tokenised here, which need not give the same tokens. */
  tokens: z.enum(["ids", "retokenise"]).default("ids"),
  /** Most completions that one request asks for. */
  samplesPerRequest: count.max(1024).default(16),
  /** Requests under way at one endpoint: at first, and at most; in between it follows the server (429, its queue). */
  concurrency: z
    .strictObject({ first: count.default(8), most: count.max(4096).default(256) })
    .refine(({ first, most }) => first <= most, { error: "expected first ≤ most" })
    .prefault({}),
  /** Longest wait for one answer. */
  timeoutSeconds: positive.default(1800),
  /** How long to wait for an endpoint when none is up, before the run stops, resumable. */
  patienceSeconds: positive.default(600),
  /** Between two looks at the health and the queue of an endpoint that has work. */
  healthSeconds: positive.default(10),
  /** What its tokens cost, for --plan and --budget. */
  pricing: pricing.optional(),
});

/** Where frozen roles are sampled; absent: by the engine that trains. */
export const samplerSchema = z.discriminatedUnion("kind", [openaiSampler]).superRefine((sampler, context) => {
  if (sampler.update !== "none" && sampler.directory === undefined)
    context.addIssue({
      code: "custom",
      path: ["directory"],
      message: `expected a folder that all servers see, beside update: ${sampler.update}`,
    });
});
