// Units of answers: which are one dimension and by what factor. Two answers with known units must agree in them; an answer
// without a unit agrees with any. Knows no numbers.

import { type Rational, rational } from "./rational.ts";

/** A unit: what it measures, and how many base units it is. */
export interface Unit {
  readonly dimension: string;
  readonly factor: Rational;
}

const TABLE: Record<string, readonly [dimension: string, numerator: number, denominator?: number]> = {};
function define(dimension: string, names: string, numerator: number, denominator = 1): void {
  for (const name of names.split(" ")) TABLE[name] = [dimension, numerator, denominator];
}
define("length", "m meter meters metre metres", 1);
define("length", "cm centimeter centimeters centimetre centimetres", 1, 100);
define("length", "mm millimeter millimeters", 1, 1000);
define("length", "dm", 1, 10);
define("length", "km kilometer kilometers kilometre kilometres", 1000);
define("length", "in inch inches", 254, 10_000);
define("length", "ft foot feet", 3048, 10_000);
define("length", "yd yard yards", 9144, 10_000);
define("length", "mi mile miles", 1_609_344, 1000);
define("mass", "g gram grams", 1);
define("mass", "mg", 1, 1000);
define("mass", "kg kilogram kilograms", 1000);
define("mass", "lb lbs pound pounds", 45_359_237, 100_000);
define("mass", "oz ounce ounces", 45_359_237, 1_600_000);
define("time", "s sec secs second seconds", 1);
define("time", "min mins minute minutes", 60);
define("time", "h hr hrs hour hours", 3600);
define("time", "day days", 86_400);
define("time", "week weeks", 604_800);
define("time", "ms", 1, 1000);
define("long time", "month months", 1);
define("long time", "year years", 12);
define("volume", "l liter liters litre litres", 1);
define("volume", "ml", 1, 1000);
define("money", "cent cents", 1);
define("money", "dollar dollars usd", 100);
define("speed in miles", "mph", 1);
define("speed in kilometres", "kmh kph", 1);
define("degree", "degree degrees deg", 1);
define("radian", "radian radians rad rads", 1);
define("before noon", "am a.m. a.m", 1);
define("after noon", "pm p.m. p.m", 1);
for (const name of "newton newtons n joule joules j watt watts w volt volts v pa kpa mol moles kelvin k ohm ohms hz".split(" "))
  define(name.replace(/s$/, "").slice(0, 1).replace("m", "mole") + (name.startsWith("k") ? name : ""), name, 1);

/** The unit by its name as written in an answer; undefined when it is not known. */
export function unitOf(text: string): Unit | undefined {
  let dimension = "";
  let factor: Rational | undefined = { numerator: 1n, denominator: 1n };
  let isBelow = false;
  let power = 1;
  const parts =
    text
      .toLowerCase()
      .replace(/\bper\b/g, "/")
      .match(/[a-z.]+|\^\{?-?\d\}?|\//g) ?? [];
  if (parts.length === 0 || parts.length > 8) return undefined;
  for (let i = 0; i < parts.length && factor !== undefined; i++) {
    const part = parts[i];
    if (part === "/") isBelow = true;
    else if (part === "square" || part === "sq") power = 2;
    else if (part === "cubic") power = 3;
    else if (!part.startsWith("^")) {
      const raised = /\d/.exec(parts[i + 1]?.startsWith("^") ? parts[i + 1] : "")?.[0];
      const times = raised === undefined ? power : Number(raised);
      power = 1;
      if (!Object.hasOwn(TABLE, part)) return undefined;
      const [name, numerator, denominator = 1] = TABLE[part];
      const top = BigInt(isBelow ? denominator : numerator) ** BigInt(times);
      const bottom = BigInt(isBelow ? numerator : denominator) ** BigInt(times);
      factor = rational(factor.numerator * top, factor.denominator * bottom);
      dimension += `${isBelow ? "/" : ""}${name}${times}`;
    }
  }
  return factor && dimension !== "" ? { dimension, factor } : undefined;
}
