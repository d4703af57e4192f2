// Every remedy at once on the embedded base model, small: it runs, says what each did, and a run stopped anywhere gives the same bytes.

import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, parseOverride } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { createEngine } from "../../src/engine/create.ts";
import { runSelfPlay } from "../../src/selfplay/run.ts";
import type { ProgressEvent, RunEvent } from "../../src/store/events.ts";
import { createRun, openRun } from "../../src/store/runs.ts";
import { InterruptedError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/package-root.ts";

type AnyEvent = RunEvent | ProgressEvent;

const tinyBase = join(packageRoot, "assets", "tiny-base");
const root = mkdtempSync(join(tmpdir(), "rzero-remedies-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SMALL = [
  "engine.threads=1",
  "iterations=2",
  "challenger.steps=1",
  "challenger.questionsPerStep=32",
  "challenger.questionsPerOptimizerStep=32",
  "challenger.solverAnswers=4",
  "curriculum.poolSize=120",
  "curriculum.answers=5",
  "curriculum.band=[0.2, 1]",
  "solver.steps=3",
  "solver.questionsPerStep=8",
  "solver.questionsPerOptimizerStep=4",
  "solver.groupSize=4",
  "evaluation.samples=1",
  "guard.heldOut.questions=16",
  "schedule.stop.patience=0",
  "evaluation.greedy=false",
  "evaluation.referenceLines=false",
];

const REMEDIES = [
  "challenger.start=solver",
  "challenger.grpo={estimator: rloo, loss: cispo, entropyWeight: 0.001, reference: base, lossNormalisation: micro-batch-mean}",
  "challenger.reward={uncertainty: window, window: [0.3, 1], prior: {a: 1, b: 1}, overlong: {buffer: 20, weight: 0.5}}",
  "challenger.reward.novelty={weight: 1, greatestFrom: 0.1, meanFrom: 0.01}",
  "challenger.reward.quality={ownAnswer: value, agreement: true, minTokens: 3, maxTokens: 60, promptCopy: 0.8, archiveCopy: 0.99, wellPosed: '[0-9]'}",
  "curriculum.filters.quality=true",
  "curriculum.excludeEarlier=true",
  "curriculum.extraVotes={answers: 3, margin: 0.2, maxQuestions: 20}",
  "curriculum.confirm={answers: 4, forcedPrefix: <think>}",
  "archive.maxQuestions=50",
  "solver.grpo={estimator: dr-grpo, loss: gspo, clipLow: 0.001, clipHigh: 0.002, lossNormalisation: constant}",
  "solver.reward.overlong={buffer: 30, weight: 0.5}",
  "solver.maxUses=2",
  "solver.replay=0.25",
  "solver.dynamicSampling.refills=2",
  "schedule.warmStart={challengerSteps: 2, solverSteps: 2}",
  "schedule.stop={keptBelow: 1}",
];

const lines = readFileSync(join(tinyBase, "evaluation.jsonl"), "utf8").trim().split("\n");

/** Every 24th question of the shipped benchmark from `first` on, as a file. */
function dataFile(name: string, first: number): string {
  const file = join(root, name);
  writeFileSync(file, lines.filter((_, index) => index % 24 === first).join("\n"));
  return file;
}

function configOf(...more: string[]): Config {
  const data = [
    `evaluation.benches=[{name: held-out, data: ${JSON.stringify(dataFile("bench.jsonl", 0))}}]`,
    `audit.probes={data: ${JSON.stringify(dataFile("probes.jsonl", 1))}, count: 12}`,
  ];
  return loadConfig({ recipe: "tiny", overrides: [...SMALL, ...data, ...more].map((text) => parseOverride(`--${text}`)) });
}

/** Starts a run or goes on with it; it is interrupted at the first event that passes `stop`. */
async function play(config: Config, name: string, stop?: (event: AnyEvent) => boolean) {
  const store = existsSync(join(root, name)) ? openRun(root, name) : createRun({ root, config, name, version: "test" });
  const engine = createEngine(config.engine);
  const controller = new AbortController();
  const events: AnyEvent[] = [];
  const on = (event: AnyEvent) => {
    events.push(event);
    if (stop?.(event)) controller.abort();
  };
  try {
    await runSelfPlay({ config: store.config, store, engine, baseDir: tinyBase, signal: controller.signal, on });
    return { events };
  } catch (error) {
    return { events, error };
  } finally {
    await engine.dispose();
  }
}

function fingerprint(name: string): Record<string, string> {
  const files = [1, 2].flatMap((iteration) =>
    [
      "challenger/model/model.safetensors",
      "challenger/metrics.jsonl",
      "curriculum/questions.jsonl",
      "curriculum/done.json",
      "solver/model/model.safetensors",
      "solver/metrics.jsonl",
      "evaluation/done.json",
    ].map((file) => `iteration-0${iteration}/${file}`),
  );
  const hash = (file: string) =>
    createHash("sha256")
      .update(readFileSync(join(root, name, file)))
      .digest("hex");
  return Object.fromEntries(files.map((file) => [file, hash(file)]));
}

const done = (place: string) => (event: AnyEvent) =>
  event.event === "phase" && event.state === "done" && `${event.iteration}/${event.phase}` === place;

/** Stops within and between phases; each is reached by the run that goes on after the one before. */
const STOPS: ((event: AnyEvent) => boolean)[] = [
  (event) => event.event === "challenger-step",
  (event) => event.event === "progress" && event.activity === "voting again",
  (event) => event.event === "progress" && event.activity === "confirming",
  (event) => event.event === "progress" && event.phase === "solver" && event.activity === "answering 1",
  (event) => event.event === "solver-step",
  done("1/evaluation"),
  done("2/challenger"),
  (event) => event.event === "solver-step" && event.iteration === 2,
];

describe("all remedies at once", () => {
  let plain: Awaited<ReturnType<typeof play>>;
  beforeAll(async () => {
    plain = await play(configOf(...REMEDIES), "plain");
    if (plain.error) throw plain.error;
  });

  it("each leaves its mark in the metrics", () => {
    const curricula = plain.events.flatMap((event) => (event.event === "curriculum" ? event.metrics : []));
    expect(curricula).toHaveLength(2);
    for (const { audit, coverage, extraVotes, rejected } of curricula) {
      expect(audit?.probes).toBeGreaterThan(0);
      expect(audit?.ci95[0]).toBeLessThanOrEqual(audit?.mean ?? 0);
      expect(audit?.ci95[1]).toBeGreaterThanOrEqual(audit?.mean ?? 1);
      expect(coverage.clusters).toBeGreaterThan(1);
      expect(coverage.distinctGramShare).toBeGreaterThan(0);
      expect(extraVotes).toBeGreaterThan(0);
      expect(extraVotes).toBeLessThanOrEqual(20);
      expect(rejected.quality).toBeGreaterThan(0);
      expect(rejected.unconfirmed).toBeGreaterThan(0);
    }
    expect(curricula[0].coverage.newShare).toBe(1);
    const challenger = plain.events.flatMap((event) => (event.event === "challenger-step" ? event : []));
    expect(challenger.map(({ iteration, step }) => [iteration, step])).toEqual([
      [1, 1],
      [1, 2],
      [2, 1],
    ]);
    expect(challenger[0].metrics.noveltyPenalty).toBe(0);
    expect(challenger[2].metrics.noveltyPenalty).toBeGreaterThan(0);
    expect(Object.values(challenger[2].metrics.faults ?? {}).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
    const solver = plain.events.flatMap((event) => (event.event === "solver-step" ? event.metrics : []));
    expect(solver.some(({ drawn = 0 }) => drawn > 8)).toBe(true);
    for (const { samplerMismatch } of solver) expect(samplerMismatch).toBe(0);
  });

  it("questions of more votes have more answers, and none was kept before", () => {
    const rows = [1, 2].map((iteration) =>
      readFileSync(join(root, "plain", `iteration-0${iteration}/curriculum/questions.jsonl`), "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { question: string; answers: unknown[]; verdict: string }),
    );
    expect(new Set(rows.flat().map(({ answers }) => answers.length))).toEqual(new Set([0, 5, 8]));
    const kept = rows.map((pool) => pool.filter(({ verdict }) => verdict === "kept").map(({ question }) => question));
    expect(kept[1].filter((question) => kept[0].includes(question))).toEqual([]);
  });

  it("gives the same bytes with two threads", async () => {
    expect((await play(configOf(...REMEDIES, "engine.threads=2", "engine.slots=19"), "threads")).error).toBeUndefined();
    expect(fingerprint("threads")).toEqual(fingerprint("plain"));
  });

  it("gives the same bytes when stopped within and between phases", async () => {
    const config = configOf(...REMEDIES);
    for (const stop of STOPS) expect((await play(config, "resumed", stop)).error).toBeInstanceOf(InterruptedError);
    expect((await play(config, "resumed")).error).toBeUndefined();
    expect(fingerprint("resumed")).toEqual(fingerprint("plain"));
  });
});

describe("where the policies start", () => {
  it.each([
    ["shared", ["roles=shared", "challenger.start=previous"]],
    ["from the base", ["challenger.start=base"]],
  ])("%s: runs, and resumes to the same bytes", async (title, options) => {
    const config = configOf(...options, "solver.steps=1");
    const whole = title.replaceAll(" ", "-");
    expect((await play(config, whole)).error).toBeUndefined();
    const resumed = `${whole}-resumed`;
    for (const stop of [done("1/challenger"), done("1/solver"), done("2/challenger")])
      expect((await play(config, resumed, stop)).error).toBeInstanceOf(InterruptedError);
    expect((await play(config, resumed)).error).toBeUndefined();
    expect(fingerprint(resumed)).toEqual(fingerprint(whole));
  });
});

describe("controls and rules", () => {
  it("random rewards are a fair coin's, the same in a second run", async () => {
    const config = configOf("solver.reward.control=random", "iterations=1", "challenger.train=false", "solver.steps=1");
    const [first, second] = [await play(config, "random"), await play(config, "random-again")];
    const rewards = [first, second].map(({ events }) =>
      events.flatMap((event) => (event.event === "solver-step" ? event.metrics.reward : [])),
    );
    expect(rewards[0]).toEqual(rewards[1]);
    expect(Math.abs(rewards[0][0] - 0.5)).toBeLessThan(0.35);
  });

  it("a run ends early by its rule, with the scores of its last iteration", async () => {
    const { events, error } = await play(configOf("schedule.stop.keptBelow=1000", "challenger.train=false"), "early");
    expect(error).toBeUndefined();
    expect(events.find((event) => event.event === "early-stop")).toMatchObject({ iteration: 1 });
    expect(events.at(-1)).toMatchObject({ event: "done", final: { iteration: 1 } });
  });

  it("a curriculum that is used up ends the Solver phase", async () => {
    const config = configOf("solver.maxUses=1", "solver.steps=50", "iterations=1", "challenger.train=false");
    const { events } = await play(config, "used-up");
    const kept = events.flatMap((event) => (event.event === "curriculum" ? event.metrics.kept : []))[0];
    expect(events.filter((event) => event.event === "solver-step")).toHaveLength(Math.floor(kept / 8));
  });
});
