// Reads an answer as it stands in a box: a number, words, or an expression, with a key. Equal keys mean equal answers; different
// keys may still be equal (compare.ts decides). Reads each distinct answer once. Never throws, never hangs.

import { BudgetError, resetBudget } from "./expression/budget.ts";
import { keyOf, rationalOf } from "./expression/equality.ts";
import { parseExpression } from "./expression/parse.ts";
import { call, integer, type Node, number, sum } from "./expression/tree.ts";
import { CONSTANT_WORDS, FUNCTIONS, wordsToNumber } from "./expression/vocabulary.ts";
import { MAX_ANSWER_LENGTH, normalise } from "./normalise.ts";
import { formatRational } from "./rational.ts";
import { type Shape, shapeKey, shapeOf } from "./shape.ts";
import { type Unit, unitOf } from "./units.ts";

/** What an answer is. Two answers of equal kind and canonical form are equivalent. */
export interface Reading {
  readonly kind: "number" | "words" | "expression";
  readonly canonical: string;
  /** Its possible meanings, the most likely first; none when it is only text. */
  readonly shapes: readonly Shape[];
  readonly unit?: Unit;
}

const PLAIN_INTEGER = /^(?:0|-?[1-9]\d{0,14})$/;
const WORDS = /^[\p{L}"][\p{L}\s'’.,"-]*$/u;
const CACHE_LIMIT = 20_000;
const cache = new Map<string, Reading>();

/** The reading of a raw answer, remembered: the same few strings come back thousands of times in a vote. */
export function readAnswer(raw: string): Reading {
  let reading = cache.get(raw);
  if (reading === undefined) {
    reading = readFresh(raw);
    if (cache.size >= CACHE_LIMIT) cache.clear();
    if (raw.length <= 200) cache.set(raw, reading);
  }
  return reading;
}

function readFresh(raw: string): Reading {
  const trimmed = raw.trim();
  if (PLAIN_INTEGER.test(trimmed)) return plainInteger(trimmed);
  if (trimmed.length > MAX_ANSWER_LENGTH) return { kind: "expression", canonical: trimmed, shapes: [] };
  const text = normalise(trimmed);
  const plain = unwrapText(text).trim();
  resetBudget();
  try {
    return readWords(plain) ?? readClock(plain) ?? readChoice(text) ?? readExpression(text, plain);
  } catch (error) {
    if (error instanceof BudgetError || error instanceof RangeError) return opaque(plain);
    throw error;
  }
}

function plainInteger(text: string): Reading {
  let shapes: Shape[] | undefined;
  return {
    kind: "number",
    canonical: text,
    get shapes() {
      shapes ??= [{ type: "value", node: integer(BigInt(text)) }];
      return shapes;
    },
  };
}

function opaque(plain: string): Reading {
  const key = squeeze(plain);
  return { kind: "expression", canonical: key, shapes: [{ type: "other", key }] };
}

/** Removes spaces, except the one that ends a command before a letter (`\\pi r` is not `\\pir`). */
function squeeze(text: string): string {
  return text.replace(/(\\[a-zA-Z]+) +(?=[a-zA-Z])|\s+/g, (_, command?: string) => (command ? `${command} ` : ""));
}

/** Replaces `\text{…}` and the like (without inner braces) by their content. */
function unwrapText(text: string): string {
  return text.replace(
    /\\(?:text|mathrm|mbox|textnormal|textbf|textrm|textit|texttt|operatorname|mathbf|boldsymbol|mathsf|textsf|hbox)\s*\{([^{}]*)\}/g,
    "$1",
  );
}

