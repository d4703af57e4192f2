// Another domain than mathematics on the embedded base model: its recipe, shrunken, with openings, anchors and exact answers.

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, parseOverride } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { createEngine } from "../../src/engine/create.ts";
import { readBench } from "../../src/evaluation/benchmarks.ts";
import { challengerPrompts } from "../../src/selfplay/anchors.ts";
import type { LoopContext } from "../../src/selfplay/context.ts";
import { runSelfPlay } from "../../src/selfplay/run.ts";
import type { RunEvent } from "../../src/store/events.ts";
import { createRun, openRun } from "../../src/store/runs.ts";
import { truth } from "../../src/tiny-world/oracle.ts";
import { split } from "../../src/tiny-world/split.ts";
import { InterruptedError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/package-root.ts";

const tinyBase = join(packageRoot, "assets", "tiny-base");
const anchorFile = join(packageRoot, "recipes", "tiny-reasoning.anchors.jsonl");
let root: string;
let data: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "rzero-domain-"));
  data = join(root, "bench.jsonl");
  const lines = readFileSync(join(tinyBase, "evaluation.jsonl"), "utf8").trim().split("\n");
  writeFileSync(data, lines.filter((_, index) => index % 40 === 0).join("\n"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SMALL = [
  "iterations=1",
  "engine.threads=1",
  "challenger.steps=1",
  "challenger.questionsPerStep=32",
  "challenger.solverAnswers=4",
  "curriculum.poolSize=90",
  "curriculum.answers=4",
  "curriculum.band=[0.25, 1]",
  "solver.steps=2",
  "solver.questionsPerStep=8",
  "solver.groupSize=4",
  "evaluation.samples=1",
  "guard.heldOut.questions=16",
  "schedule.stop.patience=0",
  "evaluation.greedy=false",
  "evaluation.referenceLines=false",
  "guard.heldOut.questions=8",
];

function config(recipe: string, ...more: string[]): Config {
  const bench = `evaluation.benches=[{name: held-out, data: ${JSON.stringify(data)}}]`;
  return loadConfig({ recipe, overrides: [...SMALL, bench, ...more].map((text) => parseOverride(`--${text}`)) });
}

async function play(given: Config, name: string, stopAfter?: string): Promise<{ events: RunEvent[]; error?: unknown }> {
  const store = readdirSync(root).includes(name)
    ? openRun(root, name)
    : createRun({ root, config: given, name, version: "test" });
  const engine = createEngine(store.config.engine);
  const stop = new AbortController();
  const events: RunEvent[] = [];
  try {
    await runSelfPlay({
      config: store.config,
      store,
      engine,
      baseDir: tinyBase,
      signal: stop.signal,
      on: (event) => {
        if (event.event === "progress") return;
        events.push(event);
        if (event.event === "phase" && event.state === "done" && event.phase === stopAfter) stop.abort();
      },
    });
    return { events };
  } catch (error) {
    return { events, error };
  } finally {
    await engine.dispose();
  }
}

interface Row {
  readonly question: string;
  readonly pseudoLabel?: string;
  readonly verdict: string;
  readonly anchor?: boolean;
}

const rowsOf = (run: string) =>
  readFileSync(join(root, run, "iteration-01/curriculum/questions.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);
const hashOf = (run: string, file: string) =>
  createHash("sha256")
    .update(readFileSync(join(root, run, "iteration-01", file)))
    .digest("hex");

describe("the recipe tiny-reasoning", () => {
  it("poses questions of its domain, mixes human ones in, and resumes to the same bytes", async () => {
    const given = config("tiny-reasoning");
    const { events, error } = await play(given, "whole");
    expect(error).toBeUndefined();
    const rows = rowsOf("whole");
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

    for (const stopAfter of ["challenger", "curriculum", "solver"])
      expect((await play(given, "resumed", stopAfter)).error).toBeInstanceOf(InterruptedError);
    expect((await play(given, "resumed")).error).toBeUndefined();
    for (const file of ["curriculum/questions.jsonl", "solver/model/model.safetensors", "challenger/model/model.safetensors"])
      expect(hashOf("resumed", file)).toBe(hashOf("whole", file));
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
      const given = config("tiny-reasoning", "anchors.examples=2", "anchors.promptsPerStep=2");
      const context = { config: given, tokenizer, anchors: readBench(anchorFile) } as unknown as LoopContext;
      const texts = (seed: number) => challengerPrompts(context, seed).map(({ tokens }) => tokenizer.decode(tokens));
      const prompts = texts(1);
      expect(prompts).toHaveLength(8);
      expect(new Set(prompts).size).toBe(8);
      expect(texts(1)).toEqual(prompts);
      expect(texts(2)).not.toEqual(prompts);
      expect(prompts[0].split("Pose a math problem.")).toHaveLength(4);
      expect(prompts[0].endsWith("<question>Clock at ")).toBe(true);
      expect(() => config("tiny-reasoning", "anchors.examples=2", "anchors.promptsPerStep=3")).toThrow(
        /challenger.questionsPerStep: expected a multiple of challenger.groupSize \(4\) for each of the 12 different prompts/,
      );
    } finally {
      await engine.dispose();
    }
  });
});
