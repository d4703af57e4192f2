// asample: the request, always JSON, and its result as JSON; the result's protobuf is in sampling-protobuf.ts. Knows no sampler.

import { DataError } from "../util/errors.ts";
import { expectObject, preview } from "../util/json.ts";
import { MAX_SAMPLES, MAX_TOKENS } from "./protocol.ts";
import { expectList, jsonNumbers, parseFloats, parseInts } from "./tensor.ts";
import { chunkJson, parseBody, parseModelInput } from "./training.ts";

/** What to sample with: an open sampling session, a base model by name, or saved weights by their tinker:// path. */
export type SampleTarget =
  | { readonly samplingSessionId: string; readonly seqId?: number }
  | { readonly baseModel: string }
  | { readonly modelPath: string };

/** How to sample; what is absent is the server's to choose. */
export interface WireSamplingParams {
  readonly maxTokens?: number;
  /** An integer below 2^53. */
  readonly seed?: number;
  readonly temperature?: number;
  /** -1 or 0: off. */
  readonly topK?: number;
  readonly topP?: number;
  /** Token ids, or texts. */
  readonly stop?: readonly number[] | readonly string[];
  /** Extensions, see protocol.ts. */
  readonly firstSample?: number;
  readonly forcedPrefix?: readonly number[];
}

export interface SampleRequest {
  readonly target: SampleTarget;
  readonly prompt: Int32Array;
  readonly numSamples: number;
  readonly params: WireSamplingParams;
  readonly promptLogprobs: boolean;
  /** Likeliest tokens to tell at each place of the prompt; 0: none. */
  readonly topkPromptLogprobs: number;
}

export interface SampledSequence {
  readonly tokens: Int32Array;
  readonly logprobs?: Float32Array;
  readonly stopReason: "stop" | "length";
}

export interface SampleResult {
  readonly sequences: readonly SampledSequence[];
  /** As the server sent them: NaN where a token has none. Servers give N, the first of them none, or N − 1. */
  readonly promptLogprobs?: Float32Array;
  /** Per place: pairs of token and logprob, likeliest first; undefined where there are none. */
  readonly topkPromptLogprobs?: readonly (readonly (readonly [token: number, logprob: number])[] | undefined)[];
  readonly promptCacheHitTokens?: number;
}

/** The JSON text of a request. */
export function encodeSample(request: SampleRequest): string {
  const { params, target } = request;
  const fields = {
    ...("samplingSessionId" in target
      ? { sampling_session_id: target.samplingSessionId, seq_id: target.seqId }
      : "baseModel" in target
        ? { base_model: target.baseModel }
        : { model_path: target.modelPath }),
    num_samples: request.numSamples,
    sampling_params: {
      max_tokens: params.maxTokens,
      seed: params.seed,
      temperature: params.temperature,
      top_k: params.topK,
      top_p: params.topP,
      stop: params.stop,
      first_sample: params.firstSample,
      forced_prefix: params.forcedPrefix,
    },
    prompt_logprobs: request.promptLogprobs,
    ...(request.topkPromptLogprobs > 0 ? { topk_prompt_logprobs: request.topkPromptLogprobs } : {}),
    type: "sample",
  };
  return `${JSON.stringify(fields).slice(0, -1)},"prompt":{"chunks":[${chunkJson(request.prompt)}]}}`;
}

/** A request from its body. Errors: DataError naming the field. */
export function decodeSample(body: Uint8Array): SampleRequest {
  const root = parseBody(body, "body");
  return {
    target: parseTarget(root),
    prompt: parseModelInput(root.prompt, "prompt"),
    numSamples: optional(root.num_samples, "num_samples", 1, MAX_SAMPLES) ?? 1,
    params: parseParams(root.sampling_params),
    promptLogprobs: root.prompt_logprobs === true,
    topkPromptLogprobs: optional(root.topk_prompt_logprobs, "topk_prompt_logprobs", 0, 100) ?? 0,
  };
}

/** The JSON text of a result. */
export function encodeSampleResult(result: SampleResult): string {
  const sequences = result.sequences.map(
    ({ tokens, logprobs, stopReason }) =>
      `{"stop_reason":"${stopReason}","tokens":${jsonNumbers(tokens)},"logprobs":${logprobs ? jsonNumbers(logprobs) : "null"}}`,
  );
  const prompt = result.promptLogprobs === undefined ? "null" : jsonNumbers(result.promptLogprobs);
  const top = result.topkPromptLogprobs === undefined ? "null" : JSON.stringify(result.topkPromptLogprobs, nullForMissing);
  const hits = result.promptCacheHitTokens === undefined ? "" : `,"prompt_cache_hit_tokens":${result.promptCacheHitTokens}`;
  return `{"sequences":[${sequences.join(",")}],"prompt_logprobs":${prompt},"topk_prompt_logprobs":${top}${hits},"type":"sample"}`;
}

