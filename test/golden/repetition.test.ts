// BLEU distances, clusters and shares against the released reward code (nltk, scikit-learn), and one batch of full size.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bleuDistances } from "../../src/reward/bleu.ts";
import { measureRepetition } from "../../src/reward/repetition.ts";

interface Case {
  readonly questions: string[];
  readonly distance_threshold: number;
  readonly bleu_distance: number[][];
  readonly cluster: number[];
  readonly cluster_share: number[];
}

const { cases } = JSON.parse(readFileSync(new URL("repetition.json", import.meta.url), "utf8")) as { cases: Case[] };

describe.each(cases.map((entry) => [entry.questions.length, entry] as const))("%d questions", (size, entry) => {
  it("have the released code's distances", () => {
    const { values } = bleuDistances(entry.questions);
    let worst = 0;
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++) worst = Math.max(worst, Math.abs(values[i * size + j] - entry.bleu_distance[i][j]));
    expect(worst).toBeLessThanOrEqual(1e-9);
  });
  it("have its clusters and shares", () => {
    const { labels, shares, clusters } = measureRepetition(entry.questions, entry.distance_threshold);
    expect([...labels]).toEqual(entry.cluster);
    expect(clusters).toBe(new Set(entry.cluster).size);
    // The file rounds to nine digits.
    expect([...shares].map((share) => Number(share.toFixed(9)))).toEqual(entry.cluster_share);
  });
});

it("2,048 questions of 40 words finish, and find the templates they were made from", () => {
  const questions = Array.from({ length: 2048 }, (_, i) => {
    const template = i % 64;
    const words = Array.from({ length: 40 }, (_, t) => (t % 10 === 3 ? `v${(i * 31 + t) % 997}` : `w${(template * 17 + t * t) % 300}`));
    return words.join(" ");
  });
  const { labels, shares } = measureRepetition(questions, 0.5);
  for (let i = 0; i < questions.length; i++) expect(labels[i]).toBe(i % 64);
  expect(new Set(shares)).toEqual(new Set([32 / 2048]));
});
