// Walks over the write calls of a small run: names them in an undisturbed run, then makes them fail, several in one run, until each has
// failed once. A run that ends is gone on with, and must come to the same bytes. The faults themselves are made in disk.mjs.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { artefacts, type Ended, startRzero } from "./harness.ts";

const preload = fileURLToPath(new URL("disk.mjs", import.meta.url));

/** A run of a second: every phase, one optimizer step in both roles, three questions to evaluate. */
export const SMALL_RUN = [
  "--challenger.steps=1",
  "--challenger.questionsPerStep=8",
  "--challenger.solverAnswers=2",
  "--challenger.sampling.maxTokens=40",
  "--challenger.solverSampling.maxTokens=24",
  "--curriculum.poolSize=16",
  "--curriculum.answers=3",
  "--curriculum.band=[0, 1]",
  "--curriculum.solverSampling.maxTokens=40",
  "--solver.steps=1",
  "--solver.questionsPerStep=4",
  "--solver.groupSize=4",
  "--solver.sampling.maxTokens=24",
  "--solver.sampling.temperature=1.6",
  "--evaluation.samples=1",
  "--guard.heldOut.questions=16",
  "--schedule.stop.patience=0",
  "--evaluation.greedy=false",
  "--evaluation.referenceLines=false",
  "--evaluation.maxTokens=12",
];

/** `rzero run` of the small run in the directory `runs`. */
export function smallRun(runs: string, name: string): string[] {
  const questions = join(runs, "questions.jsonl");
  if (!existsSync(questions))
    writeFileSync(questions, [1, 2, 3].map((i) => `{"question":"What is ${i} + 4?","answer":"${i + 4}"}\n`).join(""));
  const benches = `--evaluation.benches=[{name: few, data: ${JSON.stringify(questions)}}]`;
  return ["run", "tiny", "--run", name, "--threads", "1", "--iterations=1", ...SMALL_RUN, benches];
}

/** A run with faults. */
export interface Faulty extends Ended {
  /** Names of all calls, in order. */
  readonly calls: readonly string[];
  /** Those that failed. */
  readonly fired: readonly string[];
}

/** What fails, and how. */
export interface Faults {
  readonly code: string;
  /** The disk stays as it is once it failed, until the process ends. */
  readonly stays?: boolean;
}

/** Runs a new small run, or goes on with it, on a disk where the calls `keys` fail. */
export async function onFaultyDisk(runs: string, name: string, keys: readonly string[], faults: Faults): Promise<Faulty> {
  const dir = mkdtempSync(join(runs, "..", "rzero-calls-"));
  const [log, wanted] = [join(dir, "log"), join(dir, "keys")];
  writeFileSync(wanted, keys.join("\n"));
  const env = { NODE_OPTIONS: `--import=${preload}`, FAULT_LOG: log, FAULT_KEYS: wanted, FAULT_CODE: faults.code };
  const begun = existsSync(join(runs, name, "config.yaml"));
  const args = begun ? ["resume", name] : [...smallRun(runs, name), ...(faults.stays ? ["--run.disk.waitSeconds=0.001"] : [])];
  const ended = await startRzero(runs, args, faults.stays ? { ...env, FAULT_STAYS: "1" } : env).ended;
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  rmSync(dir, { recursive: true, force: true });
  const fired = lines.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  return { ...ended, calls: lines.map((line) => line.replace(/^!/, "")), fired };
}

/** What a walk did. */
export interface Walked {
  readonly tried: number;
  readonly runs: number;
  readonly processes: number;
  /** Calls that did not come again, such as those that time makes. */
  readonly unreached: readonly string[];
}

/** Makes each of the calls fail once, at most `perRun` in one run, and expects every run to end with the bytes of `whole`. */
export async function walk(
  runs: string,
  keys: readonly string[],
  faults: Faults & { readonly perRun: number; readonly whole: Record<string, string> },
): Promise<Walked> {
  let left = [...keys];
  const unreached: string[] = [];
  const done = { tried: 0, runs: 0, processes: 0 };
  while (left.length > 0) {
    const stride = Math.ceil(left.length / faults.perRun);
    const batch = left.filter((_, index) => index % stride === 0);
    const name = `faulty-${faults.code.toLowerCase()}-${++done.runs}`;
    const { fired, processes } = await oneRun(runs, name, batch, faults);
    expect({ batch, ...artefacts(join(runs, name)) }).toEqual({ batch, ...faults.whole });
    rmSync(join(runs, name), { recursive: true, force: true });
    done.tried += fired.size;
    done.processes += processes;
    const given = fired.size > 0 ? [] : batch;
    unreached.push(...given);
    left = left.filter((key) => !fired.has(key) && !given.includes(key));
  }
  return { ...done, unreached };
}

async function oneRun(runs: string, name: string, batch: readonly string[], faults: Faults) {
  const fired = new Set<string>();
  for (let processes = 1; ; processes++) {
    const open = batch.filter((key) => !fired.has(key));
    const ended = await onFaultyDisk(runs, name, open, faults);
    for (const key of ended.fired) fired.add(key);
    expect(`${ended.fired.join()}: ${ended.stderr}`).not.toContain("This is a bug");
    if (ended.code === 0) return { fired, processes };
    // What ended it is a fault of this process, said in one line with the way on.
    expect({ fired: ended.fired.length > 0, code: ended.code, stderr: ended.stderr }).toMatchObject({ fired: true, code: 1 });
  }
}
