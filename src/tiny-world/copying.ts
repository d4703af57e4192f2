// Documents that work nothing out: they take a line from one step to the next, one part shorter each time, as worked solutions do.
// They are longer than any worked solution of the corpus, so that carrying what is left reaches further than what was worked out.
// A line is no question: no family reads it. Knows nothing of documents' shares.

import type { Rng } from "./random.ts";
import { COINS, DAYS, ITEMS, MONTHS } from "./sequences.ts";
import { LETTERS } from "./strings.ts";

/** A line to copy and the steps in which it is taken along; the last step is the answer. */
export interface CopyTask {
  readonly line: string;
  readonly steps: readonly string[];
}

/** Most parts of a line after its first. */
const LONGEST = 7;

/** `head` followed by one part less in each step. */
function dropping(head: string, parts: readonly string[]): string[] {
  return parts.map((_, index) => head + parts.slice(index + 1).join(""));
}

function draws<T>(count: number, draw: () => T): T[] {
  return Array.from({ length: count }, draw);
}

function operations(rng: Rng): CopyTask {
  const parts = draws(rng.int(2, LONGEST), () => `${rng.pick(["+", "-", "*"])}${rng.int(1, 12)}`);
  const head = rng.chance(0.5) ? String(rng.int(1, 60)) : rng.pick([...MONTHS, ...DAYS]);
  const joint = rng.pick([": ", " go ", ""]);
  return { line: `${head}${joint}${parts.join("")}`, steps: dropping(head, parts) };
}

function list(rng: Rng): CopyTask {
  const head = String(rng.int(1, 60));
  const terms = draws(rng.int(2, LONGEST), () => String(rng.int(1, 12)));
  const steps = dropping(
    head,
    terms.map((term) => `+${term}`),
  );
  return { line: [head, ...terms].join(","), steps };
}

function digits(rng: Rng): CopyTask {
  const [head, ...others] = draws(rng.int(3, LONGEST + 1), () => String(rng.int(1, 9)));
  const steps = dropping(
    head,
    others.map((digit) => `+${digit}`),
  );
  return { line: [head, ...others].join(""), steps };
}

function events(rng: Rng): CopyTask {
  const head = String(rng.int(1, 60));
  const drawn = draws(rng.int(2, LONGEST), () => ({ sign: rng.pick(["+", "-", "*"]), amount: rng.int(1, 12) }));
  const told = { "+": ", gets ", "-": ", loses " };
  const line = drawn.map(({ sign, amount }) => (sign === "*" ? ", doubles" : `${told[sign as "+" | "-"]}${amount}`));
  const parts = drawn.map(({ sign, amount }) => (sign === "*" ? "*2" : `${sign}${amount}`));
  return { line: `${head}${rng.pick(ITEMS)}${line.join("")}`, steps: dropping(head, parts) };
}

function purse(rng: Rng): CopyTask {
  const names = Object.keys(COINS) as (keyof typeof COINS)[];
  const [first, ...others] = draws(rng.int(3, LONGEST + 1), () => ({ count: rng.int(1, 12), coin: rng.pick(names) }));
  const worth = ({ count, coin }: typeof first) => String(count * COINS[coin]);
  const line = [first, ...others].map(({ count, coin }) => `${count}${coin}`).join(", ");
  const parts = others.map((other) => `+${worth(other)}`);
  return { line, steps: dropping(worth(first), parts) };
}

/** Columns: 4723+3851 reads `472+385:3`, `47+38:23`, `4+3:723`, `4723`. */
function columns(rng: Rng): CopyTask {
  const length = rng.int(2, LONGEST);
  const number = (size: number) => draws(size, () => String(rng.int(1, 9))).join("");
  const top = number(length);
  const sign = rng.pick(["+", "-", "*"]);
  const low = sign === "*" ? String(rng.int(2, 9)) : number(length);
  const steps = draws(length - 1, () => "").map((_, index) => {
    const left = length - 1 - index;
    return `${top.slice(0, left)}${sign}${sign === "*" ? low : low.slice(0, left)}:${top.slice(left)}`;
  });
  const joint = sign === "*" ? rng.pick(["*", " by "]) : sign === "+" ? rng.pick(["+", " and "]) : "-";
  return { line: `${top}${joint}${low}`, steps: [...steps, top] };
}

function letters(rng: Rng): CopyTask {
  const word = draws(rng.int(3, LONGEST + 2), () => rng.pick([...LETTERS])).join("");
  return { line: word, steps: draws(word.length - 1, () => "").map((_, index) => word.slice(0, index + 2)) };
}

const KINDS = [operations, operations, list, digits, events, purse, columns, columns, letters];

/** A line of operations, to be copied in one piece. */
export function operationsLine(rng: Rng): string {
  let line = rng.chance(0.6) ? String(rng.int(1, 60)) : rng.pick([...MONTHS, ...DAYS]);
  const length = rng.int(2, 8);
  const signs = rng.pick(["+-*", "+-", "+", ","]);
  for (let i = 0; i < length; i++) line += `${rng.pick([...signs])}${rng.int(1, 12)}`;
  return line;
}

/** Draws a line to take along step by step. */
export function copyTask(rng: Rng): CopyTask {
  return rng.pick(KINDS)(rng);
}