/** A result from the JSON that a future gave. Errors: DataError naming the field. */
export function decodeSampleResult(value: unknown, where: string): SampleResult {
  const root = expectObject(value, where);
  const sequences = expectList(root.sequences, MAX_SAMPLES, `${where}.sequences`).map((item, i): SampledSequence => {
    const at = `${where}.sequences[${i}]`;
    const { tokens, logprobs, stop_reason } = expectObject(item, at);
    if (stop_reason !== "stop" && stop_reason !== "length")
      throw new DataError(`${at}.stop_reason: expected "stop" or "length", got ${preview(stop_reason)}.`);
    return {
      tokens: parseInts(tokens, MAX_TOKENS, `${at}.tokens`),
      logprobs: logprobs == null ? undefined : parseFloats(logprobs, MAX_TOKENS, `${at}.logprobs`),
      stopReason: stop_reason,
    };
  });
  const { prompt_logprobs, topk_prompt_logprobs, prompt_cache_hit_tokens } = root;
  return {
    sequences,
    promptLogprobs: prompt_logprobs == null ? undefined : parseFloats(prompt_logprobs, MAX_TOKENS, `${where}.prompt_logprobs`),
    topkPromptLogprobs:
      topk_prompt_logprobs == null ? undefined : parseTop(topk_prompt_logprobs, `${where}.topk_prompt_logprobs`),
    promptCacheHitTokens: typeof prompt_cache_hit_tokens === "number" ? prompt_cache_hit_tokens : undefined,
  };
}

function nullForMissing(_: string, value: unknown): unknown {
  return value === undefined ? null : value;
}

function parseTop(value: unknown, where: string): SampleResult["topkPromptLogprobs"] {
  return expectList(value, MAX_TOKENS, where).map((place, i) => {
    if (place === null) return undefined;
    return expectList(place, 1000, `${where}[${i}]`).map((pair): [number, number] => {
      const [token, logprob] = expectList(pair, 2, `${where}[${i}]`);
      if (typeof token !== "number" || typeof logprob !== "number")
        throw new DataError(`${where}[${i}]: expected pairs of token and logprob, got ${preview(pair)}.`);
      return [token, logprob];
    });
  });
}

function parseTarget(root: Readonly<Record<string, unknown>>): SampleTarget {
  const { sampling_session_id: session, base_model: base, model_path: path } = root;
  if (typeof session === "string") return { samplingSessionId: session, seqId: optional(root.seq_id, "seq_id", 0, 2 ** 31 - 1) };
  if (typeof path === "string" && base == null) return { modelPath: path };
  if (typeof base === "string" && path == null) return { baseModel: base };
  throw new DataError("body: expected sampling_session_id, or one of base_model and model_path, got none or several.");
}

function parseParams(value: unknown): WireSamplingParams {
  const where = "sampling_params";
  const params = expectObject(value, where);
  const number = (name: string, least: number, most: number, whole: boolean) => {
    const item = params[name];
    if (item == null) return undefined;
    if (typeof item === "number" && item >= least && item <= most && (!whole || Number.isInteger(item))) return item;
    throw new DataError(
      `${where}.${name}: expected ${whole ? "an integer" : "a number"} from ${least} to ${most}, got ${preview(item)}.`,
    );
  };
  return {
    maxTokens: number("max_tokens", 0, MAX_TOKENS, true),
    seed: number("seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, true),
    temperature: number("temperature", 0, 1e6, false),
    topK: number("top_k", -1, 2 ** 31 - 1, true),
    topP: number("top_p", 0, 1, false),
    stop: params.stop == null ? undefined : parseStop(params.stop),
    firstSample: number("first_sample", 0, 2 ** 31 - 1, true),
    forcedPrefix:
      params.forced_prefix == null ? undefined : [...parseInts(params.forced_prefix, MAX_TOKENS, `${where}.forced_prefix`)],
  };
}

function parseStop(value: unknown): readonly number[] | readonly string[] {
  const where = "sampling_params.stop";
  const list = expectList(typeof value === "string" ? [value] : value, 1024, where);
  if (list.every((item) => typeof item === "string")) return list as readonly string[];
  return [...parseInts(list, 1024, where)];
}

function optional(value: unknown, where: string, least: number, most: number): number | undefined {
  if (value == null || value === false) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new DataError(`${where}: expected an integer from ${least} to ${most}, got ${preview(value)}.`);
}
