// Prime factors of an integer, as far as cheap trial division goes. What is left is kept whole, as a perfect power if it is one.

import { bitLength } from "../rational.ts";
import { spend } from "./budget.ts";

const LIMIT = 2000;
const PRIMES: number[] = [];
for (let n = 2; n < LIMIT; n++) if (PRIMES.every((prime) => n % prime !== 0)) PRIMES.push(n);

/** [factor, times] with Π factor^times = value > 0. Factors below 2,000² are prime; larger ones may be composite. */
export function primePowers(value: bigint): [bigint, number][] {
  const out: [bigint, number][] = [];
  let rest = value;
  if (rest > 1n << 512n) return [[rest, 1]];
  for (const prime of PRIMES) {
    if (rest === 1n) return out;
    if (rest < 9_007_199_254_740_991n && prime * prime > Number(rest)) break;
    const p = BigInt(prime);
    let times = 0;
    for (; rest % p === 0n; times++) rest /= p;
    if (times > 0) out.push([p, times]);
  }
  spend(30);
  if (rest === 1n) return out;
  for (const degree of [2, 3, 5, 7]) {
    const root = wholeRoot(rest, degree);
    if (root !== undefined) return [...out, [root, degree]];
  }
  return [...out, [rest, 1]];
}

/** The whole number whose power is `value`; undefined when there is none. Newton's method. */
export function wholeRoot(value: bigint, degree: number): bigint | undefined {
  const n = BigInt(degree);
  let guess = 1n << BigInt(Math.ceil(bitLength(value) / degree) + 1);
  for (let i = 0; i < 600; i++) {
    spend();
    const next = ((n - 1n) * guess + value / guess ** (n - 1n)) / n;
    if (next >= guess) break;
    guess = next;
  }
  return guess ** n === value ? guess : undefined;
}
