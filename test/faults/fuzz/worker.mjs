// One fuzzing thread: makes cases of one target, runs its parser on each, and says what is not the program's own error. The case under
// way stands in shared memory, so that main.mjs sees one that hangs. Allocations above a limit are findings too.

import { mkdirSync, rmSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { randomOf } from "./mutate.mjs";
import { TARGETS } from "./targets.mjs";

const OWN = new Set(["ConfigError", "DataError", "CheckpointError", "RunError", "Problem"]);
const MAX_BYTES = 1e9;
const { name, seed, from, to, shared, dir, mark } = workerData;
const current = new Int32Array(shared, 0, 2);
const started = new Float64Array(shared, 8, 1);

let largest = 0;
/** Notes every large block of memory that is asked for; the length of `new X(length)` or `alloc(length)`. */
function watch(owner, key, bytesPerElement) {
  const original = owner[key];
  const note = (length) => {
    if (typeof length === "number" && length * bytesPerElement > largest) largest = length * bytesPerElement;
  };
  owner[key] = new Proxy(original, {
    construct(target, args, newTarget) {
      note(args[0]);
      return Reflect.construct(target, args, newTarget === owner[key] ? target : newTarget);
    },
    apply(target, self, args) {
      note(args[0]);
      return Reflect.apply(target, self, args);
    },
  });
}
for (const [key, bytes] of [
  ["ArrayBuffer", 1],
  ["Uint8Array", 1],
  ["Uint16Array", 2],
  ["Uint32Array", 4],
  ["Int32Array", 4],
  ["Float32Array", 4],
  ["Float64Array", 8],
  ["BigInt64Array", 8],
  ["Array", 8],
])
  watch(globalThis, key, bytes);
for (const key of ["alloc", "allocUnsafe"]) watch(Buffer, key, 1);

const target = TARGETS.find((candidate) => candidate.name === name);
console.warn = () => {};
rmSync(dir, { recursive: true, force: true });
mkdirSync(dir, { recursive: true });
target.prepare(dir);
const refused = { count: 0 };
for (let index = from; index < to; index++) {
  largest = 0;
  started[0] = performance.timeOrigin + performance.now();
  Atomics.store(current, 0, index);
  Atomics.store(current, 1, mark);
  try {
    await target.once(dir, randomOf(seed, name, index));
  } catch (error) {
    if (OWN.has(error?.name)) refused.count++;
    else parentPort.postMessage({ finding: { name, index, what: `crash: ${error?.stack ?? error}` } });
  }
  Atomics.store(current, 1, 0);
  if (largest > MAX_BYTES) parentPort.postMessage({ finding: { name, index, what: `allocation of ${largest} bytes` } });
}
parentPort.postMessage({ done: to - from, refused: refused.count });
rmSync(dir, { recursive: true, force: true });
