// The text of one completion while its tokens arrive: parts of characters are held back until they are whole, and so is what may
// be the beginning of a stop string. The parts put together are the text that `sample` gives. Knows no HTTP.

import type { Completion } from "../engine/types.ts";
import { REPLACEMENT, type TokenTexts } from "./token-texts.ts";

/** What ends a completion. */
export interface StopRule {
  readonly tokens: ReadonlySet<number>;
  readonly strings: readonly string[];
}

/** See the file header. */
export class CompletionText {
  /** What ended it: a stop token, a stop string; undefined while it goes on or when it ran out of length. */
  stoppedBy: number | string | undefined;
  readonly #texts: TokenTexts;
  readonly #stop: StopRule;
  readonly #tokens: number[] = [];
  /** Decoded text, without an incomplete last character. */
  #text = "";
  #taken = 0;
  #ended = false;
  /** Tokens before `read` are in #text. */
  #read = 0;

  constructor(texts: TokenTexts, stop: StopRule) {
    this.#texts = texts;
    this.#stop = stop;
  }

  /** Adds tokens; `stopReason` says that they are the last. */
  push(tokens: readonly number[], stopReason?: Completion["stopReason"]): void {
    for (const token of tokens) this.#tokens.push(token);
    if (stopReason === undefined) {
      this.#advance(this.#tokens.length, false);
      return;
    }
    this.#ended = true;
    const last = this.#tokens.at(-1);
    if (stopReason === "stop" && last !== undefined && this.#stop.tokens.has(last)) {
      this.stoppedBy = last;
      this.#advance(this.#tokens.length - 1, true);
      return;
    }
    this.#advance(this.#tokens.length, true);
    if (stopReason === "stop") this.#cut();
  }

  /** The text that has become certain since the last call. */
  take(): string {
    const end = this.#ended ? this.#text.length : this.#text.length - this.#doubtful();
    if (end <= this.#taken) return "";
    const part = this.#text.slice(this.#taken, end);
    this.#taken = end;
    return part;
  }

  #advance(end: number, last: boolean): void {
    if (end <= this.#read) return;
    const { from, known } = this.#context();
    const now = this.#decode(this.#tokens.slice(from, end));
    if (!last && now.endsWith(REPLACEMENT)) return;
    this.#text += now.slice(known.length);
    this.#read = end;
  }

  /** The last tokens that were read, back to one that is text by itself (some decoders look at the token before), and their text. */
  #context(): { from: number; known: string } {
    let from = this.#read;
    while (from > 0) {
      from--;
      const piece = this.#texts.of(this.#tokens[from]);
      if (piece !== "" && !piece.includes(REPLACEMENT)) break;
    }
    const one = from === this.#read - 1;
    return { from, known: one ? this.#texts.of(this.#tokens[from]) : this.#decode(this.#tokens.slice(from, this.#read)) };
  }

  #decode(tokens: readonly number[]): string {
    return this.#texts.decode(tokens);
  }

  /** Ends the text before the first stop string. */
  #cut(): void {
    let first = this.#text.length;
    for (const stop of this.#stop.strings) {
      const at = this.#text.indexOf(stop);
      if (at < 0 || at >= first) continue;
      first = at;
      this.stoppedBy = stop;
    }
    this.#text = this.#text.slice(0, first);
  }

  /** Length of the longest end of the text that a stop string begins with. */
  #doubtful(): number {
    let longest = 0;
    for (const stop of this.#stop.strings) {
      let length = Math.min(stop.length - 1, this.#text.length);
      while (length > longest && !this.#text.endsWith(stop.slice(0, length))) length--;
      longest = Math.max(longest, length);
    }
    return longest;
  }
}
