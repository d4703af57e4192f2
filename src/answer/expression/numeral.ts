// Reads a numeral with what belongs to it: repeating decimals, a base, the fraction of a mixed number. Knows no operators.

import { add, power, type Rational, rational } from "../rational.ts";
import { GrammarError, type Reader } from "./reader.ts";
import { integer, type Node, number } from "./tree.ts";

/** The number of a literal just taken. Errors: GrammarError for one too large. */
export function readNumber(reader: Reader, literal: string): Node {
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
