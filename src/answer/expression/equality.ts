// Whether two trees have the same value: exactly where that can be decided, else by sampling; a decimal stands for a value that
// rounds to it when it is written with enough digits. Knows no lists or relations.

import { compareRational, type Rational, toNumber } from "../rational.ts";
import { type Exact, exactKey, exactlyEqual, exactValue, rationalValue } from "./exact.ts";
import { evaluate, numericallyEqual } from "./numeric.ts";
import { type Node, print, symbolsOf } from "./tree.ts";

const cache = new WeakMap<Node, { readonly exact: Exact | undefined }>();

/** The exact value, remembered with the tree. */
export function exactOf(node: Node): Exact | undefined {
  let entry = cache.get(node);
  if (entry === undefined) {
    entry = { exact: exactValue(node) };
    cache.set(node, entry);
  }
  return entry.exact;
}

/** The rational value of a tree, if it has one. */
export function rationalOf(node: Node): Rational | undefined {
  const exact = exactOf(node);
  return exact && rationalValue(exact);
}

/** A string that is equal for equal trees, and mostly for trees of equal value. */
export function keyOf(node: Node): string {
  const exact = exactOf(node);
  return exact === undefined ? print(node) : exactKey(exact);
}

/** Whether two trees have the same value. `precision`: decimals from which on a rounded decimal counts as its value. */
export function sameValue(a: Node, b: Node, precision: number): boolean {
  if (a === b) return true;
  const [left, right] = [exactOf(a), exactOf(b)];
  if (left !== undefined && right !== undefined) {
    const verdict = exactlyEqual(left, right);
    if (verdict === true) return true;
    if (verdict === undefined && numericallyEqual(a, b)) return true;
  } else if (left === undefined && right === undefined) {
    if (print(a) === print(b) || numericallyEqual(a, b)) return true;
  } else if (numericallyEqual(a, b)) return true;
  return isRounding(a, b, precision) || isRounding(b, a, precision);
}

/** Whether `decimal`, as written, is the other value rounded to its digits. */
function isRounding(decimal: Node, other: Node, precision: number): boolean {
  if (decimal.kind !== "number" || decimal.decimals === undefined || decimal.decimals < precision) return false;
  if (other.kind === "number" && other.decimals !== undefined) return false;
  const value = rationalOf(other);
  const scale = 10n ** BigInt(decimal.decimals);
  if (value !== undefined) {
    if (value.denominator === 1n) return false;
    const twice = {
      numerator: 2n * (value.numerator * decimal.value.denominator - decimal.value.numerator * value.denominator),
      denominator: value.denominator * decimal.value.denominator,
    };
    const distance = twice.numerator < 0n ? { ...twice, numerator: -twice.numerator } : twice;
    return compareRational(distance, { numerator: 1n, denominator: scale }) <= 0;
  }
  if (symbolsOf(other).size > 0) return false;
  const { re, im } = evaluate(other, new Map());
  const written = toNumber(decimal.value);
  if (!Number.isFinite(re) || Math.abs(im) > 1e-12 || decimal.decimals + Math.log10(Math.abs(written) + 1) > 14) return false;
  return Math.abs(re - written) <= 0.5000001 * 10 ** -decimal.decimals;
}

/** The real number a tree stands for; undefined when it has symbols, no value or an imaginary part. ±∞ is itself. */
export function realOf(node: Node): number | undefined {
  if (node.kind === "constant" && node.name === "∞") return Number.POSITIVE_INFINITY;
  if (node.kind === "multiply" && node.args.length === 2 && node.args[1].kind === "constant" && node.args[1].name === "∞")
    return node.args[0].kind === "number" && node.args[0].value.numerator < 0n
      ? Number.NEGATIVE_INFINITY
      : Number.POSITIVE_INFINITY;
  const { re, im } = evaluate(node, new Map());
  return Number.isFinite(re) && Math.abs(im) < 1e-9 ? re : undefined;
}

/** Whether a/b is a constant other than 0, and its sign; undefined when it is not. Exact first, then by sampling. */
export function constantRatio(a: Node, b: Node): 1 | -1 | undefined {
  const [left, right] = [exactOf(a), exactOf(b)];
  if (left === undefined || right === undefined || left.numerator.size === 0 || right.numerator.size === 0) return undefined;
  const names = [...symbolsOf(b, symbolsOf(a))].sort();
  if (names.length === 0) return undefined;
  for (const shift of [0, 1, 2]) {
    const at = new Map(names.map((name, index) => [name, { re: 0.7317 + 0.41 * index + 0.33 * shift, im: 0 }]));
    const [top, bottom] = [evaluate(a, at), evaluate(b, at)];
    if (!(Math.abs(top.re) > 1e-9) || !(Math.abs(bottom.re) > 1e-9)) continue;
    return ratioHolds(a, b, top.re / bottom.re);
  }
  return undefined;
}

/** Finds the small fraction or known number near `ratio` and asks whether a = that · b. */
function ratioHolds(a: Node, b: Node, ratio: number): 1 | -1 | undefined {
  const fraction = nearFraction(ratio);
  if (fraction !== undefined) {
    const scaled: Node = { kind: "multiply", args: [{ kind: "number", value: fraction }, b] };
    if (sameValue(a, scaled, Number.POSITIVE_INFINITY)) return ratio > 0 ? 1 : -1;
  }
  return undefined;
}

function nearFraction(value: number): Rational | undefined {
  let [h0, h1, k0, k1] = [0, 1, 1, 0];
  let rest = value;
  for (let i = 0; i < 20; i++) {
    const whole = Math.floor(rest);
    [h0, h1] = [h1, whole * h1 + h0];
    [k0, k1] = [k1, whole * k1 + k0];
    if (!Number.isSafeInteger(h1) || k1 > 1e7) return undefined;
    if (Math.abs(h1 / k1 - value) <= 1e-12 * Math.abs(value)) return { numerator: BigInt(h1), denominator: BigInt(k1) };
    rest = 1 / (rest - whole);
  }
  return undefined;
}
