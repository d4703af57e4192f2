// Whether two readings mean the same, shape by shape. Symmetric. Knows no notation and no keys.

import { constantRatio, sameValue } from "./expression/equality.ts";
import { type Node, negative, number, product, type Relation, sum, symbolsOf } from "./expression/tree.ts";
import type { Reading } from "./reading.ts";
import type { Interval } from "./region.ts";
import { isName, type Shape } from "./shape.ts";

type Of<T extends Shape["type"]> = Extract<Shape, { type: T }>;

/** Whether some meaning of the one is a meaning of the other, in units that agree. Errors: BudgetError. */
export function sameReading(a: Reading, b: Reading, precision: number): boolean {
  if (a.unit && b.unit && a.unit.dimension !== b.unit.dimension) return false;
  for (const left of a.shapes)
    for (const right of b.shapes) if (sameShape(inBaseUnits(left, a, b), inBaseUnits(right, b, a), precision)) return true;
  return false;
}

/** A value times its unit's factor, when both have units and these differ. */
function inBaseUnits(shape: Shape, own: Reading, other: Reading): Shape {
  if (!own.unit || !other.unit || shape.type !== "value") return shape;
  const [mine, theirs] = [own.unit.factor, other.unit.factor];
  if (mine.numerator === theirs.numerator && mine.denominator === theirs.denominator) return shape;
  return { type: "value", node: product(shape.node, number(mine)) };
}

/** See the file header. */
export function sameShape(a: Shape, b: Shape, precision: number): boolean {
  const result =
    ORDER.indexOf(a.type) <= ORDER.indexOf(b.type) ? compareOrdered(a, b, precision) : compareOrdered(b, a, precision);
  return result;
}

const ORDER: readonly Shape["type"][] = ["value", "relation", "many", "tuple", "region", "matrix", "words", "other"];

function compareOrdered(a: Shape, b: Shape, precision: number): boolean {
  if (a.type === "value" && b.type === "value") return sameValues(a, b, precision);
  if (a.type === "value" && b.type === "relation") return valueAndRelation(a, b, precision);
  if (a.type === "value" && b.type === "words") return a.node.kind === "symbol" && a.node.name.toLowerCase() === b.text;
  if (a.type === "relation" && b.type === "relation") return sameRelations(a, b, precision);
  if (a.type === "many" && b.type === "many") return sameMembers(a.items, b.items, precision);
  if (a.type === "many" && b.type === "words") return sameLetters(a, b);
  if (a.type === "many" && b.type === "tuple") return isRound(b) && inOrder(a.items, b.items, precision);
  if (a.type === "tuple" && b.type === "tuple") return sameTuples(a, b, precision);
  if (a.type === "tuple" && b.type === "region") return tupleAndRegion(a, b, precision);
  if (a.type === "tuple" && b.type === "matrix") return isRound(a) && isVector(b) && inOrder(a.items, b.rows.flat(), precision);
  if (a.type === "region" && b.type === "region") return sameRegions(a, b, precision);
  if (a.type === "matrix" && b.type === "matrix")
    return a.rows.length === b.rows.length && a.rows.every((row, i) => inOrder(row, b.rows[i], precision));
  if (a.type === "words" && b.type === "words") return a.text === b.text;
  return a.type === "other" && b.type === "other" && a.key === b.key;
}

/** `A, C, D` and `ACD`, the letters of a choice of several. */
function sameLetters({ items }: Of<"many">, { text }: Of<"words">): boolean {
  const letters = items.map((item) => (item.type === "value" && item.node.kind === "symbol" ? item.node.name : ""));
  return letters.every((name) => /^[A-J]$/.test(name)) && letters.sort().join("").toLowerCase() === [...text].sort().join("");
}

function sameValues(a: Of<"value">, b: Of<"value">, precision: number): boolean {
  for (const left of [a.node, ...(a.also ?? [])])
    for (const right of [b.node, ...(b.also ?? [])]) if (sameValue(left, right, precision)) return true;
  return (
    a.equation !== undefined &&
    b.equation !== undefined &&
    symbolsOf(a.node).size > 0 &&
    constantRatio(a.equation, b.equation) !== undefined
  );
}

/** `x + y = 5` says 5 where only 5 is asked; `y = 2x` is `2x - y = 0`. */
function valueAndRelation(value: Of<"value">, relation: Of<"relation">, precision: number): boolean {
  if (relation.args.length !== 2 || relation.relations[0] !== "=") return false;
  const [left, right] = relation.args;
  if (value.equation !== undefined) return constantRatio(value.equation, sum(left, negative(right))) !== undefined;
  return isName(left) && sameValue(value.node, right, precision);
}

