// SIGKILL at random instants, while a checkpoint is written and while a journal grows, again and again, and what comes out: byte for
// byte what an undisturbed run makes. A handful of kills by default; `KILLS=200` (npm run test:faults) at length, over runs of three
// iterations. `KILL_SEED` draws other instants.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rngFrom } from "../../src/util/rng.ts";
import {
  artefacts,
  type Ended,
  journalGrows,
  killedAfter,
  scratchRuns,
  startRzero,
  TINY_RUN,
  writesCheckpoint,
} from "./harness.ts";

const KILLS = Number(process.env.KILLS ?? 8);
const ITERATIONS = KILLS > 8 ? 3 : 2;
/** Short phases, so that many kills fit. */
const SHORT = KILLS > 8 ? ["--challenger.steps=1", "--solver.steps=2", "--curriculum.poolSize=64"] : [];
const SEED = Number(process.env.KILL_SEED ?? 1);
const rng = rngFrom(SEED, "kills");
/** Kills of one run before it is let end. */
const MOST = KILLS > 8 ? 10 : 4;
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
  ...TINY_RUN,
  `--iterations=${ITERATIONS}`,
  ...SHORT,
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

/** Real kills by when they came, and how many of them hit a resumed run. */
const hits = { random: 0, checkpoint: 0, journal: 0, resumed: 0 };

/** Kills one run up to `most` times, lets it end, and returns how often it was killed. */
async function torment(name: string, threads: number, most: number): Promise<number> {
  const dir = join(runs, name);
  for (let kills = 0; ; ) {
    const kind = (["random", "checkpoint", "journal"] as const)[rng.int(3)];
    const when = { random: undefined, checkpoint: () => writesCheckpoint(dir), journal: journalGrows(dir) }[kind];
    // Below the whole's time, so that most kills come before the end; a resumed run has less to do.
    const patience = kills < most ? rng.next() * wholeMs * (kind === "random" ? 0.4 : 0.2) : HOUR;
    const args = next(name, threads);
    const ended: Ended = await killedAfter(runs, args, patience, when);
    if (ended.signal === "SIGKILL") {
      kills++;
      hits[kind]++;
      if (args[0] === "resume") hits.resumed++;
    } else {
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
        kills += await torment(name, 1 + ((number + SEED) % 2), Math.min(KILLS - kills, MOST));
        expect(artefacts(join(runs, name))).toEqual(whole);
        rmSync(join(runs, name), { recursive: true });
        if (KILLS > 8) console.log(`${kills} kills, ${number} runs equal ${JSON.stringify(hits)}`);
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
