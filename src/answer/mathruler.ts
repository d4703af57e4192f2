// The policy `mathruler`: how the released R-Zero grades. Answers are normalised as text (LaTeX spelling, units, currency, percent
// and thousands signs dropped) and compared as text; what differs is compared part by part as mathematics. Differences of meaning
// are kept on purpose: 50% = 50, tuples are ordered, two unreduced fractions must match as text, many letters are never evaluated.
// The simplification by a computer algebra system is our exact and numeric comparison, which ends.

import { BudgetError, resetBudget } from "./expression/budget.ts";
import { sameValue } from "./expression/equality.ts";
import { parseExpression } from "./expression/parse.ts";
import { MAX_ANSWER_LENGTH, normalise } from "./normalise.ts";

const UNITS = "degree cm centimeter meter mile second minute hour day week month year foot feet inch yard".split(" ");
const MULTIPLES: readonly (readonly [string, string])[] = [
  ["million", "*10^6"],
  ["billion", "*10^9"],
  ["trillion", "*10^12"],
];
const UNIT_PATTERN = new RegExp(`(?:${UNITS.join("|")})(?:es)?s? *(?:\\^[0-9]+)?`, "g");

/** One string for answers that are equal as text. */
export function mathrulerKey(raw: string): string {
  return raw.length > MAX_ANSWER_LENGTH ? raw.trim() : plainForm(hendrycksForm(raw));
}

