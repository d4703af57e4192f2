// Evaluation from outside: the same number whatever the batch and the threads, kill -9 and going on, comparison of two results,
// benchmarks as downloaded, overlap with a run. Runs the compiled dist/ on the small golden model.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { parseConfigText } from "../../src/config/load.ts";
import { createRun } from "../../src/store/runs.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, "dist", "cli", "main.js");
const model = join(root, "test", "golden", "tiny-qwen3");
const scratch = mkdtempSync(join(tmpdir(), "rzero-eval-"));
const runs = join(scratch, "runs");
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const env = {
  ...process.env,
  RZERO_RUNS: runs,
  NO_COLOR: "1",
  RZERO_DEBUG: "",
  HF_HUB_OFFLINE: "1",
  HF_HOME: join(scratch, "hf"),
};

function rzero(args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8", env, cwd: scratch });
  return { status, stdout, stderr };
}

const json = (text: string) => JSON.parse(text) as Record<string, unknown>;

// The model is random and answers nothing right; what is compared are its answers, byte by byte.
const data = join(scratch, "letters.jsonl");
const letters = [..."abcdefghijklmnopqrstuvwxyz0123456789"];
writeFileSync(
  data,
  letters.map((answer, i) => `${JSON.stringify({ question: `Say ${i}`, answer, category: i % 2 ? "odd" : "even" })}\n`).join(""),
);
const evaluation = ["eval", "--model", model, "--data", data, "--samples", "3", "--max-tokens", "40", "--seed", "4", "--json"];

describe("rzero eval", () => {
  const once = (name: string, ...more: string[]) => {
    const out = join(scratch, name, "r.json");
    const { status, stdout, stderr } = rzero([...evaluation, "--out", out, ...more]);
    expect([status, stderr]).toEqual([0, expect.stringContaining(`result: ${out}`)]);
    return {
      printed: { ...json(stdout), file: "" },
      result: readFileSync(out),
      answers: readFileSync(join(dirname(out), "r.answers.jsonl")),
    };
  };

  it("gives the same bytes for the same seed whatever the batch size and the number of threads", () => {
    const first = once("a", "--threads", "1", "--batch", "1000");
    const second = once("b", "--threads", "2", "--batch", "7");
    expect(second).toEqual(first);
    expect(first.answers.toString().trimEnd().split("\n")).toHaveLength(letters.length + 1);
    const other = once("c", "--threads", "1", "--seed", "5");
    expect(other.answers.equals(first.answers)).toBe(false);
    expect(first.printed).toMatchObject({
      model,
      benches: [
        {
          name: "letters",
          questions: 36,
          samples: 3,
          temperature: 1,
          byCategory: { even: { questions: 18 }, odd: { questions: 18 } },
        },
      ],
      modelHash: { weights: expect.stringMatching(/^[0-9a-f]{64}$/) },
      settings: { protocol: "sampled", seed: 4 },
    });
  });

  it("killed at any moment and started again, it goes on to the same bytes", async () => {
    const whole = once("whole");
    const out = join(scratch, "killed", "r.json");
    const journal = join(scratch, "killed", "r.journal.jsonl");
    const args = [...evaluation, "--out", out, "--batch", "3", "--threads", "1"];
    const child = spawn(process.execPath, [main, ...args], { env, cwd: scratch, stdio: "ignore" });
    const lines = () => (existsSync(journal) ? readFileSync(journal, "utf8").split("\n").length - 1 : 0);
    while (lines() < 4 && child.exitCode === null) await new Promise((wake) => setTimeout(wake, 2));
    child.kill("SIGKILL");
    await new Promise((closed) => child.once("close", closed));
    expect(existsSync(out)).toBe(false);
    expect(lines()).toBeGreaterThanOrEqual(4);
    const { status, stderr } = rzero(args);
    expect([status, stderr]).toEqual([0, expect.stringMatching(/going on: \d+ questions are finished already/)]);
    expect(readFileSync(out).equals(whole.result)).toBe(true);
    expect(readdirSync(dirname(out)).sort()).toEqual(["r.answers.jsonl", "r.json"]);
  });

  it("reads benchmarks as downloaded, by the paper's protocol", () => {
    const dir = join(scratch, "downloads");
    mkdirSync(join(dir, "aime25"), { recursive: true });
    mkdirSync(join(dir, "MATH-500"), { recursive: true });
    writeFileSync(join(dir, "aime25", "test.jsonl"), '{"problem":"1+1?","answer":"2","id":"0"}\n');
    writeFileSync(
      join(dir, "MATH-500", "test.jsonl"),
      '{"problem":"2+2?","solution":"","answer":"4","subject":"Algebra","level":1,"unique_id":"u"}\n',
    );
    const { status, stdout, stderr } = rzero([
      "eval",
      "--model",
      model,
      "--bench",
      "math500,aime25",
      "--bench-dir",
      dir,
      "--protocol",
      "paper",
      "--max-tokens",
      "2",
      "--json",
    ]);
    expect(status).toBe(0);
    expect(stderr).toContain("aime25: 1 questions; AIME 2025 is known with 30");
    expect(json(stdout).benches).toEqual([
      expect.objectContaining({ name: "math-500", samples: 1, temperature: 0, mean: 0, ci95: [0, 0.975] }),
      expect.objectContaining({ name: "aime25", samples: 32, temperature: 1 }),
    ]);
    expect(readdirSync(join(runs, "evaluations")).filter((name) => name.endsWith(".json"))).toHaveLength(1);
  });

  it.each([
    [["--bench", "gsm9k"], "Did you mean gsm8k?"],
    [["--bench", "gsm8k"], "HF_HUB_OFFLINE is set"],
    [["--bench", "gsm8k", "--protocol", "ours"], "Expected paper or sampled"],
    [["--data", data, "--judge", "http://127.0.0.1:9/v1"], "expected --judge and --judge-model together"],
    [["--data", data, "--protocol", "paper", "--samples", "3"], "--samples: expected none with --protocol paper"],
    [["--data", "x.txt"], "x.txt: expected a name that ends in .jsonl"],
    [[], "expected --bench or --data, got neither"],
  ])("%j is refused with exit code 2", (args, message) => {
    const { status, stdout, stderr } = rzero(["eval", "--model", model, ...args]);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
  });
});

