// Exact sums of products: rational coefficients times powers of atoms (symbols, π, e, i, primes to fractional powers, functions
// of something). Two sums over independent atoms are equal exactly when they are the same sum. Every operation is bounded.
// Knows no trees; exact.ts builds these from them.

import { add as addRational, bitLength, formatRational, multiply, ONE, power, type Rational } from "../rational.ts";
import { BudgetError, spend } from "./budget.ts";

/** Something that is multiplied but not looked into, identified by its key. */
export interface Atom {
  readonly key: string;
  /** prime: a positive integer; unit: i; free: independent of all others; opaque: may be related to others; root: a sum under a root. */
  readonly type: "prime" | "unit" | "free" | "opaque" | "root";
  /** The integer of a prime. */
  readonly value?: bigint;
  /** The sum of a root. */
  readonly radicand?: Polynomial;
}

/** atom^(numerator/denominator), reduced, denominator > 0. */
export interface Factor {
  readonly atom: Atom;
  readonly numerator: number;
  readonly denominator: number;
}

/** coefficient · Π factors; factors in the order of their keys. */
export interface Term {
  readonly coefficient: Rational;
  readonly factors: readonly Factor[];
}

/** Terms by the key of their factors; no coefficient is 0. */
export type Polynomial = ReadonlyMap<string, Term>;

const MAX_TERMS = 300;
const MAX_EXPONENT = 4096;

/** The sum of nothing. */
export const NOTHING: Polynomial = new Map();

/** A rational number. */
export function constant(value: Rational): Polynomial {
  return value.numerator === 0n ? NOTHING : new Map([["", { coefficient: value, factors: [] }]]);
}

/** atom^(numerator/denominator). */
export function atomPower(atom: Atom, numerator = 1, denominator = 1): Polynomial {
  return normalTerm({ coefficient: ONE, factors: [factor(atom, numerator, denominator)] });
}

function factor(atom: Atom, numerator: number, denominator: number): Factor {
  if (!Number.isSafeInteger(numerator) || Math.abs(numerator) > MAX_EXPONENT * denominator || denominator > MAX_EXPONENT)
    throw new BudgetError("budget: an exponent too large");
  const divisor = greatest(Math.abs(numerator), denominator);
  return { atom, numerator: numerator / divisor, denominator: denominator / divisor };
}

function greatest(a: number, b: number): number {
  return b === 0 ? a || 1 : greatest(b, a % b);
}

/** The value if it is a rational number. */
export function asRational(sum: Polynomial): Rational | undefined {
  if (sum.size === 0) return { numerator: 0n, denominator: 1n };
  return sum.size === 1 ? sum.get("")?.coefficient : undefined;
}

/** Result or out of budget: the cap on a number's size counts as work. */
export function within(value: Rational | undefined): Rational {
  if (value === undefined) throw new BudgetError("budget: a number too large");
  spend(1 + ((bitLength(value.numerator) + bitLength(value.denominator)) >> 8));
  return value;
}

/** a + b. */
export function addPolynomials(a: Polynomial, b: Polynomial): Polynomial {
  if (a.size === 0) return b;
  if (b.size === 0) return a;
  const out = new Map(a);
  for (const [key, term] of b) addTerm(out, key, term);
  return out;
}

function addTerm(out: Map<string, Term>, key: string, term: Term): void {
  const before = out.get(key);
  spend();
  if (before === undefined) {
    if (out.size >= MAX_TERMS) throw new BudgetError("budget: a sum too long");
    out.set(key, term);
    return;
  }
  const coefficient = within(addRational(before.coefficient, term.coefficient));
  if (coefficient.numerator === 0n) out.delete(key);
  else out.set(key, { coefficient, factors: term.factors });
}

/** a · b. */
export function multiplyPolynomials(a: Polynomial, b: Polynomial): Polynomial {
  if (a.size * b.size > MAX_TERMS * 40) throw new BudgetError("budget: a product too long");
  let out: Polynomial = new Map();
  for (const left of a.values())
    for (const right of b.values()) {
      const term = normalTerm(multiplyTerms(left, right));
      if (term.size === 1) for (const [key, one] of term) addTerm(out as Map<string, Term>, key, one);
      else out = new Map(addPolynomials(out, term));
    }
  return out;
}

/** coefficient · sum. */
export function scale(sum: Polynomial, by: Rational): Polynomial {
  if (by.numerator === 0n) return NOTHING;
  return new Map(
    [...sum].map(([key, { coefficient, factors }]) => [key, { coefficient: within(multiply(coefficient, by)), factors }]),
  );
}

