// One asample request against a live sampler: checked, submitted, gathered. Knows the wire's values and the engine's, no session.

import { randomInt } from "node:crypto";
import type { LiveRequest, LiveSampler, LiveUpdate, TopTokens } from "../../engine/types.ts";
import { encodeSampleResult, type SampleRequest } from "../../tinker-wire/sampling.ts";
import { DataError } from "../../util/errors.ts";
import type { FutureResult } from "./futures.ts";
import type { DataLimits } from "./training-data.ts";

const LARGEST_SEED = 2 ** 47;
const TEXT_OF_STOP = 1024;

interface Drawn {
  readonly tokens: number[];
  readonly logprobs: number[];
  readonly top: TopTokens[];
  stopReason: "stop" | "length";
}

/** The engine's form of a request. Errors: DataError naming the field. */
export function liveRequest(request: SampleRequest, { vocabSize, context }: DataLimits): LiveRequest {
  const { prompt, params, numSamples, topkPromptLogprobs } = request;
  const room = context - prompt.length;
  const { maxTokens = room, stop = [], forcedPrefix } = params;
  if (prompt.length === 0) throw new DataError("body.prompt: expected at least one token, got none.");
  if (room < (maxTokens > 0 ? 1 : 0))
    throw new DataError(`body.prompt: expected at most ${context - 1} tokens (the context is ${context}), got ${prompt.length}.`);
  const strange = prompt.find((token) => token < 0 || token >= vocabSize);
  if (strange !== undefined) throw new DataError(`body.prompt: expected token ids below ${vocabSize}, got ${strange}.`);
  const scores = request.promptLogprobs || topkPromptLogprobs > 0;
  if (maxTokens === 0 && !scores)
    throw new DataError("body.sampling_params.max_tokens: expected at least 1 without prompt_logprobs, got 0.");
  if (params.topP === 0) throw new DataError("body.sampling_params.top_p: expected more than 0, got 0.");
  const texts = stop.filter((item): item is string => typeof item === "string");
  if (texts.some((text) => text === "" || text.length > TEXT_OF_STOP))
    throw new DataError(`body.sampling_params.stop: expected texts of 1 to ${TEXT_OF_STOP} characters, got another.`);
  return {
    tokens: prompt,
    promptLogprobs: scores ? topkPromptLogprobs : undefined,
    params: {
      n: numSamples,
      maxTokens,
      temperature: params.temperature ?? 1,
      topP: params.topP ?? 1,
      topK: Math.max(0, params.topK ?? 0),
      stopTokens: stop.filter((item): item is number => typeof item === "number" && item >= 0 && item < vocabSize),
      stopStrings: texts.length > 0 ? texts : undefined,
      seed: params.seed ?? randomInt(LARGEST_SEED),
      firstSample: params.firstSample,
      forcedPrefix,
    },
  };
}

/** Runs a request and gives its answer. Errors: those of the sampler. */
export async function sampleResult(live: LiveSampler, request: LiveRequest): Promise<FutureResult> {
  const empty = (): Drawn => ({ tokens: [], logprobs: [], top: [], stopReason: "length" });
  const prompt = empty();
  const samples = Array.from({ length: request.params.n }, empty);
  const hear = ({ sample, tokens, logprobs, top = [], stopReason }: LiveUpdate) => {
    const drawn = sample < 0 ? prompt : samples[sample];
    for (const token of tokens) drawn.tokens.push(token);
    for (const logprob of logprobs) drawn.logprobs.push(logprob);
    for (const entry of top) drawn.top.push(entry);
    drawn.stopReason = stopReason ?? drawn.stopReason;
  };
  await live.submit(request, hear).done;
  const { promptLogprobs: topCount } = request;
  const json = encodeSampleResult({
    sequences: samples.map(({ tokens, logprobs, stopReason }) => ({
      tokens: Int32Array.from(tokens),
      logprobs: Float32Array.from(logprobs),
      stopReason,
    })),
    // One entry per token; nothing comes before the first.
    promptLogprobs: topCount === undefined ? undefined : Float32Array.from([Number.NaN, ...prompt.logprobs]),
    topkPromptLogprobs: topCount ? [undefined, ...prompt.top.map(pairs)] : undefined,
  });
  return { kind: "sample", json };
}

function pairs({ tokens, logprobs }: TopTokens): [number, number][] {
  return tokens.map((token, i) => [token, logprobs[i]]);
}