describe("rzero compare", () => {
  const other = join(scratch, "other-model");
  cpSync(model, other, { recursive: true });
  // Another model: the same weights under another chat template answer otherwise.
  writeFileSync(join(other, "chat_template.jinja"), "{% for m in messages %}{{ m['content'] }}!{% endfor %}");

  it("two models, then their result files: one document, the same numbers", () => {
    const sampling = ["--samples", "3", "--max-tokens", "6", "--forced-prefix", "\\boxed{"];
    const { status, stdout, stderr } = rzero(["compare", model, other, "--data", data, ...sampling, "--json"]);
    expect(status).toBe(0);
    const compared = json(stdout);
    expect(compared).toMatchObject({
      questions: 36,
      difference: expect.any(Number),
      pValue: expect.any(Number),
      differentSettings: [],
    });
    expect(Number(compared.difference)).toBeCloseTo(Number(compared.meanA) - Number(compared.meanB), 12);
    const files = [...stderr.matchAll(/: (\/\S+\.json)$/gm)].map(([, file]) => file);
    expect(files).toHaveLength(2);
    const again = json(rzero(["compare", ...files, "--json"]).stdout);
    expect({ ...again, a: "", b: "" }).toEqual({ ...compared, a: "", b: "" });
    expect(rzero(["compare", ...files]).stdout).toContain("difference A − B");
  });

  it("refuses a model against a file, and a name that is neither", () => {
    expect(rzero(["compare", model, "no-such", "--data", data])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('got "no-such"'),
    });
    const file = join(runs, "evaluations", readdirSync(join(runs, "evaluations")).find((name) => name.endsWith(".json")) ?? "");
    expect(rzero(["compare", model, file])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("two models or two result files"),
    });
  });
});

describe("rzero inspect --contamination", () => {
  it("counts overlaps of all pools and of the curricula, worst pairs first", () => {
    const config = parseConfigText("name: tiny\n", "test.yaml");
    const run = createRun({ root: runs, config, name: "posed", version: "0" });
    const pool = [
      { question: "Say 3", verdict: "kept" },
      { question: "say  3", verdict: "kept" },
      { question: "What is the capital of France?", verdict: "kept" },
      { question: "Say 4", verdict: "outside" },
      { question: "", verdict: "malformed" },
    ];
    run.openPhase(1, "curriculum");
    run.writeJsonl(run.phase(1, "curriculum").questions, pool);
    run.markDone(1, "curriculum", {});
    const { status, stdout } = rzero(["inspect", "posed", "--contamination", data, "--json"]);
    expect(status).toBe(0);
    expect(json(stdout)).toMatchObject({
      run: "posed",
      benchmark: "letters",
      benchmarkQuestions: 36,
      pool: { questions: 3, overlapping: 2, half: 2, identical: 2 },
      curriculum: { questions: 2, overlapping: 1, identical: 1 },
      worst: [
        { share: 1, benchmarkQuestion: "Say 3" },
        { share: 1, benchmarkQuestion: "Say 4", at: "1:4" },
      ],
    });
    expect(rzero(["inspect", "posed", "--contamination", data]).stdout).toContain("all pools");
    expect(rzero(["inspect", "posed", "--contamination", "no-such"])).toMatchObject({ status: 2 });
  });
});
