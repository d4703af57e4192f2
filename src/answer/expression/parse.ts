// Reads tokens as an expression tree by precedence: lists, then relations, set operations, ratios, sums, products, powers.
// LaTeX and plain text alike. Knows no meaning. Operands (brackets, commands, functions) are in operand.ts.

import { multiply, type Rational } from "../rational.ts";
import { readOperand, startsOperand } from "./operand.ts";
import { GrammarError, Reader } from "./reader.ts";
import { tokenize } from "./tokens.ts";
import { call, integer, type Node, negative, number, powerOf, product, quotient, type Relation, sum } from "./tree.ts";
import { isUnit, SCALES } from "./vocabulary.ts";

const RELATIONS = new Set<string>(["=", "~", "<", ">", "<=", ">=", "!=", "∈", "∉", "⊂", "≡", "→"]);
const HUNDREDTH: Rational = { numerator: 1n, denominator: 100n };

/** The tree of a normalised answer; undefined when it does not follow the grammar. */
export function parseExpression(text: string): Node | undefined {
  const tokens = tokenize(text);
  if (tokens === undefined) return undefined;
  const reader = new Reader(tokens);
  try {
    let node = readStatements(reader);
    while (reader.accept("⇒")) node = reader.peek().type === "end" ? node : readStatements(reader);
    return reader.peek().type === "end" ? node : undefined;
  } catch (error) {
    if (error instanceof GrammarError) return undefined;
    throw error;
  }
}

/** Groups separated by `;` (or rows), each a list separated by `,`, "and", "or". */
export function readStatements(reader: Reader): Node {
  const groups = [readList(reader)];
  while (reader.accept(";") || reader.accept("\\\\")) {
    if (endsGroup(reader)) break;
    groups.push(readList(reader));
  }
  return groups.length === 1 ? groups[0] : { kind: "list", args: groups, by: ";" };
}

function endsGroup(reader: Reader): boolean {
  const { type, value } = reader.peek();
  return type === "end" || (type === "op" && (value === ")" || value === "]" || value === "}" || value === "\\}"));
}

function readList(reader: Reader): Node {
  const items = [readRelation(reader)];
  let by: "," | "and" | "or" = ",";
  while (true) {
    let separators = 0;
    for (; reader.is(",") || reader.is("and") || reader.is("or"); separators++) {
      const { value } = reader.take();
      if (value === "or" || (value === "and" && by !== "or")) by = value;
    }
    if (separators === 0 || endsGroup(reader)) break;
    items.push(readRelation(reader));
  }
  return items.length === 1 ? items[0] : { kind: "list", args: items, by };
}

/** `a < b < c`, `x = 1`, `x ∈ S`. */
export function readRelation(reader: Reader): Node {
  const args = [isRelation(reader) ? EMPTY : readSetExpression(reader)];
  const relations: Relation[] = [];
  while (isRelation(reader)) {
    relations.push(reader.take().value as Relation);
    reader.accept("="); // "= =" and "≈ ="
    args.push(readSetExpression(reader));
  }
  if (args[0] === EMPTY) return args.length === 2 && /^[=~]$/.test(relations[0]) ? args[1] : fail("a relation without left side");
  return relations.length === 0 ? args[0] : { kind: "relation", args, relations };
}

const EMPTY: Node = { kind: "words", text: "" };

function isRelation(reader: Reader): boolean {
  const { type, value } = reader.peek();
  return type === "op" && RELATIONS.has(value);
}

function fail(reason: string): never {
  throw new GrammarError(reason);
}

function readSetExpression(reader: Reader): Node {
  let left = readRatio(reader);
  while (reader.is("∪") || reader.is("∩") || reader.is("∖")) {
    const operator = reader.take().value as "∪" | "∩" | "∖";
    left = { kind: "setOperation", operator, args: [left, readRatio(reader)] };
  }
  return left;
}

function readRatio(reader: Reader): Node {
  const args = [readSum(reader)];
  while (reader.accept(":")) args.push(readSum(reader));
  return args.length === 1 ? args[0] : { kind: "ratio", args };
}

