// Exact values of functions where they have one (factorials, binomials, floors, roots of unity aside), logarithms of rationals as
// sums over their primes, and everything else as an atom that is not looked into. Factorials and sums are capped beforehand.

import { abs, compareRational, formatRational, multiply, ONE, type Rational, rational, toNumber } from "../rational.ts";
import { BudgetError, spend } from "./budget.ts";
import { determinant } from "./determinant.ts";
import {
  addExact,
  type Exact,
  exactAtom,
  exactKey,
  exactRational,
  multiplyExact,
  NoValueError,
  powerExact,
  rationalValue,
} from "./exact.ts";
import { evaluate } from "./numeric.ts";
import { primePowers } from "./primes.ts";
import { integer, type Node, substitute } from "./tree.ts";

type Call = Extract<Node, { kind: "call" }>;
type Build = (node: Node) => Exact;

const MAX_FACTORIAL = 400n;
const MAX_TERMS = 1000n;

/** The value of a call. Errors: NoValueError, BudgetError. */
export function applyFunction(node: Call, build: Build): Exact {
  if (node.name.startsWith("unit:")) return build(node.args[0]);
  if (node.name === "sum" || node.name === "prod") return bigOperator(node, build);
  if (node.name === "det") return build(determinant(node.args[0]));
  const isTrigonometric = /^(?:sin|cos|tan|cot|sec|csc)$/.test(node.name);
  const args = node.args.map((arg) => (isTrigonometric && isDegree(arg) ? multiplyExact(build(arg), degree()) : build(arg)));
  if (node.name === "abs") return absolute(node, args[0]);
  if (node.name === "exp") return powerExact(exactAtom({ key: "e", type: "free" }), args[0]);
  if (node.name === "cbrt") return powerExact(args[0], exactRational({ numerator: 1n, denominator: 3n }));
  if (node.name === "ln" || node.name === "log" || node.name === "log10") return logarithm(node.name, args);
  if (node.name === "binom") {
    const chosen = rationalValue(args[1]);
    if (chosen?.denominator === 1n && chosen.numerator >= 0n && chosen.numerator <= 12n && rationalValue(args[0]) === undefined)
      return fallingBinomial(args[0], Number(chosen.numerator));
  }
  const numbers = args.map(rationalValue);
  const value = numbers.every((one) => one !== undefined) ? ofRationals(node.name, numbers as Rational[]) : undefined;
  return value === undefined ? opaque(node.name, args) : exactRational(value);
}

/** π/180. */
function degree(): Exact {
  return multiplyExact(exactAtom({ key: "π", type: "free" }), exactRational({ numerator: 1n, denominator: 180n }));
}

function isDegree(node: Node): boolean {
  return node.kind === "call" && node.name === "unit:degree";
}

function opaque(name: string, args: readonly Exact[]): Exact {
  const isSymmetric = name === "gcd" || name === "lcm" || name === "min" || name === "max";
  const keys = args.map(exactKey);
  const isFree = /^[a-zA-Z]$/.test(name);
  return exactAtom({ key: `${name}(${(isSymmetric ? keys.sort() : keys).join(",")})`, type: isFree ? "free" : "opaque" });
}

/** The sign of a number is found numerically unless it is rational. */
function absolute(node: Call, value: Exact): Exact {
  const number = rationalValue(value);
  if (number) return exactRational({ numerator: abs(number.numerator), denominator: number.denominator });
  const { re, im } = evaluate(node.args[0], new Map());
  if (Number.isFinite(re) && im === 0 && Math.abs(re) > 1e-6)
    return re > 0 ? value : multiplyExact(value, exactRational({ numerator: -1n, denominator: 1n }));
  return opaque("abs", [value]);
}

function logarithm(name: string, [value, base]: readonly Exact[]): Exact {
  const inverse = exactRational({ numerator: -1n, denominator: 1n });
  if (base !== undefined) return multiplyExact(naturalLogarithm(value), powerExact(naturalLogarithm(base), inverse));
  if (name === "ln") return naturalLogarithm(value);
  return multiplyExact(
    naturalLogarithm(value),
    powerExact(naturalLogarithm(exactRational({ numerator: 10n, denominator: 1n })), inverse),
  );
}

/** ln of a positive rational as a sum over primes; ln of e^k and of roots of rationals; else an atom. */
function naturalLogarithm(value: Exact): Exact {
  const number = rationalValue(value);
  if (number !== undefined) {
    if (number.numerator <= 0n) {
      if (number.numerator === 0n) throw new NoValueError("ln 0");
      return opaque("ln", [value]);
    }
    return addExact(logOfInteger(number.numerator, 1n), logOfInteger(number.denominator, -1n));
  }
  const term = value.numerator.size === 1 ? [...value.numerator.values()][0] : undefined;
  if (
    term === undefined ||
    value.denominator.size !== 1 ||
    !term.factors.every(({ atom }) => atom.type === "prime" || atom.key === "e") ||
    term.coefficient.numerator <= 0n
  )
    return opaque("ln", [value]);
  let out = naturalLogarithm(exactRational(term.coefficient));
  for (const { atom, numerator, denominator } of term.factors) {
    const times = exactRational({ numerator: BigInt(numerator), denominator: BigInt(denominator) });
    out = addExact(out, multiplyExact(times, atom.key === "e" ? exactRational(ONE) : logOfInteger(atom.value as bigint, 1n)));
  }
  return out;
}

