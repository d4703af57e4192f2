// Exact value of a tree as a quotient of two sums of products, where the tree allows it. Equality of two such quotients is
// decided by multiplying out; where every atom is independent a difference is final. Knows no notation.

import { abs, multiply, ONE, type Rational, rational } from "../rational.ts";
import { BudgetError, StepsError, spend } from "./budget.ts";
import { applyFunction } from "./functions.ts";
import {
  type Atom,
  addPolynomials,
  asRational,
  atomPower,
  constant,
  isIndependent,
  multiplyPolynomials,
  NOTHING,
  type Polynomial,
  polynomialKey,
  raise,
  raiseTerm,
  scale,
  sortedTerms,
  type Term,
} from "./polynomial.ts";
import { primePowers } from "./primes.ts";
import type { Node } from "./tree.ts";

/** A quotient of sums; the denominator is 1 or has at least two terms. */
export interface Exact {
  readonly numerator: Polynomial;
  readonly denominator: Polynomial;
}

/** Thrown where a tree has no value: division by 0, an infinite number, a list within a sum. Caught by `exactValue`. */
export class NoValueError extends Error {}

const UNIT: Polynomial = constant(ONE);
const IMAGINARY: Atom = { key: "i", type: "unit" };

/** The exact value; undefined when the tree has none or none within budget. */
export function exactValue(node: Node): Exact | undefined {
  try {
    return build(node);
  } catch (error) {
    if (error instanceof NoValueError || (error instanceof BudgetError && !(error instanceof StepsError))) return undefined;
    throw error;
  }
}

/** Whether a = b: true and false are final, undefined is not known. */
export function exactlyEqual(a: Exact, b: Exact): boolean | undefined {
  try {
    const left = multiplyPolynomials(a.numerator, b.denominator);
    const right = multiplyPolynomials(b.numerator, a.denominator);
    const difference = addPolynomials(left, scale(right, { numerator: -1n, denominator: 1n }));
    if (difference.size === 0) return true;
    return isIndependent(difference) ? false : undefined;
  } catch (error) {
    if (error instanceof BudgetError && !(error instanceof StepsError)) return undefined;
    throw error;
  }
}

/** One string per quotient as built; equal keys mean equal values, different keys may still be equal values. */
export function exactKey({ numerator, denominator }: Exact): string {
  const top = polynomialKey(numerator);
  return denominator === UNIT ? top : `(${top})/(${polynomialKey(denominator)})`;
}

/** The value if it is a rational number. */
export function rationalValue({ numerator, denominator }: Exact): Rational | undefined {
  return denominator === UNIT ? asRational(numerator) : undefined;
}

/** A rational number as a quotient. */
export function exactRational(value: Rational): Exact {
  return { numerator: constant(value), denominator: UNIT };
}

/** An atom as a quotient. */
export function exactAtom(atom: Atom): Exact {
  return { numerator: atomPower(atom), denominator: UNIT };
}

function build(node: Node): Exact {
  spend();
  switch (node.kind) {
    case "number":
      return exactRational(node.value);
    case "symbol":
      return exactAtom({ key: `$${node.name}`, type: "free" });
    case "constant":
      if (node.name === "∞") throw new NoValueError("infinity");
      return exactAtom(node.name === "i" ? IMAGINARY : { key: node.name, type: "free" });
    case "add":
      return node.args.map(build).reduce(addExact);
    case "multiply":
      return node.args.map(build).reduce(multiplyExact);
    case "power":
      return powerExact(build(node.base), build(node.exponent));
    case "ratio":
      if (node.args.length > 2) throw new NoValueError("a ratio of several");
      return node.args
        .map(build)
        .reduce((left, right) => multiplyExact(left, powerExact(right, exactRational({ numerator: -1n, denominator: 1n }))));
    case "call":
      return applyFunction(node, build);
    default:
      throw new NoValueError(node.kind);
  }
}

/** a + b. */
export function addExact(a: Exact, b: Exact): Exact {
  if (a.denominator === b.denominator) return simplify(addPolynomials(a.numerator, b.numerator), a.denominator);
  const numerator = addPolynomials(
    multiplyPolynomials(a.numerator, b.denominator),
    multiplyPolynomials(b.numerator, a.denominator),
  );
  return simplify(numerator, multiplyPolynomials(a.denominator, b.denominator));
}

/** a · b. */
export function multiplyExact(a: Exact, b: Exact): Exact {
  const numerator = multiplyPolynomials(a.numerator, b.numerator);
  if (a.denominator === UNIT && b.denominator === UNIT) return { numerator, denominator: UNIT };
  return simplify(numerator, multiplyPolynomials(a.denominator, b.denominator));
}

