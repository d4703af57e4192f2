// Verifiers in the loop on the embedded base model: labels come from them, and a resumed run sees the verdicts of the killed one even where
// the verifier would now say something else.

import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, parseOverride } from "../../src/config/load.ts";
import type { Config } from "../../src/config/schema.ts";
import { createEngine } from "../../src/engine/create.ts";
import { runSelfPlay } from "../../src/selfplay/run.ts";
import type { ProgressEvent, RunEvent } from "../../src/store/events.ts";
import { createRun, openRun } from "../../src/store/runs.ts";
import { InterruptedError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/package-root.ts";

const tinyBase = join(packageRoot, "assets", "tiny-base");
let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "rzero-verified-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SMALL = [
  "iterations=1",
  "engine.threads=1",
  "challenger.steps=1",
  "challenger.questionsPerStep=32",
  "challenger.solverAnswers=4",
  "curriculum.poolSize=100",
  "curriculum.answers=4",
  "curriculum.band=[0.25, 1]",
  "solver.steps=1",
  "solver.questionsPerStep=8",
  "solver.groupSize=4",
  "evaluation.samples=1",
  "evaluation.greedy=false",
  "evaluation.referenceLines=false",
  "guard.enabled=false",
];

function config(...more: string[]): Config {
  const data = join(root, "bench.jsonl");
  writeFileSync(data, `${JSON.stringify({ question: "What is 2+3?", answer: "5" })}\n`);
  const bench = `evaluation.benches=[{name: held-out, data: ${JSON.stringify(data)}}]`;
  return loadConfig({ recipe: "tiny", overrides: [...SMALL, bench, ...more].map((text) => parseOverride(`--${text}`)) });
}

async function play(given: Config, name: string, stopAt?: (event: RunEvent | ProgressEvent) => boolean): Promise<unknown> {
  const store = readdirSync(root).includes(name)
    ? openRun(root, name)
    : createRun({ root, config: given, name, version: "test" });
  const engine = createEngine(store.config.engine);
  const stop = new AbortController();
  try {
    await runSelfPlay({
      config: store.config,
      store,
      engine,
      baseDir: tinyBase,
      signal: stop.signal,
      on: (event) => {
        if (stopAt?.(event)) stop.abort();
      },
    });
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await engine.dispose();
  }
}

const rowsOf = (run: string) =>
  readFileSync(join(root, run, "iteration-01/curriculum/questions.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { question: string; pseudoLabel?: string; verdict: string; voteShare: number });
const artefacts = (run: string) =>
  ["curriculum/questions.jsonl", "challenger/model/model.safetensors", "solver/model/model.safetensors"].map((file) =>
    createHash("sha256")
      .update(readFileSync(join(root, run, "iteration-01", file)))
      .digest("hex"),
  );

describe("a program as the verifier", () => {
  it("gives the labels: a sum is right or there is no label", async () => {
    const source = `function verify(question, answer) {
      const sum = /^(?:What is |Compute )(\\d+)\\+(\\d+)[?.]$/.exec(question);
      if (!sum) throw new Error("not a sum");
      return Number(answer) === Number(sum[1]) + Number(sum[2]);
    }`;
    expect(
      await play(config(`domain.verifier={kind: program, source: ${JSON.stringify(source)}}`, "challenger.train=false"), "sums"),
    ).toBeUndefined();
    const rows = rowsOf("sums");
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
    expect(await play(module("whole"), "run-whole")).toBeUndefined();
    // Interrupted in the middle of verifying, in both phases, and between them.
    const inVerifying = (phase: string) => (event: RunEvent | ProgressEvent) =>
      event.event === "progress" && event.phase === phase && event.activity === "verifying" && event.done >= 16;
    const cut = module("cut");
    expect(await play(cut, "run-cut", inVerifying("challenger"))).toBeInstanceOf(InterruptedError);
    expect(await play(cut, "run-cut", inVerifying("curriculum"))).toBeInstanceOf(InterruptedError);
    expect(existsSync(join(root, "run-cut/iteration-01/curriculum/journal/verifying.log"))).toBe(true);
    expect(await play(cut, "run-cut")).toBeUndefined();
    expect(artefacts("run-cut")).toEqual(artefacts("run-whole"));
    expect(rowsOf("run-cut").filter(({ verdict }) => verdict === "kept").length).toBeGreaterThan(5);
  });
});
