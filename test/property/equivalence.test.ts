// Laws of equivalence: reflexive, symmetric, blind to rewriting (a/b as decimal, permuted sets, scaled equations), and awake to a
// changed digit, sign or element. And: whatever the answer, a verdict comes, soon.

import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { equivalent } from "../../src/answer/equivalent.ts";
import { GraderPool } from "../../src/answer/grader-pool.ts";
import { isCheap } from "../../src/answer/grader-protocol.ts";
import { vote } from "../../src/answer/vote.ts";
import { hostileAnswers } from "./hostile-answers.ts";

const same = (predicted: string, truth: string) => equivalent({ predicted, truth }).equivalent;
const RUNS = { numRuns: 150 };

const whole = fc.integer({ min: -9999, max: 9999 });
const positive = fc.integer({ min: 1, max: 999 });
const atom = fc.oneof(
  whole.map(String),
  fc.tuple(whole, positive).map(([a, b]) => `\\frac{${a}}{${b}}`),
  fc.tuple(whole, positive).map(([a, b]) => `${a}\\sqrt{${b}}`),
  fc.constantFrom("x", "y", "\\pi", "2^n", "\\sin x", "x^2"),
);
const expression = fc.oneof(
  atom,
  fc.tuple(atom, atom).map(([a, b]) => `${a}+(${b})`),
  fc.tuple(atom, atom).map(([a, b]) => `(${a})\\cdot(${b})`),
);
const answer = fc.oneof(
  expression,
  fc.array(expression, { minLength: 2, maxLength: 4 }).map((parts) => parts.join(", ")),
  fc.tuple(expression, expression).map(([a, b]) => `(${a}, ${b})`),
  fc.tuple(expression, expression).map(([a, b]) => `${a} = ${b}`),
  fc.tuple(whole, whole).map(([a, b]) => `[${Math.min(a, b)}, ${Math.max(a, b)})`),
  whole.map((a) => `x \\le ${a}`),
);

describe("every verdict", () => {
  it("is reflexive and symmetric", () => {
    fc.assert(
      fc.property(answer, answer, (a, b) => {
        expect(same(a, a)).toBe(true);
        expect(same(a, b)).toBe(same(b, a));
      }),
      RUNS,
    );
  });
  it("is reflexive and symmetric for any text, under both policies", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.string({ maxLength: 40 }), (a, b) => {
        for (const policy of ["math-verify", "mathruler"] as const) {
          expect(equivalent({ predicted: b, truth: b }, { policy }).equivalent).toBe(true);
          expect(equivalent({ predicted: a, truth: a }, { policy }).equivalent).toBe(true);
        }
        expect(same(a, b)).toBe(same(b, a));
      }),
      RUNS,
    );
  });
});

describe("rewriting changes nothing", () => {
  it("a/b and its decimal", () => {
    fc.assert(
      fc.property(whole, fc.constantFrom(2, 4, 5, 8, 10, 16, 20, 25, 50, 100), (a, b) => {
        expect(same(`\\frac{${a}}{${b}}`, String(a / b))).toBe(true);
        expect(same(`${a}/${b}`, `${(100 * a) / b}\\%`)).toBe(true);
      }),
      RUNS,
    );
  });
  it("the order of a sum, of a product, of a set", () => {
    fc.assert(
      fc.property(fc.array(atom, { minLength: 2, maxLength: 4 }), (parts) => {
        const reversed = [...parts].reverse();
        expect(same(parts.map((part) => `(${part})`).join("+"), reversed.map((part) => `(${part})`).join("+"))).toBe(true);
        expect(same(parts.map((part) => `(${part})`).join(""), reversed.map((part) => `(${part})`).join("\\cdot "))).toBe(true);
        expect(same(`\\{${parts.join(",")}\\}`, `\\{${reversed.join(", ")}\\}`)).toBe(true);
      }),
      RUNS,
    );
  });
  it("a factor of an equation or inequality", () => {
    fc.assert(
      fc.property(positive, positive, whole, fc.integer({ min: 2, max: 50 }), (a, b, c, k) => {
        expect(same(`${a}x+${b}y=${c}`, `${k * a}x+${k * b}y=${k * c}`)).toBe(true);
        expect(same(`${a}x+${b}y=${c}`, `${-a}x-${b}y-(${-c})=0`)).toBe(true);
        expect(same(`${a}x < ${c}`, `${-k * a}x > ${-k * c}`)).toBe(true);
        expect(same(`${a}x < ${c}`, `(-\\infty, \\frac{${c}}{${a}})`)).toBe(true);
      }),
      RUNS,
    );
  });
});

