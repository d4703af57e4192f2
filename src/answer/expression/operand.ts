// Reads one operand: a number, a name, a bracketed group, a command with its arguments, a function with its argument.
// Knows no meaning. The operators between operands are in parse.ts.

import { add, power, type Rational, rational } from "../rational.ts";
import { readEnvironment } from "./environment.ts";
import { readPower, readProduct, readRelation, readStatements, readSum } from "./parse.ts";
import { GrammarError, type Reader } from "./reader.ts";
import { call, integer, type Node, negative, number, powerOf, product, quotient } from "./tree.ts";
import { CONSTANT_WORDS, FUNCTIONS, wordsToNumber } from "./vocabulary.ts";

const SET_COMMANDS = new Set(["emptyset", "varnothing", "O"]);
const OPENING = new Set(["(", "[", "{", "\\{", "|", "‖", "⌊", "⌈", "⟨"]);

/** Whether the next token begins an operand that multiplies what stands before it. */
export function startsOperand(reader: Reader): boolean {
  const { type, value } = reader.peek();
  if (type === "number" || type === "word") return true;
  if (type === "command") return value !== "end" && value !== "text";
  if (type !== "op") return false;
  if (value === "|" || value === "‖") return reader.bars === 0 && reader.tokens[reader.at + 1]?.type !== "end";
  return value === "(" || value === "{" || value === "⌊" || value === "⌈" || value === "⟨";
}

/** See the file header. Errors: GrammarError. */
export function readOperand(reader: Reader): Node {
  const { type, value } = reader.take();
  if (type === "number") return readNumber(reader, value);
  if (type === "word") return readWord(reader, value);
  if (type === "text") return readWords(reader, value);
  if (type === "command") return readCommand(reader, value);
  if (type === "op" && OPENING.has(value)) return readBracket(reader, value);
  if (type === "op" && value === "]") return readInterval(reader, "]");
  if (type === "op" && value === "...") return { kind: "symbol", name: "…" };
  throw new GrammarError(`no operand: ${value}`);
}

function readBracket(reader: Reader, open: string): Node {
  switch (open) {
    case "{":
      return readGroup(reader);
    case "\\{":
      return readSet(reader);
    case "(":
    case "[":
      return readInterval(reader, open);
    case "|":
    case "‖":
      return readBars(reader, open);
    case "⌊":
      return readFenced(reader, "⌋", "floor");
    case "⌈":
      return readFenced(reader, "⌉", "ceil");
    default:
      return readAngle(reader);
  }
}

function readFenced(reader: Reader, close: string, name: string): Node {
  const value = readSum(reader);
  reader.expect(close);
  return call(name, value);
}

function readAngle(reader: Reader): Node {
  const inner = readStatements(reader);
  reader.expect("⟩");
  return { kind: "tuple", open: "(", close: ")", args: inner.kind === "list" ? inner.args : [inner] };
}

function readBars(reader: Reader, bar: string): Node {
  const value = reader.nested(() => {
    reader.bars++;
    return readSum(reader);
  });
  reader.expect(bar);
  return call("abs", value);
}

/** `{…}` without backslash: LaTeX's grouping; `{1,2}` stays a list. Nothing in it is nothing. */
function readGroup(reader: Reader): Node {
  if (reader.accept("}")) return startsOperand(reader) ? readPower(reader) : { kind: "words", text: "" };
  const bars = reader.bars;
  reader.bars = 0;
  const inner = readStatements(reader);
  reader.bars = bars;
  if (reader.accept("|")) return finishBuilder(reader, inner, "}");
  reader.expect("}");
  return inner;
}

function readSet(reader: Reader): Node {
  if (reader.accept("\\}")) return { kind: "set", args: [] };
  reader.bars = 1;
  const inner = readStatements(reader);
  if (reader.accept("|")) return finishBuilder(reader, inner, "\\}");
  reader.expect("\\}");
  if (inner.kind === "ratio" && inner.args.length === 2)
    return { kind: "builder", element: inner.args[0], condition: inner.args[1] };
  if (inner.kind === "relation" && inner.args[0].kind === "ratio") {
    const [element, first] = inner.args[0].args;
    return { kind: "builder", element, condition: { ...inner, args: [first, ...inner.args.slice(1)] } };
  }
  return { kind: "set", args: inner.kind === "list" ? inner.args : [inner] };
}

function finishBuilder(reader: Reader, element: Node, close: string): Node {
  reader.bars = 0;
  const condition = readStatements(reader);
  reader.expect(close);
  return { kind: "builder", element, condition };
}

