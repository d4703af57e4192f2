// Reads a normalised answer as a number, as words, or else as an expression kept as a string. Second of three steps:
// normalise → parse → compare. A further kind (set, interval, tree) is another case of `Parsed` with its own canonical key.
// Knows exact arithmetic on rationals; no variables, roots or constants. Bounded in length, depth, digits and exponent.

import { MAX_ANSWER_LENGTH, normalise, unwrapText } from "./normalise.ts";
import { add, divide, formatRational, multiply, negate, power, type Rational, rational } from "./rational.ts";

/** What an answer is, with a canonical form: two answers of one kind are equivalent exactly when `canonical` is equal. */
export interface Parsed {
  readonly kind: "number" | "words" | "expression";
  readonly canonical: string;
}

const MAX_DEPTH = 40;
const PERCENT: Rational = { numerator: 1n, denominator: 100n };
const PLAIN_INTEGER = /^(?:0|-?[1-9]\d{0,14})$/;
const WORDS = /^\p{L}[\p{L}\s'’.-]*$/u;

// Plain words after a number that are taken for its unit; any other word makes the answer an expression. Single letters
// are not here: in "5m" the m is more often a variable than metres (\text{m} is a unit all the same).
const UNITS = new Set(
  (
    "mm cm km inch inches in ft foot feet yd yard yards mile miles meter meters metre metres centimeter centimeters kilometer " +
    "kilometers kg gram grams kilogram kilograms lb lbs pound pounds oz ounce ounces ml liter liters litre litres sec second " +
    "seconds min minute minutes hr hrs hour hours day days week weeks month months year years mph degree degrees deg radian radians " +
    "dollar dollars cent cents euro euros usd unit units square cubic sq people person students apples ways times points per"
  ).split(" "),
);

/** Reads a raw answer. Never throws, never hangs: what is too long or too large stays an expression. */
export function parseAnswer(raw: string): Parsed {
  const trimmed = raw.trim();
  if (PLAIN_INTEGER.test(trimmed)) return { kind: "number", canonical: trimmed };
  if (trimmed.length > MAX_ANSWER_LENGTH) return { kind: "expression", canonical: trimmed };
  const text = normalise(trimmed);
  const value = parseNumber(text);
  if (value) return { kind: "number", canonical: formatRational(value) };
  const plain = unwrapText(text).trim();
  const choice = /^\(\s*(\p{L})\s*\)$/u.exec(plain)?.[1] ?? plain;
  if (WORDS.test(choice))
    return {
      kind: "words",
      canonical: choice
        .replace(/[\s.]+/g, " ")
        .trim()
        .toLowerCase(),
    };
  return { kind: "expression", canonical: squeeze(plain) };
}

/** Removes spaces, except the one that ends a command before a letter (`\\pi r` is not `\\pir`). */
function squeeze(text: string): string {
  return text.replace(/(\\[a-zA-Z]+) +(?=[a-zA-Z])|\s+/g, (_, command?: string) => (command ? `${command} ` : ""));
}

/**
 * Value of a normalised answer: arithmetic on rationals, a mixed number, a percentage (50% is 1/2), an amount with a
 * trailing unit (the unit is dropped, as Math-Verify does). Undefined when it is none of these.
 */
export function parseNumber(text: string): Rational | undefined {
  return parseMixed(text) ?? evaluate(text) ?? parseAmount(text);
}

function parseMixed(text: string): Rational | undefined {
  const match =
    /^([+-]?) ?(\d{1,400}) ?\\frac\{(\d{1,400})\}\{(\d{1,400})\}$/.exec(text) ??
    /^([+-]?) ?(\d{1,400}) (\d{1,400})\/(\d{1,400})$/.exec(text);
  if (!match) return undefined;
  const [whole, numerator, denominator] = match.slice(2).map(BigInt);
  const value = rational(whole * denominator + numerator, denominator);
  return value && match[1] === "-" ? negate(value) : value;
}

function parseAmount(text: string): Rational | undefined {
  const marked = /^(.*?) ?\\(?:text|mathrm) ?\{([^{}]*)\} ?(?:\^ ?\{?[23]\}?)?$/.exec(text);
  if (marked && /\d/.test(marked[1])) {
    const unit = marked[2].trim();
    const isConstant = /^(?:pi|[ei])$/.test(unit);
    return isConstant || /\d/.test(unit) ? undefined : evaluate(isPercent(unit) ? `${marked[1]}%` : marked[1]);
  }
  const plain = /^(.*[\d)}%]) ?([a-zA-Z][a-zA-Z ./]*)(?:\^ ?\{?[23]\}?)?$/.exec(text);
  if (!plain) return undefined;
  if (isPercent(plain[2])) return evaluate(`${plain[1]}%`);
  const words = plain[2]
    .toLowerCase()
    .split(/[ ./]+/)
    .filter(Boolean);
  return words.every((word) => UNITS.has(word)) ? evaluate(plain[1]) : undefined;
}

function isPercent(unit: string): boolean {
  return /^(?:percent|per cent|pct|%)\.?$/i.test(unit.trim());
}

/** A place in the text being read. */
interface Cursor {
  readonly text: string;
  at: number;
  depth: number;
}

