// Reads one operand: a number, a name, a bracketed group. Commands and functions are in commands.ts, the operators between
// operands in parse.ts. Knows no meaning.

import { readCommand, readFunction } from "./commands.ts";
import { readNumber } from "./numeral.ts";
import { readPower, readStatements, readSum } from "./parse.ts";
import { GrammarError, type Reader } from "./reader.ts";
import { call, integer, type Node, negative } from "./tree.ts";
import { CONSTANT_WORDS, FUNCTIONS, wordsToNumber } from "./vocabulary.ts";

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

/** `_1`, `_{12}` as text; empty when none stands there. */
export function readSubscript(reader: Reader): string {
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
