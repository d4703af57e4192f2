import { expect, it } from "vitest";
import { bleuDistances } from "./bleu.ts";

/** The naive reference: nltk's sentence BLEU with smoothing method 1, one pair at a time. */
function naiveBleu(hypothesis: string, reference: string): number {
  const [left, right] = [hypothesis, reference].map((text) => text.split(/\s+/).filter(Boolean));
  let sum = 0;
  for (let n = 1; n <= 4; n++) {
    const rest = ngrams(right, n);
    let matches = 0;
    for (const gram of ngrams(left, n)) {
      const at = rest.indexOf(gram);
      if (at < 0) continue;
      rest.splice(at, 1);
      matches++;
    }
    if (n === 1 && matches === 0) return 0;
    sum += 0.25 * Math.log((matches || 0.1) / Math.max(1, left.length - n + 1));
  }
  return Math.min(1, Math.exp(1 - right.length / left.length)) * Math.exp(sum);
}

function ngrams(tokens: readonly string[], n: number): string[] {
  return Array.from({ length: Math.max(0, tokens.length - n + 1) }, (_, at) => tokens.slice(at, at + n).join(" "));
}

it("equals the naive reference for every pair, and mirrors", () => {
  const words = ["a", "b", "c", "the", "the"];
  const texts = Array.from({ length: 30 }, (_, i) =>
    Array.from({ length: (i * 7) % 13 }, (_, t) => words[(i * t + (t >> 1) + i) % words.length]).join(" "),
  );
  const { values, size } = bleuDistances(texts);
  expect(size).toBe(30);
  for (let i = 0; i < size; i++) {
    expect(values[i * size + i]).toBe(0);
    for (let j = i + 1; j < size; j++) {
      expect(values[i * size + j]).toBeCloseTo(1 - naiveBleu(texts[i], texts[j]), 12);
      expect(values[j * size + i]).toBe(values[i * size + j]);
    }
  }
});

it("puts empty texts at distance 1 from everything, and equal long texts at 0", () => {
  const { values } = bleuDistances(["", "", "one two three four", "one  two three\nfour"]);
  expect([...values]).toEqual([0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0]);
});

it("keeps equal texts of one token apart, as smoothing does", () => {
  expect(bleuDistances(["x", "x"]).values[1]).toBeCloseTo(1 - 0.001 ** 0.25, 12);
});

it("takes no questions", () => {
  expect(bleuDistances([])).toEqual({ size: 0, values: new Float64Array(0) });
});
