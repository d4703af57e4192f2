// The place in a list of tokens that the parser's functions share. Knows no grammar.

import type { Token } from "./tokens.ts";

/** Thrown where an answer does not follow the grammar; caught in parseExpression. */
export class GrammarError extends Error {}

const MAX_DEPTH = 60;
const END: Token = { type: "end", value: "", spaced: false };

/** See the file header. */
export class Reader {
  readonly tokens: Token[];
  at = 0;
  /** Open `|`: within them the next `|` closes. */
  bars = 0;
  #depth = 0;

  constructor(tokens: Token[]) {
    this.tokens = tokens;
  }

  /** The token `ahead` of the next one, without taking it. */
  peek(ahead = 0): Token {
    return this.tokens[this.at + ahead] ?? END;
  }

  /** Whether the next token is this sign. */
  is(value: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token.type === "op" && token.value === value;
  }

  /** Takes the next token. */
  take(): Token {
    const token = this.peek();
    this.at++;
    return token;
  }

  /** Takes the next token if it is this sign. */
  accept(value: string): boolean {
    if (!this.is(value)) return false;
    this.at++;
    return true;
  }

  /** Takes this sign. Errors: GrammarError when another token stands there. */
  expect(value: string): void {
    if (!this.accept(value)) throw new GrammarError(`expected ${value}, got ${this.peek().value}`);
  }

  /** Runs `read` one level deeper. Errors: GrammarError beyond the cap on nesting. */
  nested<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw new GrammarError("nested too deeply");
    const bars = this.bars;
    const result = read();
    this.bars = bars;
    this.#depth--;
    return result;
  }
}
