// The program from outside: exit codes, standard output that is JSON alone, and one-line errors that name file and line.
// Runs the compiled dist/ on the small golden model.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { splitOverrides } from "../../src/cli/overrides.ts";
import { parseConfigText } from "../../src/config/load.ts";
import { createRun } from "../../src/store/runs.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, "dist", "cli", "main.js");
const model = join(root, "test", "golden", "tiny-qwen3");
const scratch = mkdtempSync(join(tmpdir(), "rzero-cli-"));
const runs = join(scratch, "runs");
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const environment = { ...process.env, RZERO_RUNS: runs, NO_COLOR: "1", RZERO_DEBUG: "" };

function rzero(args: string[], input = "") {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    input,
    env: environment,
    cwd: scratch,
  });
  return { status, stdout, stderr };
}

function file(name: string, text: string): string {
  const path = join(scratch, name);
  writeFileSync(path, text);
  return path;
}

const lines = (text: string) => text.trimEnd().split("\n");
const json = (text: string) => lines(text).map((line) => JSON.parse(line) as Record<string, unknown>);

describe("usage", () => {
  it("help and version succeed, each command has an example", () => {
    expect(rzero(["--version"])).toMatchObject({ status: 0, stdout: "0.1.0\n" });
    const commands = [
      "run",
      "resume",
      "list",
      "inspect",
      "eval",
      "compare",
      "generate",
      "score",
      "sft",
      "grade",
      "export",
      "serve",
      "bench",
      "doctor",
    ];
    const help = rzero(["--help"]).stdout;
    for (const command of commands) expect(help).toMatch(new RegExp(`^  ${command} `, "m"));
    expect(rzero(["sft", "--help"])).toMatchObject({ status: 0, stdout: expect.stringContaining("Examples:\n  rzero sft") });
  });

  it.each([
    [["nonsense"], "unknown command 'nonsense'"],
    [["grade", "--golden", "1"], "unknown option '--golden'"],
    [["grade", "--gold", "1"], "got no --predicted"],
    [["grade", "--gold", "1", "--predicted", "1", "--policy", "sympy"], "Expected math-verify or mathruler"],
    [["generate", "--model", model], "expected either --prompt or --input, got neither"],
    [["generate", "--prompt", "x"], "required option '--model <model>' not specified"],
    [["generate", "--model", model, "--prompt", "x", "--temperature", "hot"], "Expected a number ≥ 0"],
    [
      ["generate", "--model", "no-such", "--prompt", "x"],
      'expected a model directory, tiny-base, or RUN[:ITERATION[:solver|challenger]], got "no-such"',
    ],
    [["score", "--model", model, "--input", "none.jsonl"], "none.jsonl: expected a readable file, got ENOENT"],
    [["sft", "--input", "x", "--out", "y"], "expected either --model or --init-config, got neither"],
    [["resume", "none"], "expected a run in"],
    [["inspect", "../x"], "run name: expected"],
    [["bench", "speed"], 'expected gemm, train, shared, decode, grpo, iteration, got "speed"'],
    [["run", "tinny"], "Did you mean tiny?"],
    [["run", "--solver.stepz=3"], '--solver.stepz: expected a known key in solver, got "stepz". Did you mean solver.steps?'],
    [["run", "--solver.steps"], "Write --solver.steps=VALUE"],
    [["run", "--sedd", "3"], "unknown option '--sedd'"],
    [["run", "--base", "no-such"], 'got "no-such"'],
  ])("%j is bad usage: exit code 2 and what was expected", (args, message) => {
    const { status, stdout, stderr } = rzero(args);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(existsSync(runs)).toBe(false);
  });

  it("finds configuration options among the arguments", () => {
    const { rest, overrides } = splitOverrides(
      ["run", "tiny", "--a.b=1=2", "--seed", "3", "--votes.missing", "x", "--name=n"],
      new Set(["--seed"]),
    );
    expect(rest).toEqual(["run", "tiny", "--seed", "3"]);
    expect(overrides).toEqual([
      { path: ["a", "b"], text: "1=2" },
      { path: ["votes", "missing"], text: "x" },
      { path: ["name"], text: "n" },
    ]);
  });
});

