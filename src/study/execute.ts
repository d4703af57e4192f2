// Carries out the runs of a study, some at a time, each as its own `rzero` process on its own threads: what is complete is skipped, what
// was interrupted goes on, what fails is reported and stops nothing else. Knows commands and run directories, no algorithm.

import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { GuardReport } from "../store/events.ts";
import type { RunStore } from "../store/run-store.ts";
import { openRun, runExists } from "../store/runs.ts";
import { makeDirectory, readText, writeFileAtomic } from "../util/files.ts";
import { formatDuration } from "../util/format.ts";
import { packageRoot } from "../util/package-root.ts";
import { differences, overridesOf, type PlannedArm, type Study } from "./arms.ts";
import { readEvaluation } from "./record.ts";

/** One run to make. */
export interface Job {
  readonly arm: PlannedArm;
  readonly seed: number;
  readonly name: string;
}

export interface ExecuteOptions {
  readonly study: Study;
  readonly jobs: readonly Job[];
  /** Directory of the study's runs. */
  readonly runs: string;
  readonly parallel: number;
  readonly threads: number;
  readonly quick: boolean;
  /** Stop a run after so many iterations; without it, it goes on. */
  readonly rounds?: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** The run of an arm with a seed. */
export function runName(arm: string, seed: number): string {
  return `${arm}-${seed}`;
}

/** Every arm with every seed; the early stages first, and in a stage seed by seed, so that a study cut short has whole pairs. */
export function planJobs(arms: readonly PlannedArm[], seeds: readonly number[]): Job[] {
  const stages = [...new Set(arms.map(({ stage }) => stage))].sort((a, b) => a - b);
  return stages.flatMap((stage) =>
    seeds.flatMap((seed) =>
      arms.filter((arm) => arm.stage === stage).map((arm) => ({ arm, seed, name: runName(arm.name, seed) })),
    ),
  );
}

/** Runs all jobs; gives the number of those that failed. After an abort it ends when the runs under way have saved. */
export async function execute(options: ExecuteOptions): Promise<number> {
  const { jobs, parallel, signal, say } = options;
  makeDirectory(join(options.runs, "logs"));
  const queue = [...jobs];
  let finished = 0;
  let failed = 0;
  const worker = async () => {
    for (let job = queue.shift(); job !== undefined && !signal.aborted; job = queue.shift()) {
      const started = performance.now();
      const problem = await runJob(job, options);
      finished++;
      if (signal.aborted) return;
      if (problem !== undefined) failed++;
      noteProblem(options.runs, job.name, problem);
      const took = formatDuration((performance.now() - started) / 1000);
      say(`${job.name}: ${problem === undefined ? "done" : `failed: ${problem}`}, ${took} (${finished} of ${jobs.length})`);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return failed;
}

const problemFile = (runs: string, name: string) => join(runs, "logs", `${name}.failed`);

function noteProblem(runs: string, name: string, problem: string | undefined): void {
  if (problem === undefined) rmSync(problemFile(runs, name), { force: true });
  else writeFileAtomic(problemFile(runs, name), problem);
}

/** Why a run failed when it was last tried; undefined when it did not. */
export function problemOf(runs: string, name: string): string | undefined {
  const file = problemFile(runs, name);
  return existsSync(file) ? readText(file, 4096) : undefined;
}

/** Makes or goes on with one run, then scores what it returns at a low temperature where its arm asks for that. */
async function runJob(job: Job, options: ExecuteOptions): Promise<string | undefined> {
  const { runs, quick, study, threads } = options;
  const { arm, seed, name } = job;
  const overrides = overridesOf(study, arm, { quick }).map(({ path, text }) => `--${path.join(".")}=${text}`);
  const make = ["run", arm.recipe, "--run", name, "--seed", String(seed), ...overrides, `--engine.threads=${threads}`];
  const old = runExists(runs, name) ? openRun(runs, name).config : undefined;
  const changed =
    old && (old.iterations === arm.config.iterations ? differences(old, arm.config) : [`iterations: ${old.iterations}`]);
  if (changed !== undefined && changed.length > 0)
    return `expected a run of this arm in ${runs}, got one with ${changed.slice(0, 3).join(", ")}. Remove it, or take another --runs.`;
  const enough = () => roundsDone(runs, name, options.rounds);
  const resume = old === undefined ? make : ["resume", name];
  const ended = enough() ? undefined : await rzero(resume, name, options, enough);
  const problem = enough() ? undefined : ended;
  if (problem !== undefined || !arm.lowTemperature || options.signal.aborted) return problem;
  for (const { file, model, forced } of lowTemperatureFiles(job, runs)) {
    if (existsSync(file)) continue;
    const { maxTokens, samples, benches, forcedPrefix } = arm.config.evaluation;
    const sampling = [
      "--samples",
      String(samples),
      "--temperature",
      "0.25",
      "--max-tokens",
      String(maxTokens),
      "--seed",
      String(seed),
    ];
    const prompt = model === arm.config.base ? ["--recipe", arm.recipe] : [];
    const prefix = forced && forcedPrefix !== undefined ? ["--forced-prefix", forcedPrefix] : [];
    const numbers = ["--threads", String(threads), "--dtype", "f32"];
    const found = await rzero(
      ["eval", "--model", model, "--data", benches[0].data, "--out", file, ...sampling, ...prompt, ...prefix, ...numbers],
      `${name}-low`,
      options,
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether a run has as many iterations as are wanted for now, and is to have more. */
function roundsDone(runs: string, name: string, rounds: number | undefined): boolean {
  if (rounds === undefined || !runExists(runs, name)) return false;
  const store = openRun(runs, name);
  return store.config.iterations > rounds && store.phaseDone(rounds, "evaluation");
}

/** Where the scores at a low temperature lie, and of which models; base and forced base are shared by all arms of a seed. */
function lowTemperatureFiles({ arm, seed, name }: Job, runs: string) {
  const file = (key: string) => join(runs, "evaluations", `${key}.json`);
  const end = returnedIteration(openRun(runs, name));
  return [
    { file: file(`base-${seed}`), model: arm.config.base, forced: false },
    { file: file(`forced-${seed}`), model: arm.config.base, forced: true },
    { file: file(`${name}-${end}`), model: `${name}:${end}`, forced: false },
  ];
}

/** The iteration that a run returns as far as it got: its guard's best where it rolls back, else the last that was evaluated. */
function returnedIteration(store: RunStore): number {
  const { enabled, action } = store.config.guard;
  const last = store.iterations().findLast((iteration) => store.phaseDone(iteration, "evaluation")) ?? 0;
  if (!enabled || action !== "rollback" || !store.phaseDone(last, "guard")) return last;
  return (store.readDone(last, "guard") as unknown as GuardReport).best.iteration;
}

/** The scores at a low temperature, when all three are there. Errors: DataError. */
export function readLowTemperature(job: Job, runs: string): { base: number; forced: number; end: number } | undefined {
  if (!job.arm.lowTemperature || !runExists(runs, job.name)) return undefined;
  const [base, forced, end] = lowTemperatureFiles(job, runs).map(({ file }) => readEvaluation(file));
  return base === undefined || forced === undefined || end === undefined ? undefined : { base, forced, end };
}

const POLL_MS = 1000;

/** One `rzero` command with its output in logs/, stopped when `enough` says so; gives the last line of its errors when it failed. */
function rzero(
  args: readonly string[],
  log: string,
  { runs, signal }: ExecuteOptions,
  enough: () => boolean = () => false,
): Promise<string | undefined> {
  const file = join(runs, "logs", `${log}.log`);
  const errors = openSync(file, "w");
  const command = [join(packageRoot, "dist", "cli", "main.js"), ...args, "--runs", runs, "--json"];
  const child = spawn(process.execPath, command, { cwd: packageRoot, stdio: ["ignore", "ignore", errors] });
  // A Ctrl-C at the terminal reaches the run too, and a second signal ends it at once: it goes on from its last checkpoint all the same.
  const stop = () => child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  const poll = setInterval(() => {
    if (!enough()) return;
    clearInterval(poll);
    stop();
  }, POLL_MS);
  return new Promise((resolve) => {
    const end = (problem: string | undefined) => {
      clearInterval(poll);
      signal.removeEventListener("abort", stop);
      closeSync(errors);
      resolve(problem);
    };
    child.on("error", (error) => end(error.message));
    child.on("exit", (code, name) =>
      end(code === 0 ? undefined : `${lastLine(file)} (${code === null ? name : `exit code ${code}`})`),
    );
  });
}

function lastLine(file: string): string {
  const lines = readText(file, 64 * 1024 * 1024)
    .split("\n")
    .filter((line) => line.trim() !== "");
  return (lines[lines.length - 1] ?? "no message").slice(0, 400);
}