/** `(…)`, `[…]` and mixed brackets: a group when one value stands in round ones, else a tuple or interval with its brackets. */
function readInterval(reader: Reader, open: string): Node {
  if (open === "(" && reader.accept(")")) return { kind: "tuple", open, close: ")", args: [] };
  const bars = reader.bars;
  reader.bars = 0;
  const inner = readStatements(reader);
  reader.bars = bars;
  const close = reader.take();
  const closes = close.type === "op" && (close.value === ")" || close.value === "]" || (open === "]" && close.value === "["));
  if (!closes) throw new GrammarError(`an open ${open}`);
  if (inner.kind === "list") {
    if (open === "]") return { kind: "tuple", open: "(", close: close.value === "[" ? ")" : "]", args: inner.args };
    return { kind: "tuple", open, close: close.value, args: inner.args };
  }
  if (open === "[" && reader.is("[") && close.value === "]") throw new GrammarError("[a][b]");
  if ((open === "(") !== (close.value === ")")) throw new GrammarError("mixed brackets around one value");
  return inner;
}

function readNumber(reader: Reader, literal: string): Node {
  const [mantissa, exponent] = literal.split(/[eE]/);
  const [whole, fraction = ""] = mantissa.split(".");
  const scale = 10n ** BigInt(fraction.length);
  let value = rational(BigInt(whole + fraction || "0"), scale);
  if (value && exponent !== undefined) value = scaled(value, exponent);
  if (value === undefined) throw new GrammarError("a number too large");
  const isDecimal = mantissa.includes(".");
  if (exponent !== undefined) return number(value);
  if (isDecimal) return number(repeating(reader, value, fraction, scale) ?? value, fraction.length);
  if (reader.is("_")) return readBased(reader, literal);
  return readMixed(reader, value) ?? number(value);
}

function scaled(value: Rational, exponent: string): Rational | undefined {
  if (exponent.length > 5) return undefined;
  const factor = power({ numerator: 10n, denominator: 1n }, { numerator: BigInt(exponent), denominator: 1n });
  return factor && rational(value.numerator * factor.numerator, value.denominator * factor.denominator);
}

/** `0.1\overline{6}`, `0.\dot{3}`, `0.333…`; undefined when nothing repeats. */
function repeating(reader: Reader, value: Rational, fraction: string, scale: bigint): Rational | undefined {
  const { type, value: name } = reader.peek();
  const withCycle = (start: Rational, cycle: string, at: bigint) => {
    const part = rational(BigInt(cycle), at * (10n ** BigInt(cycle.length) - 1n));
    return part && add(start, part);
  };
  if (
    type === "command" &&
    (name === "overline" || name === "dot") &&
    reader.is("{", 1) &&
    reader.peek(2).type === "number" &&
    reader.is("}", 3)
  ) {
    reader.at += 4;
    return withCycle(value, reader.tokens[reader.at - 2].value, scale);
  }
  if (!reader.is("...")) return undefined;
  const cycle = /^\d*?(\d{1,6}?)\1{2,}$/.exec(fraction) ?? /^(\d{2,6})\1$/.exec(fraction);
  if (!cycle) return undefined;
  reader.take();
  return withCycle(value, cycle[1], scale);
}

/** `1011_2`: the value of the digits in that base; `x_1` never gets here. */
function readBased(reader: Reader, digits: string): Node {
  reader.take();
  const braced = reader.accept("{");
  const base = reader.take();
  if (braced) reader.expect("}");
  const text = base.type === "number" || base.type === "text" ? base.value : "";
  const radix = Number(text);
  if (!Number.isInteger(radix) || radix < 2 || radix > 36) throw new GrammarError("a base");
  let value = 0n;
  for (const digit of digits) {
    if (Number(digit) >= radix) throw new GrammarError("a digit beyond its base");
    value = value * BigInt(radix) + BigInt(digit);
  }
  return integer(value);
}

/** `1\frac{1}{2}` and `1 1/2`; undefined when no fraction of whole numbers follows. */
function readMixed(reader: Reader, whole: Rational): Node | undefined {
  const part = (ahead: number): bigint | undefined => {
    const { type, value } = reader.peek(ahead);
    return type === "number" && /^\d+$/.test(value) ? BigInt(value) : undefined;
  };
  let numerator: bigint | undefined;
  let denominator: bigint | undefined;
  let length = 0;
  if (reader.peek().type === "command" && reader.peek().value === "frac") {
    if (reader.is("{", 1) && reader.is("}", 3) && reader.is("{", 4) && reader.is("}", 6)) {
      [numerator, denominator, length] = [part(2), part(5), 7];
    } else if (part(1) !== undefined && reader.peek(1).value.length === 2) {
      [numerator, denominator, length] = [BigInt(reader.peek(1).value[0]), BigInt(reader.peek(1).value[1]), 2];
    }
  } else if (reader.peek().spaced && reader.is("/", 1)) [numerator, denominator, length] = [part(0), part(2), 3];
  if (numerator === undefined || denominator === undefined || denominator === 0n) return undefined;
  reader.at += length;
  const fraction = rational(numerator, denominator);
  const value = fraction && add(whole, fraction);
  return value && number(value);
}

