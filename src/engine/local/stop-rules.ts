// When a completion ends by what it says: stop tokens, and stop strings in its decoded text. Knows nothing of slots.
// Text is only decoded when the newest token could end a stop string, so the check costs next to nothing per token.

import { ConfigError } from "../../util/errors.ts";
import type { SamplingParams } from "../types.ts";
import type { LocalTokenizer } from "./tokenizer.ts";

const REPLACEMENT = "\uFFFD";

/** Tells whether the newest token of a completion ends it, and what its text is. */
export class StopRules {
  readonly #stopTokens: ReadonlySet<number>;
  readonly #stopStrings: readonly string[];
  readonly #tokenizer: LocalTokenizer | undefined;
  readonly #forcedTokens: readonly number[];
  readonly #longestStop: number;
  /** Per token id: 0 unknown yet, 1 cannot end a stop string, 2 can. */
  readonly #canEnd: Uint8Array;

  constructor(params: SamplingParams, tokenizer: LocalTokenizer | undefined, vocabSize: number) {
    this.#stopTokens = new Set(params.stopTokens);
    this.#stopStrings = params.stopStrings ?? [];
    this.#forcedTokens = params.forcedPrefix ?? [];
    this.#tokenizer = tokenizer;
    this.#longestStop = Math.max(0, ...this.#stopStrings.map((stop) => stop.length));
    this.#canEnd = new Uint8Array(this.#stopStrings.length > 0 ? vocabSize : 0);
    if (this.#stopStrings.length > 0 && tokenizer === undefined) {
      throw new ConfigError("sampling.stopStrings: expected a model with a tokenizer.json, got one without. Use stopTokens.");
    }
  }

  /** Whether tokens[0..count), of which the last was drawn and not forced, have come to an end. */
  ends(tokens: Int32Array, count: number): boolean {
    const newest = tokens[count - 1];
    if (this.#stopTokens.has(newest)) return true;
    if (this.#stopStrings.length === 0 || !this.#mayEnd(newest)) return false;
    return this.#tailHasStop(tokens, count) && this.#stopAt(tokens, count) >= 0;
  }

  /** Text of a finished completion: without its stop token, cut before the first stop string; empty without a tokenizer. */
  text(tokens: Int32Array, count: number): string {
    if (this.#tokenizer === undefined) return "";
    const endsByToken = count > this.#forcedTokens.length && this.#stopTokens.has(tokens[count - 1]);
    const text = this.#tokenizer.decode(tokens.subarray(0, endsByToken ? count - 1 : count));
    const at = this.#stopStrings.length > 0 && !endsByToken ? this.#stopAt(tokens, count) : -1;
    return at >= 0 ? text.slice(0, at) : text;
  }

  /** A stop string ends in this token only if the token has its last character, or a part of a character, or edge spaces that decoding alone loses. */
  #mayEnd(token: number): boolean {
    if (this.#canEnd[token] === 0) {
      const piece = this.#tokenizer!.pieceText(token);
      const may =
        piece.includes(REPLACEMENT) || this.#stopStrings.some((stop) => piece.includes(stop.at(-1)!) || stop.endsWith(" "));
      this.#canEnd[token] = may ? 2 : 1;
    }
    return this.#canEnd[token] === 2;
  }

  /** Decodes as many last tokens as can hold the longest stop string; an incomplete last character shows as U+FFFD and matches nothing. */
  #tailHasStop(tokens: Int32Array, count: number): boolean {
    const needed = 2 * this.#longestStop + this.#tokenizer!.pieceText(tokens[count - 1]).length;
    for (let width = this.#longestStop + 8; ; width *= 2) {
      const from = Math.max(0, count - width);
      const tail = this.#tokenizer!.decode(tokens.subarray(from, count));
      if (from > 0 && tail.length < needed) continue;
      return this.#stopStrings.some((stop) => tail.includes(stop));
    }
  }

  /** Where the first stop string that ends after the forced prefix begins in the whole text, or -1. */
  #stopAt(tokens: Int32Array, count: number): number {
    const text = this.#tokenizer!.decode(tokens.subarray(0, count));
    const forcedLength = this.#forcedTokens.length > 0 ? this.#tokenizer!.decode(this.#forcedTokens).length : 0;
    let first = -1;
    for (const stop of this.#stopStrings) {
      const at = text.indexOf(stop, Math.max(0, forcedLength - stop.length + 1));
      if (at >= 0 && (first < 0 || at < first)) first = at;
    }
    return first;
  }
}