/** Sums, with ±. */
export function readSum(reader: Reader): Node {
  let left = readTerm(reader);
  while (true) {
    if (reader.accept("+")) left = sum(left, readTerm(reader));
    else if (reader.accept("-")) left = sum(left, negative(readTerm(reader)));
    else if (reader.is("±") || reader.is("∓")) {
      const flipped = reader.take().value === "∓";
      left = sum(left, { kind: "plusMinus", value: readTerm(reader), flipped });
    } else return left;
  }
}

/** A product with its signs; a sign binds weaker than a product: −a·b = −(a·b). */
function readTerm(reader: Reader): Node {
  if (reader.accept("+")) return readTerm(reader);
  if (reader.accept("-")) {
    let sign = -1;
    while (reader.is("-") || reader.is("+")) if (reader.take().value === "-") sign = -sign;
    if (reader.is("±") || reader.is("∓")) return negative(readTerm(reader));
    const term = readProduct(reader);
    return sign < 0 ? negative(term) : term;
  }
  if (reader.is("±") || reader.is("∓")) {
    const flipped = reader.take().value === "∓";
    return { kind: "plusMinus", value: readTerm(reader), flipped };
  }
  return readProduct(reader);
}

/** Factors: explicit, implicit, quotients, units, percent, modulus. */
export function readProduct(reader: Reader): Node {
  let left = readPower(reader);
  while (true) {
    if (reader.accept("*")) left = product(left, readSigned(reader));
    else if (reader.accept("/")) left = readQuotient(reader, left);
    else if (reader.accept("%")) left = percent(left);
    else if (reader.accept("°")) left = { kind: "call", name: "unit:degree", args: [left] };
    else if (reader.peek().type === "command" && /^(?:pmod|bmod|mod)$/.test(reader.peek().value)) {
      reader.take();
      left = call("mod", left, readPower(reader));
    } else {
      const scale = readScale(reader, left);
      const unit = scale === undefined ? readUnit(reader, left) : undefined;
      if (scale !== undefined) left = scale;
      else if (unit !== undefined) left = { kind: "call", name: `unit:${unit}`, args: [left] };
      else if (startsOperand(reader)) left = readImplicit(reader, left);
      else return left;
    }
  }
}

function readQuotient(reader: Reader, left: Node): Node {
  if (reader.accept("/")) return fail("//");
  return quotient(left, readSigned(reader));
}

function readSigned(reader: Reader): Node {
  if (reader.accept("-")) return negative(readSigned(reader));
  return reader.accept("+") ? readSigned(reader) : readPower(reader);
}

function readImplicit(reader: Reader, left: Node): Node {
  if (reader.peek().type === "number" && reader.tokens[reader.at - 1].type === "number") fail("two numbers side by side");
  return product(left, readPower(reader));
}

function percent(value: Node): Node {
  if (value.kind !== "number") return product(value, number(HUNDREDTH));
  const scaled = multiply(value.value, HUNDREDTH);
  return scaled === undefined
    ? fail("a number too large")
    : number(scaled, value.decimals === undefined ? undefined : value.decimals + 2);
}

/** `3 million`; undefined when no such word follows a number. */
function readScale(reader: Reader, value: Node): Node | undefined {
  const { type, value: word } = reader.peek();
  if ((type !== "word" && type !== "text") || value.kind !== "number" || !Object.hasOwn(SCALES, word.toLowerCase()))
    return undefined;
  reader.take();
  return product(value, integer(SCALES[word.toLowerCase()]));
}

