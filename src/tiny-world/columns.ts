// Column arithmetic on natural numbers: addition, subtraction, multiplication by one digit, remainder. Level is the
// number of columns worked. Knows only its own four grammars.

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

/** State of a column sum: the total of the last column (its tens carry on) and the digits right of it. */
interface Carry {
  readonly total: number;
  readonly digits: string;
  readonly first: boolean;
}

const CARRY_START: Carry = { total: 0, digits: "", first: true };

function carryOn(state: Carry, columnTotal: number): Carry {
  if (state.first) return { total: columnTotal, digits: "", first: false };
  return { total: columnTotal + Math.floor(state.total / 10), digits: `${state.total % 10}${state.digits}`, first: false };
}

const carried = (state: Carry) => (state.first ? 0 : Math.floor(state.total / 10));
const wrongTotal = (state: Carry, rng: Rng): Carry => ({ ...state, total: offByLittle(state.total, rng) });
const readNumber = (state: Carry) => BigInt(`${state.total}${state.digits}`).toString();

/** The problem of a question whose parts were read; `level` is the walk's length unless given. */
function problemOf<S, O>(walk: Walk<S, O>, answer: string, nearMiss: (rng: Rng) => string): Problem {
  const steps = walk.operations.length;
  return { level: steps, answer, steps, work: (slip) => carryOut(walk, slip), nearMiss };
}

function sumProblem(a: string, b: string): Problem {
  const answer = (BigInt(a) + BigInt(b)).toString();
  const walk: Walk<Carry, [number, number]> = {
    start: CARRY_START,
    operations: columns(a, b),
    next: (state, [x, y]) => carryOn(state, x + y),
    wrong: (state, _column, rng) => wrongTotal(state, rng),
    show: (before, [x, y], after) => `${x}+${y}${carried(before) > 0 ? `+${carried(before)}` : ""}=${after.total}`,
    finish: readNumber,
  };
  return problemOf(walk, answer, (rng) => nearNumber(answer, rng));
}

/** State of a column difference: does the column borrow from the next, its digit, and the digits right of it. */
interface Borrow {
  readonly borrow: number;
  readonly digit: number;
  readonly digits: string;
}

function differenceProblem(a: string, b: string): Problem {
  const answer = (BigInt(a) - BigInt(b)).toString();
  const top = (state: Borrow, [x, y]: [number, number]) => x - state.borrow + (x - state.borrow < y ? 10 : 0);
  const walk: Walk<Borrow, [number, number]> = {
    start: { borrow: 0, digit: 0, digits: "" },
    operations: columns(a, b),
    next: (state, [x, y]) => {
      const upper = top(state, [x, y]);
      const digit = upper - y;
      return { borrow: x - state.borrow < y ? 1 : 0, digit, digits: `${digit}${state.digits}` };
    },
    wrong: (state, _column, rng) => {
      const digit = offByLittle(state.digit, rng) % 10;
      return { ...state, digit, digits: `${digit}${state.digits.slice(1)}` };
    },
    show: (before, column, after) => `${top(before, column)}-${column[1]}=${after.digit}`,
    finish: (state) => BigInt(state.digits).toString(),
  };
  return problemOf(walk, answer, (rng) => nearNumber(answer, rng));
}

function productProblem(a: string, b: string): Problem {
  const answer = (BigInt(a) * BigInt(b)).toString();
  const factor = Number(b);
  const walk: Walk<Carry, number> = {
    start: CARRY_START,
    operations: [...a].reverse().map(Number),
    next: (state, digit) => carryOn(state, digit * factor),
    wrong: (state, _digit, rng) => wrongTotal(state, rng),
    show: (before, digit, after) => `${digit}*${factor}${carried(before) > 0 ? `+${carried(before)}` : ""}=${after.total}`,
    finish: readNumber,
  };
  const problem = problemOf(walk, answer, (rng) => nearNumber(answer, rng));
  return { ...problem, level: a.length + b.length - 1 };
}

/** A wrong remainder of a division by `divisor`, at least 3. */
function otherRemainder(remainder: number, divisor: number, rng: Rng): number {
  return (remainder + rng.int(1, divisor - 1)) % divisor;
}

function remainderProblem(a: string, b: string): Problem | undefined {
  const divisor = Number(b);
  if (divisor === 0) return undefined;
  const answer = (BigInt(a) % BigInt(b)).toString();
  const padded = a.length === 1 ? `0${a}` : a;
  const walk: Walk<number, number> = {
    start: Number(padded[0]),
    operations: [...padded.slice(1)].map(Number),
    next: (state, digit) => (state * 10 + digit) % divisor,
    wrong: (state, _digit, rng) => otherRemainder(state, divisor, rng),
    show: (before, digit, after) => `${before * 10 + digit}:${after}`,
    finish: String,
  };
  return problemOf(walk, answer, (rng) => (divisor > 1 ? otherRemainder(Number(answer), divisor, rng) : "1").toString());
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
    const b = rng.int(2, 9);
    const question = rng.pick([`What is ${a}*${b}?`, `Compute ${a}*${b}.`, `Multiply ${a} by ${b}.`]);
    return { question, answer: String(a * b) };
  },
  parse(question) {
    const found = /^(?:What is |Compute )(\d+)\*(\d+)[?.]$/.exec(question) ?? /^Multiply (\d+) by (\d+)[?.]$/.exec(question);
    return found ? productProblem(found[1], found[2]) : undefined;
  },
};

export const modulus: Family = {
  name: "modulus",
  kind: "mathematics",
  pose(level, rng) {
    const a = natural(level + 1, rng);
    const b = rng.int(3, 9);
    const question = rng.pick([`What is ${a} mod ${b}?`, `Compute ${a} mod ${b}.`]);
    return { question, answer: String(a % b) };
  },
  parse(question) {
    const found = /^(?:What is |Compute )(\d+) mod (\d+)[?.]$/.exec(question);
    return found ? remainderProblem(found[1], found[2]) : undefined;
  },
};
