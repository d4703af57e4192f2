// `rzero run` and `resume` from outside: events as JSON Lines, Ctrl-C and kill -9 in the middle of an iteration, and what comes out.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { smallArgs } from "./small-run.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, "dist", "cli", "main.js");
const scratch = mkdtempSync(join(tmpdir(), "rzero-run-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const environment = { ...process.env, RZERO_RUNS: join(scratch, "runs"), NO_COLOR: "1", RZERO_DEBUG: "" };

const RUN = smallArgs("iterations=2", "solver.steps=2");

type Event = Record<string, unknown> & { event: string };

/** Runs a command that prints events; sends `signal` when an event passes `when`, and once more when it says `again`. */
async function events(args: string[], interrupt?: { when: (event: Event) => boolean; signal: NodeJS.Signals; again?: string }) {
  const child = spawn(process.execPath, [main, ...args, "--json"], {
    env: environment,
    cwd: scratch,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  let sent = false;
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
    if (interrupt?.again && String(chunk).includes(interrupt.again)) child.kill(interrupt.signal);
  });
  const seen: Event[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line) as Event;
    seen.push(event);
    if (interrupt && !sent && interrupt.when(event)) sent = child.kill(interrupt.signal);
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on("close", (...end) => resolve(end)),
  );
  return { seen, stderr, code, signal };
}

function rzero(args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    env: environment,
    cwd: scratch,
  });
  return { status, stdout, stderr };
}

const weights = (run: string) => readFileSync(join(scratch, "runs", run, "iteration-02", "solver", "model", "model.safetensors"));
const inCurriculum = (event: Event) => event.event === "curriculum" && event.iteration === 1;
const inSolver = (event: Event) => event.event === "solver-step" && event.iteration === 1;

describe("a run", () => {
  let whole: Awaited<ReturnType<typeof events>>;
  beforeAll(async () => {
    whole = await events(["run", "tiny", "--run", "whole", ...RUN]);
  });

  it("prints its events as JSON Lines, the summary last", () => {
    expect([whole.code, whole.stderr.includes("rzero:")]).toEqual([0, false]);
    expect(whole.seen[0]).toMatchObject({ event: "start", run: "whole", recipe: "tiny", seed: 1, resumed: false });
    expect(whole.seen.at(-1)).toMatchObject({
      event: "done",
      run: "whole",
      best: { iteration: expect.any(Number) },
      final: { iteration: 2 },
    });
    const phases = whole.seen
      .filter(({ event, state }) => event === "phase" && state === "done")
      .map(({ iteration, phase }) => `${iteration} ${phase}`);
    const iteration = (number: number) =>
      ["challenger", "curriculum", "solver", "guard", "evaluation"].map((phase) => `${number} ${phase}`);
    expect(phases).toEqual(["0 evaluation", ...iteration(1), ...iteration(2)]);
  });

  it("is seen by list, inspect and resume", () => {
    expect(JSON.parse(rzero(["list", "--json"]).stdout)[0]).toMatchObject({
      name: "whole",
      state: "done",
      last: { iteration: 2, phase: "evaluation" },
    });
    const seen = JSON.parse(rzero(["inspect", "whole", "--json"]).stdout);
    expect(seen).toMatchObject({ run: "whole", state: "done", seed: 1 });
    expect(seen.iterations.map(({ iteration }: { iteration: number }) => iteration)).toEqual([0, 1, 2]);
    expect(seen.iterations[1]).toMatchObject({
      challenger: { steps: 1 },
      curriculum: { pool: 100, kept: expect.any(Number) },
      solver: { steps: 2, mean: { samplerMismatch: 0 } },
      evaluation: { solver: { mean: expect.any(Number), greedy: expect.any(Number) } },
    });
    const text = rzero(["inspect", "whole"]).stdout;
    for (const part of ["held-out: ", "base", "iteration 2", "sampler mismatch", "label accuracy %"])
      expect(text).toContain(part);
    expect(rzero(["resume", "whole"])).toMatchObject({ status: 0, stderr: expect.stringContaining("is complete") });
  });

  it("Ctrl-C saves and ends with 130; resume gives the same weights", async () => {
    const { code, seen, stderr } = await events(["run", "tiny", "--run", "stopped", ...RUN], {
      when: inSolver,
      signal: "SIGINT",
    });
    expect(code).toBe(130);
    expect(seen.at(-1)).toMatchObject({ event: "interrupted", iteration: 1 });
    expect(stderr).toContain("rzero resume stopped");
    const resumed = await events(["resume", "stopped"]);
    expect(resumed.seen[0]).toMatchObject({ event: "start", resumed: true });
    expect(resumed.seen.filter(({ event }) => event === "challenger-step").map(({ iteration }) => iteration)).toEqual([2]);
    expect(weights("stopped").equals(weights("whole"))).toBe(true);
  });

  it("a second Ctrl-C ends at once; resume gives the same weights", async () => {
    const { code, seen, stderr } = await events(["run", "tiny", "--run", "twice", ...RUN], {
      when: (event) => event.event === "phase" && event.iteration === 1 && event.phase === "challenger",
      signal: "SIGINT",
      again: "once more ends at once",
    });
    expect(code).toBe(130);
    expect(stderr).toContain("stopped at once");
    expect(seen.at(-1)).toMatchObject({ event: "phase", iteration: 1, phase: "challenger", state: "start" });
    expect((await events(["resume", "twice"])).code).toBe(0);
    expect(weights("twice").equals(weights("whole"))).toBe(true);
  });

  it("SIGTERM ends at its deadline, and the run is as resumable as ever", async () => {
    const { code, stderr } = await events(["run", "tiny", "--run", "taken", "--grace", "0", ...RUN], {
      when: inCurriculum,
      signal: "SIGTERM",
    });
    expect(code).toBe(130);
    expect(stderr).toMatch(/not done within 0 s; what was finished is saved\. Go on with: rzero resume taken/);
    expect((await events(["resume", "taken"])).code).toBe(0);
    expect(weights("taken").equals(weights("whole"))).toBe(true);
  });

  it("kill -9 leaves a run that resumes to the same weights", async () => {
    const { signal } = await events(["run", "tiny", "--run", "killed", ...RUN], { when: inCurriculum, signal: "SIGKILL" });
    expect(signal).toBe("SIGKILL");
    expect(JSON.parse(rzero(["list", "--json"]).stdout).find(({ name }: { name: string }) => name === "killed")).toMatchObject({
      state: "stopped",
    });
    expect((await events(["resume", "killed"])).code).toBe(0);
    expect(weights("killed").equals(weights("whole"))).toBe(true);
  });

  it("gives models and questions to other commands", () => {
    const out = join(scratch, "out");
    expect(rzero(["export", "whole", "--what", "solver,questions", "--out", out, "--iteration", "2"]).status).toBe(0);
    expect(readFileSync(join(out, "solver", "model.safetensors")).equals(weights("whole"))).toBe(true);
    expect(readdirSync(join(out, "questions"))).toEqual(["questions-02.jsonl"]);
    expect(existsSync(join(out, "solver", "tokenizer.json"))).toBe(true);
    const args = ["generate", "--chat", "--prompt", "What is 2+3?", "--temperature", "0", "--max-tokens", "60", "--model"];
    const answers = ["whole:2:solver", join(out, "solver")].map((model) => rzero([...args, model]).stdout);
    expect(answers[0]).toBe(answers[1]);
    expect(rzero([...args, "whole:1:challenger"]).status).toBe(0);
    expect(rzero([...args, "whole:7"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("expected an iteration of whole in 0 … 2"),
    });
  });
});
