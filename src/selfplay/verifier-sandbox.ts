// Runs an untrusted checker program on one question and answer: in a fresh V8 context without one object of ours, with a time limit.
// Runs inside verifier-process.ts, whose memory is limited and which is ended from outside when the limit here does not hold.
// A checker is a script that defines `verify(question, answer)`. It may not contain the word `import`.

import { type Context, createContext, Script } from "node:vm";

/** Longest program that is run, in characters. */
export const MAX_PROGRAM_LENGTH = 20_000;

/**
 * Takes away what could block the thread, hold memory outside the heap's limit, or make code from text. All of it runs before the program,
 * inside its context.
 */
const PREPARE = `"use strict";
for (const name of ["Atomics", "SharedArrayBuffer", "ArrayBuffer", "DataView", "WebAssembly", "WeakRef", "FinalizationRegistry",
  "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array", "Float16Array",
  "Float32Array", "Float64Array", "BigInt64Array", "BigUint64Array", "console", "eval", "Function"])
  delete globalThis[name];`;

/** Closes the ways from an object of this thread's own realm to code, should a program ever get hold of one. Call once, before any program. */
export function closeRealm(): void {
  for (const fn of [() => {}, async () => {}, function* () {}, async function* () {}]) {
    const prototype = Object.getPrototypeOf(fn) as object;
    Object.defineProperty(prototype, "constructor", { value: undefined, writable: false, configurable: false });
  }
}

/** The program's verdict; undefined when it gives none, throws, is too long, or does not end in time. */
export function runProgram(program: string, question: string, answer: string, timeoutMs: number): boolean | undefined {
  if (program.length > MAX_PROGRAM_LENGTH || /import/.test(program)) return undefined;
  const context = createContext(Object.create(null) as Context, {
    codeGeneration: { strings: false, wasm: false },
    microtaskMode: "afterEvaluate",
  });
  const call = `"use strict"; globalThis.__verdict = "none";
Promise.resolve(verify(${literal(question)}, ${literal(answer)})).then((value) => {
  globalThis.__verdict = value === true ? "true" : value === false ? "false" : "none";
}, () => {});`;
  try {
    for (const code of [PREPARE, program, call]) new Script(code).runInContext(context, { timeout: timeoutMs });
    const verdict: unknown = new Script("globalThis.__verdict").runInContext(context, { timeout: timeoutMs });
    // Only a primitive crosses: nothing of the context's realm is ever called or read here.
    return verdict === "true" ? true : verdict === "false" ? false : undefined;
  } catch {
    return undefined;
  }
}

/** A string literal of the program's language. */
function literal(text: string): string {
  return JSON.stringify(text).replace(/[\u2028\u2029]/g, (mark) => (mark === "\u2028" ? "\\u2028" : "\\u2029"));
}