describe("grade", () => {
  it("one pair, and many in the order given", () => {
    expect(json(rzero(["grade", "--gold", "1/2", "--predicted", "so \\boxed{0.5}", "--json"]).stdout)).toEqual([
      { equivalent: true, reason: expect.any(String) },
    ]);
    const input = file("pairs.jsonl", '{"gold":"2","predicted":"2.0"}\n\n{"gold":"2","predicted":"3"}\n');
    expect(json(rzero(["grade", "--input", input, "--json"]).stdout).map(({ equivalent }) => equivalent)).toEqual([true, false]);
    expect(rzero(["grade", "--input", "-"], '{"gold":"1","predicted":"1"}').stdout).toMatch(/^equivalent: /);
  });

  it("a bad line is named", () => {
    const input = file("bad.jsonl", '{"gold":"2","predicted":"2"}\n{"gold":2}\n');
    expect(rzero(["grade", "--input", input])).toEqual({
      status: 2,
      stdout: "",
      stderr: `rzero: ${input}:2: expected "gold" to be a string, got 2.\n`,
    });
  });

  it("a reader that stops is no error", async () => {
    const input = file("many.jsonl", '{"gold":"2","predicted":"2"}\n'.repeat(50_000));
    const child = spawn(process.execPath, [main, "grade", "--input", input], {
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let complaint = "";
    child.stderr.on("data", (chunk) => {
      complaint += chunk;
    });
    child.stdout.once("data", () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect([code, complaint]).toEqual([0, ""]);
  });
});

describe("models", () => {
  const golden = JSON.parse(readFileSync(join(model, "expected.json"), "utf8")) as {
    sequences: number[][];
    logprobs: number[][];
    train: { losses: number[] };
  };
  const sequences = file("sequences.jsonl", golden.sequences.map((tokens) => `${JSON.stringify({ tokens })}\n`).join(""));

  it("score gives the logprobs of transformers", () => {
    const rows = json(rzero(["score", "--dtype", "f32", "--model", model, "--input", sequences, "--json"]).stdout) as {
      logprobs: number[];
    }[];
    const differences = rows.flatMap(({ logprobs }, row) =>
      logprobs.map((logprob, i) => Math.abs(logprob - golden.logprobs[row][i])),
    );
    expect(differences).toHaveLength(golden.logprobs.flat().length);
    expect(Math.max(...differences)).toBeLessThan(2e-5);
  });

  it("sft gives the losses of transformers over ten AdamW steps", () => {
    const args = [
      "sft",
      "--dtype",
      "f32",
      "--model",
      model,
      "--input",
      sequences,
      "--out",
      join(scratch, "ten"),
      "--batch",
      "0",
      "--steps",
      "10",
    ];
    const steps = json(rzero([...args, "--lr", "1e-3", "--weight-decay", "0.01", "--json"]).stdout) as { loss: number }[];
    for (const [index, loss] of golden.train.losses.entries()) expect(Math.abs(steps[index].loss / loss - 1)).toBeLessThan(1e-5);
  });

  it("score: one line per line, logprobs[i] belongs to tokens[i + 1]", () => {
    const input = file("score.jsonl", '{"tokens":[5,6,7],"id":"a"}\n{"tokens":[9]}\n{"text":"What is"}\n');
    const { status, stdout } = rzero(["score", "--model", model, "--input", input, "--json"]);
    const rows = json(stdout) as { id?: string; tokens: number[]; logprobs: number[] }[];
    expect(status).toBe(0);
    expect(rows.map(({ id, tokens, logprobs }) => [id, tokens.length - logprobs.length])).toEqual([
      ["a", 1],
      [undefined, 1],
      [undefined, 1],
    ]);
    expect(rows[1].logprobs).toEqual([]);
    for (const logprob of rows.flatMap(({ logprobs }) => logprobs)) expect(logprob).toBeLessThan(0);
  });

  it.each([
    ['{"tokens":[5,999999]}', 'expected "tokens" to be whole numbers in 0 … '],
    ['{"tokens":[]}', "expected at least one token"],
    ['{"txt":"x"}', 'expected "tokens", "text", or "prompt" and "completion", got keys ["txt"]'],
    ["{", "expected JSON, got"],
  ])("score refuses %s with its line", (line, message) => {
    const input = file("bad-score.jsonl", `{"tokens":[1,2]}\n${line}\n`);
    const { status, stdout, stderr } = rzero(["score", "--model", model, "--input", input, "--json"]);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(`${input}:2: ${message}`);
  });

  it("generate: what greedy sampling gives is what score says of it", () => {
    const args = ["generate", "--model", model, "--prompt", "What is", "--temperature", "0", "--max-tokens", "5", "--json"];
    const [{ completions }] = json(rzero(args).stdout) as {
      completions: { text: string; tokens: number[]; logprobs: number[]; stopReason: string }[];
    }[];
    expect(completions).toHaveLength(1);
    const { tokens, logprobs } = completions[0];
    const [{ tokens: prompt }] = json(
      rzero(["score", "--model", model, "--input", "-", "--json"], '{"text":"What is"}').stdout,
    ) as { tokens: number[] }[];
    const scored = json(
      rzero(["score", "--model", model, "--input", "-", "--json"], JSON.stringify({ tokens: [...prompt, ...tokens] })).stdout,
    );
    expect((scored[0].logprobs as number[]).slice(prompt.length - 1)).toEqual(logprobs);
  });

  it("sft: prints a line per step, learns its lines, and writes a model that can be used", () => {
    const input = file("sft.jsonl", '{"prompt":"What is","completion":" it"}\n{"text":"What is it"}\n');
    const out = join(scratch, "tuned");
    const { status, stdout } = rzero([
      "sft",
      "--model",
      model,
      "--input",
      input,
      "--out",
      out,
      "--lr",
      "3e-3",
      "--steps",
      "5",
      "--batch",
      "0",
      "--json",
    ]);
    const steps = json(stdout) as {
      step: number;
      loss: number;
      gradNorm: number;
      lr: number;
      tokens: number;
      tokensPerSecond: number;
    }[];
    expect(status).toBe(0);
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5]);
    expect(Object.keys(steps[0])).toEqual(["step", "loss", "gradNorm", "lr", "tokens", "tokensPerSecond"]);
    expect(steps[4].loss).toBeLessThan(0.8 * steps[0].loss);
    const before = json(rzero(["score", "--model", model, "--input", input, "--json"]).stdout);
    const after = json(rzero(["score", "--model", out, "--input", input, "--json"]).stdout);
    const total = (rows: Record<string, unknown>[]) =>
      rows.flatMap(({ logprobs }) => logprobs as number[]).reduce((a, b) => a + b, 0);
    expect(total(after)).toBeGreaterThan(total(before) + 1);
    expect(rzero(["sft", "--model", model, "--input", input, "--out", out]).stderr).toContain(
      "expected a new or empty directory",
    );
  });

  it("sft from random weights is a function of the seed", () => {
    const input = file("scratch.jsonl", '{"text":"What is it"}\n{"text":"It is what"}\n');
    const weights = ["1", "1", "2"].map((seed, index) => {
      const out = join(scratch, `random-${index}`);
      const args = ["--init-config", join(model, "config.json"), "--tokenizer", model, "--input", input, "--out", out];
      expect(rzero(["sft", ...args, "--seed", seed, "--epochs", "2", "--batch", "1", "--export-dtype", "bfloat16"]).status).toBe(
        0,
      );
      return readFileSync(join(out, "model.safetensors"));
    });
    expect(weights[0].equals(weights[1])).toBe(true);
    expect(weights[0].equals(weights[2])).toBe(false);
  });

  it("eval: one JSON document; an answer without a box is wrong and counted", () => {
    const data = file("questions.jsonl", '{"question":"1+1?","answer":"2","category":"sum"}\n{"question":"2+1?","answer":3}\n');
    const { status, stdout } = rzero(["eval", "--model", model, "--data", data, "--samples", "2", "--max-tokens", "4", "--json"]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      model,
      benches: [
        {
          name: "questions",
          questions: 2,
          samples: 2,
          temperature: 1,
          mean: 0,
          ci95: [0, 1 - Math.sqrt(0.025)],
          passAtK: 0,
          unparsed: 4,
        },
      ],
    });
  });
});

