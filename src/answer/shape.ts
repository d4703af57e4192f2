// What an answer's tree says, whatever its notation: one value, several, a tuple, a region of the number line, an equation, a
// matrix, words. `x = 1 or x = 2`, `\{1, 2\}` and `1, 2` have one shape; so do `1 < x < 2` and `x ∈ (1, 2)`. Knows no comparison.

import { matrixValue } from "./expression/determinant.ts";
import { keyOf } from "./expression/equality.ts";
import { NoValueError } from "./expression/exact.ts";
import { type Node, negative, print, quotient, type Relation, some, substitute, sum, symbolsOf } from "./expression/tree.ts";
import { type Interval, intervalOf, regionOf, solve } from "./region.ts";

/** See the file header. */
export type Shape =
  | {
      readonly type: "value";
      readonly node: Node /** Further values it states, as in `x = 1/3 ≈ 0.33`. */;
      readonly also?: readonly Node[] /** left − right of the equation that names it. */;
      readonly equation?: Node;
    }
  | { readonly type: "many"; readonly items: readonly Shape[]; readonly isSet?: boolean }
  | {
      readonly type: "tuple";
      readonly items: readonly Shape[];
      readonly open: string;
      readonly close: string;
      readonly names?: readonly string[];
    }
  | { readonly type: "region"; readonly intervals: readonly Interval[]; readonly variable?: string }
  | { readonly type: "relation"; readonly args: readonly Node[]; readonly relations: readonly Relation[] }
  | { readonly type: "matrix"; readonly rows: readonly (readonly Shape[])[] }
  | { readonly type: "words"; readonly text: string }
  | { readonly type: "other"; readonly key: string };

const MAX_SIGNS = 4;

/** The shape of a tree. */
export function shapeOf(node: Node): Shape {
  switch (node.kind) {
    case "list":
      return ofList(node);
    case "set":
      return many(node.args.map(shapeOf), true);
    case "tuple":
      return node.args.length === 1 && node.args[0].kind === "matrix"
        ? shapeOf(node.args[0])
        : { type: "tuple", items: node.args.map(shapeOf), open: node.open, close: node.close };
    case "relation":
      return ofRelation(node);
    case "builder": {
      const condition = shapeOf(node.condition);
      return condition.type === "region" ? { ...condition, variable: undefined } : { type: "other", key: print(node) };
    }
    case "setOperation":
    case "namedSet": {
      const intervals = regionOf(node);
      return intervals === undefined ? ofSetOperation(node) : { type: "region", intervals };
    }
    case "cases":
      if (node.rows.every((row) => row.length === 1))
        return ofList({ kind: "list", by: ",", args: node.rows.map(([cell]) => cell) });
      return {
        type: "tuple",
        open: "(",
        close: ")",
        items: node.rows.map((row) => ({ type: "tuple", open: "(", close: ")", items: row.map(shapeOf) })),
      };
    case "words":
      return { type: "words", text: node.text };
    case "ratio":
      return node.args.length > 2 ? proportion(node.args) : ofScalar(node);
    default:
      return ofScalar(node);
  }
}

/** 3:6:9 as 1, 2, 3 in order: each part by the first. */
function proportion(args: readonly Node[]): Shape {
  return { type: "tuple", open: ":", close: ":", items: args.map((arg) => shapeOf(quotient(arg, args[0]))) };
}

function ofSetOperation(node: Node): Shape {
  if (node.kind !== "setOperation" || node.operator === "∖") return { type: "other", key: print(node) };
  const parts = node.args.map(shapeOf);
  if (node.operator === "∪" && parts.every((part) => part.type === "many"))
    return many(
      parts.flatMap((part) => (part as { items: readonly Shape[] }).items),
      true,
    );
  return { type: "other", key: unordered(node) };
}

/** The operands of ∪ or ∩ in a fixed order. */
function unordered(node: Extract<Node, { kind: "setOperation" }>): string {
  const operands = (one: Node): string[] =>
    one.kind === "setOperation" && one.operator === node.operator ? one.args.flatMap(operands) : [print(one)];
  return operands(node).sort().join(` ${node.operator} `);
}

