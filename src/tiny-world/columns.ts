// Column arithmetic on natural numbers: addition, subtraction, multiplication by one digit. Level is the number of
// columns worked. Knows only its own three grammars.

import { carryOut, type Family, nearNumber, offByLittle, type Problem, type Walk } from "./family.ts";
import type { Rng } from "./random.ts";

/** A natural number of exactly `digits` digits; one digit means 1 to 9. */
function natural(digits: number, rng: Rng): number {
  return rng.int(10 ** (digits - 1), 10 ** digits - 1);
}

/** Digits of two numbers, lowest column first, padded with 0. */
function columns(a: string, b: string): [number, number][] {
  const width = Math.max(a.length, b.length);
  const top = a.padStart(width, "0");
  const low = b.padStart(width, "0");
  return Array.from({ length: width }, (_, i): [number, number] => [Number(top[width - 1 - i]), Number(low[width - 1 - i])]);
}

/** State of column work: what the last column carries or borrows, and the digits already known. */
interface Column {
  readonly carry: number;
  readonly digits: string;
}

const START: Column = { carry: 0, digits: "" };

/** One column's total becomes a digit and a carry. */
const putDown = (state: Column, total: number): Column => ({
  carry: Math.floor(total / 10),
  digits: `${total % 10}${state.digits}`,
});

/** A wrong digit in the column just worked. */
function wrongDigit(state: Column, rng: Rng): Column {
  const digit = offByLittle(Number(state.digits[0]), rng) % 10;
  return { ...state, digits: `${digit}${state.digits.slice(1)}` };
}

const readNumber = ({ carry, digits }: Column) => BigInt(`${carry}${digits}`).toString();

/** The problem of a question whose parts were read. */
function problemOf<S, O>(walk: Walk<S, O>, answer: string, nearMiss: (rng: Rng) => string): Problem {
  const steps = walk.operations.length;
  return { level: steps, answer, steps, work: (slip) => carryOut(walk, slip), nearMiss };
}

/** 472+385 reads `47+38:7`, `4+3+1:57`, `857`: the columns that are left, what was carried, and the digits so far. */
function sumProblem(a: string, b: string): Problem {
  const answer = (BigInt(a) + BigInt(b)).toString();
  const width = Math.max(a.length, b.length);
  const [top, low] = [a.padStart(width, "0"), b.padStart(width, "0")];
  const walk: Walk<Column, [number, number]> = {
    start: START,
    operations: columns(top, low),
    next: (state, [x, y]) => putDown(state, x + y + state.carry),
    wrong: (state, _column, rng) => wrongDigit(state, rng),
    show: (after, index) => {
      const left = width - 1 - index;
      if (left === 0) return readNumber(after);
      return `${top.slice(0, left)}+${low.slice(0, left)}${after.carry > 0 ? "+1" : ""}:${after.digits}`;
    },
    finish: readNumber,
  };
  return problemOf(walk, answer, (rng) => nearNumber(answer, rng));
}

/** 532-178 reads `53-17-1:4`, `5-1-1:54`, `354`. */
function differenceProblem(a: string, b: string): Problem {
  const answer = (BigInt(a) - BigInt(b)).toString();
  const width = Math.max(a.length, b.length);
  const [top, low] = [a.padStart(width, "0"), b.padStart(width, "0")];
  const number = (state: Column) => BigInt(state.digits).toString();
  const walk: Walk<Column, [number, number]> = {
    start: START,
    operations: columns(top, low),
    next: (state, [x, y]) => {
      const digit = x - y - state.carry;
      return { carry: digit < 0 ? 1 : 0, digits: `${digit < 0 ? digit + 10 : digit}${state.digits}` };
    },
    wrong: (state, _column, rng) => wrongDigit(state, rng),
    show: (after, index) => {
      const left = width - 1 - index;
      if (left === 0) return number(after);
      return `${top.slice(0, left)}-${low.slice(0, left)}${after.carry > 0 ? "-1" : ""}:${after.digits}`;
    },
    finish: number,
  };
  return problemOf(walk, answer, (rng) => nearNumber(answer, rng));
}

/** 347*6 reads `34*6+4:2`, `3*6+2:82`, `2082`. */
function productProblem(a: string, b: string): Problem {
  const answer = (BigInt(a) * BigInt(b)).toString();
  const factor = Number(b);
  const walk: Walk<Column, number> = {
    start: START,
    operations: [...a].reverse().map(Number),
    next: (state, digit) => putDown(state, digit * factor + state.carry),
    wrong: (state, _digit, rng) => wrongDigit(state, rng),
    show: (after, index) => {
      const left = a.length - 1 - index;
      if (left === 0) return readNumber(after);
      return `${a.slice(0, left)}*${b}${after.carry > 0 ? `+${after.carry}` : ""}:${after.digits}`;
    },
    finish: readNumber,
  };
  const problem = problemOf(walk, answer, (rng) => nearNumber(answer, rng));
  return { ...problem, level: a.length + b.length - 1 };
}

/** The second operand has as many digits, or now and then fewer. */
function secondDigits(level: number, rng: Rng): number {
  return level > 1 && rng.chance(0.3) ? rng.int(1, level) : level;
}

export const addition: Family = {
  name: "addition",
  kind: "mathematics",
  pose(level, rng) {
    const long = natural(level, rng);
    const other = natural(secondDigits(level, rng), rng);
    const [a, b] = rng.chance(0.5) ? [long, other] : [other, long];
    const question = rng.pick([`What is ${a}+${b}?`, `Compute ${a}+${b}.`, `Add ${a} and ${b}.`]);
    return { question, answer: String(a + b) };
  },
  parse(question) {
    const found = /^(?:What is |Compute )(\d+)\+(\d+)[?.]$/.exec(question) ?? /^Add (\d+) and (\d+)[?.]$/.exec(question);
    return found ? sumProblem(found[1], found[2]) : undefined;
  },
};

export const subtraction: Family = {
  name: "subtraction",
  kind: "mathematics",
  pose(level, rng) {
    const first = natural(level, rng);
    const second = natural(secondDigits(level, rng), rng);
    const [a, b] = first >= second ? [first, second] : [second, first];
    const question = rng.pick([`What is ${a}-${b}?`, `Compute ${a}-${b}.`, `Take ${b} from ${a}.`, `Subtract ${b} from ${a}.`]);
    return { question, answer: String(a - b) };
  },
  parse(question) {
    const found = /^(?:What is |Compute )(\d+)-(\d+)[?.]$/.exec(question);
    if (found) return differenceProblem(found[1], found[2]);
    const taken = /^(?:Take|Subtract) (\d+) from (\d+)[?.]$/.exec(question);
    return taken ? differenceProblem(taken[2], taken[1]) : undefined;
  },
};

export const multiplication: Family = {
  name: "multiplication",
  kind: "mathematics",
  pose(level, rng) {
    const a = natural(level, rng);
    const b = rng.int(2, 6);
    const [first, second] = level === 1 && rng.chance(0.5) ? [b, a] : [a, b];
    const question = rng.pick([`What is ${first}*${second}?`, `Compute ${first}*${second}.`, `Multiply ${first} by ${second}.`]);
    return { question, answer: String(a * b) };
  },
  parse(question) {
    const found = /^(?:What is |Compute )(\d+)\*(\d+)[?.]$/.exec(question) ?? /^Multiply (\d+) by (\d+)[?.]$/.exec(question);
    return found ? productProblem(found[1], found[2]) : undefined;
  },
};
