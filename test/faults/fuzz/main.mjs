// Fuzzes every parser of files from outside: `node test/faults/fuzz/main.mjs [--cases N] [--seed S] [--target NAME] [--from I] [--jobs J]`.
// A case that crashes, runs over 1 s (seen again alone), exhausts a heap of 512 MB or asks for more than 1 GB is a finding; exit code 1.
// Reproduce one: --target NAME --from INDEX --cases 1 with the same seed.

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { TARGETS } from "./targets.mjs";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
    target: { type: "string" },
    from: { type: "string", default: "0" },
    jobs: { type: "string", default: "1" },
  },
});
const HEAP_MB = 512;
const seed = Number(values.seed);
const memory = statSync("/dev/shm", { throwIfNoEntry: false })?.isDirectory() ? "/dev/shm" : tmpdir();
const scratch = mkdtempSync(join(memory, "rzero-fuzz-"));
const findings = [];
const counts = new Map();
let workers = 0;

/** Runs cases [from, to) of a target in one thread; resolves with the index of a case that ended it, if any. */
function runPiece(name, from, to, alone) {
  return new Promise((resolve) => {
    const shared = new SharedArrayBuffer(16);
    const current = new Int32Array(shared, 0, 2);
    const started = new Float64Array(shared, 8, 1);
    const dir = join(scratch, `${name}-${++workers}`);
    const worker = new Worker(new URL("worker.mjs", import.meta.url), {
      workerData: { name, seed, from, to, shared, dir, mark: 1 },
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, stackSizeMb: 4 },
    });
    const { limitMs } = TARGETS.find((target) => target.name === name);
    let hung = false;
    let refused = 0;
    let finished = false;
    const timer = setInterval(() => {
      if (Atomics.load(current, 1) !== 1) return;
      if (performance.timeOrigin + performance.now() - started[0] < limitMs * (alone ? 1 : 2)) return;
      hung = true;
      void worker.terminate();
    }, 50);
    worker.on("message", (message) => {
      if (message.finding) findings.push(message.finding);
      else {
        finished = true;
        refused = message.refused;
      }
    });
    worker.on("error", (error) => {
      if (!hung)
        findings.push({
          name,
          index: Atomics.load(current, 0),
          what: `ended the thread: ${error.code ?? ""} ${error.stack ?? error}`,
        });
    });
    worker.on("exit", () => {
      clearInterval(timer);
      rmSync(dir, { recursive: true, force: true });
      resolve({ stopped: finished ? undefined : Atomics.load(current, 0), hung, refused });
    });
  });
}

async function runTarget(name, from, count) {
  const begun = performance.now();
  let at = from;
  let refused = 0;
  while (at < from + count) {
    const result = await runPiece(name, at, from + count, false);
    refused += result.refused;
    if (result.stopped === undefined) break;
    if (result.hung) {
      // A machine under load may have been slow: only a case that is slow twice alone is a finding.
      let slow = 0;
      for (let again = 0; again < 2; again++) if ((await runPiece(name, result.stopped, result.stopped + 1, true)).hung) slow++;
      if (slow === 2) findings.push({ name, index: result.stopped, what: "ran over its limit of time" });
    }
    at = result.stopped + 1;
  }
  counts.set(name, { cases: count, refused });
  const seconds = Math.round((performance.now() - begun) / 1000);
  console.log(`${name}: ${count} cases, ${refused} refused, ${seconds} s, findings so far ${findings.length}`);
}

const chosen = TARGETS.filter(({ name }) => values.target === undefined || values.target === name);
if (chosen.length === 0)
  throw new Error(`--target: expected one of ${TARGETS.map(({ name }) => name).join(", ")}, got ${values.target}`);
const shares = chosen.reduce((sum, { share }) => sum + share, 0);
const queue = [...chosen];
const started = performance.now();
const job = async () => {
  for (let next = queue.shift(); next !== undefined; next = queue.shift())
    await runTarget(next.name, Number(values.from), Math.max(1, Math.round((Number(values.cases) * next.share) / shares)));
};
await Promise.all(Array.from({ length: Number(values.jobs) }, job));
rmSync(scratch, { recursive: true, force: true });
const total = [...counts.values()].reduce((sum, { cases }) => sum + cases, 0);
for (const { name, index, what } of findings.slice(0, 40)) console.log(`FINDING ${name} ${index} (seed ${seed}): ${what}`);
console.log(
  JSON.stringify({ cases: total, seed, findings: findings.length, seconds: Math.round((performance.now() - started) / 1000) }),
);
process.exitCode = findings.length > 0 ? 1 : 0;
