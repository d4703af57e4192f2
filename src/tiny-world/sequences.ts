// Families that carry one running value through a list of operations: chains, sums, digit sums, word problems (mathematics);
// months, weekdays, clock hours, coins (general). Level is the number of operations. Knows only its own grammars.

import { carryOut, type Family, nearNumber, offByLittle, type Problem, type Walk } from "./family.ts";
import type { Rng } from "./random.ts";

/** One operation on a running value, with the text a step shows for it. */
interface Operation {
  readonly text: string;
  apply(value: number): number;
}

function operation(sign: string, amount: number): Operation {
  const text = `${sign}${amount}`;
  if (sign === "+") return { text, apply: (value) => value + amount };
  if (sign === "-") return { text, apply: (value) => value - amount };
  return { text, apply: (value) => value * amount };
}

/** Reads "+7-3*2" into operations. */
function readOperations(text: string): Operation[] {
  return [...text.matchAll(/([-+*])(\d+)/g)].map((found) => operation(found[1], Number(found[2])));
}

/** What is still to do after step `index`. */
const rest = (operations: readonly Operation[], index: number) =>
  operations
    .slice(index + 1)
    .map(({ text }) => text)
    .join("");

/** A problem whose steps carry out the first operation and copy the others: 5+7-3*2 reads `12-3*2`, `9*2`, `18`. */
function runningProblem(start: number, operations: readonly Operation[]): Problem {
  const walk: Walk<number, Operation> = {
    start,
    operations,
    next: (value, step) => step.apply(value),
    wrong: (value, _step, rng) => offByLittle(value, rng),
    show: (after, index) => `${after}${rest(operations, index)}`,
    finish: String,
  };
  const answer = carryOut(walk).answer;
  const steps = operations.length;
  return { level: steps, answer, steps, work: (slip) => carryOut(walk, slip), nearMiss: (rng) => nearNumber(answer, rng) };
}

/** Draws one sign and amount that keep the running value in [0, limit]. */
function drawOperation(value: number, limit: number, factors: readonly number[], rng: Rng): { sign: string; amount: number } {
  for (;;) {
    const sign = rng.pick(["+", "+", "-", "-", "*"]);
    const amount = sign === "*" ? rng.pick(factors) : rng.int(1, 12);
    const after = operation(sign, amount).apply(value);
    if (after >= 0 && after <= limit) return { sign, amount };
  }
}

export const chain: Family = {
  name: "chain",
  kind: "mathematics",
  pose(level, rng) {
    const start = rng.int(1, 12);
    let value = start;
    let path = "";
    for (let step = 0; step < level; step++) {
      const { sign, amount } = drawOperation(value, 50, [2, 3], rng);
      value = operation(sign, amount).apply(value);
      path += `${sign}${amount}`;
    }
    return { question: rng.pick([`Start at ${start}: ${path}.`, `From ${start} go ${path}.`]), answer: String(value) };
  },
  parse(question) {
    const found =
      /^Start at (\d{1,6}): ((?:[-+*]\d{1,3}){1,12})[?.]$/.exec(question) ??
      /^From (\d{1,6}) go ((?:[-+*]\d{1,3}){1,12})[?.]$/.exec(question);
    return found ? runningProblem(Number(found[1]), readOperations(found[2])) : undefined;
  },
};

const TOTALS = ["Sum of ", "Total of ", "Add up "];

export const total: Family = {
  name: "total",
  kind: "mathematics",
  pose(level, rng) {
    const terms = Array.from({ length: level + 1 }, () => rng.int(1, 12));
    const answer = terms.reduce((sum, term) => sum + term, 0);
    return { question: `${rng.pick(TOTALS)}${terms.join(",")}?`, answer: String(answer) };
  },
  parse(question) {
    const found = /^(?:Sum of |Total of |Add up )(\d{1,6}(?:,\d{1,6}){1,12})[?.]$/.exec(question);
    if (!found) return undefined;
    const [start, ...rest] = found[1].split(",").map(Number);
    return runningProblem(
      start,
      rest.map((term) => operation("+", term)),
    );
  },
};

export const digitSum: Family = {
  name: "digit-sum",
  kind: "mathematics",
  pose(level, rng) {
    const digits = Array.from({ length: level + 1 }, () => rng.int(1, 9));
    const answer = digits.reduce((sum, digit) => sum + digit, 0);
    return {
      question: rng.pick([`Digit sum of ${digits.join("")}?`, `Add the digits of ${digits.join("")}.`]),
      answer: String(answer),
    };
  },
  parse(question) {
    const found = /^(?:Digit sum of |Add the digits of )(\d{2,24})[?.]$/.exec(question);
    if (!found) return undefined;
    const [start, ...others] = [...found[1]].map(Number);
    return runningProblem(
      start,
      others.map((digit) => operation("+", digit)),
    );
  },
};