/** The verdict of this policy. */
export function mathrulerEquivalent({ predicted, truth }: { predicted: string; truth: string }): {
  equivalent: boolean;
  reason: string;
} {
  if (hendrycksForm(predicted) === hendrycksForm(truth)) return { equivalent: true, reason: "equal as normalised text" };
  if (Math.max(predicted.length, truth.length) > MAX_ANSWER_LENGTH)
    return { equivalent: false, reason: "not equal: too long to compare" };
  const [given, wanted] = [plainForm(predicted), plainForm(truth)];
  if (given === wanted) return { equivalent: true, reason: "equal as normalised text" };
  if (given.length === 0 || wanted.length === 0)
    return { equivalent: false, reason: "not equal: nothing is left of one after normalising" };
  const [left, right] = [partsOf(given), partsOf(wanted)];
  const bracketsDiffer = left.length > 1 && (given[0] !== wanted[0] || given.at(-1) !== wanted.at(-1));
  if (left.length !== right.length || bracketsDiffer)
    return { equivalent: false, reason: `not equal: ${shorten(given)} and ${shorten(wanted)}` };
  try {
    resetBudget();
    const isSame = right.every((part, i) => samePart(left[i], part));
    return { equivalent: isSame, reason: `${isSame ? "equal" : "not equal"}: ${shorten(given)} and ${shorten(wanted)}` };
  } catch (error) {
    if (!(error instanceof BudgetError) && !(error instanceof RangeError)) throw error;
    return { equivalent: false, reason: "not decided within the budget" };
  }
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The text of the MATH benchmark's own normaliser: spelling only. */
function hendrycksForm(raw: string): string {
  let text = raw.trim().slice(0, 100_000);
  const wrapped = /^\\text\{(.+?)\}$/.exec(text);
  if (wrapped) text = wrapped[1].trim();
  text = text
    .replaceAll("\n", "")
    .replaceAll("\\!", "")
    .replaceAll("\\\\", "\\")
    .replaceAll("tfrac", "frac")
    .replaceAll("dfrac", "frac")
    .replace(/\\left|\\right/g, "")
    .replace(/\^\{\\circ\}|\^\\circ/g, "")
    .replaceAll("\\$", "");
  const unit = text.lastIndexOf("\\text{ ");
  if (unit >= 0 && text.indexOf("\\text{ ") === unit) text = text.slice(0, unit);
  text = text.replace(/\\%/g, "").replace(/(^|[ {])\./g, (_, before: string) => `${before}0.`);
  const sides = text.split("=");
  if (sides.length === 2 && sides[0].trim().length <= 2) text = sides[1];
  text = text.replace(/\\sqrt ?([^{\s])/g, "\\sqrt{$1}").replace(/\s/g, "");
  text = text.replace(/\\frac(?:([^{])([^{])|([^{])(?=\{))/g, (_, a?: string, b?: string, c?: string) =>
    c ? `\\frac{${c}}` : `\\frac{${a}}{${b}}`,
  );
  if (text === "0.5") text = "\\frac{1}{2}";
  return text.replace(/^(-?\d+)\/(-?\d+)$/, "\\frac{$1}{$2}");
}

/** The text of the second normaliser: no units, signs of money and percent, braces, spaces; LaTeX as plain arithmetic. */
function plainForm(raw: string): string {
  let text = raw
    .replace(/^\\text\{(.+?)\}$/, "$1")
    .replace(/\\?%|\\?\$/g, "")
    .replace(/ (?:or|and) /g, " , ");
  for (const [word, factor] of MULTIPLES) text = text.replaceAll(word, factor);
  text = text.replace(UNIT_PATTERN, "").replace(/\^ *\\circ/g, "");
  if (/^\{.*\}$/.test(text)) text = text.slice(1, -1);
  text = text.replace(/,\\! */g, "");
  const asNumber = Number(text);
  if (/^-?[\d.]+$/.test(text) && Math.abs(asNumber - Math.round(asNumber)) <= 1e-7)
    text = /^-?\d+$/.test(text) ? text : String(Math.round(asNumber));
  if (text.includes("\\")) text = latexAsText(text);
  text = text
    .replace(/- */g, "-")
    .replace(/([0-9]) +([0-9])/g, "$1+$2")
    .replace(/[ {}]/g, "")
    .toLowerCase();
  const digits = text.replaceAll(",", "");
  return /^-?\d{1,3}(?:,\d{3})+$/.test(text) || /^-?\d+$/.test(digits)
    ? /^-?\d{1,3}(?:,\d{3})*$/.test(text)
      ? String(BigInt(digits))
      : text
    : text;
}

function latexAsText(text: string): string {
  let out = normalise(text).replace(/\\frac/g, " \\frac");
  for (let before = ""; before !== out; ) {
    before = out;
    out = out
      .replace(/\\frac ?\{([^{}]*)\} ?\{([^{}]*)\}/g, (_, a: string, b: string) => `${group(a)}/${group(b)}`)
      .replace(/\\sqrt ?\{([^{}]*)\}/g, "sqrt($1)");
  }
  return out
    .replace(/\\cdot|\\times/g, "*")
    .replace(/\\pi(?![a-z])/g, "pi")
    .replace(/\\infty/g, "inf")
    .replace(/\\cup/g, "U")
    .replace(/\\text\{([^{}]*)\}/g, "$1")
    .trim();
}

function group(text: string): string {
  return /^\w*$/.test(text.trim()) ? text.trim() : `(${text})`;
}

/** The parts of a tuple or interval; else the text alone. */
function partsOf(text: string): string[] {
  const isBracketed = text.length > 2 && "([".includes(text[0]) && ")]".includes(text.at(-1) as string);
  if (isBracketed && !/[()[\]]/.test(text.slice(1, -1)))
    return text
      .slice(1, -1)
      .split(",")
      .map((part) => part.trim());
  return [text];
}

const FRACTION = /^-?[0-9]+.?\/0*[1-9][0-9]*.?$/;
const INTEGER = /^-?\d+$/;

function samePart(given: string, wanted: string): boolean {
  if (FRACTION.test(given) && FRACTION.test(wanted)) return given === wanted;
  if (INTEGER.test(given) !== INTEGER.test(wanted)) return INTEGER.test(wanted) ? false : evaluateBoth(given, wanted);
  return evaluateBoth(given, wanted);
}

function evaluateBoth(given: string, wanted: string): boolean {
  if (given === wanted) return true;
  if (!isEvaluated(given) || !isEvaluated(wanted)) return false;
  const [left, right] = [parseExpression(given), parseExpression(wanted)];
  return left !== undefined && right !== undefined && sameValue(left, right, Number.POSITIVE_INFINITY);
}

/** The released grader evaluates only texts with few letters and without towers of powers. */
function isEvaluated(text: string): boolean {
  const letters = new Set(text.replace(/sqrt|frac/g, "").match(/[a-z]/g) ?? []);
  return letters.size <= 2 && !/\^\{|\^\(/.test(text) && !/\^[0-9]+\^|\^[0-9][0-9]+/.test(text);
}
