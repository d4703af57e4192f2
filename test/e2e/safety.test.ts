// What a run survives inside one process, with doubles around the real engine: bad numbers, a full disk, an interruption anywhere.

import { beforeAll, describe, expect, it } from "vitest";
import { createEngine } from "../../src/engine/create.ts";
import type { Engine, Snapshot, Trainer } from "../../src/engine/types.ts";
import { DiskError, InterruptedError, RunError } from "../../src/util/errors.ts";
import { benchOf, inIterations, type PlayOptions, smallConfig, smallRuns } from "./small-run.ts";

const { play, fingerprint, everyNth } = smallRuns("safety");
const bench = benchOf(everyNth("bench.jsonl", 60));
const config = smallConfig(["challenger.train=false", "curriculum.poolSize=60", "solver.steps=4", bench]);

/** Changes what an engine's trainers and snapshots do. */
interface Meddling {
  readonly trainer?: (trainer: Trainer) => Partial<Trainer>;
  readonly snapshot?: (snapshot: Snapshot) => Partial<Snapshot>;
}

function meddled(engine: Engine, { trainer: ofTrainer, snapshot: ofSnapshot }: Meddling): Engine {
  const over = <T extends object>(target: T, changes: Partial<T> = {}): T =>
    new Proxy(target, {
      get: (object, key) => {
        const found = key in changes ? Reflect.get(changes, key) : Reflect.get(object, key);
        return typeof found === "function" ? found.bind(object) : found;
      },
    });
  const snapshot = (one: Snapshot) => over(one, ofSnapshot?.(one));
  return over(engine, {
    openSnapshot: async (...args) => snapshot(await engine.openSnapshot(...args)),
    openTrainer: async (dir) => {
      const trainer = await engine.openTrainer(dir);
      return over(trainer, { snapshot: async (...args) => snapshot(await trainer.snapshot(...args)), ...ofTrainer?.(trainer) });
    },
  });
}

/** Plays the run on an engine that is meddled with. */
const playWith = (name: string, meddling: Meddling = {}, stop?: PlayOptions["stop"]) =>
  play(config, name, { engine: meddled(createEngine(config.engine), meddling), stop });

const MODEL = "iteration-01/solver/model/model.safetensors";
const FILES = inIterations(1, [
  "solver/model/model.safetensors",
  "solver/metrics.jsonl",
  "solver/manifest.json",
  "solver/rollouts/step-000003.jsonl",
  "curriculum/questions.jsonl",
  "curriculum/truths.jsonl",
  "evaluation/answers.jsonl",
]);

/** NaN instead of the first logprob of one datum, in the calls of forwardBackward that `when` names. */
function poisoned(when: (call: number) => boolean): Meddling {
  let call = 0;
  return {
    trainer: (trainer) => ({
      forwardBackward: (data, loss) => {
        const bad = when(++call) ? data[5] : undefined;
        return trainer.forwardBackward(data, (logprobs, datum) => {
          const trained = datum.weights.findIndex((weight) => weight !== 0);
          return loss(datum === bad ? logprobs.with(trained, Number.NaN) : logprobs, datum);
        });
      },
    }),
  };
}

beforeAll(async () => {
  const { error } = await play(config, "plain");
  if (error) throw error;
});

describe("a NaN in training", () => {
  it("skips the step, names the datum, and the run goes on", async () => {
    const { events, error } = await playWith(
      "one-nan",
      poisoned((call) => call === 2),
    );
    expect(error).toBeUndefined();
    const skipped = events.filter(({ event }) => event === "step-skipped");
    expect(skipped).toEqual([
      {
        event: "step-skipped",
        iteration: 1,
        phase: "solver",
        step: 2,
        update: 1,
        reason: "logprob",
        value: "NaN",
        question: expect.any(Number),
        sample: 1,
      },
    ]);
    const steps = events.flatMap((event) => (event.event === "solver-step" ? event.metrics : []));
    expect(steps.map(({ skippedUpdates }) => skippedUpdates)).toEqual([undefined, 1, undefined, undefined]);
    expect(steps.every(({ loss, gradNorm }) => Number.isFinite(loss) && Number.isFinite(gradNorm))).toBe(true);
    expect(fingerprint("one-nan", [MODEL])).not.toEqual(fingerprint("plain", [MODEL]));
  });

  it("three times in a row goes back to the checkpoint; when it was a passing fault, the bytes are those of an undisturbed run", async () => {
    const { events, error } = await playWith(
      "passing",
      poisoned((call) => call >= 2 && call <= 4),
    );
    expect(error).toBeUndefined();
    expect(events.find(({ event }) => event === "rollback")).toMatchObject({
      iteration: 1,
      phase: "solver",
      step: 2,
      report: expect.stringMatching(
        /^3 updates in a row were skipped: iteration 1 solver step 2 \(logprob NaN; question \d+, sample 1\); /,
      ),
    });
    expect(fingerprint("passing", FILES)).toEqual(fingerprint("plain", FILES));
  });

  it("in the same place again ends the run, which a healthy machine goes on with", async () => {
    const { error } = await playWith(
      "lasting",
      poisoned((call) => call >= 2),
    );
    expect(error).toBeInstanceOf(RunError);
    expect((error as Error).message).toMatch(/3 updates in a row.*happened a second time.*rzero resume lasting/s);
    expect((await play(config, "lasting")).error).toBeUndefined();
    expect(fingerprint("lasting", FILES)).toEqual(fingerprint("plain", FILES));
  });
});

describe("a full disk", () => {
  it("pauses the run at a checkpoint and at the model, and the bytes are the same", async () => {
    const full = () => Promise.reject(new DiskError("x: expected to write it, got ENOSPC: no space left on device.", "ENOSPC"));
    const left = { save: 1, export: 1 };
    const { events, error } = await playWith("full", {
      trainer: (trainer) => ({
        saveState: (dir) => (left.save-- > 0 ? full() : trainer.saveState(dir)),
        exportModel: (dir, options) => (left.export-- > 0 ? full() : trainer.exportModel(dir, options)),
      }),
    });
    expect(error).toBeUndefined();
    const pauses = events.flatMap((event) => (event.event === "paused" ? [[event.state, event.what]] : []));
    expect(pauses).toEqual([
      ["waiting", "a checkpoint"],
      ["over", "a checkpoint"],
      ["waiting", "the model"],
      ["over", "the model"],
    ]);
    expect(fingerprint("full", FILES)).toEqual(fingerprint("plain", FILES));
  });
});

describe("an interruption", () => {
  it("after any step loses no rollout: each completion is made once", async () => {
    let drawn = 0;
    const counting: Meddling = {
      snapshot: (snapshot) => ({
        sample: (prompts, params, on) => {
          drawn += prompts.length * params.n;
          return snapshot.sample(prompts, params, on);
        },
      }),
    };
    await playWith("counted", counting);
    const whole = drawn;
    drawn = 0;
    for (const step of [1, 3]) {
      const stopped = await playWith("stopped", counting, (event) => event.event === "solver-step" && event.step === step);
      expect(stopped.error).toBeInstanceOf(InterruptedError);
      expect(stopped.events.at(-1)).toMatchObject({ event: "interrupted", phase: "solver" });
    }
    expect((await playWith("stopped", counting)).error).toBeUndefined();
    expect(drawn).toBe(whole);
    expect(fingerprint("stopped", FILES)).toEqual(fingerprint("plain", FILES));
  });
});
