// A whole tiny run through `engine: tinker` against `rzero serve --protocol tinker` gives what the embedded engine gives, byte for byte:
// with faults on the way, the server killed and started again, the client killed and resumed. The key is nowhere.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { FaultyProxy } from "../contract/faulty-proxy.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, "dist", "cli", "main.js");
const scratch = mkdtempSync(join(tmpdir(), "rzero-tinker-run-"));
const runs = join(scratch, "runs");
const KEY = "tml-nobody-may-read-this-key";
const environment = { ...process.env, RZERO_RUNS: runs, NO_COLOR: "1", RZERO_DEBUG: "", TINKER_API_KEY: KEY, RZERO_API_KEY: KEY };

const SMALL = [
  "--iterations=1",
  "--challenger.steps=1",
  "--challenger.questionsPerStep=16",
  "--challenger.solverAnswers=2",
  "--curriculum.poolSize=24",
  "--curriculum.answers=3",
  "--curriculum.band=[0.2, 1]",
  "--solver.steps=3",
  "--solver.questionsPerStep=4",
  "--solver.groupSize=4",
  "--evaluation.benches=[]",
  "--evaluation.referenceLines=false",
  "--guard.enabled=false",
];
const LORA = ["--engine.lora.rank=4"];

let port = 0;
let server: ChildProcess | undefined;
/** All that any process has printed. */
let printed = "";

beforeAll(async () => {
  port = await freePort();
  await startServer();
  expect(
    spawnSync(process.execPath, [main, "run", "tiny", "--run", "local", ...SMALL, ...LORA], { env: environment }).status,
  ).toBe(0);
}, 120_000);
afterAll(() => {
  server?.kill("SIGKILL");
  rmSync(scratch, { recursive: true, force: true });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

async function startServer(): Promise<void> {
  const args = ["serve", "--protocol", "tinker", "--model", "tiny-base", "--dtype", "f32", "--port", `${port}`];
  const child = spawn(process.execPath, [main, ...args, "--state", join(scratch, "state"), "--json"], { env: environment });
  server = child;
  child.stderr.on("data", (chunk) => {
    printed += chunk;
  });
  await new Promise<void>((resolve, reject) => {
    child.on("exit", () => reject(new Error(`the server ended: ${printed}`)));
    createInterface({ input: child.stdout }).once("line", () => resolve());
  });
  child.removeAllListeners("exit");
}

type Event = { event: string; step?: number };

/** Runs or resumes a run; what `on` does with an event may kill it. */
async function rzero(args: string[], on: (event: Event, kill: () => void) => void = () => {}): Promise<number | null> {
  const child = spawn(process.execPath, [main, ...args, "--json"], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  child.stderr.on("data", (chunk) => {
    printed += chunk;
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    printed += `${line}\n`;
    on(JSON.parse(line) as Event, () => child.kill("SIGKILL"));
  });
  return new Promise((resolve) => {
    child.on("close", resolve);
  });
}

/** Files of a run that its results are in, with their bytes. */
function results(run: string): Record<string, string> {
  const dir = join(runs, run);
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).filter((path) => /iteration-\d+\//.test(path));
  const kept = paths.filter((path) => !/\/(state|checkpoints|journal)\//.test(path));
  return Object.fromEntries(kept.sort().map((path) => [relative(dir, path), readFileSync(path).toString("base64")]));
}

function expectKeyNowhere(run: string): void {
  for (const entry of readdirSync(join(runs, run), { recursive: true, withFileTypes: true }))
    if (entry.isFile()) expect(readFileSync(join(entry.parentPath, entry.name)).includes(KEY)).toBe(false);
  expect(printed).not.toContain(KEY);
}

const engine = (url: string) => ["--engine.kind=tinker", `--engine.url=${url}`, ...LORA];

it("is the same under faults, a killed server and a killed client", async () => {
  const proxy = await FaultyProxy.start(`http://127.0.0.1:${port}`, { every: 40, seed: 3 });
  let restarted: Promise<void> | undefined;
  const killed = await rzero(["run", "tiny", "--run", "faulty", ...SMALL, ...engine(proxy.url)], (event, kill) => {
    if (event.event === "challenger-step") {
      server?.kill("SIGKILL");
      restarted = startServer();
    }
    if (event.event === "solver-step" && event.step === 2) kill();
  });
  await restarted;
  expect(killed).toBeNull();
  expect(await rzero(["resume", "faulty"])).toBe(0);
  await proxy.close();
  expect(proxy.injected.size).toBeGreaterThan(3);
  const expected = results("local");
  expect(Object.keys(expected).length).toBeGreaterThan(8);
  expect(results("faulty")).toEqual(expected);
  expect(spawnSync(process.execPath, [main, "inspect", "faulty", "--verify"], { env: environment }).status).toBe(0);
  expectKeyNowhere("faulty");
}, 180_000);

it("keeps the key to itself when it fails in the middle", async () => {
  const status = await rzero(
    ["run", "tiny", "--run", "failing", ...SMALL, ...engine(`http://127.0.0.1:${port}`), "--engine.patienceSeconds=1"],
    (event) => {
      if (event.event === "challenger-step") server?.kill("SIGKILL");
    },
  );
  expect(status).toBe(1);
  expect(printed).toMatch(/expected a sign of life within 1 s/);
  expectKeyNowhere("failing");
}, 120_000);