/** The unit after a value, with its powers and quotients (`cm^2`, `km/h`, `\text{ square feet}`); undefined when none follows. */
function readUnit(reader: Reader, value: Node): string | undefined {
  const { type, value: word } = reader.peek();
  if (type === "text" ? false : type !== "word" || word.length < 2) return undefined;
  if (hasSymbol(value) || (type === "word" && !isUnit(word))) return undefined;
  let unit = reader
    .take()
    .value.replace(/^[\s-]+|[\s.,]+$/g, "")
    .toLowerCase();
  if (/^(?:th|st|nd|rd)$/.test(unit)) return "";
  while (true) {
    const next = reader.peek();
    if ((next.type === "word" || next.type === "text") && isUnit(next.value)) unit += ` ${reader.take().value.toLowerCase()}`;
    else if (reader.is("/") && /^(?:word|text)$/.test(reader.peek(1).type)) {
      reader.take();
      unit += `/${reader.take().value.toLowerCase()}`;
    } else if (reader.is("^")) {
      reader.take();
      const braced = reader.accept("{");
      unit += `^${reader.peek().type === "number" ? reader.take().value : fail("a power of a unit")}`;
      if (braced) reader.expect("}");
    } else return unit;
  }
}

function hasSymbol(node: Node): boolean {
  if (node.kind === "symbol" || node.kind === "words" || node.kind === "relation") return true;
  if (node.kind === "add" || node.kind === "multiply" || node.kind === "call") return node.args.some(hasSymbol);
  return node.kind === "power" && (hasSymbol(node.base) || hasSymbol(node.exponent));
}

/** An operand with what stands behind it: powers, factorials, primes. */
export function readPower(reader: Reader): Node {
  let base = reader.nested(() => readOperand(reader));
  while (true) {
    if (reader.accept("!")) base = call(reader.accept("!") ? "doubleFactorial" : "factorial", base);
    else if (reader.accept("'")) base = prime(base);
    else if (reader.accept("^")) base = readExponent(reader, base);
    else return base;
  }
}

function prime(base: Node): Node {
  return base.kind === "symbol" ? { kind: "symbol", name: `${base.name}'` } : fail("a prime");
}

function readExponent(reader: Reader, base: Node): Node {
  if (reader.is("°") || (reader.is("{") && reader.is("°", 1) && reader.is("}", 2))) {
    reader.at += reader.is("°") ? 1 : 3;
    return { kind: "call", name: "unit:degree", args: [base] };
  }
  if (reader.is("'") || (reader.is("{") && reader.is("'", 1) && reader.is("}", 2))) {
    reader.at += reader.is("'") ? 1 : 3;
    return prime(base);
  }
  if (reader.is("{") && /^(?:th|st|nd|rd)$/.test(reader.peek(1).value) && reader.is("}", 2)) {
    reader.at += 3;
    return base;
  }
  if (base.kind === "namedSet" && (reader.is("+") || reader.is("*") || reader.is("-")))
    return { kind: "namedSet", name: base.name + reader.take().value };
  if (base.kind === "namedSet" && reader.is("{") && reader.is("}", 2) && /^[+*-]$/.test(reader.peek(1).value)) {
    reader.at += 3;
    return { kind: "namedSet", name: base.name + reader.tokens[reader.at - 2].value };
  }
  if (reader.is("{"))
    return powerOf(
      base,
      reader.nested(() => readOperand(reader)),
    );
  return powerOf(
    base,
    reader.nested(() => (reader.accept("-") ? negative(readPower(reader)) : readPlainExponent(reader))),
  );
}

/** An exponent without braces: a whole number, or one letter of a word (`x^ny` is xⁿ·y). */
function readPlainExponent(reader: Reader): Node {
  const { type, value, spaced } = reader.peek();
  if (type === "word" && value.length > 1 && value !== "pi") {
    reader.tokens[reader.at] = { type: "word", value: value.slice(1), spaced };
    return value[0] === "e" || value[0] === "i" ? { kind: "constant", name: value[0] } : { kind: "symbol", name: value[0] };
  }
  if (type === "number") {
    reader.take();
    const literal = /^\d+$/.test(value) ? integer(BigInt(value)) : undefined;
    const exponent =
      literal ??
      number({
        numerator: BigInt(value.replace(/\D/g, "") || "0"),
        denominator: 10n ** BigInt(value.split(".")[1]?.length ?? 0),
      });
    return reader.accept("^") ? readExponent(reader, exponent) : exponent;
  }
  return readPower(reader);
}