describe("runs", () => {
  it("list, inspect and export of a run that has not started", () => {
    const config = parseConfigText(`name: mine\nbase: ${model}\n`, "mine.yaml");
    const run = createRun({ root: runs, config, version: "0.1.0" });
    expect(JSON.parse(rzero(["list", "--json"]).stdout)).toMatchObject([
      { name: "mine-001", state: "new", recipe: "mine", seed: 1 },
    ]);
    expect(JSON.parse(rzero(["inspect", "mine-001", "--json"]).stdout)).toMatchObject({
      run: "mine-001",
      state: "new",
      iterations: [],
    });
    expect(rzero(["run", join(run.dir, "config.yaml"), "--run", "mine-001"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("rzero resume mine-001"),
    });
    expect(rzero(["export", "mine-001", "--what", "questions", "--out", "x"])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("finished curriculum"),
    });
    const out = join(scratch, "exported");
    expect(rzero(["export", "mine-001", "--what", "solver", "--format", "hf", "--out", out, "--json"]).status).toBe(0);
    expect(readdirSync(out)).toContain("rzero.json");
    expect(statSync(join(out, "model.safetensors")).size).toBe(statSync(join(model, "model.safetensors")).size);
    expect(rzero(["export", "mine-001", "--what", "solver", "--format", "jsonl", "--out", "y"]).stderr).toContain(
      "expected hf or peft or gguf for --what solver",
    );
  });

  it("a run that cannot start leaves no run behind", () => {
    const recipe = file("broken.yaml", `base: ${model}\nevaluation: { benches: [{ name: a, data: missing.jsonl }] }\n`);
    const { status, stderr } = rzero(["run", recipe, "--run", "broken"]);
    expect([status, stderr]).toEqual([2, expect.stringContaining("missing.jsonl: expected a readable file, got ENOENT")]);
    expect(existsSync(join(runs, "broken"))).toBe(false);
  });
});

describe("doctor", () => {
  it("names each thing it looked at", () => {
    const { stdout } = rzero(["doctor", "--json"]);
    const { checks } = JSON.parse(stdout) as { checks: { name: string; ok: boolean; hint?: string }[] };
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        "node",
        "cpu",
        "compiler",
        "kernels",
        "speed",
        "memory",
        "disk for runs",
        "disk for kernels",
        "base model",
      ]),
    );
    for (const { ok, hint } of checks) expect(ok || hint !== undefined).toBe(true);
  });
});
