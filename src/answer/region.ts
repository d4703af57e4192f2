// Regions of the number line: unions of intervals, made from brackets, set operations and inequalities in one variable (linear,
// quadratic, with absolute values). Knows no comparison of answers.

import { exactOf, realOf, sameValue } from "./expression/equality.ts";
import {
  integer,
  type Node,
  negative,
  powerOf,
  product,
  quotient,
  type Relation,
  some,
  substitute,
  sum,
  symbolsOf,
} from "./expression/tree.ts";

/** From low to high; ±∞ and single points are intervals too. */
export interface Interval {
  readonly low: Node;
  readonly high: Node;
  readonly lowOpen: boolean;
  readonly highOpen: boolean;
}

const INFINITE: Node = { kind: "constant", name: "∞" };
const MINUS_INFINITE: Node = negative(INFINITE);
const LINE: Interval = { low: MINUS_INFINITE, high: INFINITE, lowOpen: true, highOpen: true };
const MAX_INTERVALS = 40;

/** The interval that two values in brackets are; undefined for other tuples and for ends in the wrong order. */
export function intervalOf(node: Node): Interval | undefined {
  if (node.kind !== "tuple" || node.args.length !== 2) return undefined;
  const [low, high] = node.args;
  if (some(node, ({ kind }) => kind === "words" || kind === "relation" || kind === "list")) return undefined;
  const [from, to] = [realOf(low), realOf(high)];
  if (from !== undefined && to !== undefined && from > to) return undefined;
  return { low, high, lowOpen: node.open === "(", highOpen: node.close === ")" };
}

/** The region a set expression is, in order and without overlaps; undefined when it is none or cannot be ordered. */
export function regionOf(node: Node, parts?: readonly (readonly Interval[])[]): readonly Interval[] | undefined {
  if (node.kind === "namedSet") return named(node.name);
  if (node.kind === "tuple") {
    const interval = intervalOf(node);
    return interval && [interval];
  }
  if (node.kind === "set") return points(node.args);
  if (node.kind === "list" && node.by === ",") return points(node.args);
  if (node.kind !== "setOperation") return undefined;
  const all = parts ?? node.args.map((arg) => regionOf(arg));
  if (all.some((part) => part === undefined)) return undefined;
  let region: readonly Interval[] | undefined = all[0];
  for (const part of all.slice(1)) region = region && combine(region, part as readonly Interval[], node.operator);
  return region;
}

function named(name: string): readonly Interval[] | undefined {
  const zero = integer(0);
  if (name === "R") return [LINE];
  if (name === "R+" || name === "R*+") return [{ ...LINE, low: zero }];
  if (name === "R-") return [{ ...LINE, high: zero }];
  return undefined;
}

function points(args: readonly Node[]): readonly Interval[] | undefined {
  if (args.some((arg) => realOf(arg) === undefined)) return undefined;
  const out = args.map((arg) => ({ low: arg, high: arg, lowOpen: false, highOpen: false }));
  return out.sort((a, b) => (realOf(a.low) as number) - (realOf(b.low) as number));
}

/** The set operation by membership at every end and between neighbouring ends. */
function combine(a: readonly Interval[], b: readonly Interval[], operator: "∪" | "∩" | "∖"): readonly Interval[] | undefined {
  if (a.length + b.length > MAX_INTERVALS) return undefined;
  const ends: { node: Node; at: number }[] = [];
  for (const { low, high } of [...a, ...b])
    for (const node of [low, high]) {
      const at = realOf(node);
      if (at === undefined) return undefined;
      if (!ends.some((end) => end.at === at || (Number.isFinite(at) && sameValue(end.node, node, 99)))) ends.push({ node, at });
    }
  ends.sort((left, right) => left.at - right.at);
  const holds = (at: number) => {
    const [inA, inB] = [a.some((one) => contains(one, at)), b.some((one) => contains(one, at))];
    return operator === "∪" ? inA || inB : operator === "∩" ? inA && inB : inA && !inB;
  };
  const out: Interval[] = [];
  let open: { low: Node; lowOpen: boolean } | undefined;
  ends.forEach((end, index) => {
    const next = ends[index + 1];
    const atEnd = Number.isFinite(end.at) && holds(end.at);
    if (open && !atEnd) {
      out.push({ ...open, high: end.node, highOpen: true });
      open = undefined;
    }
    if (!open && atEnd) open = { low: end.node, lowOpen: false };
    const between = next !== undefined && holds(middle(end.at, next.at));
    if (open && !between) {
      out.push({ ...open, high: end.node, highOpen: false });
      open = undefined;
    }
    if (!open && between) open = { low: end.node, lowOpen: true };
  });
  return out;
}

