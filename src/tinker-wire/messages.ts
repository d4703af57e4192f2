// The small messages of the Tinker protocol, always JSON: their schemas, types and parser. Requests keep unknown keys out of the way, as
// clients of other versions send more. Knows no transport. The large messages are in training.ts and sampling.ts.

import { z } from "zod";
import { DataError } from "../util/errors.ts";
import { parseBody } from "./training.ts";

const text = z.string().max(4096);
const name = z.string().min(1).max(4096);
const order = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
const optional = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);

/** POST /client/config. */
export const clientConfigReply = z.object({
  pjwt_auth_enabled: optional(z.boolean()),
  fwdbwd_max_chunk_len: optional(z.int().min(1)),
  fwdbwd_max_chunk_bytes_count: optional(z.number().min(1)),
  /** See protocol.ts. */
  rzero_extensions: optional(z.array(text).max(64)),
});

/** GET /get_server_capabilities. */
export const capabilitiesReply = z.object({
  supported_models: z.array(z.object({ model_name: optional(text), max_context_length: optional(z.int().min(1)) })).max(10_000),
});

/** POST /create_session. */
export const createSessionRequest = z.object({
  tags: optional(z.array(text).max(64)),
  user_metadata: optional(z.record(z.string(), z.unknown())),
  sdk_version: optional(text),
  project_id: optional(text),
});
export const createSessionReply = z.object({
  session_id: name,
  info_message: optional(z.string()),
  warning_message: optional(z.string()),
  error_message: optional(z.string()),
});

/** POST /session_heartbeat. */
export const heartbeatRequest = z.object({ session_id: name });

const loraConfig = z.object({
  /** 0: train all weights. */
  rank: z.int().min(0).max(4096),
  seed: optional(z.int()),
  train_unembed: z.boolean().default(true),
  train_mlp: z.boolean().default(true),
  train_attn: z.boolean().default(true),
});

/** POST /create_model; a future, whose result is `createModelResult`. Servers may tell `model_id` at once. */
export const createModelRequest = z.object({
  session_id: name,
  model_seq_id: order,
  base_model: name,
  lora_config: loraConfig,
  user_metadata: optional(z.record(z.string(), z.unknown())),
});
export const createModelResult = z.object({ model_id: name });

/** POST /get_info and /unload_model. */
export const modelRequest = z.object({ model_id: name });

/** POST /create_sampling_session: base_model or model_path. */
export const createSamplingSessionRequest = z.object({
  session_id: name,
  sampling_session_seq_id: order,
  base_model: optional(name),
  model_path: optional(name),
});
export const createSamplingSessionReply = z.object({ sampling_session_id: name });

/** POST /optim_step. */
export const optimStepRequest = z.object({
  model_id: name,
  seq_id: order,
  adam_params: z.object({
    learning_rate: z.number().default(1e-4),
    beta1: z.number().default(0.9),
    beta2: z.number().default(0.95),
    eps: z.number().default(1e-12),
    weight_decay: z.number().default(0),
    /** 0: off. */
    grad_clip_norm: z.number().default(0),
    /** Extension, see protocol.ts. */
    skip_above: optional(z.number()),
  }),
});

/** POST /save_weights; the result is `savedResult` with a path. */
export const saveWeightsRequest = z.object({
  model_id: name,
  seq_id: optional(order),
  /** Absent: the server names it. */
  path: optional(name),
  ttl_seconds: optional(z.number()),
  overwrite: optional(z.boolean()),
});

/** POST /save_weights_for_sampler: with a path it is kept, with a sampling_session_seq_id it is a session. */
export const saveForSamplerRequest = z.object({
  model_id: name,
  seq_id: optional(order),
  path: optional(name),
  sampling_session_seq_id: optional(order),
  ttl_seconds: optional(z.number()),
});
export const savedResult = z.object({ path: optional(name), sampling_session_id: optional(name) });

/** POST /load_weights: of a model, or addressed by session and model_seq_id. */
export const loadWeightsRequest = z.object({
  model_id: optional(name),
  session_id: optional(name),
  model_seq_id: optional(order),
  seq_id: optional(order),
  path: name,
  optimizer: z.boolean().default(false),
});

/** POST /retrieve_future. */
export const retrieveFutureRequest = z.object({ request_id: name, allow_metadata_only: optional(z.boolean()) });

/** What every request that takes time is answered with. */
export const futureReply = z.object({ request_id: name, model_id: optional(name) });

/** What a future may give instead of its result. */
export const futureFailure = z.object({ error: z.string(), category: z.enum(["unknown", "server", "user"]).catch("unknown") });

/** POST /weights_info. */
export const weightsInfoRequest = z.object({ tinker_path: name });

/** A body as one of the requests above. Errors: DataError naming the first field that is wrong. */
export function parseRequest<T>(schema: z.ZodType<T>, body: Uint8Array): T {
  return parseValue(schema, parseBody(body, "body"), "body");
}

/** A JSON value as one of the messages above. Errors: DataError naming the first field that is wrong. */
export function parseValue<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [{ path, message }] = parsed.error.issues;
  const said = message.replace(/^Invalid input: /, "").replace("received", "got");
  throw new DataError(`${[where, ...path.map(String)].join(".")}: ${said}.`);
}
