// SIGKILL at random instants, again and again, and what comes out: byte for byte what an undisturbed run makes. A handful of kills by
// default; `KILLS=200` (npm run test:faults) at length, over runs of three iterations. `KILL_SEED` draws other instants.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rngFrom } from "../../src/util/rng.ts";
import { artefacts, type Ended, killedAfter, scratchRuns, startRzero, TINY_RUN } from "./harness.ts";

const KILLS = Number(process.env.KILLS ?? 8);
const ITERATIONS = KILLS > 8 ? 3 : 2;
const rng = rngFrom(Number(process.env.KILL_SEED ?? 1), "kills");
const HOUR = 3_600_000;

const runs = scratchRuns();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

const args = (name: string, threads: number) => [
  "run",
  "tiny",
  "--run",
  name,
  "--threads",
  String(threads),
  `--iterations=${ITERATIONS}`,
  ...TINY_RUN,
];

let whole: Record<string, string>;
let wholeMs = 0;
beforeAll(async () => {
  const started = performance.now();
  const { code, stderr } = await startRzero(runs, args("whole", 2)).ended;
  wholeMs = performance.now() - started;
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  whole = artefacts(join(runs, "whole"));
}, HOUR);

/** Starts a run, or goes on with it when its directory was made. */
const next = (name: string, threads: number) =>
  existsSync(join(runs, name, "config.yaml")) ? ["resume", name] : args(name, threads);

/** Kills one run up to `most` times, lets it end, and returns how often it was killed. */
async function torment(name: string, threads: number, most: number): Promise<number> {
  for (let kills = 0; ; ) {
    const patience = kills < most ? rng.next() * Math.max(3000, wholeMs / 2) : HOUR;
    const ended: Ended = await killedAfter(runs, next(name, threads), patience);
    if (ended.signal === "SIGKILL") kills++;
    else {
      expect({ code: ended.code, stderr: ended.code === 0 ? "" : ended.stderr }).toEqual({ code: 0, stderr: "" });
      return kills;
    }
  }
}

describe("a run that is killed at random instants", () => {
  it(
    `ends with the same bytes (${KILLS} kills)`,
    async () => {
      let kills = 0;
      for (let number = 1; kills < KILLS; number++) {
        const name = `killed-${number}`;
        kills += await torment(name, 1 + (number % 2), Math.min(KILLS - kills, KILLS > 8 ? 10 : 4));
        expect(artefacts(join(runs, name))).toEqual(whole);
        rmSync(join(runs, name), { recursive: true });
        if (KILLS > 8) console.log(`${kills} kills, ${number} runs equal`);
      }
      expect(kills).toBe(KILLS);
    },
    HOUR,
  );
});

describe("a run with damage", () => {
  it(
    "names the damaged newest checkpoint and goes on from the one before, to the same bytes",
    async () => {
      const name = "damaged";
      const { child, ended } = startRzero(runs, [...args(name, 2), "--json"]);
      let seen = "";
      child.stdout?.on("data", (chunk) => {
        seen += chunk;
        if (/"event":"solver-step","iteration":1,"step":2/.test(seen)) child.kill("SIGKILL");
      });
      expect((await ended).signal).toBe("SIGKILL");
      const { checkpoints } = { checkpoints: join(runs, name, "iteration-01", "solver", "checkpoints") };
      const newest = join(
        checkpoints,
        readdirSync(checkpoints)
          .filter((entry) => /^\d+$/.test(entry))
          .sort()
          .at(-1) ?? "",
      );
      flipByte(join(newest, readdirSync(newest).find((file) => file.startsWith("m.")) ?? ""));
      const resumed = await startRzero(runs, ["resume", name]).ended;
      expect(resumed.code).toBe(0);
      expect(resumed.stdout).toMatch(/warning: .*checkpoint is damaged.*expected SHA-256/);
      expect(artefacts(join(runs, name))).toEqual(whole);
    },
    HOUR,
  );

  it(
    "does a finished phase again when its state is damaged, to the same bytes",
    async () => {
      const name = "state";
      const { child, ended } = startRzero(runs, [...args(name, 1), "--json"]);
      child.stdout?.on("data", (chunk) => {
        if (/"event":"curriculum","iteration":2/.test(String(chunk))) child.kill("SIGKILL");
      });
      expect((await ended).signal).toBe("SIGKILL");
      const state = join(runs, name, "iteration-01", "solver", "state");
      flipByte(join(state, readdirSync(state).find((file) => file.startsWith("weights.")) ?? ""));
      const resumed = await startRzero(runs, ["resume", name]).ended;
      expect({ code: resumed.code, stderr: resumed.code === 0 ? "" : resumed.stderr }).toEqual({ code: 0, stderr: "" });
      expect(resumed.stdout).toMatch(/the state of the solver is damaged/);
      expect(artefacts(join(runs, name))).toEqual(whole);
    },
    HOUR,
  );

  function flipByte(file: string): void {
    const bytes = readFileSync(file);
    bytes[bytes.length - 5] ^= 16;
    writeFileSync(file, bytes);
  }
});
