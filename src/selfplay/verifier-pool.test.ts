// Verifiers in their processes: what honest ones say, and that hostile ones say nothing and harm nothing. Needs dist/.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { splitChecker } from "../prompts/checker.ts";
import { VerifierPool } from "./verifier-pool.ts";

const scratch = mkdtempSync(join(tmpdir(), "rzero-verifier-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const ADDS = `function verify(question, answer) {
  const [a, b] = question.match(/\\d+/g).map(Number);
  return Number(answer) === a + b;
}`;

describe("a program in the sandbox", () => {
  let pool: VerifierPool;
  beforeAll(() => {
    pool = new VerifierPool({ data: { kind: "program", timeoutMs: 150 }, deadlineMs: 1500, memoryMb: 32 });
  });
  afterAll(() => pool.close());
  const ask = (program: string) => pool.verify({ question: "What is 2+3?", answer: "5", program });

  it("judges answers, at once or by a promise, and each in a world of its own", async () => {
    expect(await ask(ADDS)).toBe(true);
    expect(await pool.verify({ question: "What is 2+3?", answer: "6", program: ADDS })).toBe(false);
    expect(await ask("async function verify() { await null; return true; }")).toBe(true);
    expect(await ask("const verify = () => { globalThis.left = 1; String.prototype.trim = 1; return true; };")).toBe(true);
    expect(await ask("const verify = () => globalThis.left === undefined && 'a '.trim() === 'a';")).toBe(true);
    expect(
      await pool.verify({ question: "\u2028\"'`$[}\\", answer: "</script>", program: "var verify = (q) => q.length === 8;" }),
    ).toBe(true);
  });

  const SILENT: [string, string][] = [
    ["not a program", "function verify( {"],
    ["without verify", "const check = () => true;"],
    ["an error", "function verify() { throw new Error('no'); }"],
    ["a rejection", "function verify() { return Promise.reject(1); }"],
    ["a promise that never ends", "function verify() { return new Promise(() => {}); }"],
    ["neither true nor false", "function verify() { return 'true'; }"],
    ["an infinite loop", "function verify() { for (;;); }"],
    ["an infinite loop at the start", "for (;;); function verify() { return true; }"],
    ["an infinite loop of promises", "function verify() { const again = () => Promise.resolve().then(again); return again(); }"],
    ["a regular expression that backtracks", "function verify() { return /^(a+)+$/.test('a'.repeat(40) + 'b'); }"],
    ["endless recursion", "function verify() { return verify() && true; }"],
    ["a bomb of arrays", "function verify() { const a = []; for (;;) a.push(new Array(1e5).fill(a.length)); }"],
    ["a bomb of text", "function verify() { const a = []; for (;;) a.push('x'.repeat(1e7) + a.length); }"],
    [
      "a bomb of one long text",
      "function verify() { let s = 'xx'; for (;;) { s += s; s.codePointAt(s.length >> 1); JSON.stringify(s); } }",
    ],
    ["a bomb of large numbers", "function verify() { let n = 2n; for (;;) n = n * n; }"],
    ["one huge array", "function verify() { return new Array(2 ** 28).fill(1).length > 0 && [].concat(...[]) && nothing; }"],
    ["a dynamic import", "function verify() { return import('node:fs').then(() => true); }"],
    ["a dynamic import within a text", "function verify() { return (0, eval)(\"import('node:fs')\").then(() => true); }"],
    [
      "a wait on shared memory",
      "function verify() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); return true; }",
    ],
    ["process", "function verify() { return process.exit(0) || true; }"],
    ["require", "function verify() { return require('node:fs') && true; }"],
    [
      "a verdict by a getter",
      "Object.defineProperty(globalThis, '__verdict', { get: () => ({ toString: () => 'true' }), set() {} }); function verify() { return true; }",
    ],
  ];
  it.each(SILENT)("says nothing: %s", async (_, program) => {
    expect(await ask(program)).toBeUndefined();
    expect(await ask(ADDS)).toBe(true);
  });

  /** Ways out of a V8 context that are known to work where an object of the outer realm can be reached; true would mean: out. */
  const ESCAPES: [string, string][] = [
    [
      "the constructor of this",
      "function verify() { return typeof this?.constructor?.constructor('return process')() === 'object'; }",
    ],
    [
      "the constructor of globalThis",
      "const f = globalThis.constructor?.constructor; const verify = () => typeof f?.('return process')() === 'object';",
    ],
    ["a function's constructor", "const verify = () => typeof (() => {}).constructor('return process')() === 'object';"],
    [
      "the async function's constructor",
      "const verify = async () => typeof (await (async () => {}).constructor('return process')()) === 'object';",
    ],
    [
      "a stack overflow's error",
      "function deep() { try { deep(); } catch (e) { globalThis.e = e; } } function verify() { deep(); return typeof e.constructor.constructor('return process')() === 'object'; }",
    ],
    [
      "prepareStackTrace",
      "Error.prepareStackTrace = (_, sites) => sites.map((s) => { try { return s.getThis()?.process ?? s.getFunction()?.constructor('return process')(); } catch { return undefined; } }); const verify = () => { const found = new Error().stack; return Array.isArray(found) && found.some((f) => f !== undefined); };",
    ],
    [
      "a prototype that reaches out",
      "Object.prototype.then = function (done) { done(true); }; const verify = () => { throw 1; };",
    ],
    [
      "the names of the outer world",
      "const verify = () => ['process', 'require', 'module', 'fetch', 'Buffer', 'setTimeout', 'WebSocket', 'structuredClone', 'Atomics', 'ArrayBuffer', 'WebAssembly', 'console'].some((name) => name in globalThis);",
    ],
  ];
  it.each(ESCAPES)("does not get out: %s", async (_, program) => {
    expect(await ask(program)).not.toBe(true);
    expect(await ask(ADDS)).toBe(true);
  });

  it("what a program does to prototypes does not reach the process", async () => {
    await ask(
      "for (const C of [Object, Array, Promise, String]) { C.prototype.constructor = null; C.prototype.toString = null; } Promise.prototype.then = null; const verify = () => true;",
    );
    expect(await ask(ADDS)).toBe(true);
  });
});

