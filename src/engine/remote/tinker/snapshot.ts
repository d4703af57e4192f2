// Frozen weights on a Tinker server: samples and logprobs of prompts through a sampling session, which is made again when the server has
// lost it. Text and stop strings are found here, with the model's own tokenizer. Knows no roles.

import { randomInt } from "node:crypto";
import { decodeSampleResult, encodeSample, type SampleRequest, type SampleResult } from "../../../tinker-wire/sampling.ts";
import { decodeSampleResultProto } from "../../../tinker-wire/sampling-protobuf.ts";
import { ConfigError, DataError, EngineError } from "../../../util/errors.ts";
import { rngFrom } from "../../../util/rng.ts";
import { checkSamplingParams } from "../../local/sampling.ts";
import { StopRules } from "../../local/stop-rules.ts";
import type { Completion, Datum, Progress, Prompt, SamplingParams, Snapshot } from "../../types.ts";
import type { EngineParts } from "./engine.ts";
import { fillLogprobs } from "./requests.ts";
import { isLost, TinkerError } from "./retry.ts";
import type { Server } from "./server.ts";

/** Completions of one request; more are asked for in several. */
const SAMPLES_PER_REQUEST = 64;
const MOST_REOPENINGS = 6;
const SEQ_TRIES = 3;

/** A part of one prompt's completions: one request. */
interface Part {
  readonly prompt: number;
  readonly first: number;
  readonly n: number;
}

/** See the file header. */
export class TinkerSnapshot implements Snapshot {
  readonly #parts: EngineParts;
  readonly #server: Server;
  readonly #reopen: () => Promise<string>;
  #session: Promise<string>;
  #reopenings = 0;
  /** Numbers of sampling requests; an earlier process may have used small ones. */
  #seq = randomInt(2 ** 30);
  #disposed = false;

  /** `session`: an open sampling session of the weights; `reopen` makes another of the same weights. */
  constructor(parts: EngineParts, server: Server, session: string, reopen: () => Promise<string>) {
    this.#parts = parts;
    this.#server = server;
    this.#session = Promise.resolve(session);
    this.#reopen = reopen;
  }