function logOfInteger(value: bigint, sign: bigint): Exact {
  let out = exactRational({ numerator: 0n, denominator: 1n });
  for (const [prime, count] of primePowers(value)) {
    const log = exactAtom({ key: `ln(${prime})`, type: "free" });
    out = addExact(out, multiplyExact(exactRational({ numerator: sign * BigInt(count), denominator: 1n }), log));
  }
  return out;
}

function bigOperator({ name, args }: Call, build: Build): Exact {
  const [body, variable, from, to] = args;
  const [low, high] = [rationalValue(build(from)), rationalValue(build(to))];
  if (variable.kind !== "symbol" || low?.denominator !== 1n || high?.denominator !== 1n) throw new NoValueError("bounds");
  if (high.numerator - low.numerator >= MAX_TERMS) throw new BudgetError("budget: a sum too long");
  let out = exactRational(name === "sum" ? { numerator: 0n, denominator: 1n } : ONE);
  for (let k = low.numerator; k <= high.numerator; k++) {
    const term = build(substitute(body, variable.name, integer(k)));
    out = name === "sum" ? addExact(out, term) : multiplyExact(out, term);
  }
  return out;
}

function whole({ numerator, denominator }: Rational): bigint | undefined {
  return denominator === 1n ? numerator : undefined;
}

function floor({ numerator, denominator }: Rational): bigint {
  const quotient = numerator / denominator;
  return numerator < 0n && quotient * denominator !== numerator ? quotient - 1n : quotient;
}

function asWhole(value: bigint): Rational {
  return { numerator: value, denominator: 1n };
}

/** The rational value of a function of rationals; undefined when it has none. */
function ofRationals(name: string, args: readonly Rational[]): Rational | undefined {
  const [first, second] = args;
  switch (name) {
    case "floor":
      return asWhole(floor(first));
    case "ceil":
      return asWhole(-floor({ numerator: -first.numerator, denominator: first.denominator }));
    case "sgn":
      return asWhole(first.numerator > 0n ? 1n : first.numerator < 0n ? -1n : 0n);
    case "min":
    case "max":
      return args.reduce((best, one) => (compareRational(one, best) < 0 === (name === "min") ? one : best));
    case "Re":
      return first;
    case "Im":
      return asWhole(0n);
    case "factorial":
    case "doubleFactorial":
      return factorial(first, name === "factorial" ? 1n : 2n);
    case "binom":
      return binomial(first, second);
    case "mod": {
      if (second.numerator <= 0n) return undefined;
      const quotient = rational(first.numerator * second.denominator, first.denominator * second.numerator);
      const part = quotient && multiply(asWhole(floor(quotient)), second);
      return (
        part &&
        rational(first.numerator * part.denominator - part.numerator * first.denominator, first.denominator * part.denominator)
      );
    }
    case "gcd":
    case "lcm":
      return args.every((one) => one.denominator === 1n) ? args.reduce((a, b) => common(name, a, b)) : undefined;
    default:
      return undefined;
  }
}

function common(name: string, a: Rational, b: Rational): Rational {
  let [x, y] = [abs(a.numerator), abs(b.numerator)];
  while (y !== 0n) [x, y] = [y, x % y];
  if (name === "gcd" || x === 0n) return asWhole(x);
  return asWhole((abs(a.numerator) / x) * abs(b.numerator));
}

function factorial(value: Rational, step: bigint): Rational {
  const n = whole(value);
  if (n === undefined || n < 0n) throw new NoValueError(`factorial of ${formatRational(value).slice(0, 20)}`);
  if (n > MAX_FACTORIAL * step) throw new BudgetError("budget: a factorial too large");
  let out = 1n;
  for (let k = n; k > 1n; k -= step) out *= k;
  spend(Number(n));
  return asWhole(out);
}

/** n(n − 1)…(n − k + 1)/k! for an n that is no number. */
function fallingBinomial(n: Exact, k: number): Exact {
  let out = exactRational(ONE);
  for (let i = 0; i < k; i++) {
    const step = addExact(n, exactRational(asWhole(BigInt(-i))));
    out = multiplyExact(multiplyExact(out, step), exactRational({ numerator: 1n, denominator: BigInt(i + 1) }));
  }
  return out;
}

function binomial(top: Rational, bottom: Rational): Rational | undefined {
  const [n, chosen] = [whole(top), whole(bottom)];
  if (n === undefined || chosen === undefined || n < 0n) return undefined;
  if (chosen < 0n || chosen > n) return asWhole(0n);
  const k = chosen + chosen > n ? n - chosen : chosen;
  if (k > MAX_FACTORIAL || toNumber(top) > 1e15) throw new BudgetError("budget: a binomial too large");
  let out = 1n;
  for (let i = 1n; i <= k; i++) out = (out * (n - k + i)) / i;
  spend(Number(k));
  return rational(out, 1n);
}
