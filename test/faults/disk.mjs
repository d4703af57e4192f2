// Loaded before the program (`node --import`), in its threads too: names every call that changes files below RZERO_RUNS and makes some of
// them fail. FAULT_LOG: file that gets a line per call, `!` before one that failed. FAULT_KEYS: file with the names of the calls that
// fail, each once, one per line; with FAULT_STAYS every call after the first of them fails too. FAULT_CODE: the error; SHORT writes one
// byte only, SLOW takes its time, both without an error. Pauses for room are cut short. Nothing of the product knows of it.

import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { relative, resolve, sep } from "node:path";
import timers from "node:timers/promises";

const { RZERO_RUNS = "", FAULT_LOG = "", FAULT_KEYS = "", FAULT_CODE = "ENOSPC", FAULT_STAYS } = process.env;
const LONGEST_PAUSE_MS = 20;
const SLOW_MS = 40;
const root = resolve(RZERO_RUNS) + sep;
const original = { ...fs };
const log = original.openSync(FAULT_LOG, "a");
const wanted = new Set(FAULT_KEYS === "" ? [] : original.readFileSync(FAULT_KEYS, "utf8").split("\n"));
const opened = new Map();
const counts = new Map();

/** The path inside the run, without what differs between two runs; undefined for other files. */
function placeOf(target) {
  if (typeof target === "number") return opened.get(target);
  const path = resolve(String(target));
  if (!`${path}${sep}`.startsWith(root)) return undefined;
  const [, ...inside] = relative(root, path).split(sep);
  return (inside.join("/") || ".").replace(/\.partial-\d+$/, ".partial").replace(/lock\.json\.[^/]*/, "lock.json.*");
}

/** A file beside the log tells all threads that the disk is full for good. */
const isFull = () => FAULT_STAYS !== undefined && original.existsSync(`${FAULT_LOG}.full`);

/** Names one call by its kind, its file and how often that was; whether it is one that fails. */
function fails(name, place) {
  if (isFull()) return true;
  const kind = `${name} ${place}`;
  const count = (counts.get(kind) ?? 0) + 1;
  const key = `${kind} ${count}`;
  const failing = wanted.delete(key);
  // A call that failed and comes again is the same call.
  if (!failing) counts.set(kind, count);
  original.writeSync(log, `${failing ? "!" : ""}${key}\n`);
  if (failing && FAULT_STAYS !== undefined) original.writeFileSync(`${FAULT_LOG}.full`, "");
  if (failing && FAULT_CODE === "SLOW") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SLOW_MS);
  return failing && FAULT_CODE !== "SLOW";
}

function failure(syscall, path) {
  const error = new Error(`${FAULT_CODE}: made by a test, ${syscall} '${path}'`);
  return Object.assign(error, { code: FAULT_CODE, errno: -28, syscall, path });
}

/** Whether a call is to throw. */
function throws(name, target) {
  const place = placeOf(target);
  return place !== undefined && fails(name, place) && FAULT_CODE !== "SHORT";
}

const isForWriting = (flags) =>
  typeof flags === "number" ? (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0 : /[wa+]/.test(flags);

for (const name of [
  "fsyncSync",
  "fdatasyncSync",
  "renameSync",
  "ftruncateSync",
  "mkdirSync",
  "writeFileSync",
  "appendFileSync",
  "linkSync",
]) {
  fs[name] = (target, ...rest) => {
    if (throws(name, target)) throw failure(name, target);
    return original[name](target, ...rest);
  };
}
for (const name of ["copyFileSync", "cpSync"]) {
  fs[name] = (from, to, ...rest) => {
    if (throws(name, to)) throw failure(name, to);
    return original[name](from, to, ...rest);
  };
}
fs.writeSync = (descriptor, data, ...rest) => {
  const place = placeOf(descriptor);
  if (place === undefined || !fails("writeSync", place)) return original.writeSync(descriptor, data, ...rest);
  if (FAULT_CODE !== "SHORT") throw failure("writeSync", place);
  if (typeof data === "string" || data.length < 2) return original.writeSync(descriptor, data, ...rest);
  return original.writeSync(descriptor, data, rest[0] ?? 0, 1);
};
fs.openSync = (path, flags = "r", ...rest) => {
  const place = placeOf(path);
  if (place !== undefined && isForWriting(flags) && throws("openSync", path)) throw failure("openSync", path);
  const descriptor = original.openSync(path, flags, ...rest);
  if (place !== undefined) opened.set(descriptor, place);
  // So that the pieces of a file have the same names when it is written again.
  if (flags === "w") counts.delete(`writeSync ${place}`);
  return descriptor;
};
fs.closeSync = (descriptor) => {
  opened.delete(descriptor);
  original.closeSync(descriptor);
};
const openHandle = promises.open;
promises.open = async (path, flags = "r", ...rest) => {
  if (isForWriting(flags) && throws("open", path)) throw failure("open", path);
  const handle = await openHandle(path, flags, ...rest);
  for (const name of ["sync", "datasync", "write", "writeFile", "truncate"]) {
    const method = handle[name].bind(handle);
    handle[name] = async (...args) => {
      if (throws(name, path)) throw failure(name, path);
      return method(...args);
    };
  }
  return handle;
};
const pause = timers.setTimeout;
timers.setTimeout = (ms, ...rest) => pause(Math.min(ms, LONGEST_PAUSE_MS), ...rest);
syncBuiltinESMExports();