function ofScalar(node: Node): Shape {
  if (some(node, ({ kind }) => kind === "plusMinus")) {
    const variants = expandSigns(node);
    return variants === undefined ? { type: "other", key: print(node) } : many(variants.map(shapeOf));
  }
  if (some(node, ({ kind }) => kind === "matrix")) {
    const rows = safeMatrix(node);
    if (rows !== undefined) return { type: "matrix", rows: rows.map((row) => row.map(shapeOf)) };
  }
  if (node.kind === "add" || node.kind === "multiply") {
    if (node.args.some(({ kind }) => kind === "tuple" || kind === "list" || kind === "set"))
      return { type: "other", key: print(node) };
  }
  return { type: "value", node };
}

function safeMatrix(node: Node): readonly (readonly Node[])[] | undefined {
  try {
    return matrixValue(node);
  } catch (error) {
    if (error instanceof NoValueError) return undefined; // shapes that do not fit
    throw error;
  }
}

/** All choices of the signs; together when ∓ ties them. */
function expandSigns(node: Node): Node[] | undefined {
  const signs: Node[] = [];
  collect(node, signs);
  if (signs.length > MAX_SIGNS) return undefined;
  const tied = signs.some((sign) => sign.kind === "plusMinus" && sign.flipped);
  const out: Node[] = [];
  for (let choice = 0; choice < (tied ? 2 : 2 ** signs.length); choice++) {
    let index = 0;
    out.push(chooseSigns(node, (flipped) => (tied ? (choice === 0) !== flipped : (choice & (1 << index++)) === 0)));
  }
  return out;
}

function collect(node: Node, into: Node[]): void {
  if (node.kind === "plusMinus") into.push(node);
  some(node, (child) => {
    if (child !== node && child.kind === "plusMinus") into.push(child);
    return false;
  });
}

function chooseSigns(node: Node, isPositive: (flipped: boolean) => boolean): Node {
  if (node.kind === "plusMinus") {
    const positive = isPositive(node.flipped);
    const value = chooseSigns(node.value, isPositive);
    return positive ? value : { kind: "multiply", args: [{ kind: "number", value: { numerator: -1n, denominator: 1n } }, value] };
  }
  if (node.kind === "power")
    return { ...node, base: chooseSigns(node.base, isPositive), exponent: chooseSigns(node.exponent, isPositive) };
  if (node.kind === "add" || node.kind === "multiply" || node.kind === "call" || node.kind === "tuple")
    return { ...node, args: node.args.map((arg) => chooseSigns(arg, isPositive)) };
  return node;
}

/** Several shapes without order; lists within are opened, duplicates dropped. One alone is itself. */
function many(items: readonly Shape[], isSet = false): Shape {
  const flat = items.flatMap((item) => (item.type === "many" && !item.isSet ? item.items : [item]));
  const seen = new Map<string, Shape>();
  for (const item of flat) seen.set(shapeKey(item), item);
  const unique = [...seen.values()];
  return unique.length === 1 && (!isSet || unique[0].type === "value") ? unique[0] : { type: "many", items: unique, isSet };
}

/** Whether a left side only names what the right side says: x, f(x), |AB|, V₁:V₂, x + y. */
export function isName(node: Node): boolean {
  switch (node.kind) {
    case "symbol":
    case "words":
      return true;
    case "constant":
      return node.name === "i" || node.name === "e";
    case "call":
      return (
        (/^[a-zA-Z]$/.test(node.name) && node.args.length > 0) || (node.args.every(isName) && !node.name.startsWith("unit:"))
      );
    case "add":
    case "multiply":
    case "ratio":
      return node.args.every((arg) => isName(arg));
    case "power":
      return isName(node.base) && node.exponent.kind === "number" && node.exponent.value.numerator === -1n;
    case "tuple":
    case "relation":
      return node.kind === "relation" ? node.args.length === 2 && isName(node.args[0]) : node.args.every(isName);
    default:
      return false;
  }
}