function simplify(top: Polynomial, bottom: Polynomial): Exact {
  if (bottom.size === 0) throw new NoValueError("division by zero");
  if (top.size === 0) return { numerator: NOTHING, denominator: UNIT };
  if (bottom === UNIT) return { numerator: top, denominator: UNIT };
  let [numerator, denominator] = rationalise(top, bottom);
  if (denominator.size === 1) {
    numerator = multiplyPolynomials(numerator, raiseTerm([...denominator.values()][0], -1));
    return { numerator, denominator: UNIT };
  }
  const [, lead] = sortedTerms(denominator)[0];
  const inverse = raiseTerm(lead, -1);
  denominator = multiplyPolynomials(denominator, inverse);
  numerator = multiplyPolynomials(numerator, inverse);
  const ratio = proportional(numerator, denominator);
  return ratio === undefined ? { numerator, denominator } : { numerator: ratio, denominator: UNIT };
}

/** numerator / denominator when it is one term. */
function proportional(numerator: Polynomial, denominator: Polynomial): Polynomial | undefined {
  if (numerator.size !== denominator.size) return undefined;
  const [[, top], [, bottom]] = [sortedTerms(numerator)[0], sortedTerms(denominator)[0]];
  const one: Polynomial = new Map([["", top]]);
  const candidate = multiplyPolynomials(new Map([[termKey(numerator, top), top]]), raiseTerm(bottom, -1));
  if (one.size !== 1 || candidate.size !== 1) return undefined;
  return polynomialKey(multiplyPolynomials(candidate, denominator)) === polynomialKey(numerator) ? candidate : undefined;
}

function termKey(sum: Polynomial, term: Term): string {
  for (const [key, one] of sum) if (one === term) return key;
  return "";
}

/** Clears roots of primes and i from the denominator by its conjugates, so that 1/(1+√2) becomes √2 − 1. */
function rationalise(top: Polynomial, bottom: Polynomial): [Polynomial, Polynomial] {
  let [numerator, denominator] = [top, bottom];
  for (let round = 0; round < 4 && denominator.size > 1 && denominator.size <= 8; round++) {
    const atom = conjugable(denominator);
    if (atom === undefined) break;
    const conjugate: Polynomial = new Map(
      [...denominator].map(([key, { coefficient, factors }]) => {
        const changes = factors.some((factor) => factor.atom.key === atom.key);
        return [key, { coefficient: changes ? { ...coefficient, numerator: -coefficient.numerator } : coefficient, factors }];
      }),
    );
    numerator = multiplyPolynomials(numerator, conjugate);
    denominator = multiplyPolynomials(denominator, conjugate);
  }
  return [numerator, denominator];
}

/** An atom that stands only as a square root (or as i) in the sum. */
function conjugable(sum: Polynomial): Atom | undefined {
  for (const { factors } of sum.values())
    for (const { atom, numerator, denominator } of factors) {
      if (atom.type === "unit") return atom;
      if (atom.type !== "prime" || denominator !== 2 || numerator !== 1) continue;
      const all = [...sum.values()].flatMap((term) => term.factors).filter((other) => other.atom.key === atom.key);
      if (all.every((other) => other.denominator === 2)) return atom;
    }
  return undefined;
}

/** base^exponent. */
export function powerExact(base: Exact, exponent: Exact): Exact {
  const by = rationalValue(exponent);
  if (by === undefined) return symbolicPower(base, exponent);
  if (base.numerator.size === 0) {
    if (by.numerator <= 0n) throw new NoValueError("0 to no positive power");
    return base;
  }
  if (abs(by.numerator) > 100_000n || by.denominator > 64n) throw new BudgetError("budget: an exponent too large");
  if (by.denominator === 1n) return wholePower(base, Number(by.numerator));
  return fractionalPower(base, Number(by.numerator), Number(by.denominator));
}

function wholePower({ numerator, denominator }: Exact, exponent: number): Exact {
  if (exponent < 0) return wholePower(simplify(denominator, numerator), -exponent);
  if (denominator === UNIT) return { numerator: raise(numerator, exponent), denominator };
  return simplify(raise(numerator, exponent), raise(denominator, exponent));
}