function evaluate(text: string): Rational | undefined {
  const cursor: Cursor = { text, at: 0, depth: 0 };
  const value = readSum(cursor);
  return value && peek(cursor) === "" ? value : undefined;
}

function peek(cursor: Cursor): string {
  while (cursor.text[cursor.at] === " ") cursor.at++;
  return cursor.text[cursor.at] ?? "";
}

function take(cursor: Cursor, token: string): boolean {
  peek(cursor);
  if (!cursor.text.startsWith(token, cursor.at)) return false;
  cursor.at += token.length;
  return true;
}

function readSum(cursor: Cursor): Rational | undefined {
  let sum = readProduct(cursor);
  while (sum && (peek(cursor) === "+" || peek(cursor) === "-")) {
    const term: Rational | undefined = readProduct(cursor); // reads its own sign
    sum = term && add(sum, term);
  }
  return sum;
}

function readProduct(cursor: Cursor): Rational | undefined {
  let product = readSigned(cursor);
  while (product) {
    if (take(cursor, "%")) {
      product = multiply(product, PERCENT); // of the whole product: "1/2%" is 1/200
      continue;
    }
    const isQuotient = take(cursor, "/");
    if (!isQuotient && !take(cursor, "*") && peek(cursor) !== "(") break; // "2(3)" is a product
    const factor: Rational | undefined = readSigned(cursor);
    product = factor && (isQuotient ? divide(product, factor) : multiply(product, factor));
  }
  return product;
}

function readSigned(cursor: Cursor): Rational | undefined {
  let isNegative = false;
  for (let sign = peek(cursor); sign === "+" || sign === "-"; sign = peek(cursor)) {
    if (sign === "-") isNegative = !isNegative;
    cursor.at++;
  }
  const value = readPower(cursor);
  return value && isNegative ? negate(value) : value;
}

function readPower(cursor: Cursor): Rational | undefined {
  let value = readPrimary(cursor);
  if (value && take(cursor, "^")) {
    const isGroup = peek(cursor) === "{" || peek(cursor) === "(";
    const exponent = isGroup ? readPrimary(cursor) : readDigit(cursor);
    value = exponent && power(value, exponent);
  }
  return value;
}

/** LaTeX's `10^12` is 10¹·2, plain text's is 10¹²: only a single digit, alone, is clear without braces. */
function readDigit(cursor: Cursor): Rational | undefined {
  const match = /^\d(?!\d)/.exec(cursor.text.slice(cursor.at, cursor.at + 2));
  if (!match) return undefined;
  cursor.at++;
  return rational(BigInt(match[0]), 1n);
}

function readPrimary(cursor: Cursor): Rational | undefined {
  if (cursor.depth >= MAX_DEPTH) return undefined;
  cursor.depth++;
  const value = readByFirst(cursor, peek(cursor));
  cursor.depth--;
  return value;
}

function readByFirst(cursor: Cursor, first: string): Rational | undefined {
  if (first === "(") return readGroup(cursor, "(", ")");
  if (first === "{") return readGroup(cursor, "{", "}");
  return first === "\\" ? readFraction(cursor) : readLiteral(cursor);
}

function readFraction(cursor: Cursor): Rational | undefined {
  if (!take(cursor, "\\frac")) return undefined;
  const numerator = readGroup(cursor, "{", "}");
  const denominator = numerator && (readGroup(cursor, "{", "}") ?? readDigit(cursor));
  return numerator && denominator && divide(numerator, denominator);
}

function readGroup(cursor: Cursor, open: string, close: string): Rational | undefined {
  if (!take(cursor, open)) return undefined;
  const value = readSum(cursor);
  return value && take(cursor, close) ? value : undefined;
}

const GROUPED = /^\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?/;
const DECIMAL = /^(?:\d+(?:\.\d*)?|\.\d+)/;
const REPEATING = /^\\overline ?\{(\d{1,100})\}/;
const SCIENTIFIC = /^[eE]([+-]?\d{1,4})(?!\d)/;

function readLiteral(cursor: Cursor): Rational | undefined {
  peek(cursor);
  const rest = cursor.text.slice(cursor.at);
  // Inside parentheses "1,234" may be a pair, so thousands separators count only outside.
  const literal = ((cursor.depth === 1 && GROUPED.exec(rest)) || DECIMAL.exec(rest))?.[0];
  if (!literal) return undefined;
  cursor.at += literal.length;
  const [whole, decimals = ""] = literal.replaceAll(",", "").split(".");
  const scale = 10n ** BigInt(decimals.length);
  const value = rational(BigInt(whole + decimals), scale);
  const tail = cursor.text.slice(cursor.at);
  const repeating = literal.includes(".") ? REPEATING.exec(tail) : null;
  if (value && repeating) {
    cursor.at += repeating[0].length;
    const cycle = rational(BigInt(repeating[1]), scale * (10n ** BigInt(repeating[1].length) - 1n));
    return cycle && add(value, cycle);
  }
  const scientific = SCIENTIFIC.exec(tail);
  if (!value || !scientific) return value;
  cursor.at += scientific[0].length;
  const factor = power({ numerator: 10n, denominator: 1n }, { numerator: BigInt(scientific[1]), denominator: 1n });
  return factor && multiply(value, factor);
}
