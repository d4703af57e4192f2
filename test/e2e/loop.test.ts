// The loop on the embedded base model, small: what a run promises, from the store's bytes.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { InterruptedError, RunError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/package-root.ts";
import { afterPhase, benchOf, inIterations, MODELS, type Played, smallConfig, smallRuns } from "./small-run.ts";

const { root, play, fingerprint, rowsOf, everyNth } = smallRuns("loop");
const data = everyNth("bench.jsonl", 24);

const config = (...more: string[]) =>
  smallConfig(["iterations=2", "challenger.steps=2", "solver.steps=2", "evaluation.samples=2", benchOf(data), ...more]);

const WEIGHTS = inIterations(2, MODELS);
const ARTEFACTS = inIterations(2, [
  ...MODELS,
  "curriculum/questions.jsonl",
  "curriculum/done.json",
  "solver/done.json",
  "evaluation/answers.jsonl",
  "evaluation/done.json",
]);

describe("a run on the embedded base model", () => {
  let plain: Played;
  beforeAll(async () => {
    plain = await play(config(), "plain");
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
    const { error } = await play(config("engine.threads=2", "engine.slots=17"), "threads");
    expect(error).toBeUndefined();
    expect(fingerprint("threads", ARTEFACTS)).toEqual(fingerprint("plain", ARTEFACTS));
  });

  it("gives the same bytes when stopped after every phase and resumed", async () => {
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
    for (const place of stops)
      expect((await play(config(), "resumed", { stop: afterPhase(place) })).error).toBeInstanceOf(InterruptedError);
    expect((await play(config(), "resumed")).error).toBeUndefined();
    expect(fingerprint("resumed", ARTEFACTS)).toEqual(fingerprint("plain", ARTEFACTS));
  });

  it("trains the same weights when the ground truth of the evaluation is nonsense", async () => {
    const nonsense = join(root, "nonsense.jsonl");
    const rows = rowsOf<{ answer: string }>("bench.jsonl").map((row, index) => ({ ...row, answer: `nonsense ${index}` }));
    writeFileSync(nonsense, rows.map((row) => JSON.stringify(row)).join("\n"));
    const { error, events } = await play(config(benchOf(nonsense)), "nonsense");
    expect(error).toBeUndefined();
    expect(fingerprint("nonsense", WEIGHTS)).toEqual(fingerprint("plain", WEIGHTS));
    expect(events.at(-1)).toMatchObject({ final: { solver: [{ sampled: { mean: 0 } }] } });
  });

  it("another seed gives other weights", async () => {
    await play(config("seed=2", "iterations=1"), "seed-2");
    const file = "iteration-01/solver/model/model.safetensors";
    expect(fingerprint("seed-2", [file])).not.toEqual(fingerprint("plain", [file]));
  });

  it("leaves the Challenger alone in the untrained control, and exchanges labels in the shuffled one", async () => {
    const controls = ["challenger.train=false", "curriculum.shuffleLabels=true", "curriculum.poolSize=300"];
    const { error, events } = await play(config(...controls, "iterations=1"), "controls");
    expect(error).toBeUndefined();
    expect(events.some((event) => event.event === "challenger-step")).toBe(false);
    const kept = rowsOf<{ verdict: string; answers: string[]; pseudoLabel: string }>(
      "controls/iteration-01/curriculum/questions.jsonl",
    ).filter(({ verdict }) => verdict === "kept");
    const strangers = kept.filter(({ answers, pseudoLabel }) => !answers.includes(pseudoLabel));
    expect(strangers.length).toBeGreaterThan(kept.length / 2);
  });
});

describe("a run that cannot work", () => {
  it("says so when the base poses no question", async () => {
    const { error } = await play(config(), "mute", { baseDir: join(packageRoot, "test", "golden", "tiny-qwen3") });
    expect(error).toBeInstanceOf(RunError);
    expect((error as Error).message).toMatch(
      /expected at least one well-formed question, got none in 32 completions.*Adapt prompts\.challenger/,
    );
  });

  it("says so when the prompt leaves no room for a question", async () => {
    const words = JSON.stringify("Pose a math problem. ".repeat(200));
    const { error } = await play(config(`prompts.challenger=[{role: user, content: ${words}}]`), "long-prompt");
    expect((error as Error).message).toMatch(
      /all of them empty: the prompt of \d+ tokens fills the context.*Shorten prompts\.challenger/,
    );
  });

  it("says so when no question falls into the band", async () => {
    const { error } = await play(config("challenger.train=false", "curriculum.band=[0.01, 0.02]", "iterations=1"), "empty");
    expect((error as Error).message).toMatch(
      /curriculum: expected questions with a vote share in \[0.01, 0.02\], got none.*Widen curriculum.band/,
    );
  });
});