/** Numbers in words, choices (`(B)`, `b`), names and other text. */
function readWords(plain: string): Reading | undefined {
  const choice = /^[([]?\s*(\p{L})\s*[)\].]+$/u.exec(plain)?.[1] ?? plain;
  if (!WORDS.test(choice)) return undefined;
  const value = wordsToNumber(choice);
  if (value !== undefined) return { kind: "number", canonical: String(value), shapes: [{ type: "value", node: integer(value) }] };
  if (Object.hasOwn(CONSTANT_WORDS, choice)) return undefined;
  const date = readDate(choice);
  if (date) return date;
  const words = choice
    .replace(/[\s."-]+/g, " ")
    .trim()
    .toLowerCase();
  if (/,/.test(words))
    return /(?:^|[ ,])\p{L}(?:[ ,]|$)|^[a-z]{2},|,[a-z]{2}$/u.test(words) || words === "" ? undefined : listOfWords(words);
  if (words === "") return undefined;
  if (/^\p{L}(?: \p{L})+$/u.test(words)) return undefined; // letters side by side are a product
  const shapes: Shape[] = [{ type: "words", text: words }];
  const isProduct = words.length <= 3 && !words.includes(" ") && !Object.hasOwn(FUNCTIONS, words);
  const node = isProduct ? parseExpression([...choice].join(" ")) : undefined;
  if (node !== undefined) shapes.push({ type: "value", node });
  return { kind: "words", canonical: words, shapes };
}

function listOfWords(words: string): Reading {
  const items = words
    .split(",")
    .map((word) => word.trim().replace(/^and /, ""))
    .filter(Boolean);
  const shape: Shape =
    items.length === 1
      ? { type: "words", text: items[0] }
      : { type: "many", items: items.map((text) => ({ type: "words", text })) };
  return { kind: "words", canonical: shapeKey(shape), shapes: [shape] };
}

const MONTHS = "january february march april may june july august september october november december".split(" ");

/** `March 5, 2020`, `5 March 2020`, `2020-03-05`. */
function readDate(text: string): Reading | undefined {
  const lower = text.toLowerCase().replace(/(\d)(?:st|nd|rd|th)\b/g, "$1");
  const month = (word: string) =>
    MONTHS.findIndex((name) => name === word || (word.length >= 3 && name.startsWith(word.replace(/\.$/, "")))) + 1;
  const american = /^(?:[a-z]+day,? )?([a-z]+\.?) (\d{1,2})(?:,? (\d{4}))?$/.exec(lower);
  const british = /^(?:[a-z]+day,? )?(\d{1,2}) (?:of )?([a-z]+\.?)(?:,? (\d{4}))?$/.exec(lower);
  const iso = /^(\d{4})-(\d{2})-(\d{2})$/.exec(lower);
  const parts = american
    ? [american[3], month(american[1]), american[2]]
    : british
      ? [british[3], month(british[2]), british[1]]
      : iso
        ? [iso[1], Number(iso[2]), iso[3]]
        : [];
  const [year = "", at = 0, day = 0] = parts;
  if (parts.length === 0 || Number(at) < 1 || Number(at) > 12 || Number(day) < 1 || Number(day) > 31) return undefined;
  const key = `${year}-${at}-${Number(day)}`;
  return { kind: "words", canonical: key, shapes: [{ type: "words", text: key }] };
}

/** `12:30`, `3:30 p.m.`; a time is not the ratio of its numbers. */
function readClock(plain: string): Reading | undefined {
  const date = /\d{4}-|[a-z] ?\d|\d ?[a-z]/i.test(plain) ? readDate(plain) : undefined;
  if (date) return date;
  const clock = /^(\d{1,2}):([0-5]\d)(?: ?([ap]\.?m)\.?)?$/i.exec(plain);
  if (!clock) return undefined;
  const unit = clock[3] === undefined ? undefined : unitOf(clock[3]);
  const key = `${Number(clock[1])}:${clock[2]}`;
  const ratio = clock[3] === undefined ? parseExpression(`${clock[1]}:${clock[2]}`) : undefined;
  const shapes: Shape[] = [{ type: "words", text: key }];
  if (ratio !== undefined && clock[2] !== "00") shapes.push({ type: "value", node: ratio });
  return { kind: "words", canonical: key + (unit ? ` ${unit.dimension}` : ""), shapes, unit };
}

/** `(B) 12`: the letter or the value. */
function readChoice(text: string): Reading | undefined {
  const choice = /^(?:\\(?:text|textbf|mathrm|mathbf)\s*\{\s*\(([A-Ja-j])\)\s*\}|\(([A-J])\))\s*(?=[^\s^/*+=<>,;)'!-])(.+)$/.exec(
    text,
  );
  if (!choice) return undefined;
  const rest = readAnswer(choice[3]);
  const letter = (choice[1] ?? choice[2]).toLowerCase();
  return {
    kind: "expression",
    canonical: `(${letter}) ${rest.kind}:${rest.canonical}`,
    shapes: [{ type: "words", text: letter }, ...rest.shapes],
  };
}

function readExpression(text: string, plain: string): Reading {
  const isText = /^\\[a-z]+ ?\{[^{}]*\}$/.test(text) && plain !== text;
  const parsed =
    (isText ? parseExpression(plain) : undefined) ??
    parseExpression(text) ??
    (plain === text ? undefined : parseExpression(plain));
  if (parsed === undefined) return readLabelled(text) ?? opaque(plain);
  const { node, unit } = splitUnit(parsed);
  const shape = shapeOf(node);
  const known = unit === undefined ? undefined : unitOf(unit);
  const suffix = known && known.dimension !== "degree1" ? ` [${known.dimension} ${formatRational(known.factor)}]` : "";
  const value = shape.type === "value" && shape.also === undefined ? rationalOf(shape.node) : undefined;
  if (value !== undefined) return { kind: "number", canonical: formatRational(value) + suffix, shapes: [shape], unit: known };
  const canonical =
    shape.type === "value" ? keyOf(shape.node) + (shape.also ? ` ~ ${keyOf(shape.also[0])}` : "") : shapeKey(shape);
  return { kind: "expression", canonical: canonical + suffix, shapes: [shape], unit: known };
}

/** `Area: 5`, `The answer is 5`: the value after the words. */
function readLabelled(text: string): Reading | undefined {
  const label = /^(?:[A-Za-z][A-Za-z ]{1,40}|\\text\s*\{[^{}]{1,60}\})\s*(?:[:=]| is )\s*(?=\S)/.exec(text);
  return label && text.length > label[0].length ? readAnswer(text.slice(label[0].length)) : undefined;
}

/** The unit of the whole answer; `2 hours 30 minutes` is 150 minutes. */
function splitUnit(node: Node): { node: Node; unit?: string } {
  if (node.kind === "call" && node.name.startsWith("unit:")) return { node: node.args[0], unit: node.name.slice(5) };
  if (node.kind === "relation" && node.relations.length === 1) {
    const right = splitUnit(node.args[1]);
    return right.unit === undefined ? { node } : { node: { ...node, args: [node.args[0], right.node] }, unit: right.unit };
  }
  if (node.kind === "multiply" && node.args.length === 2 && node.args[0].kind === "number") {
    const [first, second] = node.args;
    const inner = splitUnit(second);
    const sameAs = first.value.numerator === -1n && first.value.denominator === 1n;
    if (sameAs && inner.unit !== undefined) return { node: { ...node, args: [first, inner.node] }, unit: inner.unit };
  }
  if (node.kind === "multiply" && node.args.length === 2) return compound(node.args[0], node.args[1]) ?? { node };
  return { node };
}

function compound(left: Node, right: Node): { node: Node; unit: string } | undefined {
  if (left.kind !== "call" || right.kind !== "call" || !left.name.startsWith("unit:") || !right.name.startsWith("unit:"))
    return undefined;
  const [big, small] = [unitOf(left.name.slice(5)), unitOf(right.name.slice(5))];
  if (!big || !small || big.dimension !== small.dimension) return undefined;
  const ratio = {
    numerator: big.factor.numerator * small.factor.denominator,
    denominator: big.factor.denominator * small.factor.numerator,
  };
  const scaled: Node = {
    kind: "multiply",
    args: [
      left.args[0],
      number({ numerator: ratio.numerator, denominator: 1n }),
      { kind: "power", base: integer(ratio.denominator), exponent: integer(-1) },
    ],
  };
  return { node: sum(scaled, call("unit:", right.args[0])), unit: right.name.slice(5) };
}