describe("a change is never equal", () => {
  it("a digit of a number of up to 40 digits", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 }),
        fc.nat(),
        fc.integer({ min: 1, max: 8 }),
        (digits, at, by) => {
          const changed = digits.map((digit, i) => (i === at % digits.length ? ((digit - 1 + by) % 9) + 1 : digit));
          const [a, b] = [digits.join(""), changed.join("")];
          expect(same(a, b)).toBe(false);
          expect(same(`0.${a}`, `0.${b}`)).toBe(false);
          expect(same(`\\sqrt{2}+${a}`, `${b}+\\sqrt{2}`)).toBe(false);
          expect(same(`\\frac{${a}}{1${"0".repeat(40)}1}`, `\\frac{${b}}{1${"0".repeat(40)}1}`)).toBe(false);
          expect(same(`(${a}, 1)`, `(${b}, 1)`)).toBe(false);
        },
      ),
      RUNS,
    );
  });
  it("a sign", () => {
    fc.assert(
      fc.property(positive, positive, (a, b) => {
        expect(same(String(a), String(-a))).toBe(false);
        expect(same(`${a}x+${b}`, `${a}x-${b}`)).toBe(false);
        expect(same(`${a}x+${b}y=1`, `${a}x-${b}y=1`)).toBe(false);
        expect(same(`x<${a}`, `x>${a}`)).toBe(false);
        expect(same(`${a}+\\sqrt{7}`, `${a}-\\sqrt{7}`)).toBe(false);
      }),
      RUNS,
    );
  });
  it("an element", () => {
    fc.assert(
      fc.property(fc.uniqueArray(whole, { minLength: 2, maxLength: 6 }), (items) => {
        const other = [...items.slice(1), 10_001];
        expect(same(`\\{${items.join(", ")}\\}`, `\\{${other.join(", ")}\\}`)).toBe(false);
        expect(same(`\\{${items.join(", ")}\\}`, `\\{${items.slice(1).join(", ")}\\}`)).toBe(false);
        expect(same(`(${items.join(", ")})`, `(${[...items.slice(1), items[0]].join(", ")})`)).toBe(false);
      }),
      RUNS,
    );
  });
});

it("a vote's classes are a partition in which each class is equivalent to its first answer", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(answer, fc.constantFrom("1/3", "0.333333", "5 cm", "5", "5 m", "1,2", "(1,2)", "(2,1)", "\\{2,1\\}")), {
        maxLength: 12,
      }),
      (answers) => {
        const { classes } = vote(answers, { missing: "no-vote" });
        expect(classes.flatMap(({ members }) => members).sort((a, b) => a - b)).toEqual(answers.map((_, index) => index));
        for (const { answer: first, members } of classes)
          for (const index of members) expect(same(answers[index], first)).toBe(true);
      },
    ),
    RUNS,
  );
});

describe("hostile answers", () => {
  const pool = new GraderPool({ deadlineMs: 1000 });
  afterAll(() => pool.close());

  it("get a verdict within the deadline, and the calling thread is never held for long", async () => {
    const answers = [...hostileAnswers(1500, 7)];
    let [previous, longest] = ["1", 0];
    const held: string[] = [];
    for (const answer of answers) {
      const started = performance.now();
      const verdict = pool.grade({ predicted: answer, truth: previous });
      const inline = performance.now() - started;
      if (inline > 50 && isCheap({ predicted: answer, truth: previous })) held.push(answer);
      expect((await verdict).reason).not.toBe("");
      longest = Math.max(longest, performance.now() - started);
      previous = answer.length < 200 ? answer : "1";
    }
    expect(held.length).toBeLessThanOrEqual(1); // a pause of the machine may fall on one
    expect(pool.stats.inline + pool.stats.pooled).toBe(answers.length);
    expect(pool.stats.killed).toBe(0);
    expect(longest).toBeLessThan(1500);
  });
});
