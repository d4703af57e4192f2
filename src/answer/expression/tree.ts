// The expression tree of an answer: numbers, symbols and operations below; lists, sets, intervals, relations and words above.
// Knows no notation (parse.ts) and no meaning (exact.ts, numeric.ts, ../shape.ts).

import { formatRational, ONE, type Rational } from "../rational.ts";
import { spend } from "./budget.ts";

/** A relation between two neighbours of a chain; `~` is "approximately". */
export type Relation = "=" | "~" | "<" | ">" | "<=" | ">=" | "!=" | "∈" | "∉" | "⊂" | "≡" | "→";

/** A node of an answer's tree. Trees are never changed after they are built. */
export type Node =
  | {
      readonly kind: "number";
      readonly value: Rational /** Digits after the point as written; absent: not a decimal. */;
      readonly decimals?: number;
    }
  | { readonly kind: "symbol"; readonly name: string }
  | { readonly kind: "constant"; readonly name: "π" | "e" | "i" | "∞" }
  | { readonly kind: "add" | "multiply"; readonly args: readonly Node[] }
  | { readonly kind: "power"; readonly base: Node; readonly exponent: Node }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly Node[] }
  | { readonly kind: "plusMinus"; readonly value: Node /** ∓ */; readonly flipped: boolean }
  | { readonly kind: "ratio"; readonly args: readonly Node[] }
  | { readonly kind: "list"; readonly args: readonly Node[]; readonly by: "," | ";" | "and" | "or" }
  | { readonly kind: "set"; readonly args: readonly Node[] }
  | { readonly kind: "builder"; readonly element: Node; readonly condition: Node }
  | { readonly kind: "tuple"; readonly args: readonly Node[]; readonly open: string; readonly close: string }
  | { readonly kind: "setOperation"; readonly operator: "∪" | "∩" | "∖"; readonly args: readonly Node[] }
  | { readonly kind: "namedSet"; readonly name: string }
  | { readonly kind: "relation"; readonly args: readonly Node[]; readonly relations: readonly Relation[] }
  | { readonly kind: "matrix"; readonly rows: readonly (readonly Node[])[] }
  | { readonly kind: "cases"; readonly rows: readonly (readonly Node[])[] }
  | { readonly kind: "words"; readonly text: string };

/** A number. */
export function number(value: Rational, decimals?: number): Node {
  return decimals === undefined ? { kind: "number", value } : { kind: "number", value, decimals };
}

/** A small whole number. */
export function integer(value: number | bigint): Node {
  return { kind: "number", value: { numerator: BigInt(value), denominator: ONE.denominator } };
}

/** a + b, flattened. */
export function sum(left: Node, right: Node): Node {
  return { kind: "add", args: [...(left.kind === "add" ? left.args : [left]), right] };
}

/** a · b, flattened. */
export function product(left: Node, right: Node): Node {
  return { kind: "multiply", args: [...(left.kind === "multiply" ? left.args : [left]), right] };
}

/** −a; of a number, the negative number. */
export function negative(value: Node): Node {
  if (value.kind === "number") {
    const { numerator, denominator } = value.value;
    return number({ numerator: -numerator, denominator }, value.decimals);
  }
  return { kind: "multiply", args: [integer(-1), value] };
}

/** base^exponent. */
export function powerOf(base: Node, exponent: Node): Node {
  return { kind: "power", base, exponent };
}

/** a / b. */
export function quotient(left: Node, right: Node): Node {
  return product(left, powerOf(right, integer(-1)));
}

/** name(args). */
export function call(name: string, ...args: Node[]): Node {
  return { kind: "call", name, args };
}

/** The nodes directly below. */
export function children(node: Node): readonly Node[] {
  switch (node.kind) {
    case "number":
    case "symbol":
    case "constant":
    case "namedSet":
    case "words":
      return [];
    case "power":
      return [node.base, node.exponent];
    case "plusMinus":
      return [node.value];
    case "builder":
      return [node.element, node.condition];
    case "matrix":
    case "cases":
      return node.rows.flat();
    default:
      return node.args;
  }
}

/** The same node with each child replaced. */
export function mapChildren(node: Node, change: (child: Node) => Node): Node {
  switch (node.kind) {
    case "number":
    case "symbol":
    case "constant":
    case "namedSet":
    case "words":
      return node;
    case "power":
      return powerOf(change(node.base), change(node.exponent));
    case "plusMinus":
      return { ...node, value: change(node.value) };
    case "builder":
      return { ...node, element: change(node.element), condition: change(node.condition) };
    case "matrix":
    case "cases":
      return { ...node, rows: node.rows.map((row) => row.map(change)) };
    default:
      return { ...node, args: node.args.map(change) };
  }
}

/** Whether some node below or at `node` passes. */
export function some(node: Node, test: (node: Node) => boolean): boolean {
  spend();
  return test(node) || children(node).some((child) => some(child, test));
}

/** Names of all symbols, sorted. */
export function symbolsOf(node: Node, into = new Set<string>()): Set<string> {
  spend();
  if (node.kind === "symbol") into.add(node.name);
  for (const child of children(node)) symbolsOf(child, into);
  return into;
}

/** The tree with every `name` replaced by `value`. */
export function substitute(node: Node, name: string, value: Node): Node {
  spend();
  if (node.kind === "symbol") return node.name === name ? value : node;
  return mapChildren(node, (child) => substitute(child, name, value));
}

/** One string per tree, for keys and for people; equal strings mean equal trees. */
export function print(node: Node): string {
  spend();
  switch (node.kind) {
    case "number":
      return formatRational(node.value);
    case "symbol":
    case "constant":
    case "namedSet":
      return node.name;
    case "words":
      return `"${node.text}"`;
    case "add":
      return `(${node.args.map(print).join(" + ")})`;
    case "multiply":
      return `(${node.args.map(print).join("·")})`;
    case "power":
      return `${print(node.base)}^${print(node.exponent)}`;
    case "call":
      return `${node.name}(${node.args.map(print).join(", ")})`;
    case "plusMinus":
      return `${node.flipped ? "∓" : "±"}${print(node.value)}`;
    case "ratio":
      return node.args.map(print).join(":");
    case "list":
      return `[${node.args.map(print).join(node.by === "," || node.by === ";" ? `${node.by} ` : ` ${node.by} `)}]`;
    case "set":
      return `{${node.args.map(print).join(", ")}}`;
    case "builder":
      return `{${print(node.element)} | ${print(node.condition)}}`;
    case "tuple":
      return `${node.open}${node.args.map(print).join(", ")}${node.close}`;
    case "setOperation":
      return `(${node.args.map(print).join(` ${node.operator} `)})`;
    case "relation":
      return node.args.map((arg, i) => (i === 0 ? print(arg) : `${node.relations[i - 1]} ${print(arg)}`)).join(" ");
    default:
      return `${node.kind}(${node.rows.map((row) => row.map(print).join(", ")).join("; ")})`;
  }
}
