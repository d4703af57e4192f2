// One draw per logits row, each row with parameters of its own, and the likeliest alternatives of the rows that ask for them.
// The op and so the bits are those of sampling.ts. Knows nothing of requests or slots.

import type { SamplingParams } from "../types.ts";
import type { Buffer, Device } from "./device/types.ts";
import { boundedTopK, type DrawBuffers, drawBuffers, samplePart } from "./sampling.ts";
import type { LogitsPart } from "./step-rows.ts";

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
  readonly #buffers: DrawBuffers & Record<"lse", Buffer>;

  constructor(device: Device, capacity: number, vocabSize: number) {
    this.#device = device;
    this.#vocabSize = vocabSize;
    this.#temperature = new Float32Array(capacity);
    this.#topP = new Float32Array(capacity);
    this.#uniforms = new Float32Array(capacity);
    this.#topK = new Int32Array(capacity);
    this.#forced = new Int32Array(capacity);
    this.#buffers = { ...drawBuffers(device, capacity), lse: device.alloc("f32", capacity) };
  }

  /** How row `row` is drawn; `forced` is the token to take instead of drawing, or -1. */
  set(row: number, { temperature, topP, topK }: SamplingParams, uniform: number, forced: number): void {
    // A forced row needs no distribution: greedy is the cheapest.
    this.#temperature[row] = forced >= 0 ? 0 : temperature;
    this.#topP[row] = forced >= 0 ? 1 : topP;
    this.#topK[row] = forced >= 0 ? 0 : boundedTopK(topK, this.#vocabSize);
    this.#uniforms[row] = uniform;
    this.#forced[row] = forced;
  }

  /** Tokens and raw logprobs of `rows` outputs, whose logits come in parts, with `topCounts[row]` alternatives each. */
  draw(parts: Iterable<LogitsPart>, rows: number, topCounts: Int32Array): LiveDraws {
    const b = this.#buffers;
    const device = this.#device;
    device.upload(b.temperature, this.#temperature.subarray(0, rows));
    device.upload(b.topK, this.#topK.subarray(0, rows));
    device.upload(b.topP, this.#topP.subarray(0, rows));
    device.upload(b.uniforms, this.#uniforms.subarray(0, rows));
    device.upload(b.forced, this.#forced.subarray(0, rows));
    const asked = topCounts.some((count) => count > 0);
    const top: (RowTop | undefined)[] = [];
    for (const part of parts) {
      samplePart(device, b, part, this.#vocabSize);
      if (asked) top.push(...this.#alternatives(part, topCounts.subarray(part.first, part.first + part.count)));
    }
    const tokens = device.download(b.tokens, 0, rows) as Int32Array;
    const logprobs = device.download(b.logprobs, 0, rows) as Float32Array;
    return asked ? { tokens, logprobs, top } : { tokens, logprobs };
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers)) this.#device.free(buffer);
  }

  #alternatives({ logits, first, count }: LogitsPart, topCounts: Int32Array): (RowTop | undefined)[] {
    const b = this.#buffers;
    const V = this.#vocabSize;
    // For the log-sum-exp; the logprobs it writes are those that the draw has written.
    const part = (buffer: Buffer): Buffer => this.#device.view(buffer, first, count);
    this.#device.logprob(part(b.logprobs), b.lse, logits, part(b.tokens), count, V);
    const lse = this.#device.download(b.lse, 0, count) as Float32Array;
    return Array.from(topCounts, (wanted, row) => {
      if (wanted === 0) return undefined;
      const values = this.#device.download(logits, row * V, V) as Float32Array;
      const tokens = likeliest(values, Math.min(wanted, V));
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
