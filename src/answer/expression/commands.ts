// Reads commands with their arguments and functions with theirs: fractions, roots, logarithms, sums. Knows no meaning.

import { readEnvironment } from "./environment.ts";
import { readNumber } from "./numeral.ts";
import { readOperand, readSubscript, startsOperand } from "./operand.ts";
import { readPower, readProduct, readRelation, readSum } from "./parse.ts";
import { GrammarError, type Reader } from "./reader.ts";
import { call, integer, type Node, negative, powerOf, product, quotient } from "./tree.ts";
import { FUNCTIONS } from "./vocabulary.ts";

const MANY_ARGUMENTS = new Set(["gcd", "lcm", "min", "max"]);
const SET_COMMANDS = new Set(["emptyset", "varnothing", "O"]);
const FRACTIONS = new Set(["frac", "binom", "choose"]);

/** The command just taken, with its arguments. Errors: GrammarError for commands that are no operands. */
export function readCommand(reader: Reader, name: string): Node {
  if (FRACTIONS.has(name)) {
    const top = readArgument(reader);
    const bottom = readArgument(reader);
    return name === "frac" ? quotient(top, bottom) : call("binom", top, bottom);
  }
  if (name === "sqrt") return readRoot(reader);
  if (name === "log" || Object.hasOwn(FUNCTIONS, name)) return readFunction(reader, name === "log" ? name : FUNCTIONS[name]);
  if (name === "sum" || name === "prod") return readBig(reader, name);
  if (name === "begin") return readEnvironment(reader);
  if (name === "infty") return { kind: "constant", name: "∞" };
  if (name === "pi") return { kind: "constant", name: "π" };
  if (name === "e" || name === "i" || name === "imath") return { kind: "constant", name: name === "e" ? "e" : "i" };
  if (name === "mathbb" || name === "Bbb") return readNamedSet(reader);
  if (SET_COMMANDS.has(name)) return { kind: "set", args: [] };
  if (name === "overline" || name === "dot" || name === "boxed") return readArgument(reader);
  if (/^(?:end|int|iint|oint|lim|partial|nabla|limsup|pmod|bmod)$/.test(name)) throw new GrammarError(name);
  const short = name.startsWith("var") ? name.slice(3) : name;
  return { kind: "symbol", name: `${short}${readSubscript(reader)}` };
}

function readNamedSet(reader: Reader): Node {
  const braced = reader.accept("{");
  const name = reader.take().value;
  if (braced) reader.expect("}");
  if (!/^[RZQNC]$/.test(name)) return { kind: "symbol", name };
  return { kind: "namedSet", name: name + readSubscript(reader).slice(1) };
}

function readRoot(reader: Reader): Node {
  let degree: Node = integer(2);
  if (reader.accept("[")) {
    degree = readSum(reader);
    reader.expect("]");
  }
  const { type, value } = reader.peek();
  if (type === "op" && value === "(")
    return root(
      reader.nested(() => readOperand(reader)),
      degree,
    );
  if (type === "number") return root(readNumberOnly(reader), degree);
  return root(readArgument(reader), degree);
}

function readNumberOnly(reader: Reader): Node {
  const { value } = reader.take();
  return readNumber(reader, value);
}

function root(radicand: Node, degree: Node): Node {
  return powerOf(radicand, powerOf(degree, integer(-1)));
}

/** `\sin^2 x`, `\log_2 8`, `\max(1, 2)`: the argument without brackets runs to the next sign or function. */
export function readFunction(reader: Reader, name: string): Node {
  if (name === "sqrt") return readRoot(reader);
  let exponent: Node | undefined;
  let base: Node | undefined;
  for (let i = 0; i < 2; i++) {
    if (reader.accept("_")) base = readArgument(reader);
    if (reader.accept("^"))
      exponent = reader.is("{") || reader.peek().type === "number" ? readArgument(reader) : fail("a power of a function");
  }
  let args: readonly Node[];
  if (reader.is("(") || reader.is("{") || reader.is("\\{")) {
    const inner = reader.nested(() => readOperand(reader));
    args = inner.kind === "tuple" || inner.kind === "list" || inner.kind === "set" ? inner.args : [inner];
    if (args.length === 1 && reader.is("^") && exponent === undefined) {
      reader.take();
      exponent = reader.is("{") ? readArgument(reader) : readPower(reader);
    }
  } else args = [readOpenArgument(reader)];
  if (args.length === 0 || (args.length > 1 && !MANY_ARGUMENTS.has(name))) fail(`the arguments of ${name}`);
  if (
    exponent !== undefined &&
    exponent.kind === "number" &&
    exponent.value.numerator === -1n &&
    exponent.value.denominator === 1n
  )
    return call(`arc${name}`, ...args);
  const value = base === undefined ? call(name, ...args) : call(name, ...args, base);
  return exponent === undefined ? value : powerOf(value, exponent);
}

function readOpenArgument(reader: Reader): Node {
  const isNegative = reader.accept("-");
  let value = readPower(reader);
  while (startsOperand(reader) && !reader.is("(") && !isFunction(reader)) {
    if (reader.peek().type === "number" && reader.tokens[reader.at - 1].type === "number") break;
    value = product(value, readPower(reader));
  }
  if (reader.is("/") && reader.peek(1).type === "number") {
    reader.take();
    value = quotient(value, readPower(reader));
  }
  if (reader.accept("°")) value = call("unit:degree", value);
  return isNegative ? negative(value) : value;
}

function isFunction(reader: Reader): boolean {
  const { type, value } = reader.peek();
  return (type === "command" || type === "word") && (value === "log" || (Object.hasOwn(FUNCTIONS, value) && value !== "sqrt"));
}

/** `\sum_{k=1}^{n} body` as sum(body, k, 1, n). */
function readBig(reader: Reader, name: string): Node {
  let from: Node | undefined;
  let to: Node | undefined;
  for (let i = 0; i < 2; i++) {
    if (reader.accept("_")) {
      reader.expect("{");
      from = readRelation(reader);
      reader.expect("}");
    } else if (reader.accept("^")) to = readArgument(reader);
  }
  if (from?.kind !== "relation" || from.args.length !== 2 || to === undefined) throw new GrammarError(`\\${name} without bounds`);
  return call(name, readProduct(reader), from.args[0], from.args[1], to);
}

/** An argument in braces, or LaTeX's single one: a digit, a letter, a command. */
function readArgument(reader: Reader): Node {
  const { type, value, spaced } = reader.peek();
  if (type === "op" && value === "{") return reader.nested(() => readOperand(reader));
  if ((type === "number" || type === "word") && value.length > 1) {
    reader.tokens[reader.at] = { type, value: value.slice(1), spaced };
    if (type === "number") return /\d/.test(value[0]) ? integer(Number(value[0])) : fail("a digit");
    return value[0] === "e" || value[0] === "i" ? { kind: "constant", name: value[0] } : { kind: "symbol", name: value[0] };
  }
  if (type === "op" || type === "end") throw new GrammarError("an argument");
  return reader.nested(() => readOperand(reader));
}

function fail(reason: string): never {
  throw new GrammarError(reason);
}