  /** Errors: ConfigError (parameters), DataError (a prompt that leaves no room), TinkerError. */
  async sample(prompts: readonly Prompt[], params: SamplingParams, on?: Progress): Promise<Completion[][]> {
    this.#expectOpen();
    const { tokenizer } = this.#parts;
    checkSamplingParams(params, tokenizer.vocabSize);
    for (const [i, { tokens }] of prompts.entries()) this.#expectRoom(tokens.length, `prompt ${i}`);
    const rules = new StopRules(params, tokenizer, tokenizer.vocabSize);
    const out: Completion[][] = prompts.map(() => new Array(params.n));
    const total = prompts.length * params.n;
    let done = 0;
    let drawn = 0;
    await this.#server.limiter.all(partsOf(prompts.length, params.n), async ({ prompt, first, n }) => {
      const { tokens } = prompts[prompt];
      const completions = await this.#draw(tokens, { ...params, n, firstSample: (params.firstSample ?? 0) + first });
      completions.forEach((completion, i) => {
        out[prompt][first + i] = finished(completion, params, rules);
        done++;
        drawn += out[prompt][first + i].tokens.length;
      });
      on?.(done, total, drawn);
    });
    return out;
  }

  /** Errors: DataError (a sequence beyond the context), TinkerError. */
  async logprobs(data: readonly Pick<Datum, "tokens" | "weights">[]): Promise<Float32Array[]> {
    this.#expectOpen();
    const out = data.map(({ weights }) => new Float32Array(weights.length));
    const wanted = data.flatMap(({ weights }, i) => (weights.some((weight) => weight !== 0) ? [i] : []));
    // Our own server can be asked for a prompt's logprobs and no token; others draw one.
    const maxTokens = this.#server.extensions.size > 0 ? 0 : 1;
    await this.#server.limiter.all(wanted, async (i) => {
      const { tokens, weights } = data[i];
      const { promptLogprobs } = await this.#ask({
        prompt: tokens,
        numSamples: 1,
        params: { maxTokens, temperature: 1, seed: 0 },
        promptLogprobs: true,
      });
      fillLogprobs(out[i], alignPrompt(promptLogprobs, tokens.length), weights);
    });
    return out;
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
  }

  #expectOpen(): void {
    if (this.#disposed) throw new EngineError("sample: expected open weights, got a snapshot that was disposed.");
  }

  #expectRoom(length: number, where: string): void {
    const { context, model } = this.#server;
    if (context !== undefined && length >= context)
      throw new DataError(`${where}: expected less than the context of ${model} (${context} tokens), got ${length}.`);
  }

  /** Completions of one prompt as the server gave them. */
  async #draw(prompt: Int32Array, params: SamplingParams): Promise<SampleResult["sequences"]> {
    const { context, extensions } = this.#server;
    const { n, temperature, topP, topK, stopTokens, firstSample = 0, forcedPrefix = [] } = params;
    const room = context === undefined ? params.maxTokens : Math.min(params.maxTokens, context - prompt.length);
    const shared = { temperature, topP, topK: topK === 0 ? -1 : topK, stop: stopTokens };
    if (extensions.has("first_sample") && (forcedPrefix.length === 0 || extensions.has("forced_prefix"))) {
      const forced = forcedPrefix.length === 0 ? {} : { forcedPrefix };
      const own = { ...shared, ...forced, maxTokens: room, seed: params.seed, firstSample };
      const { sequences } = await this.#ask({ prompt, numSamples: n, params: own, promptLogprobs: false });
      return expectSamples(sequences, n);
    }
    return this.#drawPlain(prompt, { n, seed: params.seed, firstSample, forcedPrefix, room, shared });
  }

  /** Without extensions: a seed of its own for each part, and a forced prefix as the end of the prompt. */
  async #drawPlain(
    prompt: Int32Array,
    {
      n,
      seed,
      firstSample,
      forcedPrefix,
      room,
      shared,
    }: { n: number; seed: number; firstSample: number; forcedPrefix: readonly number[]; room: number; shared: object },
  ): Promise<SampleResult["sequences"]> {
    const forced = forcedPrefix.length;
    if (room <= forced)
      throw new ConfigError(`sampling.maxTokens: expected more than the ${forced} of the forced prefix, got ${room}.`);
    const whole = Int32Array.from([...prompt, ...forcedPrefix]);
    const request = {
      prompt: whole,
      numSamples: n,
      params: { ...shared, maxTokens: room - forced, seed: rngFrom(seed, "tinker", firstSample).int(2 ** 31) },
      promptLogprobs: forced > 0,
    };
    const { sequences, promptLogprobs } = await this.#ask(request);
    if (forced === 0) return expectSamples(sequences, n);
    const prefix = alignPrompt(promptLogprobs, whole.length).slice(prompt.length - 1);
    return expectSamples(sequences, n).map(({ tokens, logprobs, stopReason }) => ({
      tokens: Int32Array.from([...forcedPrefix, ...tokens]),
      logprobs: logprobs && Float32Array.from([...prefix, ...logprobs]),
      stopReason,
    }));
  }

  /** One request; again in another session of the same weights where the server has lost the session. */
  async #ask(request: Omit<SampleRequest, "target" | "topkPromptLogprobs">): Promise<SampleResult> {
    for (let conflicts = 0; ; ) {
      const session = this.#session;
      try {
        const target = { samplingSessionId: await session, seqId: this.#seq++ };
        return await sampleOnce(this.#server, encodeSample({ ...request, target, topkPromptLogprobs: 0 }));
      } catch (error) {
        if (!isLost(error)) throw error;
        // A number that was used already says nothing of the session.
        if (error.status === 409 && ++conflicts < SEQ_TRIES) continue;
        this.#renew(session, error);
      }
    }
  }

  /** Opens the session again, once for all requests that miss it. */
  #renew(lost: Promise<string>, error: TinkerError): void {
    if (this.#session !== lost) return;
    if (this.#reopenings++ >= MOST_REOPENINGS) throw error;
    this.#session = this.#reopen();
    this.#session.catch(() => {});
  }
}

/** One sampling request, whose body is given. Errors: TinkerError, DataError. */
export async function sampleOnce({ connection }: Server, content: string): Promise<SampleResult> {
  const raw = await (await connection.submit("/asample", { content, codec: "json" })).result();
  return "json" in raw ? decodeSampleResult(raw.json, "sample") : decodeSampleResultProto(raw.protobuf, "sample");
}

/** Requests of all completions, prompt by prompt. */
function partsOf(prompts: number, n: number): Part[] {
  const out: Part[] = [];
  for (let prompt = 0; prompt < prompts; prompt++)
    for (let first = 0; first < n; first += SAMPLES_PER_REQUEST)
      out.push({ prompt, first, n: Math.min(SAMPLES_PER_REQUEST, n - first) });
  return out;
}

/** Logprobs of a prompt's tokens 1, 2, …: servers give N, the first of them none, or N − 1. Errors: EngineError. */
export function alignPrompt(logprobs: Float32Array | undefined, length: number): Float32Array {
  if (logprobs?.length === length) return logprobs.subarray(1);
  if (logprobs?.length === length - 1) return logprobs;
  throw new EngineError(
    `/asample: expected ${length} or ${length - 1} logprobs of the prompt, got ${logprobs?.length ?? "none"}. A reference model needs them.`,
  );
}

function expectSamples(sequences: SampleResult["sequences"], n: number): SampleResult["sequences"] {
  if (sequences.length === n) return sequences;
  throw new TinkerError(`/asample: expected ${n} samples, got ${sequences.length}.`, { retryable: true });
}

/** A completion cut where a stop string ends, with its text. */
function finished(
  { tokens, logprobs, stopReason }: SampleResult["sequences"][number],
  params: SamplingParams,
  rules: StopRules,
): Completion {
  if (logprobs === undefined || logprobs.length !== tokens.length)
    throw new EngineError(`/asample: expected ${tokens.length} logprobs, got ${logprobs?.length ?? "none"}.`);
  const end = (params.stopStrings ?? []).length === 0 ? -1 : endOf(tokens, params.forcedPrefix?.length ?? 0, rules);
  if (end < 0) return { tokens, logprobs, text: rules.text(tokens, tokens.length), stopReason };
  return { tokens: tokens.slice(0, end), logprobs: logprobs.slice(0, end), text: rules.text(tokens, end), stopReason: "stop" };
}

/** Tokens up to the first that ends the completion, or −1. */
function endOf(tokens: Int32Array, forced: number, rules: StopRules): number {
  for (let count = forced + 1; count <= tokens.length; count++) if (rules.ends(tokens, count)) return count;
  return -1;
}
