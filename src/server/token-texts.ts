// Texts of single tokens, kept, because the same few thousand come again and again. Knows a tokenizer and no route.

import type { Tokenizer } from "../engine/types.ts";

/** Stands for bytes that are no whole character. */
export const REPLACEMENT = "\uFFFD";

/** See the file header. */
export class TokenTexts {
  readonly #tokenizer: Tokenizer;
  readonly #texts = new Map<number, string>();

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Text of one token by itself; U+FFFD stands for part of a character. */
  of(token: number): string {
    let text = this.#texts.get(token);
    if (text === undefined) {
      text = this.#tokenizer.decode([token]);
      this.#texts.set(token, text);
    }
    return text;
  }

  /** As `of`; but a token that is part of a character is shown as `token_id:N`, so that two of them stay two. */
  shown(token: number, asId = false): string {
    const text = this.of(token);
    return asId || text.includes(REPLACEMENT) ? `token_id:${token}` : text;
  }

  /** Length in a text; a part of a character counts nothing. */
  lengthOf(token: number): number {
    const text = this.of(token);
    return text.includes(REPLACEMENT) ? 0 : text.length;
  }

  /** Text of tokens together. */
  decode(tokens: ArrayLike<number>): string {
    return this.#tokenizer.decode(tokens);
  }
}
