// Loaded before the program (`node --import`), in its threads too: counts the calls that change files below RZERO_RUNS and makes some of
// them fail. FAULT_COUNT names the counter file, FAULT_AT the first failing call (from 1), FAULT_SPAN how many fail, FAULT_CODE the
// error; SHORT writes one byte only, without an error. Nothing of the product knows of it.

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { resolve, sep } from "node:path";

const { RZERO_RUNS = "", FAULT_COUNT = "", FAULT_AT = "0", FAULT_SPAN = "1", FAULT_CODE = "ENOSPC" } = process.env;
const root = resolve(RZERO_RUNS) + sep;
const original = { ...fs };
const counter = original.openSync(FAULT_COUNT, "a");
const opened = new Set();

/** Counts one call in all threads together; whether it is one that fails. */
function fails() {
  original.writeSync(counter, "x");
  const number = original.fstatSync(counter).size;
  return number >= Number(FAULT_AT) && number < Number(FAULT_AT) + Number(FAULT_SPAN) && Number(FAULT_AT) > 0;
}

function failure(syscall, path) {
  const error = new Error(`${FAULT_CODE}: made by a test, ${syscall} '${path}'`);
  return Object.assign(error, { code: FAULT_CODE, errno: -28, syscall, path });
}

const inside = (target) =>
  typeof target === "number" ? opened.has(target) : `${resolve(String(target))}${sep}`.startsWith(root);

for (const name of [
  "writeSync",
  "fsyncSync",
  "renameSync",
  "ftruncateSync",
  "mkdirSync",
  "writeFileSync",
  "appendFileSync",
  "linkSync",
]) {
  fs[name] = (target, ...rest) => {
    if (!inside(target) || !fails()) return original[name](target, ...rest);
    if (FAULT_CODE !== "SHORT") throw failure(name, target);
    if (name !== "writeSync" || typeof rest[0] === "string" || rest[0].length < 2) return original[name](target, ...rest);
    return original.writeSync(target, rest[0], rest[1] ?? 0, 1);
  };
}
fs.openSync = (path, flags = "r", ...rest) => {
  const writes = typeof flags === "string" && /[wa+]/.test(flags);
  if (writes && inside(path) && fails() && FAULT_CODE !== "SHORT") throw failure("open", path);
  const descriptor = original.openSync(path, flags, ...rest);
  if (inside(path)) opened.add(descriptor);
  return descriptor;
};
fs.closeSync = (descriptor) => {
  opened.delete(descriptor);
  original.closeSync(descriptor);
};
syncBuiltinESMExports();