/** Roots: positive rationals by their primes, √−1 = i, π, e and lone symbols as powers, any other sum as an atom. */
function fractionalPower(base: Exact, numerator: number, denominator: number): Exact {
  if (base.denominator !== UNIT) {
    const top = multiplyPolynomials(base.numerator, base.denominator); // √(a/b) = √(ab)/|b|: only for positive numbers
    if (denominator !== 2 || asRational(base.denominator) === undefined) return rootAtom(base, numerator, denominator);
    return multiplyExact(
      fractionalPower({ numerator: top, denominator: UNIT }, numerator, 2),
      wholePower({ numerator: base.denominator, denominator: UNIT }, -numerator),
    );
  }
  const content = contentOf(base.numerator);
  const rest = scale(base.numerator, { numerator: content.denominator, denominator: content.numerator });
  let result = { numerator: rootOfPositive(content, numerator, denominator), denominator: UNIT };
  if (rest.size === 1) {
    const [term] = [...rest.values()];
    if (
      term.factors.every(({ atom }) => atom.type === "prime" || atom.key === "π" || atom.key === "e") &&
      term.coefficient.numerator > 0n
    )
      return multiplyExact(result, positivePower(term, numerator, denominator));
    if (
      term.factors.length === 1 &&
      term.coefficient.numerator > 0n &&
      term.factors[0].atom.type === "free" &&
      term.factors[0].numerator === 1
    )
      return multiplyExact(result, {
        numerator: atomPower(term.factors[0].atom, numerator, denominator * term.factors[0].denominator),
        denominator: UNIT,
      });
    if (term.factors.length === 0 && denominator % 2 === 1)
      return multiplyExact(result, exactRational({ numerator: numerator % 2 === 0 ? 1n : -1n, denominator: 1n })); // the real root
    if (term.factors.length === 0 && denominator === 2) return multiplyExact(result, wholePower(exactAtom(IMAGINARY), numerator));
  }
  result = multiplyExact(result, rootAtom({ numerator: rest, denominator: UNIT }, numerator, denominator));
  return result;
}

function positivePower({ factors }: Term, numerator: number, denominator: number): Exact {
  let out = UNIT;
  for (const factor of factors)
    out = multiplyPolynomials(out, atomPower(factor.atom, factor.numerator * numerator, factor.denominator * denominator));
  return { numerator: out, denominator: UNIT };
}

function rootAtom(base: Exact, numerator: number, denominator: number): Exact {
  const radicand = base.denominator === UNIT ? base.numerator : undefined;
  const atom: Atom = { key: `√[${exactKey(base)}]`, type: radicand === undefined ? "opaque" : "root", radicand };
  return { numerator: atomPower(atom, numerator, denominator), denominator: UNIT };
}

/** The positive rational that all coefficients share: gcd of numerators over lcm of denominators. */
function contentOf(sum: Polynomial): Rational {
  let [top, bottom] = [0n, 1n];
  for (const { coefficient } of sum.values()) {
    top = divisor(top, abs(coefficient.numerator));
    bottom = (bottom / divisor(bottom, coefficient.denominator)) * coefficient.denominator;
  }
  return rational(top, bottom) ?? ONE;
}

function divisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : divisor(b, a % b);
}

function rootOfPositive(value: Rational, numerator: number, denominator: number): Polynomial {
  let out = UNIT;
  for (const [prime, count] of primePowers(value.numerator))
    out = multiplyPolynomials(
      out,
      atomPower({ key: String(prime), type: "prime", value: prime }, count * numerator, denominator),
    );
  for (const [prime, count] of primePowers(value.denominator))
    out = multiplyPolynomials(
      out,
      atomPower({ key: String(prime), type: "prime", value: prime }, -count * numerator, denominator),
    );
  return out;
}

/** base^(c·m + …): one atom per m, so that 2^(x+1) = 2·2^x and 4^x = (2^x)². */
function symbolicPower(base: Exact, exponent: Exact): Exact {
  if (base.denominator !== UNIT || exponent.denominator !== UNIT || base.numerator.size !== 1) return opaquePower(base, exponent);
  const [{ coefficient, factors }] = [...base.numerator.values()];
  const parts: [string, number, number][] = factors.map(({ atom, numerator, denominator }) => [atom.key, numerator, denominator]);
  if (coefficient.numerator <= 0n || factors.some(({ atom }) => atom.type !== "prime" && atom.key !== "e" && atom.key !== "π")) {
    if (factors.length !== 1 || coefficient.numerator !== 1n || coefficient.denominator !== 1n)
      return opaquePower(base, exponent);
  }
  for (const [prime, count] of primePowers(coefficient.numerator)) parts.push([String(prime), count, 1]);
  for (const [prime, count] of primePowers(coefficient.denominator)) parts.push([String(prime), -count, 1]);
  let out: Exact = { numerator: UNIT, denominator: UNIT };
  for (const [key, term] of exponent.numerator) {
    if (key === "") {
      out = multiplyExact(out, powerExact(base, exactRational(term.coefficient)));
      continue;
    }
    const isFree = factors.length === 0 && term.factors.every(({ atom }) => atom.type === "free" && atom.key.startsWith("$"));
    for (const [name, numerator, denominator] of parts) {
      const times = multiply(term.coefficient, { numerator: BigInt(numerator), denominator: BigInt(denominator) }) as Rational;
      if (abs(times.numerator) > 4096n || times.denominator > 4096n) return opaquePower(base, exponent);
      const atom: Atom = { key: `${name}^[${key}]`, type: isFree ? "free" : "opaque" };
      out = multiplyExact(out, {
        numerator: atomPower(atom, Number(times.numerator), Number(times.denominator)),
        denominator: UNIT,
      });
    }
  }
  return out;
}

function opaquePower(base: Exact, exponent: Exact): Exact {
  return exactAtom({ key: `(${exactKey(base)})^(${exactKey(exponent)})`, type: "opaque" });
}
