// The loop on the embedded base model, small: what a run promises, from the store's bytes.

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, parseOverride } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { createEngine } from "../../src/engine/create.ts";
import { runSelfPlay } from "../../src/selfplay/run.ts";
import type { ProgressEvent, RunEvent } from "../../src/store/events.ts";
import { createRun, openRun } from "../../src/store/runs.ts";
import { InterruptedError, RunError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/package-root.ts";

const tinyBase = join(packageRoot, "assets", "tiny-base");
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "rzero-loop-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SMALL = [
  "iterations=2",
  "challenger.steps=2",
  "challenger.questionsPerStep=32",
  "challenger.questionsPerOptimizerStep=32",
  "challenger.solverAnswers=4",
  "curriculum.poolSize=120",
  "curriculum.answers=5",
  "curriculum.band=[0.2, 1]",
  "solver.steps=2",
  "solver.questionsPerStep=8",
  "solver.questionsPerOptimizerStep=8",
  "solver.groupSize=4",
  "evaluation.samples=2",
  "guard.heldOut.questions=16",
  "schedule.stop.patience=0",
  "evaluation.referenceLines=false",
];

function smallConfig(...more: string[]): Config {
  return loadConfig({ recipe: "tiny", overrides: [...SMALL, ...more].map((text) => parseOverride(`--${text}`)) });
}

/** A benchmark of the first questions of the shipped one; `answerOf` replaces the truth. */
function benchFile(name: string, answerOf?: (index: number) => string): string {
  const lines = readFileSync(join(tinyBase, "evaluation.jsonl"), "utf8").trim().split("\n");
  const rows = lines.filter((_, index) => index % 24 === 0).map((line) => JSON.parse(line) as Record<string, unknown>);
  const file = join(root, name);
  writeFileSync(file, rows.map((row, index) => JSON.stringify(answerOf ? { ...row, answer: answerOf(index) } : row)).join("\n"));
  return file;
}

const bench = (file: string) => `evaluation.benches=[{name: held-out, data: ${JSON.stringify(file)}}]`;

interface Outcome {
  readonly events: (RunEvent | ProgressEvent)[];
  readonly error?: unknown;
}

/** Starts a run or goes on with it, in an engine of its own; `stopAfter` interrupts when that phase is done. */
async function play(config: Config, name: string, options: { stopAfter?: string; baseDir?: string } = {}): Promise<Outcome> {
  const store = readdirSync(root).includes(name) ? openRun(root, name) : createRun({ root, config, name, version: "test" });
  const engine = createEngine(config.engine);
  const stop = new AbortController();
  const events: Outcome["events"] = [];
  try {
    await runSelfPlay({
      config: store.config,
      store,
      engine,
      baseDir: options.baseDir ?? tinyBase,
      signal: stop.signal,
      on: (event) => {
        events.push(event);
        if (event.event === "phase" && event.state === "done" && `${event.iteration}/${event.phase}` === options.stopAfter)
          stop.abort();
      },
    });
    return { events };
  } catch (error) {
    return { events, error };
  } finally {
    await engine.dispose();
  }
}

/** Hashes of what a run produced: final weights, questions, scores. */
function fingerprint(name: string, files: readonly string[] = ARTEFACTS): Record<string, string> {
  const hash = (path: string) =>
    createHash("sha256")
      .update(readFileSync(join(root, name, path)))
      .digest("hex");
  return Object.fromEntries(files.map((path) => [path, hash(path)]));
}

const WEIGHTS = [1, 2].flatMap((iteration) =>
  ["challenger", "solver"].map((role) => `iteration-0${iteration}/${role}/model/model.safetensors`),
);
const ARTEFACTS = [
  ...WEIGHTS,
  "iteration-01/curriculum/questions.jsonl",
  "iteration-02/curriculum/questions.jsonl",
  "iteration-02/curriculum/done.json",
  "iteration-02/solver/done.json",
  "iteration-02/evaluation/answers.jsonl",
  "iteration-02/evaluation/done.json",
];

