import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { charactersOf, contamination, wordsOf } from "./contamination.ts";

const traced = (texts: readonly string[]) => texts.map((text, index) => ({ text, id: String(index) }));
const overlap = (run: string[], bench: string[], words = 8) => contamination(traced(run), traced(bench), { words });

const LONG = "A train leaves the station at noon and travels east at sixty miles per hour for three hours";

describe("contamination", () => {
  it("finds a copied question in other spelling, a half copied one, and none where nothing is shared", () => {
    const half = `${LONG.split(" ").slice(0, 12).join(" ")} until it meets a cow on the track near Springfield`;
    const far = "Prove that the sum of two odd numbers is always an even number for all integers";
    const found = overlap(
      [LONG.toUpperCase().replaceAll(" ", "  "), half, far],
      [LONG, "Something else entirely about triangles and circles in the plane"],
    );
    expect(found).toMatchObject({ questions: 3, benchmarkQuestions: 2, overlapping: 2, identical: 1, benchmarkHalf: 1 });
    expect(found.worst[0]).toMatchObject({ share: 1, grams: "words", question: { id: "0" }, benchmark: { id: "0" } });
    // 18 words give 11 grams, and the first 12 words share 5 of them.
    expect(wordsOf(LONG)).toHaveLength(18);
    expect(found.worst[1].share).toBeCloseTo(5 / 11, 12);
    expect(found.half).toBe(1);
  });
  it("compares short texts by characters, so that one digit matters", () => {
    const found = overlap(["What is 12345 + 67890?", "What is 12345 + 67891?"], ["What is 12345 + 67890?"]);
    expect(found.identical).toBe(1);
    expect(found.worst[0]).toMatchObject({ share: 1, grams: "characters", question: { id: "0" } });
    // "whatis12345+67890?" has 6 grams of 13 characters; the other shares those that end before the last digit.
    expect(found.worst[1].share).toBeCloseTo(4 / 6, 12);
  });
  it("finds a short benchmark question inside a long one", () => {
    const found = overlap([`${LONG}. Compute \\sin 60^\\circ + 1.`], ["Compute $\\sin 60^\\circ + 1$."]);
    expect(found.worst[0].grams).toBe("characters");
    expect(found.worst[0].share).toBe(1);
  });
  it("matches texts below one gram as wholes, and counts a question once", () => {
    expect(overlap(["2+2=?", "2 + 2 = ?"], ["2+2=?", "3+3=?"])).toMatchObject({ questions: 1, overlapping: 1, identical: 1 });
    expect(overlap(["2+3=?"], ["2+2=?"])).toMatchObject({ overlapping: 0, identical: 0, worst: [] });
  });
  it("keeps signs of short texts and drops case and spaces", () => {
    expect(charactersOf("X − 1")).toBe("x−1");
    expect(wordsOf("Ｆｕｌｌ width, x²")).toEqual(["full", "width", "x2"]);
  });
  it("equals counting grams pair by pair", () => {
    const word = fc.constantFrom("a", "b", "c");
    const text = fc.array(word, { minLength: 3, maxLength: 9 }).map((words) => words.join(" "));
    const grams = (value: string) => {
      const words = value.split(" ");
      return new Set(words.slice(2).map((_, i) => words.slice(i, i + 3).join(" ")));
    };
    fc.assert(
      fc.property(
        fc.uniqueArray(text, { minLength: 1, maxLength: 6 }),
        fc.array(text, { minLength: 1, maxLength: 6 }),
        (run, bench) => {
          const shares = run.map((own) =>
            Math.max(
              ...bench.map((other) => {
                const [left, right] = [grams(own), grams(other)];
                return [...left].filter((gram) => right.has(gram)).length / Math.min(left.size, right.size);
              }),
            ),
          );
          const found = overlap(run, bench, 3);
          expect(found.overlapping).toBe(shares.filter((share) => share > 0).length);
          expect(found.half).toBe(shares.filter((share) => share >= 0.5).length);
        },
      ),
    );
  });
});
