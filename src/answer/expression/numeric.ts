// Numeric value of a tree in complex doubles, and equality of two trees by sampling their symbols at positive, negative and
// complex points. The last resort: exact.ts is asked first. Fixed points, so a verdict never changes between runs.

import { bitLength, toNumber } from "../rational.ts";
import { spend } from "./budget.ts";
import { type Complex, complexFunctions, divide, multiply, power } from "./complex.ts";
import { integer, type Node, some, substitute, symbolsOf } from "./tree.ts";

const NOT_A_NUMBER: Complex = { re: Number.NaN, im: Number.NaN };

/** The value under an assignment of its symbols; NaN parts where it has none. */
export function evaluate(node: Node, at: ReadonlyMap<string, Complex>): Complex {
  spend();
  switch (node.kind) {
    case "number":
      return { re: toNumber(node.value), im: 0 };
    case "symbol":
      return at.get(node.name) ?? NOT_A_NUMBER;
    case "constant":
      if (node.name === "∞") return NOT_A_NUMBER;
      return node.name === "i" ? { re: 0, im: 1 } : { re: node.name === "π" ? Math.PI : Math.E, im: 0 };
    case "add": {
      let [re, im] = [0, 0];
      for (const arg of node.args) {
        const value = evaluate(arg, at);
        re += value.re;
        im += value.im;
      }
      return { re, im };
    }
    case "multiply":
      return node.args.map((arg) => evaluate(arg, at)).reduce(multiply);
    case "ratio":
      if (node.args.length > 2) return NOT_A_NUMBER;
      return node.args.map((arg) => evaluate(arg, at)).reduce(divide);
    case "power":
      return power(evaluate(node.base, at), evaluate(node.exponent, at));
    case "call":
      return evaluateCall(node, at);
    default:
      return NOT_A_NUMBER;
  }
}

function evaluateCall(node: Extract<Node, { kind: "call" }>, at: ReadonlyMap<string, Complex>): Complex {
  if (node.name === "unit:degree") {
    return evaluate(node.args[0], at);
  }
  if (node.name.startsWith("unit:")) return evaluate(node.args[0], at);
  if (node.name === "sum" || node.name === "prod") return evaluateBig(node, at);
  const apply = Object.hasOwn(complexFunctions, node.name) ? complexFunctions[node.name] : undefined;
  if (node.args.length === 0) return NOT_A_NUMBER;
  if (apply === undefined) {
    // An unknown function: some value that depends on its arguments in no simple way.
    if (!/^[a-zA-Z]$/.test(node.name)) return NOT_A_NUMBER;
    const value = node.args
      .map((arg) => evaluate(arg, at))
      .reduce((a, b) => ({ re: a.re + 1.37 * b.re, im: a.im + 1.37 * b.im }));
    const seed = node.name.charCodeAt(0) / 50;
    return { re: Math.sin(seed * value.re) + value.im + seed, im: Math.cos(value.im + seed) };
  }
  return apply(node.args.map((arg) => evaluate(isAngle(arg) ? radians(arg) : arg, at)));
}

function isAngle(node: Node): boolean {
  return node.kind === "call" && node.name === "unit:degree";
}

function radians(node: Node): Node {
  const [value] = (node as Extract<Node, { kind: "call" }>).args;
  return {
    kind: "multiply",
    args: [value, { kind: "constant", name: "π" }, { kind: "power", base: integer(180), exponent: integer(-1) }],
  };
}

function evaluateBig({ name, args }: Extract<Node, { kind: "call" }>, at: ReadonlyMap<string, Complex>): Complex {
  const [body, variable, from, to] = args;
  const [low, high] = [evaluate(from, at).re, evaluate(to, at).re];
  if (variable.kind !== "symbol" || !(high - low < 1000) || !Number.isInteger(low) || !Number.isInteger(high))
    return NOT_A_NUMBER;
  let out: Complex = { re: name === "sum" ? 0 : 1, im: 0 };
  for (let k = low; k <= high; k++) {
    const term = evaluate(substitute(body, variable.name, integer(k)), at);
    out = name === "sum" ? { re: out.re + term.re, im: out.im + term.im } : multiply(out, term);
  }
  return out;
}

const REAL_POINTS = [0.7236, -1.3719, 2.1931, -0.4127, 5.6713, -7.2319, 0.1373, 1.6151];
const SPREAD = [1, 1.3171, -0.8263, 0.6197, -1.7329, 2.2391, 0.3917, -0.5731];
const TOLERANCE = 1e-9;
const NEEDED = 4;

/**
 * Whether two trees agree at the sample points; false where they cannot be evaluated at enough of them, and where they hold numbers
 * that doubles cannot tell apart.
 */
export function numericallyEqual(a: Node, b: Node): boolean {
  if (some(a, isBeyondDoubles) || some(b, isBeyondDoubles)) return false;
  const names = [...symbolsOf(b, symbolsOf(a))].sort();
  if (names.length > 12) return false;
  if (names.length === 0) return agree(evaluate(a, new Map()), evaluate(b, new Map())) === true;
  let agreed = 0;
  const isRealOnly = (node: Node) => node.kind === "call" && /^(?:abs|floor|ceil|sgn|max|min|mod|Re|Im|gcd|lcm)$/.test(node.name);
  const isRooted = (node: Node) => node.kind === "power" && node.exponent.kind !== "number";
  const realOnly = some(a, isRealOnly) || some(b, isRealOnly) || some(a, isRooted) || some(b, isRooted);
  for (let round = 0; round < REAL_POINTS.length + 3; round++) {
    const isComplex = round >= REAL_POINTS.length;
    if (isComplex && realOnly) break;
    const at = new Map<string, Complex>();
    names.forEach((name, index) => {
      const re =
        REAL_POINTS[(round * 3 + index) % REAL_POINTS.length] * SPREAD[(index + round * (index > 0 ? 1 : 0)) % SPREAD.length];
      at.set(name, { re, im: isComplex ? 0.31 + 0.17 * index - 0.23 * (round % 2) : 0 });
    });
    const verdict = agree(evaluate(a, at), evaluate(b, at));
    if (verdict === false) return false;
    if (verdict === true) agreed++;
  }
  return agreed >= NEEDED;
}

/** Undefined where neither has a value. */
function agree(a: Complex, b: Complex): boolean | undefined {
  const [isA, isB] = [Number.isFinite(a.re + a.im), Number.isFinite(b.re + b.im)];
  if (!isA && !isB) return undefined;
  if (!isA || !isB) return false;
  const size = Math.max(Math.hypot(a.re, a.im), Math.hypot(b.re, b.im));
  if (size > 1e100) return false;
  return Math.hypot(a.re - b.re, a.im - b.im) <= TOLERANCE * Math.max(size, 1e-3);
}

function isBeyondDoubles(node: Node): boolean {
  return node.kind === "number" && (bitLength(node.value.numerator) > 48 || bitLength(node.value.denominator) > 48);
}