function sameRelations(a: Of<"relation">, b: Of<"relation">, precision: number): boolean {
  if (a.relations.length !== b.relations.length) return false;
  return (
    matches(a.args, a.relations, b.args, b.relations, precision) ||
    matches(a.args, a.relations, [...b.args].reverse(), [...b.relations].reverse().map(mirror), precision)
  );
}

function mirror(relation: Relation): Relation {
  const mirrored: Partial<Record<Relation, Relation>> = { "<": ">", ">": "<", "<=": ">=", ">=": "<=" };
  return mirrored[relation] ?? relation;
}

function matches(
  a: readonly Node[],
  aRelations: readonly Relation[],
  b: readonly Node[],
  bRelations: readonly Relation[],
  precision: number,
): boolean {
  if (
    aRelations.every((relation, i) => relation === bRelations[i] && relation !== "∈") &&
    a.every((arg, i) => sameValue(arg, b[i], precision))
  )
    return true;
  if (aRelations.length !== 1) return false;
  const [relation, other] = [aRelations[0], bRelations[0]];
  const ratio = constantRatio(sum(a[0], negative(a[1])), sum(b[0], negative(b[1])));
  if (ratio === undefined || !/^(?:[<>]=?|=|!=)$/.test(relation)) return false;
  return (ratio > 0 ? other : mirror(other)) === relation;
}

/** Each member of the one is a member of the other, one to one. */
function sameMembers(a: readonly Shape[], b: readonly Shape[], precision: number): boolean {
  if (a.length !== b.length) return false;
  const left = [...b];
  for (const item of a) {
    const index = left.findIndex((other) => sameShape(item, other, precision));
    if (index < 0) return false;
    left.splice(index, 1);
  }
  return true;
}

function inOrder(a: readonly Shape[], b: readonly Shape[], precision: number): boolean {
  return a.length === b.length && a.every((item, i) => sameShape(item, b[i], precision));
}

function isRound({ open, close, items }: Of<"tuple">): boolean {
  return (items.length !== 2 && open !== ":") || (open === "(" && close === ")");
}

function isVector({ rows }: Of<"matrix">): boolean {
  return rows.length === 1 || rows[0].length === 1;
}

/** Two values in brackets may be an interval, so their brackets count; named parts may come in any order. */
function sameTuples(a: Of<"tuple">, b: Of<"tuple">, precision: number): boolean {
  if (a.items.length !== b.items.length) return false;
  if ((a.items.length === 2 || a.open === ":" || b.open === ":") && (a.open !== b.open || a.close !== b.close)) return false;
  if (a.names && b.names) {
    const places = a.names.map((name) => (b.names as readonly string[]).indexOf(name));
    if (places.every((place) => place >= 0)) return a.items.every((item, i) => sameShape(item, b.items[places[i]], precision));
  }
  return inOrder(a.items, b.items, precision);
}

function tupleAndRegion(tuple: Of<"tuple">, { intervals }: Of<"region">, precision: number): boolean {
  if (tuple.items.length !== 2 || tuple.names !== undefined || intervals.length !== 1) return false;
  const [low, high] = tuple.items;
  if (low.type !== "value" || high.type !== "value") return false;
  return sameInterval(
    { low: low.node, high: high.node, lowOpen: tuple.open === "(", highOpen: tuple.close === ")" },
    intervals[0],
    precision,
  );
}

function sameRegions(a: Of<"region">, b: Of<"region">, precision: number): boolean {
  if (a.variable !== undefined && b.variable !== undefined && a.variable !== b.variable) return false;
  return (
    a.intervals.length === b.intervals.length &&
    a.intervals.every((interval, i) => sameInterval(interval, b.intervals[i], precision))
  );
}

function sameInterval(a: Interval, b: Interval, precision: number): boolean {
  if (!sameEnd(a.low, b.low, precision) || !sameEnd(a.high, b.high, precision)) return false;
  return (a.lowOpen === b.lowOpen || isInfinite(a.low)) && (a.highOpen === b.highOpen || isInfinite(a.high));
}

function isInfinite(node: Node): boolean {
  return node.kind === "constant" ? node.name === "∞" : node.kind === "multiply" && node.args.some(isInfinite);
}

function sameEnd(a: Node, b: Node, precision: number): boolean {
  return sameValue(a, b, precision);
}
