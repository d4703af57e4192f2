// What goes over the wire to draw completions of one prompt, in the words of each kind of server. Knows no sockets; what comes back is
// read by reply.ts. Sources: vLLM's completion protocol (token-id prompts, return_token_ids, ignore_eos, prompt_logprobs), SGLang's native
// /generate (its OpenAI face gives no token ids), our own server (vLLM's fields and first_sample).

import { rngFrom } from "../../../util/rng.ts";
import type { SamplingParams } from "../../types.ts";

/** Kinds of servers: `plain` is any that speaks /v1/completions and gives texts alone. */
export type Dialect = "rzero" | "vllm" | "sglang" | "plain";

/** What the connection found out about a server. */
export interface ServerFacts {
  readonly dialect: Dialect;
  /** The model's name in requests. */
  readonly model: string;
  /** Longest sequence; undefined where the server does not tell. */
  readonly context: number | undefined;
}

/** Samples first … first + n − 1 of one prompt. */
export interface Draw {
  readonly prompt: Int32Array;
  readonly first: number;
  readonly n: number;
  readonly params: SamplingParams;
}

/** A draw as the server sees it: a forced prefix has become a part of the prompt. */
export interface DrawShape {
  readonly tokens: Int32Array;
  /** How many of `tokens` at their end are the forced prefix. */
  readonly forced: number;
  /** Most new tokens, within the server's context; 0 draws nothing. */
  readonly most: number;
}

/** A request: its path below the server's root, and its body. */
export interface WireRequest {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
}

const ONE_PROMPT_LOGPROB = 0;

/** See DrawShape. Undefined when the prompt alone fills the context: such completions are empty. */
export function shapeOf({ prompt, params }: Draw, context = Number.POSITIVE_INFINITY): DrawShape | undefined {
  const limit = Math.min(params.maxTokens, context - prompt.length);
  if (limit <= 0) return undefined;
  const forced = (params.forcedPrefix ?? []).slice(0, limit);
  return { tokens: Int32Array.from([...prompt, ...forced]), forced: forced.length, most: limit - forced.length };
}

/** The request of a draw. `model` is the name to ask for: the server's own, or an adapter's. */
export function requestOf(facts: ServerFacts, model: string, draw: Draw, shape: DrawShape): WireRequest {
  return facts.dialect === "sglang" ? generateRequest(draw, shape) : completionRequest(facts.dialect, model, draw, shape);
}

function completionRequest(dialect: Dialect, model: string, { first, n, params }: Draw, shape: DrawShape): WireRequest {
  const { temperature, topP, topK, stopTokens, stopStrings = [] } = params;
  const common = {
    model,
    prompt: [...shape.tokens],
    n,
    // Where nothing is left to draw, one token too many brings the logprobs of the prefix.
    max_tokens: Math.max(1, shape.most),
    temperature,
    top_p: topP,
    logprobs: 0,
    ...(stopStrings.length > 0 && { stop: stopStrings }),
    ...(topK > 0 && { top_k: topK }),
  };
  if (dialect === "plain") return { path: "/v1/completions", body: { ...common, seed: seedOf(params.seed, first) } };
  const own = dialect === "rzero";
  const body = {
    ...common,
    // What ends a completion is the caller's choice alone.
    ignore_eos: true,
    stop_token_ids: stopTokens,
    return_token_ids: true,
    ...(own ? { seed: params.seed, first_sample: first } : { seed: seedOf(params.seed, first) }),
    ...(shape.forced > 0 && { prompt_logprobs: ONE_PROMPT_LOGPROB }),
  };
  return { path: "/v1/completions", body };
}

function generateRequest({ first, n, params }: Draw, shape: DrawShape): WireRequest {
  const { temperature, topP, topK, stopTokens, stopStrings = [] } = params;
  const body = {
    input_ids: [...shape.tokens],
    sampling_params: {
      n,
      max_new_tokens: Math.max(1, shape.most),
      temperature,
      top_p: topP,
      top_k: topK > 0 ? topK : -1,
      ignore_eos: true,
      stop_token_ids: stopTokens,
      ...(stopStrings.length > 0 && { stop: stopStrings }),
      sampling_seed: seedOf(params.seed, first),
    },
    return_logprob: true,
    ...(shape.forced > 0 && { logprob_start_len: shape.tokens.length - shape.forced }),
  };
  return { path: "/generate", body };
}

/** Servers that cannot be told an index of the first sample get another seed for each block of samples. */
function seedOf(seed: number, first: number): number {
  return rngFrom(seed, "request", first).int(2 ** 31);
}
