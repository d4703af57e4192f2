// One draw per logits row: the check of the parameters, and the device buffers of the sampling op. Knows nothing of slots,
// caches or where the uniforms come from.

import { ConfigError } from "../../util/errors.ts";
import type { SamplingParams } from "../types.ts";
import type { Buffer, Device } from "./device/types.ts";
import type { LogitsPart } from "./step-rows.ts";

/** Throws a ConfigError naming the first parameter out of its range. */
export function checkSamplingParams(params: SamplingParams, vocabSize: number): void {
  const isToken = (token: number) => Number.isInteger(token) && token >= 0 && token < vocabSize;
  const check = (ok: boolean, name: string, expected: string, got: unknown) => {
    if (!ok) throw new ConfigError(`sampling.${name}: expected ${expected}, got ${got}.`);
  };
  check(Number.isInteger(params.n) && params.n >= 1, "n", "an integer of at least 1", params.n);
  check(Number.isInteger(params.maxTokens) && params.maxTokens >= 1, "maxTokens", "an integer of at least 1", params.maxTokens);
  check(params.temperature >= 0 && params.temperature < Infinity, "temperature", "a number of at least 0", params.temperature);
  check(params.topP > 0 && params.topP <= 1, "topP", "a number in (0, 1]", params.topP);
  check(Number.isInteger(params.topK) && params.topK >= 0, "topK", "an integer of at least 0", params.topK);
  check(Number.isFinite(params.seed), "seed", "a number", params.seed);
  const first = params.firstSample ?? 0;
  check(Number.isInteger(first) && first >= 0, "firstSample", "an integer of at least 0", first);
  const forced = params.forcedPrefix ?? [];
  check(forced.every(isToken), "forcedPrefix", `token ids below ${vocabSize}`, forced);
  check(!(params.stopStrings ?? []).includes(""), "stopStrings", "strings that are not empty", '""');
}

/** What the sampling op reads and writes, one entry per output. */
export type DrawBuffers = Record<"temperature" | "topK" | "topP" | "uniforms" | "forced" | "tokens" | "logprobs", Buffer>;

/** Buffers for `capacity` outputs. Errors: EngineError when memory is short. */
export function drawBuffers(device: Device, capacity: number): DrawBuffers {
  const float = () => device.alloc("f32", capacity);
  const int = () => device.alloc("i32", capacity);
  return {
    temperature: float(),
    topK: int(),
    topP: float(),
    uniforms: float(),
    forced: int(),
    tokens: int(),
    logprobs: float(),
  };
}

/** A token id is below the vocabulary size, so a larger k keeps everything, as 0 does. */
export function boundedTopK(topK: number, vocabSize: number): number {
  return topK >= vocabSize ? 0 : topK;
}

/** Draws the tokens of one part of the outputs. */
export function samplePart(device: Device, all: DrawBuffers, { logits, first, count }: LogitsPart, vocabSize: number): void {
  const part = (buffer: Buffer): Buffer => (first === 0 ? buffer : device.view(buffer, first, count));
  const { temperature, topK, topP, uniforms, forced, tokens, logprobs } = all;
  device.sampleTokens(
    part(tokens),
    part(logprobs),
    logits,
    part(temperature),
    part(topK),
    part(topP),
    part(uniforms),
    part(forced),
    count,
    vocabSize,
  );
}

/** Draws one token per row of logits with one set of parameters. The arrays `uniforms` and `forced` are filled by the caller. */
export class TokenDrawer {
  readonly uniforms: Float32Array;
  /** Token to take instead of drawing, or -1. */
  readonly forced: Int32Array;
  readonly #device: Device;
  readonly #vocabSize: number;
  readonly #buffers: DrawBuffers;

  constructor(device: Device, params: SamplingParams, capacity: number, vocabSize: number) {
    this.#device = device;
    this.#vocabSize = vocabSize;
    this.uniforms = new Float32Array(capacity);
    this.forced = new Int32Array(capacity);
    this.#buffers = drawBuffers(device, capacity);
    device.upload(this.#buffers.temperature, new Float32Array(capacity).fill(params.temperature));
    device.upload(this.#buffers.topK, new Int32Array(capacity).fill(boundedTopK(params.topK, vocabSize)));
    device.upload(this.#buffers.topP, new Float32Array(capacity).fill(params.topP));
  }

  /** Tokens and raw logprobs of `rows` outputs, whose logits come in parts. */
  draw(parts: Iterable<LogitsPart>, rows: number): { tokens: Int32Array; logprobs: Float32Array } {
    const b = this.#buffers;
    const device = this.#device;
    device.upload(b.uniforms, this.uniforms.subarray(0, rows));
    device.upload(b.forced, this.forced.subarray(0, rows));
    for (const part of parts) samplePart(device, b, part, this.#vocabSize);
    return {
      tokens: device.download(b.tokens, 0, rows) as Int32Array,
      logprobs: device.download(b.logprobs, 0, rows) as Float32Array,
    };
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers)) this.#device.free(buffer);
  }
}
