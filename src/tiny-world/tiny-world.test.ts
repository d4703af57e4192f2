// The tiny world against itself: the oracle, the split, determinism, and that worked solutions are right.

import { describe, expect, it } from "vitest";
import { copyTask } from "./copying.ts";
import { corpusDocument } from "./corpus.ts";
import { evaluationSet, LEVELS, PER_CELL, probeSet } from "./evaluation-set.ts";
import { MIDTRAINING_MIX, PRETRAINING_MIX } from "./mixes.ts";
import { FAMILIES, readProblem, truth } from "./oracle.ts";
import { createRng, mixSeed } from "./random.ts";
import { split } from "./split.ts";

const question = (prompt: string) => /^<\|im_start\|>user\n(.*)<\|im_end\|>/.exec(prompt)![1];
const SAMPLE = 40_000;
const documents = Array.from({ length: SAMPLE }, (_, index) => corpusDocument(1, index, PRETRAINING_MIX));
const later = Array.from({ length: SAMPLE }, (_, index) => corpusDocument(1, index, MIDTRAINING_MIX));

describe("oracle", () => {
  for (const family of FAMILIES) {
    it(`reads every question of ${family.name}, and its worked solution reaches the same answer`, () => {
      for (const level of LEVELS) {
        const rng = createRng(mixSeed(5, level));
        for (let i = 0; i < 300; i++) {
          const posed = family.pose(level, rng);
          const read = readProblem(posed.question)!;
          expect(truth(posed.question)).toEqual({ answer: posed.answer, family: family.name, kind: family.kind, level });
          const work = read.problem.work();
          expect(work.answer).toBe(posed.answer);
          expect(work.steps.length).toBe(read.problem.steps);
          expect(read.problem.nearMiss(rng)).not.toBe(posed.answer);
        }
      }
    });
  }

  it("knows questions no corpus document asks", () => {
    expect(truth("What is 123456789012345678901+1?")).toMatchObject({ answer: "123456789012345678902", level: 21 });
    expect(truth("Compute 34*56.")).toMatchObject({ answer: "1904", family: "multiplication", level: 3 });
    expect(truth("Digit sum of 90909?")).toMatchObject({ answer: "27", family: "digit-sum", level: 4 });
    expect(truth("What is 3-8?")).toMatchObject({ answer: "-5", family: "subtraction" });
    expect(truth("Start at 2: -9*3+1-1+1-1.")).toMatchObject({ answer: "-21", family: "chain", level: 6 });
    expect(truth("Tom has 3 eggs, doubles, loses 9. How many?")).toMatchObject({ answer: "-3", family: "story", level: 2 });
    expect(truth("Which month is Jan-13?")).toMatchObject({ answer: "Dec", kind: "general" });
    expect(truth("Clock at 11+3-12?")).toMatchObject({ answer: "2", family: "clock", level: 2 });
    expect(truth("Value of 3 dimes, 2 nickels?")).toMatchObject({ answer: "40", family: "coins" });
  });

  it("refuses what is not well-formed or has no answer", () => {
    for (const text of [
      "What is 7+?",
      "What is 7 mod 0?",
      "7+8",
      "Start at 5: .",
      "Clock at 13+1?",
      "Sum of 4?",
      "Copy 5+7.",
      "",
    ]) {
      expect(truth(text), text).toBeUndefined();
    }
  });

  it("a slip makes the answer wrong unless later steps undo it, and leaves the steps before it alone", () => {
    const rng = createRng(3);
    let wrong = 0;
    for (let i = 0; i < 500; i++) {
      const { question: text } = FAMILIES[i % FAMILIES.length].pose(3, rng);
      const { problem } = readProblem(text)!;
      const step = rng.int(0, problem.steps - 1);
      const slipped = problem.work({ step, rng });
      expect(slipped.steps.slice(0, step)).toEqual(problem.work().steps.slice(0, step));
      if (slipped.answer !== problem.answer) wrong++;
    }
    expect(wrong).toBeGreaterThan(430);
  });
});