function middle(low: number, high: number): number {
  if (low === Number.NEGATIVE_INFINITY) return high === Number.POSITIVE_INFINITY ? 0.123 : high - 1;
  return high === Number.POSITIVE_INFINITY ? low + 1 : (low + high) / 2;
}

function contains({ low, high, lowOpen, highOpen }: Interval, at: number): boolean {
  const [from, to] = [realOf(low) as number, realOf(high) as number];
  const tolerance = 1e-12 * Math.max(1, Math.abs(at));
  if (Math.abs(at - from) <= tolerance) return !lowOpen;
  if (Math.abs(at - to) <= tolerance) return !highOpen;
  return at > from && at < to;
}

/** The region of a chain of inequalities in one variable, and that variable; undefined when it is beyond linear and quadratic. */
export function solve(
  node: Extract<Node, { kind: "relation" }>,
): { variable: string; intervals: readonly Interval[] } | undefined {
  const variable = variableOf(node);
  if (variable === undefined) return undefined;
  const symbolic = variable.isSymbolic ? symbolicInterval(node, variable.name) : undefined;
  if (variable.isSymbolic) return symbolic && { variable: variable.name, intervals: [symbolic] };
  let region: readonly Interval[] | undefined = [LINE];
  for (let i = 0; i < node.relations.length && region !== undefined; i++) {
    const part = solveOne(node.args[i], node.relations[i], node.args[i + 1], variable.name);
    region = part && combine(region, part, "∩");
  }
  return region && { variable: variable.name, intervals: region };
}

/** The one symbol, or the one that stands alone in the middle of a chain. */
function variableOf(node: Extract<Node, { kind: "relation" }>): { name: string; isSymbolic: boolean } | undefined {
  const names = [...symbolsOf(node)];
  if (names.length === 1) return { name: names[0], isSymbolic: false };
  const [, centre] = node.args;
  if (names.length > 1 && node.args.length === 3 && centre.kind === "symbol") return { name: centre.name, isSymbolic: true };
  return undefined;
}

function symbolicInterval({ args, relations }: Extract<Node, { kind: "relation" }>, variable: string): Interval | undefined {
  const [low, , high] = args;
  if (symbolsOf(low).has(variable) || symbolsOf(high).has(variable)) return undefined;
  const [first, second] = relations;
  if (first.startsWith("<") && second.startsWith("<")) return { low, high, lowOpen: first === "<", highOpen: second === "<" };
  if (first.startsWith(">") && second.startsWith(">"))
    return { low: high, high: low, lowOpen: second === ">", highOpen: first === ">" };
  return undefined;
}

const FLIPPED: Partial<Record<Relation, Relation>> = { "<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=" };

function solveOne(left: Node, relation: Relation, right: Node, variable: string): readonly Interval[] | undefined {
  if (!symbolsOf(left).has(variable)) {
    const flipped = FLIPPED[relation];
    return symbolsOf(right).has(variable) && flipped ? solveOne(right, flipped, left, variable) : undefined;
  }
  if (left.kind === "call" && left.name === "abs" && !symbolsOf(right).has(variable))
    return solveAbsolute(left.args[0], relation, right, variable);
  const difference = sum(left, negative(right));
  const exact = exactOf(difference);
  if (exact === undefined || exact.denominator.size !== 1) return undefined;
  const degree = degreeIn(exact.numerator, `$${variable}`);
  if (degree === 1 || degree === 2) return fromRoots(difference, relation, variable, degree);
  return undefined;
}

