// Another domain than mathematics on the embedded base model: its recipe, shrunken, with openings, anchors and exact answers.

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { createEngine } from "../../src/engine/create.ts";
import { readBench } from "../../src/evaluation/benchmarks.ts";
import { challengerPrompts } from "../../src/selfplay/anchors.ts";
import type { LoopContext } from "../../src/selfplay/context.ts";
import { truth } from "../../src/tiny-world/oracle.ts";
import { split } from "../../src/tiny-world/split.ts";
import { InterruptedError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/package-root.ts";
import { afterPhase, benchOf, inIterations, MODELS, smallConfig, smallRuns, tinyBase } from "./small-run.ts";

const anchorFile = join(packageRoot, "recipes", "tiny-reasoning.anchors.jsonl");
const { play, fingerprint, rowsOf, everyNth } = smallRuns("domain");
const OWN = ["curriculum.poolSize=90", "solver.steps=2", benchOf(everyNth("bench.jsonl", 40))];

const config = (...more: string[]) => smallConfig([...OWN, ...more], "tiny-reasoning");

interface Row {
  readonly question: string;
  readonly pseudoLabel?: string;
  readonly verdict: string;
  readonly anchor?: boolean;
}

const QUESTIONS = "iteration-01/curriculum/questions.jsonl";
const FILES = [QUESTIONS, ...inIterations(1, MODELS)];

describe("the recipe tiny-reasoning", () => {
  it("poses questions of its domain, mixes human ones in, and resumes to the same bytes", async () => {
    const given = config();
    const { events, error } = await play(given, "whole");
    expect(error).toBeUndefined();
    const rows = rowsOf<Row>(`whole/${QUESTIONS}`);
    const posed = rows.filter(({ anchor }) => !anchor);
    expect(posed).toHaveLength(90);
    const wellFormed = posed.filter(({ verdict }) => verdict !== "malformed");
    expect(wellFormed.every(({ question }) => /^(Clock at |Hour of |Value of |Cents in )/.test(question))).toBe(true);
    expect(wellFormed.filter(({ question }) => truth(question)?.kind === "general").length).toBeGreaterThan(40);

    const kept = posed.filter(({ verdict }) => verdict === "kept").length;
    const anchors = rows.filter(({ anchor }) => anchor);
    expect(anchors).toHaveLength(Math.round(kept / 3));
    for (const { question, pseudoLabel } of anchors) expect(truth(question)?.answer).toBe(pseudoLabel);
    expect(events.find(({ event }) => event === "curriculum")).toMatchObject({ metrics: { kept, anchors: anchors.length } });

    for (const phase of ["challenger", "curriculum", "solver"])
      expect((await play(given, "resumed", { stop: afterPhase(`1/${phase}`) })).error).toBeInstanceOf(InterruptedError);
    expect((await play(given, "resumed")).error).toBeUndefined();
    expect(fingerprint("resumed", FILES)).toEqual(fingerprint("whole", FILES));
  });

  it("its anchors are general questions with right answers that no evaluation holds", () => {
    const anchors = readBench(anchorFile);
    expect(anchors).toHaveLength(120);
    for (const { question, answer } of anchors) {
      expect(truth(question)).toMatchObject({ answer, kind: "general" });
      expect(split(question)).toBe("corpus");
    }
  });
});

describe("the Challenger's prompts", () => {
  it("hold examples drawn by the seed, as earlier turns, one prompt per draw and opening", async () => {
    const engine = createEngine({ ...loadConfig().engine, threads: 1 });
    try {
      const tokenizer = await engine.openTokenizer(tinyBase);
      const given = config("anchors.examples=2", "anchors.promptsPerStep=2");
      const context = { config: given, tokenizer, anchors: readBench(anchorFile) } as unknown as LoopContext;
      const texts = (seed: number) => challengerPrompts(context, seed).map(({ tokens }) => tokenizer.decode(tokens));
      const prompts = texts(1);
      expect(prompts).toHaveLength(8);
      expect(new Set(prompts).size).toBe(8);
      expect(texts(1)).toEqual(prompts);
      expect(texts(2)).not.toEqual(prompts);
      expect(prompts[0].split("Pose a math problem.")).toHaveLength(4);
      expect(prompts[0].endsWith("<question>Clock at ")).toBe(true);
      expect(() => config("anchors.examples=2", "anchors.promptsPerStep=3")).toThrow(
        /challenger.questionsPerStep: expected a multiple of challenger.groupSize \(4\) for each of the 12 different prompts/,
      );
    } finally {
      await engine.dispose();
    }
  });
});
