// Verifiers in the loop on the embedded base model: labels come from them, and a resumed run sees the verdicts of the killed one even where
// the verifier would now say something else.

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { InterruptedError } from "../../src/util/errors.ts";
import { type AnyEvent, benchOf, inIterations, MODELS, smallConfig, smallRuns } from "./small-run.ts";

const { root, play, fingerprint, rowsOf, everyNth } = smallRuns("verified");
const bench = benchOf(everyNth("bench.jsonl", 720));

const config = (...more: string[]) => smallConfig(["guard.enabled=false", bench, ...more]);

const QUESTIONS = "iteration-01/curriculum/questions.jsonl";
const FILES = [QUESTIONS, ...inIterations(1, MODELS)];
const questionsOf = (run: string) =>
  rowsOf<{ question: string; pseudoLabel?: string; verdict: string; voteShare: number }>(`${run}/${QUESTIONS}`);

describe("a program as the verifier", () => {
  it("gives the labels: a sum is right or there is no label", async () => {
    const source = `function verify(question, answer) {
      const sum = /^(?:What is |Compute )(\\d+)\\+(\\d+)[?.]$/.exec(question);
      if (!sum) throw new Error("not a sum");
      return Number(answer) === Number(sum[1]) + Number(sum[2]);
    }`;
    const given = config(`domain.verifier={kind: program, source: ${JSON.stringify(source)}}`, "challenger.train=false");
    expect((await play(given, "sums")).error).toBeUndefined();
    const rows = questionsOf("sums");
    const kept = rows.filter(({ verdict }) => verdict === "kept");
    expect(kept.length).toBeGreaterThan(2);
    for (const { question, pseudoLabel, voteShare } of kept) {
      const [, a, b] = /^(?:What is |Compute )(\d+)\+(\d+)[?.]$/.exec(question) ?? [];
      expect(Number(pseudoLabel)).toBe(Number(a) + Number(b));
      expect(voteShare).toBeGreaterThan(0);
    }
    const others = rows.filter(({ question }) => question !== "" && !/^(?:What is |Compute )\d+\+/.test(question));
    expect(others.length).toBeGreaterThan(20);
    expect(others.filter(({ pseudoLabel, voteShare }) => pseudoLabel !== undefined || voteShare !== 0)).toEqual([]);
  });
});

describe("a module as the verifier", () => {
  it("is asked each thing once: an interrupted run gives the bytes of its first verdicts", async () => {
    // What it says depends on how often it was asked before; a file beside it is its memory.
    const module = (name: string) => {
      const path = join(root, `${name}.mjs`);
      writeFileSync(
        path,
        `import { appendFileSync, existsSync, readFileSync } from "node:fs";
        const asked = ${JSON.stringify(join(root, `${name}.log`))};
        export function verify(question, answer) {
          const key = JSON.stringify([question, answer]);
          const before = existsSync(asked) ? readFileSync(asked, "utf8").split("\\n").filter((line) => line === key).length : 0;
          appendFileSync(asked, key + "\\n");
          return before === 0 ? answer.length % 2 === 1 : answer.length % 2 === 0;
        }`,
      );
      return config(`domain.verifier={kind: module, path: ${path}}`);
    };
    expect((await play(module("whole"), "run-whole")).error).toBeUndefined();
    // Interrupted in the middle of verifying, in both phases, and between them.
    const inVerifying = (phase: string) => (event: AnyEvent) =>
      event.event === "progress" && event.phase === phase && event.activity === "verifying" && event.done >= 16;
    const cut = module("cut");
    for (const phase of ["challenger", "curriculum"])
      expect((await play(cut, "run-cut", { stop: inVerifying(phase) })).error).toBeInstanceOf(InterruptedError);
    expect(existsSync(join(root, "run-cut/iteration-01/curriculum/journal/verifying.log"))).toBe(true);
    expect((await play(cut, "run-cut")).error).toBeUndefined();
    expect(fingerprint("run-cut", FILES)).toEqual(fingerprint("run-whole", FILES));
    expect(questionsOf("run-cut").filter(({ verdict }) => verdict === "kept").length).toBeGreaterThan(5);
  });
});