function isEquality(relation: Relation): boolean {
  return relation === "=" || relation === "~";
}

function ofRelation(node: Extract<Node, { kind: "relation" }>): Shape {
  const { args, relations } = node;
  if (relations.length === 1 && relations[0] === "∈") {
    const inner = shapeOf(args[1]);
    const variable = args[0].kind === "symbol" ? args[0].name : undefined;
    if (inner.type === "tuple" && inner.items.length === 2 && args[1].kind === "tuple") {
      const interval = intervalOf(args[1]);
      if (interval !== undefined) return { type: "region", intervals: [interval], variable };
    }
    return inner.type === "region" ? { ...inner, variable } : inner;
  }
  if (relations.every(isEquality)) return ofEquation(node);
  if (relations.every((relation) => /^[<>]=?$|^!=$/.test(relation))) {
    const solved = solve(node);
    if (solved !== undefined) return { type: "region", ...solved };
  }
  return { type: "relation", args, relations };
}

/** `x = 5` says 5; `f(x) = a = b` says b; `x = 1/3 ≈ 0.33` says both; `y^2 = x` stays an equation. */
function ofEquation({ args, relations }: Extract<Node, { kind: "relation" }>): Shape {
  if (args.every((arg) => symbolsOf(arg).size === 0 && arg.kind !== "words" && arg.kind !== "tuple"))
    return numericChain(args, relations);
  if (args.length === 2 && !isName(args[0]) && args[1].kind === "symbol" && symbolsOf(args[0]).size === 0)
    return shapeOf(args[0]); // 5 = x
  if (args.length === 2 && !isPlainName(args[0]) && !isListed(args[1])) return { type: "relation", args, relations };
  if (args.length > 2 && args.slice(1).every((arg) => symbolsOf(arg).size > 0) && !isName(args[0]))
    return { type: "relation", args, relations };
  if (
    args.length > 2 &&
    args.every((arg, i) => i === args.length - 1 || isName(arg)) &&
    symbolsOf(args.at(-1) as Node).size > 0 &&
    !isPlainName(args[0])
  )
    return { type: "relation", args, relations };
  const values = args.slice(1).map(shapeOf);
  const firstRounded = relations.findIndex((relation, i) => i > 0 && relation === "~");
  const exact = values[firstRounded > 0 ? firstRounded - 1 : values.length - 1];
  const rounded = firstRounded > 0 ? values.at(-1) : undefined;
  if (exact.type !== "value") return exact;
  const equation = args.length === 2 && symbolsOf(args[0]).size > 0 ? sum(args[0], negative(args[1])) : undefined;
  return { ...exact, equation, also: rounded?.type === "value" ? [rounded.node] : undefined };
}

/** `2 + 2 = 4` says 4; `1/4 ≈ 0.25` says both. */
function numericChain(args: readonly Node[], relations: readonly Relation[]): Shape {
  const rounded = relations.indexOf("~");
  const exact = shapeOf(rounded < 0 ? (args.at(-1) as Node) : args[rounded]);
  return rounded >= 0 && exact.type === "value" ? { ...exact, also: [args.at(-1) as Node] } : exact;
}

function isListed(node: Node): boolean {
  return node.kind === "tuple" || node.kind === "set" || node.kind === "matrix" || node.kind === "setOperation";
}

/** A name that no algebra can be done with: then only the value counts. */
function isPlainName(node: Node): boolean {
  if (node.kind === "symbol" || node.kind === "words" || node.kind === "tuple") return isName(node);
  if (node.kind === "constant") return isName(node);
  if (node.kind === "call" && (/^[a-zA-Z]$/.test(node.name) || node.name === "abs")) return isName(node);
  // W(x) is read as a product of two letters, P(X = 1) as a product with a relation.
  if (node.kind === "ratio") return isName(node);
  return node.kind === "multiply" && node.args.length === 2 && node.args[0].kind === "symbol" && node.args[1].kind === "relation";
}