function readWords(reader: Reader, text: string): Node {
  const value = wordsToNumber(text);
  if (value !== undefined) return integer(value);
  if (/^[a-zA-Z]$/.test(text) && reader.peek().type !== "end") return { kind: "symbol", name: text };
  if (/[a-zA-Z]{2,}/.test(text) && (startsOperand(reader) || reader.is("-")))
    return reader.accept("-") ? negative(readPower(reader)) : readPower(reader); // a label
  return { kind: "words", text: text.toLowerCase() };
}

function readWord(reader: Reader, word: string): Node {
  if (Object.hasOwn(FUNCTIONS, word)) return readFunction(reader, FUNCTIONS[word]);
  if (word === "log") return readFunction(reader, "log");
  if (Object.hasOwn(CONSTANT_WORDS, word)) return { kind: "constant", name: CONSTANT_WORDS[word] };
  if (word.length === 1) return letter(reader, word);
  if (word.length >= 3 && standsAlone(reader) && wordsToNumber(word) === undefined)
    return { kind: "words", text: word.toLowerCase() };
  const head = /^(?:arc)?(?:sin|cos|tan|ln|log|sqrt)(?=[a-zA-Z]$)|^pi(?=[a-zA-Z]$)/.exec(word)?.[0];
  const rest = head ?? word[0];
  if (head !== undefined || word.length <= 4) {
    const { spaced } = reader.tokens[reader.at - 1];
    reader.at--;
    reader.tokens.splice(
      reader.at,
      1,
      { type: "word", value: rest, spaced },
      { type: "word", value: word.slice(rest.length), spaced: false },
    );
    return reader.nested(() => readWord(reader, reader.take().value));
  }
  const value = wordsToNumber(word);
  return value === undefined ? { kind: "symbol", name: word.toLowerCase() } : integer(value);
}

/** Whether the word just taken is all there is between separators. */
function standsAlone(reader: Reader): boolean {
  const isEdge = (value: string | undefined) =>
    value === undefined || /^(?:|,|;|and|or|\\{|\\}|\{|\}|\(|\)|\[|\]|=)$/.test(value);
  const before = reader.tokens[reader.at - 2];
  return isEdge(before?.value) && isEdge(reader.peek().value);
}

/** A letter with its subscript; e and i are the constants unless they have one. */
function letter(reader: Reader, name: string): Node {
  const subscript = readSubscript(reader);
  if (subscript !== "") return { kind: "symbol", name: name + subscript };
  if (name === "e" || name === "i") return { kind: "constant", name };
  const isApplied =
    reader.is("(") &&
    reader.peek(1).type === "word" &&
    reader.peek(1).value.length === 1 &&
    reader.is(")", 2) &&
    reader.is("=", 3);
  if (isApplied || (/^[fghFGH]$/.test(name) && reader.is("(") && !reader.peek().spaced)) return readApplication(reader, name);
  return { kind: "symbol", name };
}

function readApplication(reader: Reader, name: string): Node {
  reader.take();
  const inner = readStatements(reader);
  reader.expect(")");
  return call(name, ...(inner.kind === "list" ? inner.args : [inner]));
}

function readSubscript(reader: Reader): string {
  if (!reader.accept("_")) return "";
  if (!reader.accept("{")) {
    const { type, value } = reader.take();
    if (type === "end" || type === "op") throw new GrammarError("a subscript");
    return `_${value}`;
  }
  let text = "_";
  for (let depth = 1; ; ) {
    const { type, value } = reader.take();
    if (type === "end") throw new GrammarError("an open subscript");
    if (type === "op" && value === "{") depth++;
    if (type === "op" && value === "}" && --depth === 0) return text;
    text += value;
  }
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

const FRACTIONS = new Set(["frac", "binom", "choose"]);

function readCommand(reader: Reader, name: string): Node {
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
function readFunction(reader: Reader, name: string): Node {
  if (name === "sqrt") return readRoot(reader);
  let exponent: Node | undefined;
  let base: Node | undefined;
  for (let i = 0; i < 2; i++) {
    if (reader.accept("_")) base = readArgument(reader);
    if (reader.accept("^"))
      exponent = reader.is("{") || reader.peek().type === "number" ? readArgument(reader) : fail("a power of a function");
  }
  let args: readonly Node[];
  if (reader.is("(") || reader.is("{")) {
    const inner = reader.nested(() => readOperand(reader));
    args = inner.kind === "tuple" || inner.kind === "list" ? inner.args : [inner];
    if (args.length === 1 && reader.is("^") && exponent === undefined) {
      reader.take();
      exponent = reader.is("{") ? readArgument(reader) : readPower(reader);
    }
  } else args = [readOpenArgument(reader)];
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
