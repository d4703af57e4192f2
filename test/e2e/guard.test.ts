// The guard on the embedded base model, small: a rule that goes back, then stops; killed in between, the bytes are the same.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { guardText } from "../../src/report/guard-tables.ts";
import type { RunEvent } from "../../src/store/events.ts";
import { openRun } from "../../src/store/runs.ts";
import { InterruptedError } from "../../src/util/errors.ts";
import { afterPhase, benchOf, inIterations, MODELS, smallConfig, smallRuns } from "./small-run.ts";

const { root, play, fingerprint, rowsOf, everyNth } = smallRuns("guard");

const OWN = [
  "iterations=3",
  "challenger.start=previous",
  "challenger.questionsPerStep=16",
  "curriculum.poolSize=60",
  "curriculum.band=[0.5, 0.75]",
  "guard.heldOut={questions: 12, answers: 4, confirm: {answers: 0}}",
  benchOf(everyNth("bench.jsonl", 60)),
];

const config = (...more: string[]) => smallConfig([...OWN, ...more]);

interface Row {
  readonly iteration: number;
  readonly question: string;
  readonly voteShare: number;
  readonly majority: string | null;
  readonly confirms?: true;
}

const FILES = inIterations(2, [...MODELS, "guard/done.json", "guard/answers.jsonl"]);

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
    const weights = inIterations(2, MODELS);
    expect(fingerprint("unguarded", weights)).toEqual(fingerprint("guarded", weights));
  });

  it("scores by what the base confirms, asked once, and ends the run when its best grows old", async () => {
    const given = config(
      "iterations=4",
      "guard.heldOut.confirm={answers: 4, forcedPrefix: <think>}",
      // Nothing is learned, so nothing is better than the base and the first iteration ends the run.
      "solver.optimizer.learningRate=1.0e-12",
      "schedule.stop.patience=1",
    );
    expect((await play(given, "confirmed", { stop: afterPhase("1/guard") })).error).toBeInstanceOf(InterruptedError);
    const { events, error } = await play(given, "confirmed");
    expect(error).toBeUndefined();
    const rows = rowsOf<Row>("confirmed/iteration-01/guard/answers.jsonl");
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

    for (const place of ["1/solver", "1/guard", "2/challenger", "2/solver", "2/guard"])
      expect((await play(forced, "resumed", { stop: afterPhase(place) })).error).toBeInstanceOf(InterruptedError);
    expect((await play(forced, "resumed")).error).toBeUndefined();
    expect(fingerprint("resumed", FILES)).toEqual(fingerprint("whole", FILES));

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
