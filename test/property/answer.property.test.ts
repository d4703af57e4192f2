// What must hold for any answers: equivalence is an equivalence relation that ignores notation, and votes do not depend on it.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalKey, equivalent } from "../../src/answer/equivalent.ts";
import { extractBoxed } from "../../src/answer/extract.ts";
import { vote } from "../../src/answer/vote.ts";

const same = (predicted: string, truth: string) => equivalent({ predicted, truth }).equivalent;
const latexPieces = fc.constantFrom(
  ..."0123456789+-*/^(){}.,%= xe\\$".split(""),
  "\\frac",
  "\\frac12",
  "{1}",
  "\\text{",
  "\\sqrt",
  "\\pi",
  "50",
  " cm",
);
const latex = fc.array(latexPieces, { maxLength: 14 }).map((pieces) => pieces.join(""));
const anyAnswer = fc.oneof(latex, fc.string({ maxLength: 30 }), fc.integer().map(String));
const fraction = fc.record({ n: fc.integer({ min: -10_000, max: 10_000 }), d: fc.integer({ min: 1, max: 10_000 }) });
/** One value in several notations. */
const notations = ({ n, d }: { n: number; d: number }, k: number) => [
  `${n}/${d}`,
  `\\frac{${n}}{${d}}`,
  `\\dfrac{${n * k}}{${d * k}}`,
  `$-\\frac{${-n}}{${d}}$`,
  `\\left(${n}\\right)/${d}`,
  `${n * 100}/${d}\\%`,
];

describe("equivalence", () => {
  it("is reflexive and symmetric for any text, and never throws", () => {
    fc.assert(
      fc.property(anyAnswer, anyAnswer, (a, b) => {
        expect(same(a, a)).toBe(true);
        expect(same(a, b)).toBe(same(b, a));
        if (canonicalKey(a) === canonicalKey(b)) expect(same(a, b)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
  it("ignores the notation of a number and nothing else", () => {
    fc.assert(
      fc.property(fraction, fraction, fc.integer({ min: 1, max: 50 }), (a, b, k) => {
        const isEqual = a.n * b.d === b.n * a.d;
        for (const left of notations(a, k)) {
          expect(same(left, notations(a, 1)[0])).toBe(true);
          expect(same(left, notations(b, 1)[1])).toBe(isEqual);
        }
      }),
      { numRuns: 150 },
    );
  });
  it("tells decimals apart to the last digit", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 10n ** 30n }), fc.integer({ min: 1, max: 25 }), (digits, places) => {
        const decimal = (value: bigint) => {
          const padded = String(value).padStart(places + 1, "0");
          return `${padded.slice(0, -places)}.${padded.slice(-places)}`;
        };
        expect(same(decimal(digits), `${digits}/${10n ** BigInt(places)}`)).toBe(true);
        expect(same(decimal(digits), decimal(digits + 1n))).toBe(false);
      }),
      { numRuns: 150 },
    );
  });
});

it("extraction finds any balanced content in any surroundings without a box", () => {
  const plain = fc.string({ maxLength: 40 }).filter((text) => !text.includes("\\boxed"));
  const content = fc.stringMatching(/^[a-z0-9 +]{1,20}$/).map((text) => `{${text}}^{2}`);
  fc.assert(
    fc.property(plain, content, plain, (before, inner, after) => extractBoxed(`${before} \\boxed{${inner}} ${after}`) === inner),
  );
});

describe("vote", () => {
  const answers = fc.array(
    fc.option(fc.constantFrom("1", "1.0", "2", "4/2", "x", "\\frac12", "50%", "None"), { nil: undefined }),
    {
      maxLength: 12,
    },
  );
  const missing = fc.constantFrom("no-vote" as const, "none-vote" as const);
  it("partitions the answers that vote, and the majority is a largest class", () => {
    fc.assert(
      fc.property(answers, missing, (given, rule) => {
        const outcome = vote(given, { missing: rule });
        const members = outcome.classes.flatMap((group) => group.members);
        expect(new Set(members).size).toBe(outcome.votes);
        expect(members.length).toBe(outcome.votes);
        expect(outcome.votes).toBe(rule === "none-vote" ? given.length : given.length - outcome.missing);
        expect(outcome.count).toBe(Math.max(0, ...outcome.classes.map((group) => group.members.length)));
        expect(outcome.share).toBe(given.length === 0 ? 0 : outcome.count / given.length);
        for (const { members: group } of outcome.classes)
          for (const index of group) expect(same(given[index] ?? "None", given[group[0]] ?? "None")).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
  it("does not change its counts when the answers are reordered or rewritten", () => {
    const rewrite: Record<string, string> = { "1": "\\frac{3}{3}", "2": "2.00", x: " x ", "50%": "0.5" };
    fc.assert(
      fc.property(answers, missing, (given, rule) => {
        const sizes = (list: (string | undefined)[]) =>
          vote(list, { missing: rule })
            .classes.map((group) => group.members.length)
            .sort((a, b) => a - b);
        expect(sizes([...given].reverse())).toEqual(sizes(given));
        expect(sizes(given.map((answer) => (answer === undefined ? undefined : (rewrite[answer] ?? answer))))).toEqual(
          sizes(given),
        );
      }),
      { numRuns: 200 },
    );
  });
});