function solveAbsolute(inner: Node, relation: Relation, bound: Node, variable: string): readonly Interval[] | undefined {
  const size = realOf(bound);
  if (size === undefined || size < 0 || relation === "!=") return undefined;
  const below = solveOne(inner, relation, bound, variable);
  const above = solveOne(inner, FLIPPED[relation] as Relation, negative(bound), variable);
  return below && above && combine(below, above, relation.startsWith("<") ? "∩" : "∪");
}

/** The highest power of a symbol; undefined when it stands in a root, a quotient or a function. */
function degreeIn(polynomial: NonNullable<ReturnType<typeof exactOf>>["numerator"], key: string): number | undefined {
  let degree = 0;
  for (const { factors } of polynomial.values())
    for (const { atom, numerator, denominator } of factors) {
      if (atom.key === key) {
        if (denominator !== 1 || numerator < 0) return undefined;
        degree = Math.max(degree, numerator);
      } else if (atom.key.includes(key)) return undefined;
    }
  return degree;
}

function fromRoots(difference: Node, relation: Relation, variable: string, degree: 1 | 2): readonly Interval[] | undefined {
  const at = (value: number) => substitute(difference, variable, integer(value));
  const half = (node: Node) => quotient(node, integer(2));
  const constant = at(0);
  let roots: Node[];
  if (degree === 1) roots = [quotient(negative(constant), sum(at(1), negative(constant)))];
  else {
    const square = sum(half(sum(at(1), at(-1))), negative(constant));
    const linear = half(sum(at(1), negative(at(-1))));
    const discriminant = sum(powerOf(linear, integer(2)), negative(product(integer(4), product(square, constant))));
    const size = realOf(discriminant);
    if (size === undefined) return undefined;
    const root = powerOf(discriminant, powerOf(integer(2), integer(-1)));
    const rootAt = (sign: Node) => quotient(sum(negative(linear), product(sign, root)), product(integer(2), square));
    roots =
      size < -1e-12
        ? []
        : size < 1e-12
          ? [quotient(negative(linear), product(integer(2), square))]
          : [rootAt(integer(-1)), rootAt(integer(1))];
  }
  const sorted = roots.map((node) => ({ node, at: realOf(node) }));
  if (sorted.some((root) => root.at === undefined)) return undefined;
  sorted.sort((a, b) => (a.at as number) - (b.at as number));
  return collectSigns(
    sorted as { node: Node; at: number }[],
    (x) => realOf(substitute(difference, variable, numberAt(x))),
    relation,
  );
}

function numberAt(value: number): Node {
  return { kind: "number", value: { numerator: BigInt(Math.round(value * 2 ** 20)), denominator: BigInt(2 ** 20) } };
}

/** The parts of the line, cut at the roots, where the sign fits. */
function collectSigns(
  roots: readonly { node: Node; at: number }[],
  valueAt: (x: number) => number | undefined,
  relation: Relation,
): readonly Interval[] | undefined {
  const cuts = [
    { node: MINUS_INFINITE, at: Number.NEGATIVE_INFINITY },
    ...roots,
    { node: INFINITE, at: Number.POSITIVE_INFINITY },
  ];
  const includesRoots = relation.endsWith("=") && relation !== "!=";
  let out: readonly Interval[] = includesRoots
    ? roots.map(({ node }) => ({ low: node, high: node, lowOpen: false, highOpen: false }))
    : [];
  for (let i = 0; i + 1 < cuts.length; i++) {
    const value = valueAt(middle(cuts[i].at, cuts[i + 1].at));
    if (value === undefined || value === 0) return undefined;
    const fits = relation === "!=" || (relation.startsWith("<") ? value < 0 : value > 0);
    if (!fits) continue;
    const joined = combine(out, [{ low: cuts[i].node, high: cuts[i + 1].node, lowOpen: true, highOpen: true }], "∪");
    if (joined === undefined) return undefined;
    out = joined;
  }
  return out;
}
