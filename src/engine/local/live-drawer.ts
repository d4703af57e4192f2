// One draw per logits row, each row with parameters of its own, and the likeliest alternatives of the rows that ask for them.
// The op and so the bits are those of sampling.ts. Knows nothing of requests or slots.

import type { SamplingParams } from "../types.ts";
import type { Buffer, Device } from "./device/types.ts";

/** The likeliest tokens of a row, likeliest first (ties: lowest id), with raw logprobs. */
export interface RowTop {
  readonly tokens: number[];
  readonly logprobs: number[];
}

/** Draws of one step. `top` is present when any row asked. */
export interface LiveDraws {
  readonly tokens: Int32Array;
  readonly logprobs: Float32Array;
  readonly top?: readonly (RowTop | undefined)[];
}

/** See the file header. `set` each row, then `draw`. */
export class LiveDrawer {
  readonly #device: Device;
  readonly #vocabSize: number;
  readonly #temperature: Float32Array;
  readonly #topP: Float32Array;
  readonly #uniforms: Float32Array;
  readonly #topK: Int32Array;
  readonly #forced: Int32Array;
  readonly #buffers: Record<"temperature" | "topK" | "topP" | "uniforms" | "forced" | "tokens" | "logprobs" | "lse", Buffer>;

  constructor(device: Device, capacity: number, vocabSize: number) {
    this.#device = device;
    this.#vocabSize = vocabSize;
    this.#temperature = new Float32Array(capacity);
    this.#topP = new Float32Array(capacity);
    this.#uniforms = new Float32Array(capacity);
    this.#topK = new Int32Array(capacity);
    this.#forced = new Int32Array(capacity);
    const float = () => device.alloc("f32", capacity);
    const int = () => device.alloc("i32", capacity);
    this.#buffers = {
      temperature: float(),
      topK: int(),
      topP: float(),
      uniforms: float(),
      forced: int(),
      tokens: int(),
      logprobs: float(),
      lse: float(),
    };
  }

  /** How row `row` is drawn; `forced` is the token to take instead of drawing, or -1. */
  set(row: number, { temperature, topP, topK }: SamplingParams, uniform: number, forced: number): void {
    // A forced row needs no distribution: greedy is the cheapest.
    this.#temperature[row] = forced >= 0 ? 0 : temperature;
    this.#topP[row] = forced >= 0 ? 1 : topP;
    this.#topK[row] = forced >= 0 || topK >= this.#vocabSize ? 0 : topK;
    this.#uniforms[row] = uniform;
    this.#forced[row] = forced;
  }

  /** Tokens and raw logprobs of the first `rows` rows of `logits`, with `topCounts[row]` alternatives each. */
  draw(logits: Buffer, rows: number, topCounts: Int32Array): LiveDraws {
    const b = this.#buffers;
    const device = this.#device;
    device.upload(b.temperature, this.#temperature.subarray(0, rows));
    device.upload(b.topK, this.#topK.subarray(0, rows));
    device.upload(b.topP, this.#topP.subarray(0, rows));
    device.upload(b.uniforms, this.#uniforms.subarray(0, rows));
    device.upload(b.forced, this.#forced.subarray(0, rows));
    device.sampleTokens(b.tokens, b.logprobs, logits, b.temperature, b.topK, b.topP, b.uniforms, b.forced, rows, this.#vocabSize);
    const tokens = device.download(b.tokens, 0, rows) as Int32Array;
    const logprobs = device.download(b.logprobs, 0, rows) as Float32Array;
    if (!topCounts.some((count) => count > 0)) return { tokens, logprobs };
    return { tokens, logprobs, top: this.#alternatives(logits, rows, topCounts) };
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers)) this.#device.free(buffer);
  }

  #alternatives(logits: Buffer, rows: number, topCounts: Int32Array): (RowTop | undefined)[] {
    const b = this.#buffers;
    const V = this.#vocabSize;
    this.#device.logprob(b.logprobs, b.lse, logits, b.tokens, rows, V);
    const lse = this.#device.download(b.lse, 0, rows) as Float32Array;
    return Array.from(topCounts, (count, row) => {
      if (count === 0) return undefined;
      const values = this.#device.download(logits, row * V, V) as Float32Array;
      const tokens = likeliest(values, Math.min(count, V));
      // The subtraction of the logprob op, in single precision.
      return { tokens, logprobs: tokens.map((token) => Math.fround(values[token] - lse[row])) };
    });
  }
}

/** Indices of the `count` largest values, largest first, ties by index. */
function likeliest(values: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (best.length === count && values[i] <= values[best[count - 1]]) continue;
    let at = best.length === count ? count - 1 : best.length;
    for (; at > 0 && values[best[at - 1]] < values[i]; at--) best[at] = best[at - 1];
    best[at] = i;
  }
  return best;
}