describe("a run on the embedded base model", () => {
  let data: string;
  let plain: Outcome;
  beforeAll(async () => {
    data = benchFile("bench.jsonl");
    plain = await play(smallConfig(bench(data), "engine.threads=1"), "plain");
    if (plain.error) throw plain.error;
  });

  it("changes both policies in every iteration", () => {
    expect(new Set(Object.values(fingerprint("plain", WEIGHTS))).size).toBe(WEIGHTS.length);
  });

  it("ends with the summary event, and every phase in order", () => {
    expect(plain.events.at(-1)).toMatchObject({ event: "done", run: "plain", final: { iteration: 2 } });
    const phases = plain.events.flatMap((event) =>
      event.event === "phase" && event.state === "done" ? `${event.iteration}/${event.phase}` : [],
    );
    expect(phases).toEqual([
      "0/evaluation",
      ...[1, 2].flatMap((i) => ["challenger", "curriculum", "solver", "guard", "evaluation"].map((p) => `${i}/${p}`)),
    ]);
  });

  it("samples and trains with the same logprobs: the sampler mismatch is exactly 0", () => {
    const steps = plain.events.flatMap((event) =>
      event.event === "solver-step" || event.event === "challenger-step" ? event.metrics : [],
    );
    expect(steps).toHaveLength(8);
    for (const { samplerMismatch, gradNorm, tokens } of steps) {
      expect(samplerMismatch).toBe(0);
      expect(gradNorm).toBeGreaterThanOrEqual(0);
      expect(tokens).toBeGreaterThan(0);
    }
  });

  it("gives the same bytes with two threads and other slots", async () => {
    const { error } = await play(smallConfig(bench(data), "engine.threads=2", "engine.slots=17"), "threads");
    expect(error).toBeUndefined();
    expect(fingerprint("threads")).toEqual(fingerprint("plain"));
  });

  it("gives the same bytes when stopped after every phase and resumed", async () => {
    const config = smallConfig(bench(data), "engine.threads=1");
    const stops = [
      "0/evaluation",
      "1/challenger",
      "1/curriculum",
      "1/solver",
      "1/evaluation",
      "2/challenger",
      "2/curriculum",
      "2/solver",
    ];
    for (const stopAfter of stops) expect((await play(config, "resumed", { stopAfter })).error).toBeInstanceOf(InterruptedError);
    expect((await play(config, "resumed")).error).toBeUndefined();
    expect(fingerprint("resumed")).toEqual(fingerprint("plain"));
  });

  it("trains the same weights when the ground truth of the evaluation is nonsense", async () => {
    const nonsense = benchFile("nonsense.jsonl", (index) => `nonsense ${index}`);
    const { error, events } = await play(smallConfig(bench(nonsense), "engine.threads=1"), "nonsense");
    expect(error).toBeUndefined();
    expect(fingerprint("nonsense", WEIGHTS)).toEqual(fingerprint("plain", WEIGHTS));
    expect(events.at(-1)).toMatchObject({ final: { solver: [{ sampled: { mean: 0 } }] } });
  });

  it("another seed gives other weights", async () => {
    await play(smallConfig(bench(data), "engine.threads=1", "seed=2", "iterations=1"), "seed-2");
    const file = "iteration-01/solver/model/model.safetensors";
    expect(fingerprint("seed-2", [file])).not.toEqual(fingerprint("plain", [file]));
  });

  it("leaves the Challenger alone in the untrained control, and exchanges labels in the shuffled one", async () => {
    const config = smallConfig(
      bench(data),
      "challenger.train=false",
      "curriculum.shuffleLabels=true",
      "iterations=1",
      "curriculum.poolSize=300",
    );
    const { error, events } = await play(config, "controls");
    expect(error).toBeUndefined();
    expect(events.some((event) => event.event === "challenger-step")).toBe(false);
    const rows = readFileSync(join(root, "controls/iteration-01/curriculum/questions.jsonl"), "utf8").trim().split("\n");
    const kept = rows
      .map((row) => JSON.parse(row) as { verdict: string; answers: string[]; pseudoLabel: string })
      .filter(({ verdict }) => verdict === "kept");
    const strangers = kept.filter(({ answers, pseudoLabel }) => !answers.includes(pseudoLabel));
    expect(strangers.length).toBeGreaterThan(kept.length / 2);
  });
});

describe("a run that cannot work", () => {
  it("says so when the base poses no question", async () => {
    const config = smallConfig(bench(benchFile("bench-2.jsonl")));
    const { error } = await play(config, "mute", { baseDir: join(packageRoot, "test", "golden", "tiny-qwen3") });
    expect(error).toBeInstanceOf(RunError);
    expect((error as Error).message).toMatch(
      /expected at least one well-formed question, got none in 32 completions.*Adapt prompts\.challenger/,
    );
  });

  it("says so when the prompt leaves no room for a question", async () => {
    const words = JSON.stringify("Pose a math problem. ".repeat(200));
    const config = smallConfig(bench(benchFile("bench-4.jsonl")), `prompts.challenger=[{role: user, content: ${words}}]`);
    const { error } = await play(config, "long-prompt");
    expect((error as Error).message).toMatch(
      /all of them empty: the prompt of \d+ tokens fills the context.*Shorten prompts\.challenger/,
    );
  });

  it("says so when no question falls into the band", async () => {
    const config = smallConfig(
      bench(benchFile("bench-3.jsonl")),
      "challenger.train=false",
      "curriculum.band=[0.01, 0.02]",
      "iterations=1",
    );
    const { error } = await play(config, "empty");
    expect((error as Error).message).toMatch(
      /curriculum: expected questions with a vote share in \[0.01, 0.02\], got none.*Widen curriculum.band/,
    );
  });
});