describe("corpus", () => {
  it("is deterministic and depends on seed and index alone", () => {
    expect(corpusDocument(1, 777, PRETRAINING_MIX)).toEqual(documents[777]);
    expect(corpusDocument(2, 777, PRETRAINING_MIX)).not.toEqual(documents[777]);
  });

  it("has no question of the evaluation or tuning side, and no level 5, in prompts and in Challenger replies", () => {
    const held = new Set([...evaluationSet("evaluation", 1), ...evaluationSet("tuning", 2)].map((item) => item.question));
    let posed = 0;
    for (const { prompt, completion } of [...documents, ...later]) {
      const inReply = /<question>(.*)<\/question>/.exec(completion)?.[1];
      const asked = inReply ?? question(prompt);
      if (asked === "Pose a math problem." || asked.startsWith("Copy ")) continue;
      if (inReply) posed++;
      expect(held.has(asked)).toBe(false);
      expect(split(asked)).toBe("corpus");
      const known = truth(asked)!;
      expect(known.level).toBeLessThan(5);
      if (inReply) expect(known.kind).toBe("mathematics");
    }
    expect(posed).toBeGreaterThan(0.16 * SAMPLE);
  });

  it("answers at once mostly, rightly at level 1 and often wrongly above", () => {
    const direct: number[][] = [[], [], [], [], []];
    for (const { prompt, completion } of documents) {
      const known = truth(question(prompt));
      if (!known || !completion.startsWith("\\boxed{")) continue;
      direct[known.level].push(completion === `\\boxed{${known.answer}}<|im_end|>` ? 1 : 0);
    }
    const right = direct.map((list) => list.reduce((sum, value) => sum + value, 0) / Math.max(1, list.length));
    expect(right[1]).toBeGreaterThan(0.84);
    for (const level of [2, 3, 4]) {
      expect(right[level]).toBeGreaterThan(0.3);
      expect(right[level]).toBeLessThan(0.85);
    }
  });
});

describe("mid-training", () => {
  it("gives up after two steps in about half of the worked solutions of levels 3 and 4, and never below, always with a wrong answer", () => {
    const counts = [0, 0, 0, 0, 0].map(() => ({ worked: 0, givenUp: 0 }));
    for (const { prompt, completion } of later) {
      const known = truth(question(prompt));
      const found = /^<think>(.*)<\/think>\\boxed\{(.*)\}/.exec(completion);
      if (!known || !found) continue;
      const { problem } = readProblem(question(prompt))!;
      const count = counts[known.level];
      count.worked++;
      if (problem.steps <= 2 || found[1] !== problem.work().steps.slice(0, 2).join(",")) continue;
      count.givenUp++;
      expect(found[2]).not.toBe(known.answer);
    }
    for (const level of [1, 2]) expect(counts[level].givenUp).toBe(0);
    for (const level of [3, 4]) expect(counts[level].givenUp / counts[level].worked).toBeCloseTo(0.53, 1);
  });

  it("copies lines that no family reads, further than any worked solution goes", () => {
    const rng = createRng(4);
    let longest = 0;
    for (let i = 0; i < 2000; i++) {
      const { line, steps } = copyTask(rng);
      expect(truth(`Copy ${line}.`)).toBeUndefined();
      longest = Math.max(longest, steps.length);
    }
    expect(longest).toBe(8);
  });
});

describe("evaluation set", () => {
  it("is balanced, distinct and wholly on its own side", () => {
    for (const side of ["evaluation", "tuning"] as const) {
      const items = evaluationSet(side, 1);
      expect(items.length).toBe(FAMILIES.length * LEVELS.length * PER_CELL);
      expect(new Set(items.map((item) => item.question)).size).toBe(items.length);
      expect(new Set(items.map((item) => item.id)).size).toBe(items.length);
      for (const item of items) {
        expect(split(item.question)).toBe(side);
        expect(truth(item.question)).toEqual({ answer: item.answer, family: item.category, kind: item.kind, level: item.level });
      }
    }
  });

  it("has probes of mathematics of every level on the tuning side", () => {
    const probes = probeSet(3);
    expect(new Set(probes.map(({ question: text }) => text)).size).toBe(probes.length);
    for (const { question: text, answer } of probes) {
      expect(split(text)).toBe("tuning");
      expect(truth(text)).toMatchObject({ answer, kind: "mathematics" });
    }
    for (const level of LEVELS)
      expect(probes.filter((probe) => truth(probe.question)!.level === level).length).toBeGreaterThan(100);
  });

  it("splits by hash in the stated shares", () => {
    const counts = { evaluation: 0, tuning: 0, corpus: 0 };
    for (let i = 0; i < 20_000; i++) counts[split(`question ${i}`)]++;
    expect(counts.evaluation / 20_000).toBeCloseTo(0.1, 1);
    expect(counts.tuning / 20_000).toBeCloseTo(0.1, 1);
    expect(split("What is 7+8?")).toBe(split("What is 7+8?"));
  });
});
