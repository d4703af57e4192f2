// Counter-based randomness: every draw is a pure function of a key (seed and a path of names) and a counter, so no
// result depends on the order in which things were computed. The generator is Philox-4x32-10. It knows nothing of
// what is drawn. Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), and Random123.

/** A 64-bit key as two unsigned 32-bit words. */
export interface Key {
  readonly low: number;
  readonly high: number;
}

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** High 32 bits of the 64-bit product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const middleLow = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(middleLow / 0x10000)) >>> 0;
}

/** One block of Philox-4x32-10: writes four uniform 32-bit words to `out` for a 128-bit counter and a 64-bit key. */
export function philox4x32(out: Uint32Array, c0: number, c1: number, c2: number, c3: number, key: Key): void {
  let [x0, x1, x2, x3] = [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
  let k0 = key.low;
  let k1 = key.high;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, x0);
    const low0 = Math.imul(MULTIPLIER_0, x0);
    const high1 = multiplyHigh(MULTIPLIER_1, x2);
    const low1 = Math.imul(MULTIPLIER_1, x2);
    x0 = (high1 ^ x1 ^ k0) >>> 0;
    x1 = low1 >>> 0;
    x2 = (high0 ^ x3 ^ k1) >>> 0;
    x3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = x0;
  out[1] = x1;
  out[2] = x2;
  out[3] = x3;
}

const block = new Uint32Array(4);
const doubleView = new DataView(new ArrayBuffer(8));
const encoder = new TextEncoder();

/** Absorbs one 128-bit block into a key. The tag keeps kinds of content (numbers, text, tokens) apart. */
function absorb(key: Key, a: number, b: number, c: number, tag: number): Key {
  philox4x32(block, a, b, c, tag, key);
  return { low: block[0], high: block[1] };
}

const TAG_NUMBER = 1;
const TAG_TEXT = 2;
const TAG_TOKENS = 3;
const TAG_UNIFORM = 4;

function absorbNumber(key: Key, value: number): Key {
  doubleView.setFloat64(0, value === 0 ? 0 : value); // -0 and 0 are the same counter
  return absorb(key, doubleView.getUint32(0), doubleView.getUint32(4), 0, TAG_NUMBER);
}

function absorbText(key: Key, text: string): Key {
  const bytes = encoder.encode(text);
  let state = absorb(key, bytes.length, 0, 0, TAG_TEXT);
  for (let at = 0; at < bytes.length; at += 8) {
    const word = (from: number) =>
      ((bytes[from] ?? 0) | ((bytes[from + 1] ?? 0) << 8) | ((bytes[from + 2] ?? 0) << 16) | ((bytes[from + 3] ?? 0) << 24)) >>>
      0;
    state = absorb(state, word(at), word(at + 4), at + 1, TAG_TEXT);
  }
  return state;
}

/** The key of a path: names and numbers, in order. Different paths give unrelated streams. */
export function keyFrom(seed: number, ...path: readonly (string | number)[]): Key {
  let key = absorbNumber({ low: 0, high: 0 }, seed);
  for (const part of path) key = typeof part === "number" ? absorbNumber(key, part) : absorbText(key, part);
  return key;
}

/** A 64-bit hash of a token sequence, for keys and for finding equal prompts. */
export function hashTokens(tokens: ArrayLike<number>): Key {
  let key = absorb({ low: 0, high: 0 }, tokens.length, 0, 0, TAG_TOKENS);
  for (let at = 0; at < tokens.length; at += 3) {
    key = absorb(key, tokens[at], tokens[at + 1] ?? 0, tokens[at + 2] ?? 0, TAG_TOKENS);
  }
  return key;
}

/** Uniform in [0, 1) with 24 bits, so it is exact in float32 and never rounds up to 1. `index` is an unsigned 32-bit counter. */
export function uniformAt(key: Key, index: number): number {
  philox4x32(block, index, 0, 0, TAG_UNIFORM, key);
  return (block[0] >>> 8) * 2 ** -24;
}

/** Uniform in [0, 1) with 24 bits for a seed and any number of counters. */
export function rngAt(seed: number, ...counters: readonly number[]): number {
  return uniformAt(keyFrom(seed, ...counters), 0);
}

/** A stream of draws under one key; two streams of the same key are equal. */
export class Rng {
  readonly #key: Key;
  #counter = 0;

  constructor(key: Key) {
    this.#key = key;
  }

  /** Uniform in [0, 1) with 53 bits. */
  next(): number {
    const counter = this.#counter++;
    philox4x32(block, counter >>> 0, Math.floor(counter / 2 ** 32), 0, 0, this.#key);
    return ((block[0] >>> 5) * 2 ** 26 + (block[1] >>> 6)) * 2 ** -53;
  }

  /** Uniform integer in [0, n). `n` is at least 1. */
  int(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }

  /** Shuffles in place (Fisher-Yates) and returns the same array. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  }

  /** One of the items, uniformly. `items` is not empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)];
  }

  /** An unrelated stream below this one; it does not move this stream. */
  fork(...path: readonly (string | number)[]): Rng {
    let key = absorb(this.#key, 0, 0, 0, TAG_TEXT);
    for (const part of path) key = typeof part === "number" ? absorbNumber(key, part) : absorbText(key, part);
    return new Rng(key);
  }
}

/** The stream of a path, for example `rngFrom(seed, "solver", iteration, step)`. */
export function rngFrom(seed: number, ...path: readonly (string | number)[]): Rng {
  return new Rng(keyFrom(seed, ...path));
}