function ofList(node: Extract<Node, { kind: "list" }>): Shape {
  const { by } = node;
  const args = dropParameters(node.args);
  if (args.length === 1) return shapeOf(args[0]);
  const equations = args.filter((arg) => arg.kind === "relation" && arg.relations.every(isEquality)) as Extract<
    Node,
    { kind: "relation" }
  >[];
  if (equations.length === args.length && by !== ";" && equations.every((arg) => arg.args.length >= 2 && isName(arg.args[0])))
    return ofAssignments(equations, by);
  const items = args.map(shapeOf);
  if (items.every((item) => item.type === "region")) {
    const together = joinRegions(items as Extract<Shape, { type: "region" }>[], by);
    if (together !== undefined) return together;
  }
  return many(items);
}

/** `x = …, k ∈ ℤ`: the parameter's domain is taken as said, and the parameter's name as n. */
function dropParameters(args: readonly Node[]): readonly Node[] {
  const isDomain = (arg: Node) =>
    arg.kind === "relation" &&
    arg.relations.length === 1 &&
    arg.relations[0] === "∈" &&
    arg.args[0].kind === "symbol" &&
    arg.args[1].kind === "namedSet";
  const domains = args.filter(isDomain);
  const rest = args.filter((arg) => !isDomain(arg));
  if (domains.length !== 1 || rest.length === 0) return args;
  const [domain] = domains;
  const name = domain.kind === "relation" && domain.args[0].kind === "symbol" ? domain.args[0].name : "";
  return rest.some((arg) => symbolsOf(arg).has(name))
    ? rest.map((arg) => substitute(arg, name, { kind: "symbol", name: "n" }))
    : args;
}

/** Different names together are one solution (a tuple); one name, or one letter with numbers, are several values. */
function ofAssignments(equations: readonly Extract<Node, { kind: "relation" }>[], by: string): Shape {
  const names = equations.map(({ args }) => print(args[0]));
  const values = equations.map(ofEquation);
  const letters = new Set(names.map((name) => name.replace(/_.*$|\(.*$|'+$/, "")));
  const isOne = by !== "or" && new Set(names).size === names.length && letters.size === names.length;
  if (isOne) return { type: "tuple", items: values, open: "(", close: ")", names };
  return many(values);
}

function joinRegions(items: readonly Extract<Shape, { type: "region" }>[], by: string): Shape | undefined {
  const variables = new Set(items.map(({ variable }) => variable));
  if (variables.size > 1) return undefined;
  const [variable] = variables;
  const all = items.map(({ intervals }) => intervals);
  const union = regionOf({ kind: "setOperation", operator: "∪", args: [] }, all);
  const common = regionOf({ kind: "setOperation", operator: "∩", args: [] }, all);
  const isUnion = by === "or" || variable === undefined || common === undefined || common.length === 0;
  const intervals = isUnion ? union : common;
  return intervals && { type: "region", intervals, variable };
}

/** A string equal for shapes that are surely the same; used to drop duplicates and as the key of a vote. */
export function shapeKey(shape: Shape): string {
  switch (shape.type) {
    case "value":
      return keyOf(shape.node);
    case "many":
      return `{${shape.items.map(shapeKey).sort().join(" , ")}}`;
    case "tuple":
      return `${shape.open}${shape.items.map((item, i) => `${shape.names ? `${shape.names[i]}=` : ""}${shapeKey(item)}`).join(" , ")}${shape.close}`;
    case "region":
      return `${shape.variable ?? ""}∈${shape.intervals.map(({ low, high, lowOpen, highOpen }) => `${lowOpen ? "(" : "["}${keyOf(low)} , ${keyOf(high)}${highOpen ? ")" : "]"}`).join("∪")}`;
    case "relation":
      return shape.args.map((arg, i) => (i === 0 ? keyOf(arg) : `${shape.relations[i - 1]}${keyOf(arg)}`)).join("");
    case "matrix":
      return `matrix(${shape.rows.map((row) => row.map(shapeKey).join(" , ")).join(" ; ")})`;
    case "words":
      return `"${shape.text}"`;
    default:
      return `other ${shape.key}`;
  }
}
