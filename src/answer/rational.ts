// Exact rational numbers on BigInt with a cap on their size, so that no answer can make the grader hang.
// Every operation returns undefined instead of a number beyond the cap (or an undefined quotient). Knows no notation.

/** A reduced fraction: denominator > 0, gcd 1. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Largest bit length of a numerator or denominator (about 2,400 decimal digits). */
export const MAX_BITS = 8192;
const LIMIT = 1n << BigInt(MAX_BITS);

/** 1. */
export const ONE: Rational = { numerator: 1n, denominator: 1n };

/** The reduced fraction; undefined when the denominator is 0 or a part exceeds the cap. */
export function rational(numerator: bigint, denominator: bigint): Rational | undefined {
  if (denominator === 0n || abs(numerator) > LIMIT || abs(denominator) > LIMIT) return undefined;
  const divisor = gcd(abs(numerator), abs(denominator)) * (denominator < 0n ? -1n : 1n);
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

/** a + b. */
export function add(a: Rational, b: Rational): Rational | undefined {
  return rational(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);
}

/** a · b. */
export function multiply(a: Rational, b: Rational): Rational | undefined {
  return rational(a.numerator * b.numerator, a.denominator * b.denominator);
}

/** a / b; undefined when b is 0. */
export function divide(a: Rational, b: Rational): Rational | undefined {
  return rational(a.numerator * b.denominator, a.denominator * b.numerator);
}

/** base^exponent for an integer exponent; the size is bounded before anything is computed. */
export function power(base: Rational, exponent: Rational): Rational | undefined {
  if (exponent.denominator !== 1n || abs(exponent.numerator) > BigInt(MAX_BITS)) return undefined;
  const times = abs(exponent.numerator);
  const bits = Math.max(bitLength(base.numerator), bitLength(base.denominator));
  if (base.numerator === 0n && exponent.numerator <= 0n) return undefined;
  if (bits > 1 && bits * Number(times) > MAX_BITS) return undefined;
  const raised = { numerator: base.numerator ** times, denominator: base.denominator ** times };
  return exponent.numerator < 0n
    ? rational(raised.denominator, raised.numerator)
    : rational(raised.numerator, raised.denominator);
}

/** `3`, `-1/2`: one string per value. */
export function formatRational(value: Rational): string {
  return value.denominator === 1n ? String(value.numerator) : `${value.numerator}/${value.denominator}`;
}

/** −1, 0 or 1 as a < b, a = b, a > b. */
export function compareRational(a: Rational, b: Rational): number {
  const difference = a.numerator * b.denominator - b.numerator * a.denominator;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** The nearest double; ±Infinity beyond its range. */
export function toNumber({ numerator, denominator }: Rational): number {
  if (denominator === 1n) return Number(numerator);
  const shift = BigInt(Math.max(0, bitLength(denominator) - bitLength(numerator) + 64));
  const quotient = Number((abs(numerator) << shift) / denominator) / 2 ** Number(shift > 1000n ? 1000n : shift);
  const scaled = shift > 1000n ? quotient / 2 ** Number(shift - 1000n) : quotient;
  return numerator < 0n ? -scaled : scaled;
}

/** |value|. */
export function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}

/** Bits of |value|, rounded up to a multiple of 4. */
export function bitLength(value: bigint): number {
  return abs(value).toString(16).length * 4;
}

/** Greatest common divisor of non-negative numbers; 1 when both are 0. */
export function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x === 0n ? 1n : x;
}
