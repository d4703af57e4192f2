// Every remedy at once on the embedded base model, small: it runs, says what each did, and a run stopped anywhere gives the same bytes.

import { beforeAll, describe, expect, it } from "vitest";
import { InterruptedError } from "../../src/util/errors.ts";
import { type AnyEvent, afterPhase, benchOf, inIterations, MODELS, type Played, smallConfig, smallRuns } from "./small-run.ts";

const { play, fingerprint, rowsOf, everyNth } = smallRuns("remedies");

const OWN = [
  "iterations=2",
  "curriculum.poolSize=120",
  "curriculum.answers=5",
  "solver.steps=3",
  "solver.questionsPerOptimizerStep=4",
  benchOf(everyNth("bench.jsonl", 24)),
  `audit.probes={data: ${JSON.stringify(everyNth("probes.jsonl", 24, 1))}, count: 12}`,
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

const configOf = (...more: string[]) => smallConfig([...OWN, ...more]);

const FILES = inIterations(2, [
  ...MODELS,
  "challenger/metrics.jsonl",
  "curriculum/questions.jsonl",
  "curriculum/done.json",
  "solver/metrics.jsonl",
  "evaluation/done.json",
]);

const STOPS: ((event: AnyEvent) => boolean)[] = [
  (event) => event.event === "challenger-step",
  (event) => event.event === "progress" && event.activity === "voting again",
  (event) => event.event === "progress" && event.activity === "confirming",
  (event) => event.event === "progress" && event.phase === "solver" && event.activity === "answering 1",
  (event) => event.event === "solver-step",
  afterPhase("1/evaluation"),
  afterPhase("2/challenger"),
  (event) => event.event === "solver-step" && event.iteration === 2,
];

describe("all remedies at once", () => {
  let plain: Played;
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
      rowsOf<{ question: string; answers: unknown[]; verdict: string }>(
        `plain/iteration-0${iteration}/curriculum/questions.jsonl`,
      ),
    );
    expect(new Set(rows.flat().map(({ answers }) => answers.length))).toEqual(new Set([0, 5, 8]));
    const kept = rows.map((pool) => pool.filter(({ verdict }) => verdict === "kept").map(({ question }) => question));
    expect(kept[1].filter((question) => kept[0].includes(question))).toEqual([]);
  });

  it("gives the same bytes with two threads", async () => {
    expect((await play(configOf(...REMEDIES, "engine.threads=2", "engine.slots=19"), "threads")).error).toBeUndefined();
    expect(fingerprint("threads", FILES)).toEqual(fingerprint("plain", FILES));
  });

  it("gives the same bytes when stopped within and between phases", async () => {
    const config = configOf(...REMEDIES);
    for (const stop of STOPS) expect((await play(config, "resumed", { stop })).error).toBeInstanceOf(InterruptedError);
    expect((await play(config, "resumed")).error).toBeUndefined();
    expect(fingerprint("resumed", FILES)).toEqual(fingerprint("plain", FILES));
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
    for (const stop of [afterPhase("1/challenger"), afterPhase("1/solver"), afterPhase("2/challenger")])
      expect((await play(config, resumed, { stop })).error).toBeInstanceOf(InterruptedError);
    expect((await play(config, resumed)).error).toBeUndefined();
    expect(fingerprint(resumed, FILES)).toEqual(fingerprint(whole, FILES));
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
