import { expect, it } from "vitest";
import { measureCoverage } from "./coverage.ts";

it("measures texts, n-grams and clusters", () => {
  const pool = ["a b c d e", "a b  c d e", "a b c d f", "v w x y z"];
  expect(measureCoverage(pool, new Set(["v w x y z", "other"]))).toEqual({
    distinctShare: 0.75,
    newShare: 0.75,
    distinctGramShare: 5 / 8,
    clusters: 2,
    clustered: 4,
  });
  expect(measureCoverage([], new Set())).toEqual({
    distinctShare: 0,
    newShare: 0,
    distinctGramShare: 0,
    clusters: 0,
    clustered: 0,
  });
});

it("clusters a bounded sample", () => {
  const pool = Array.from({ length: 2000 }, (_, index) => `question number ${index}`);
  expect(measureCoverage(pool, new Set())).toMatchObject({ distinctShare: 1, newShare: 1, clustered: 512 });
});
