// The words of answers: units, number words, functions. Knows no grammar.

/** Words after a number that are its unit and are dropped; single letters count only as `\text{m}`. */
export const UNITS = new Set(
  (
    "nm mm cm dm km inch inches in ft foot feet yd yard yards mi mile miles meter meters metre metres centimeter centimeters " +
    "centimetre centimetres millimeter millimeters kilometer kilometers kilometre kilometres mg kg gram grams kilogram kilograms ton " +
    "tons tonne tonnes lb lbs pound pounds oz ounce ounces ml cl dl liter liters litre litres milliliter milliliters gallon gallons " +
    "quart quarts pint pints cup cups ms sec secs second seconds min mins minute minutes hr hrs hour hours day days week weeks month " +
    "months year years mph kmh kph degree degrees deg radian radians rad rads dollar dollars cent cents euro euros usd eur gbp rupees yuan " +
    "unit units square cubic sq cu people person persons student students apple apples way ways time times point points per each " +
    "pages page books book marbles marble balls ball coins coin girls boys children child men women cards card bags boxes box pieces " +
    "piece eggs tickets ticket cookies cookie miles hours integers integer numbers solutions solution triangles squares sides edges " +
    "newton newtons joule joules watt watts volt volts kw hz khz mhz ghz pa kpa mol moles kelvin celsius fahrenheit ohm ohms amp amps acres acre " +
    "bits bit bytes byte inches. ft. in. cm. sec. hr. min. mi. lb. oz. yd. letters words digits dozen years-old old more less cars car games game"
  ).split(" "),
);

/** Letters that are units when set as text after a number. */
export const UNIT_LETTERS = new Set("m s g h l L N J W V K C F A k t".split(" "));

/** Numbers written as words; ordinals count as their number. */
export const WORD_NUMBERS: Record<string, number> = {};
const CARDINALS =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen";
const ORDINALS =
  "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth";
CARDINALS.split(" ").forEach((word, value) => {
  WORD_NUMBERS[word] = value;
});
ORDINALS.split(" ").forEach((word, value) => {
  WORD_NUMBERS[word] = value;
});
"twenty thirty forty fifty sixty seventy eighty ninety".split(" ").forEach((word, index) => {
  WORD_NUMBERS[word] = (index + 2) * 10;
  WORD_NUMBERS[word.replace(/y$/, "ieth")] = (index + 2) * 10;
});

/** Words that multiply the number before them. */
export const SCALES: Record<string, number> = { hundred: 100, thousand: 1000, million: 1e6, billion: 1e9, trillion: 1e12 };

/** Value of "forty-two", "two hundred and five", "3 million", "half a million": undefined when some word is no number. */
export function wordsToNumber(text: string): bigint | undefined {
  const words = text
    .toLowerCase()
    .replace(/-/g, " ")
    .split(/\s+/)
    .filter((word) => word !== "and" && word !== "");
  if (words.length === 0 || words.length > 20) return undefined;
  let total = 0n;
  let group = 0n;
  let last = 0;
  for (const word of words) {
    const scale = Object.hasOwn(SCALES, word.replace(/th$/, "")) ? SCALES[word.replace(/th$/, "")] : undefined;
    if (scale !== undefined) {
      if (group === 0n) {
        if (total !== 0n || last !== 0) return undefined;
        group = 1n;
      }
      group *= BigInt(scale);
      if (scale > 100) {
        total += group;
        group = 0n;
      }
    } else if (Object.hasOwn(WORD_NUMBERS, word)) {
      const value = WORD_NUMBERS[word];
      if (last > 0 && last < 100 && !(last >= 20 && value < 10 && value > 0)) return undefined;
      group += BigInt(value);
    } else return undefined;
    last = scale ?? WORD_NUMBERS[word];
  }
  return total + group;
}

/** Functions that plain text may name, by their name here. */
export const FUNCTIONS: Record<string, string> = {};
for (const name of "sin cos tan cot sec csc arcsin arccos arctan arccot asin acos atan sinh cosh tanh coth sech csch asinh acosh atanh arsinh arcosh artanh ln log lg exp abs floor ceil sqrt cbrt gcd lcm max min det Re Im sgn sign deg arg erf Gamma tg ctg arctg".split(
  " ",
))
  FUNCTIONS[name] = name;
Object.assign(FUNCTIONS, { Abs: "abs", asin: "arcsin", acos: "arccos", atan: "arctan", tg: "tan", ctg: "cot", arctg: "arctan", sign: "sgn", arsinh: "asinh", arcosh: "acosh", artanh: "atanh", lg: "log10", cosec: "csc" }); // biome-ignore format: a table

/** Words that are constants or named sets. */
export const CONSTANT_WORDS: Record<string, "π" | "∞"> = {
  pi: "π",
  Pi: "π",
  infinity: "∞",
  Infinity: "∞",
  infty: "∞",
  inf: "∞",
  oo: "∞",
};

/** Whether all words are units (`square feet`, `km/h`, `cm^2` without its power). */
export function isUnit(text: string): boolean {
  const words = text
    .replace(/\^?\{?[23]\}?/g, " ")
    .split(/[ ./·*]+/)
    .filter(Boolean);
  return words.length > 0 && words.every((word) => UNITS.has(word) || UNITS.has(word.toLowerCase()) || UNIT_LETTERS.has(word));
}
