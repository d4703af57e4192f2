import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bleuDistances, countDistinctGrams, ReferenceTexts } from "./bleu.ts";
import { type NoveltyOptions, noveltyPenalty, QuestionArchive } from "./novelty.ts";

const options: NoveltyOptions = {
  weight: 1,
  similarity: "bleu",
  greatest: 0.5,
  greatestFrom: 0.5,
  meanFrom: 0.25,
  minQuestions: 1,
};
const text = fc.array(fc.constantFrom("a", "b", "c", "d", "e"), { maxLength: 8 }).map((words) => words.join(" "));

describe("similarity to kept texts", () => {
  it("is 1 − the distance of a batch, for question and reference in that order", () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 6 }), text, (kept, question) => {
        const { values } = bleuDistances([question, ...kept]);
        const similarities = new ReferenceTexts(kept).similarities(question, "bleu");
        expect([...similarities]).toEqual(kept.map((_, j) => expect.closeTo(1 - values[j + 1], 12)));
      }),
    );
  });
  it("ngram: the Dice coefficient of all n-grams of orders 1 to 4, symmetric", () => {
    const [value] = new ReferenceTexts(["a b c d"]).similarities("a b x d", "ngram");
    // Shared: a, b, d and a-b; each text has 4 + 3 + 2 + 1 n-grams.
    expect(value).toBeCloseTo((2 * 4) / 20, 12);
    fc.assert(
      fc.property(text, text, (one, other) => {
        const there = new ReferenceTexts([one]).similarities(other, "ngram")[0];
        expect(there).toBeCloseTo(new ReferenceTexts([other]).similarities(one, "ngram")[0], 12);
        expect(there).toBeLessThanOrEqual(1);
      }),
    );
    expect(new ReferenceTexts(["a a b"]).similarities("a a b", "ngram")[0]).toBe(1);
  });
  it("knows nothing of words it has not seen", () => {
    expect([...new ReferenceTexts(["a b", ""]).similarities("x y z", "bleu")]).toEqual([0, 0]);
    expect(new ReferenceTexts([]).similarities("a", "bleu")).toHaveLength(0);
  });
  it("counts different 4-grams", () => {
    expect(countDistinctGrams(["a b c d e", "a b c d", "a b"])).toEqual({ distinct: 3, total: 4 });
  });
});

describe("novelty penalty", () => {
  const archive = new QuestionArchive(["How many ways are there to choose 2 of 9 people?", "Add 3 and 6."]);
  it("joins the greatest and the mean similarity above their floors", () => {
    const question = "How many ways are there to choose 2 of 9 people?";
    expect(archive.similarity(question, "bleu")).toEqual({ greatest: expect.closeTo(1, 12), mean: expect.closeTo(0.5, 12) });
    expect(noveltyPenalty(question, archive, options)).toBeCloseTo(0.5 * 0.5 + 0.5 * 0.25, 12);
    expect(noveltyPenalty(question, archive, { ...options, greatest: 1, weight: 3 })).toBeCloseTo(1.5, 12);
    expect(noveltyPenalty(question, archive, { ...options, greatest: 0 })).toBeCloseTo(0.25, 12);
  });
  it("is 0 for what is new, for a small archive, and when it is off", () => {
    const question = "Add 3 and 6.";
    expect(noveltyPenalty("Sort the words pear and fig", archive, options)).toBe(0);
    expect(noveltyPenalty(question, archive, { ...options, minQuestions: 3 })).toBe(0);
    expect(noveltyPenalty(question, archive, { ...options, weight: 0 })).toBe(0);
    expect(noveltyPenalty(question, new QuestionArchive([]), { ...options, minQuestions: 0 })).toBe(0);
  });
  it("never falls as the archive comes nearer, and stays within its bound", () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 6 }), text, (kept, question) => {
        const penalty = noveltyPenalty(question, new QuestionArchive(kept), options);
        expect(penalty).toBeGreaterThanOrEqual(0);
        expect(penalty).toBeLessThanOrEqual(0.5 * 0.5 + 0.5 * 0.75 + 1e-12);
        const copied = kept.map(() => question);
        expect(noveltyPenalty(question, new QuestionArchive(copied), options)).toBeGreaterThanOrEqual(penalty - 1e-12);
      }),
    );
  });
});