/** Who and what word problems are about. */
export const NAMES = ["Tom", "Ann", "Sam", "Eve"] as const;
export const ITEMS = [" coins", " pens", " eggs", " nuts"] as const;
const STORY = new RegExp(
  `^(?:${NAMES.join("|")}) has (\\d{1,6})(?:${ITEMS.join("|")})((?:, gets \\d{1,3}|, loses \\d{1,3}|, doubles){1,12})\\. How many\\?$`,
);

export const story: Family = {
  name: "story",
  kind: "mathematics",
  pose(level, rng) {
    const start = rng.int(1, 20);
    let value = start;
    let events = "";
    for (let step = 0; step < level; step++) {
      const { sign, amount } = drawOperation(value, 50, [2], rng);
      value = operation(sign, amount).apply(value);
      events += sign === "+" ? `, gets ${amount}` : sign === "-" ? `, loses ${amount}` : ", doubles";
    }
    return { question: `${rng.pick(NAMES)} has ${start}${rng.pick(ITEMS)}${events}. How many?`, answer: String(value) };
  },
  parse(question) {
    const found = STORY.exec(question);
    if (!found) return undefined;
    const events = [...found[2].matchAll(/, (gets|loses|doubles)(?: (\d+))?/g)];
    const sign = { gets: "+", loses: "-", doubles: "*" };
    return runningProblem(
      Number(found[1]),
      events.map((event) => operation(sign[event[1] as keyof typeof sign], Number(event[2] ?? 2))),
    );
  },
};

/** The tokens of the two calendars, in order. */
export const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;
export const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;

const HOURS = Array.from({ length: 12 }, (_, hour) => String(hour + 1));

/** Counting forward and back on a circle of names. */
function calendar(name: string, circle: readonly string[], openings: readonly string[], largest: number): Family {
  const at = (index: number) => circle[((index % circle.length) + circle.length) % circle.length];
  const grammar = new RegExp(`^(?:${openings.join("|")})(${circle.join("|")})((?:[-+]\\d{1,3}){1,12})[?.]$`);
  return {
    name,
    kind: "general",
    pose(level, rng) {
      const start = rng.int(0, circle.length - 1);
      let index = start;
      let path = "";
      for (let step = 0; step < level; step++) {
        const amount = rng.int(1, largest);
        const forward = rng.chance(0.6);
        index += forward ? amount : -amount;
        path += `${forward ? "+" : "-"}${amount}`;
      }
      return { question: `${rng.pick(openings)}${at(start)}${path}?`, answer: at(index) };
    },
    parse(question) {
      const found = grammar.exec(question);
      if (!found) return undefined;
      const operations = readOperations(found[2]);
      const walk: Walk<number, Operation> = {
        start: circle.indexOf(found[1]),
        operations,
        next: (index, step) => step.apply(index),
        wrong: (index, _step, rng) => index + rng.pick([-2, -1, 1, 2]),
        show: (after, index) => `${at(after)}${rest(operations, index)}`,
        finish: at,
      };
      const answer = carryOut(walk).answer;
      const steps = operations.length;
      const nearMiss = (rng: Rng) => at(circle.indexOf(answer) + rng.pick([-3, -2, -1, 1, 2, 3]));
      return { level: steps, answer, steps, work: (slip) => carryOut(walk, slip), nearMiss };
    },
  };
}

export const month = calendar("month", MONTHS, ["Which month is ", "Month of "], 12);
export const weekday = calendar("weekday", DAYS, ["Which day is ", "Day of "], 12);

export const clock = calendar("clock", HOURS, ["Clock at ", "Hour of "], 12);

/** Coins and what one of them is worth in cents. */
export const COINS = { " dimes": 10, " nickels": 5, " cents": 1 } as const;
const COIN_NAMES = Object.keys(COINS) as (keyof typeof COINS)[];
const COIN_TERM = `\\d{1,3}(?:${COIN_NAMES.join("|")})`;
const COIN_GRAMMAR = new RegExp(`^(?:Value of |Cents in )(${COIN_TERM}(?:, ${COIN_TERM}){0,12})[?.]$`);

export const coins: Family = {
  name: "coins",
  kind: "general",
  pose(level, rng) {
    const terms = Array.from({ length: level + 1 }, () => ({ count: rng.int(1, 12), coin: rng.pick(COIN_NAMES) }));
    const list = terms.map((term) => `${term.count}${term.coin}`).join(", ");
    const answer = terms.reduce((sum, term) => sum + term.count * COINS[term.coin], 0);
    return { question: `${rng.pick(["Value of ", "Cents in "])}${list}?`, answer: String(answer) };
  },
  parse(question) {
    const found = COIN_GRAMMAR.exec(question);
    if (!found) return undefined;
    const worth = [...found[1].matchAll(/(\d+)( [a-z]+)/g)].map((term) => Number(term[1]) * COINS[term[2] as keyof typeof COINS]);
    const steps = worth.slice(1).map((amount) => operation("+", amount));
    return runningProblem(worth[0], steps.length > 0 ? steps : [operation("+", 0)]);
  },
};
