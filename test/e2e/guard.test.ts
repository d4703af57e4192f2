// The guard on the embedded base model, small: a rule that goes back, then stops; killed in between, the bytes are the same.

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, parseOverride } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { createEngine } from "../../src/engine/create.ts";
import { guardText } from "../../src/report/guard-tables.ts";
import { runSelfPlay } from "../../src/selfplay/run.ts";
import type { ProgressEvent, RunEvent } from "../../src/store/events.ts";
import { createRun, openRun } from "../../src/store/runs.ts";
import { InterruptedError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/package-root.ts";

const tinyBase = join(packageRoot, "assets", "tiny-base");
let root: string;
let data: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "rzero-guard-"));
  data = join(root, "bench.jsonl");
  const lines = readFileSync(join(tinyBase, "evaluation.jsonl"), "utf8").trim().split("\n");
  writeFileSync(data, lines.filter((_, index) => index % 60 === 0).join("\n"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SMALL = [
  "iterations=3",
  "engine.threads=1",
  "challenger.start=previous",
  "challenger.steps=1",
  "challenger.questionsPerStep=16",
  "challenger.solverAnswers=4",
  "curriculum.poolSize=60",
  "curriculum.answers=4",
  "curriculum.band=[0.5, 0.75]",
  "solver.steps=1",
  "solver.questionsPerStep=8",
  "solver.groupSize=4",
  "evaluation.samples=1",
  "evaluation.greedy=false",
  "evaluation.referenceLines=false",
  "guard.heldOut.questions=12",
  "guard.heldOut.answers=4",
  "guard.heldOut.confirm={answers: 0}",
  "schedule.stop.patience=0",
];

function config(...more: string[]): Config {
  const bench = `evaluation.benches=[{name: held-out, data: ${JSON.stringify(data)}}]`;
  return loadConfig({ recipe: "tiny", overrides: [...SMALL, bench, ...more].map((text) => parseOverride(`--${text}`)) });
}

interface Row {
  readonly iteration: number;
  readonly question: string;
  readonly voteShare: number;
  readonly majority: string | null;
  readonly confirms?: true;
}

async function play(given: Config, name: string, stopAfter?: string): Promise<{ events: RunEvent[]; error?: unknown }> {
  const store = readdirSync(root).includes(name)
    ? openRun(root, name)
    : createRun({ root, config: given, name, version: "test" });
  const engine = createEngine(store.config.engine);
  const stop = new AbortController();
  const events: RunEvent[] = [];
  const on = (event: RunEvent | ProgressEvent) => {
    if (event.event === "progress") return;
    events.push(event);
    if (event.event === "phase" && event.state === "done" && `${event.iteration}/${event.phase}` === stopAfter) stop.abort();
  };
  try {
    await runSelfPlay({ config: store.config, store, engine, baseDir: tinyBase, signal: stop.signal, on });
    return { events };
  } catch (error) {
    return { events, error };
  } finally {
    await engine.dispose();
  }
}

function fingerprint(name: string, iterations: readonly number[]): Record<string, string> {
  const files = iterations.flatMap((iteration) =>
    ["challenger/model/model.safetensors", "solver/model/model.safetensors", "guard/done.json", "guard/answers.jsonl"].map(
      (file) => `iteration-0${iteration}/${file}`,
    ),
  );
  const hash = (file: string) =>
    createHash("sha256")
      .update(readFileSync(join(root, name, file)))
      .digest("hex");
  return Object.fromEntries(files.map((file) => [file, hash(file)]));
}

/** KL penalty to the base model at the first Challenger step of an iteration, before its update: 0 when it starts from the base. */
function firstKl(events: readonly RunEvent[], iteration: number): number | undefined {
  const step = events.find((event) => event.event === "challenger-step" && event.iteration === iteration && event.step === 1);
  return step?.event === "challenger-step" ? step.metrics.klPenalty : undefined;
}

describe("the guard", () => {
  it("changes no weight of a run that breaks no rule, and names the best iteration by its own score", async () => {
    const { events, error } = await play(config("iterations=2"), "guarded");
    expect(error).toBeUndefined();
    const guards = events.flatMap((event) => (event.event === "guard" ? event : []));
    expect(guards.map(({ decision }) => decision.action)).toEqual(["none", "none"]);
    for (const { measures } of guards) {
      expect(measures.selfConsistency).toBeGreaterThan(0);
      // An estimate by the tokens sampled, which may be below 0 after so few steps.
      expect(Math.abs(measures.klToBase ?? 0)).toBeGreaterThan(0);
      expect(measures.entropy).toBeGreaterThan(0);
    }
    expect(events.at(-1)).toMatchObject({ event: "done", best: { ...guards[1].best, by: "guard" } });
    expect(firstKl(events, 2)).toBeGreaterThan(0);

    const plain = await play(config("iterations=2", "guard.enabled=false"), "unguarded");
    expect(plain.events.at(-1)).toMatchObject({ event: "done", best: { by: "evaluation" } });
    for (const role of ["challenger", "solver"]) {
      const file = (run: string) => join(root, run, "iteration-02", role, "model", "model.safetensors");
      expect(readFileSync(file("unguarded")).equals(readFileSync(file("guarded")))).toBe(true);
    }
  });

  it("scores by what the base confirms, asked once, and ends the run when its best grows old", async () => {
    const given = config(
      "iterations=4",
      "guard.heldOut.confirm={answers: 4, forcedPrefix: <think>}",
      // Nothing is learned, so nothing is better than the base and the first iteration ends the run.
      "solver.optimizer.learningRate=1.0e-12",
      "schedule.stop.patience=1",
    );
    expect((await play(given, "confirmed", "1/guard")).error).toBeInstanceOf(InterruptedError);
    const { events, error } = await play(given, "confirmed");
    expect(error).toBeUndefined();
    const rows = readFileSync(join(root, "confirmed", "iteration-01", "guard", "answers.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Row);
    const confirming = new Map(rows.filter(({ confirms }) => confirms).map(({ question, majority }) => [question, majority]));
    const own = rows.filter(({ iteration, confirms }) => iteration === 1 && !confirms);
    expect([own.length, confirming.size]).toEqual([12, 12]);
    const { measures, best } = JSON.parse(readFileSync(join(root, "confirmed", "iteration-01", "guard", "done.json"), "utf8"));
    const agreeing = own.filter(({ question, majority }) => majority !== null && confirming.get(question) === majority);
    const untouched = measures.confirmed * own.length;
    expect(untouched).toBeCloseTo(
      agreeing.reduce((sum, { voteShare }) => sum + voteShare, 0),
      6,
    );
    expect(measures.confirmed).toBeLessThan(measures.selfConsistency);
    expect(best.iteration).toBe(0);
    expect(events.find(({ event }) => event === "early-stop")).toMatchObject({
      iteration: 1,
      reason: "the best iteration by the guard's score, 0, is 1 old (schedule.stop.patience)",
    });
    expect(events.at(-1)).toMatchObject({ event: "done", final: { iteration: 1 } });
  });

  it("goes back to the best iteration, then stops; interrupted in between, the bytes are the same", async () => {
    const forced = config("guard.rules=[{measure: voteShare, above: 0, action: rollback}]", "guard.maxRollbacks=1");
    const { events, error } = await play(forced, "whole");
    expect(error).toBeUndefined();
    expect(events.filter(({ event }) => event === "guard-decision")).toMatchObject(
      [
        {
          iteration: 1,
          measure: "voteShare",
          condition: "above",
          limit: 0,
          action: "rollback",
          reason: /voteShare .* is above 0/,
        },
        { iteration: 2 },
      ].map((expected) => ({ ...expected, ...("reason" in expected ? { reason: expect.stringMatching(expected.reason) } : {}) })),
    );
    expect(events.flatMap((event) => (event.event === "guard" ? event.decision : []))).toEqual([
      { action: "rollback", to: 0 },
      { action: "stop" },
    ]);
    expect(firstKl(events, 2)).toBe(0);
    expect(events.at(-1)).toMatchObject({
      event: "done",
      best: { iteration: 0, by: "guard" },
      stopped: 2,
      final: { iteration: 2 },
    });
    expect(readdirSync(join(root, "whole"))).not.toContain("iteration-03");

    for (const stopAfter of ["1/solver", "1/guard", "2/challenger", "2/solver", "2/guard"])
      expect((await play(forced, "resumed", stopAfter)).error).toBeInstanceOf(InterruptedError);
    expect((await play(forced, "resumed")).error).toBeUndefined();
    expect(fingerprint("resumed", [1, 2])).toEqual(fingerprint("whole", [1, 2]));

    const tables = guardText(openRun(root, "whole"));
    expect(tables).toContain("above 0 → rollback");
    expect(tables).toMatch(/iteration 1: rollback to iteration 0, because voteShare/);
    expect(tables).toMatch(/iteration 2: stop, because/);
  });

  it("goes back to a trained iteration, whose states are kept for it", async () => {
    const empty = join(root, "no-questions.jsonl");
    writeFileSync(empty, "");
    const patient = config(
      "guard.rules=[{measure: voteShare, above: 0, patience: 2, action: rollback}]",
      `guard.heldOut.data=${empty}`,
      "run.checkpoint.keep=1",
    );
    const { events, error } = await play(patient, "kept");
    expect(error).toBeUndefined();
    expect(events.filter(({ event }) => event === "warning")).toEqual([]);
    const decisions = events.flatMap((event) => (event.event === "guard" ? event.decision : []));
    expect(decisions).toEqual([{ action: "none" }, { action: "rollback", to: 1 }, { action: "rollback", to: 1 }]);
    expect(firstKl(events, 3)).toBeGreaterThan(0);
    expect(events.at(-1)).toMatchObject({ best: { iteration: 1 }, final: { iteration: 3 } });
  });
});