/** sum^exponent for a whole exponent ≥ 0. */
export function raise(sum: Polynomial, exponent: number): Polynomial {
  if (sum.size > 1 && (exponent > 64 || sum.size ** Math.min(exponent, 6) > 200_000))
    throw new BudgetError("budget: a power too long");
  if (sum.size === 1) return raiseTerm([...sum.values()][0], exponent);
  let result = constant(ONE);
  for (let i = 0; i < exponent; i++) result = multiplyPolynomials(result, sum);
  return result;
}

/** term^exponent for a whole exponent of any sign. */
export function raiseTerm({ coefficient, factors }: Term, exponent: number): Polynomial {
  const raised = within(power(coefficient, { numerator: BigInt(exponent), denominator: 1n }));
  return normalTerm({
    coefficient: raised,
    factors: factors.map(({ atom, numerator, denominator }) => factor(atom, numerator * exponent, denominator)),
  });
}

function multiplyTerms(a: Term, b: Term): Term {
  const coefficient = within(multiply(a.coefficient, b.coefficient));
  if (a.factors.length === 0) return { coefficient, factors: b.factors };
  if (b.factors.length === 0) return { coefficient, factors: a.factors };
  spend(a.factors.length + b.factors.length);
  const factors: Factor[] = [];
  let [i, j] = [0, 0];
  while (i < a.factors.length || j < b.factors.length) {
    const [left, right] = [a.factors[i], b.factors[j]];
    if (right === undefined || (left !== undefined && left.atom.key < right.atom.key)) {
      factors.push(left);
      i++;
    } else if (left === undefined || right.atom.key < left.atom.key) {
      factors.push(right);
      j++;
    } else {
      const merged = factor(
        left.atom,
        left.numerator * right.denominator + right.numerator * left.denominator,
        left.denominator * right.denominator,
      );
      if (merged.numerator !== 0) factors.push(merged);
      i++;
      j++;
    }
  }
  return { coefficient, factors };
}

/** Whole parts of the exponents of primes and roots become numbers and sums; i² = −1. */
function normalTerm(term: Term): Polynomial {
  let { coefficient } = term;
  const factors: Factor[] = [];
  let extra: Polynomial | undefined;
  for (const part of term.factors) {
    const { atom, numerator, denominator } = part;
    const whole = Math.floor(numerator / denominator);
    if (atom.type === "prime" && whole !== 0) {
      coefficient = within(
        multiply(
          coefficient,
          within(power({ numerator: atom.value as bigint, denominator: 1n }, { numerator: BigInt(whole), denominator: 1n })),
        ),
      );
      if (numerator !== whole * denominator) factors.push({ atom, numerator: numerator - whole * denominator, denominator });
    } else if (atom.type === "unit" && denominator === 1) {
      const turns = ((numerator % 4) + 4) % 4;
      if (turns >= 2) coefficient = { numerator: -coefficient.numerator, denominator: coefficient.denominator };
      if (turns % 2 === 1) factors.push({ atom, numerator: 1, denominator: 1 });
    } else if (atom.type === "root" && whole > 0) {
      const sum = raise(atom.radicand as Polynomial, whole);
      extra = extra === undefined ? sum : multiplyPolynomials(extra, sum);
      if (numerator !== whole * denominator) factors.push({ atom, numerator: numerator - whole * denominator, denominator });
    } else if (numerator !== 0) factors.push(part);
  }
  const out: Polynomial = coefficient.numerator === 0n ? NOTHING : new Map([[keyOf(factors), { coefficient, factors }]]);
  return extra === undefined ? out : multiplyPolynomials(out, extra);
}

function keyOf(factors: readonly Factor[]): string {
  if (factors.length === 0) return "";
  return factors
    .map(({ atom, numerator, denominator }) => `${atom.key}^${numerator}${denominator === 1 ? "" : `/${denominator}`}`)
    .join("·");
}

/** One string per sum. */
export function polynomialKey(sum: Polynomial): string {
  if (sum.size === 0) return "0";
  return [...sum]
    .map(([key, { coefficient }]) => (key === "" ? formatRational(coefficient) : `${formatRational(coefficient)}*${key}`))
    .sort()
    .join("+");
}

/** Whether no atom may hide a relation to another: then different sums are different values. */
export function isIndependent(sum: Polynomial): boolean {
  for (const { factors } of sum.values())
    for (const { atom } of factors) if (atom.type === "opaque" || atom.type === "root") return false;
  return true;
}

/** The terms in a fixed order, greatest key first. */
export function sortedTerms(sum: Polynomial): [string, Term][] {
  return [...sum].sort(([a], [b]) => (a < b ? 1 : a > b ? -1 : 0));
}