describe("a user's module", () => {
  const moduleOf = (name: string, text: string) => {
    const path = join(scratch, name);
    writeFileSync(path, text);
    return new VerifierPool({ data: { kind: "module", path }, deadlineMs: 500, memoryMb: 64 });
  };

  it("may be async, throw, hang, or crash; the next pair is judged", async () => {
    const pool = moduleOf(
      "check.mjs",
      `export async function verify(question, answer) {
        if (answer === "throw") throw new Error("no");
        if (answer === "hang") for (;;);
        if (answer === "never") return new Promise(() => {});
        if (answer === "exit") process.exit(3);
        return question.includes(answer);
      }`,
    );
    const ask = (answer: string) => pool.verify({ question: "abc", answer });
    expect(await Promise.all(["b", "x", "throw", "hang", "never", "exit", "c"].map(ask))).toEqual([
      true,
      false,
      undefined,
      undefined,
      undefined,
      undefined,
      true,
    ]);
    await pool.close();
  });

  it("is named in the error when it cannot be loaded", async () => {
    const pool = moduleOf("broken.mjs", "export const check = 1;");
    await expect(pool.verify({ question: "", answer: "" })).rejects.toThrow(
      /broken.mjs to load in a process, got: Error: expected an export verify/,
    );
    await pool.close();
  });
});

describe("splitChecker", () => {
  it("takes the program out of the question", () => {
    expect(splitChecker("What is 2+3? <checker>function verify() {}</checker>")).toEqual({
      text: "What is 2+3?",
      program: "function verify() {}",
    });
    expect(splitChecker(" as it is ")).toEqual({ text: " as it is ", program: undefined });
  });
});
