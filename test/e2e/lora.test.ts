// A run that trains adapters, from outside: its phases hand adapters on, and what comes out is exported as an adapter and merged.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { smallArgs } from "./small-run.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, "dist", "cli", "main.js");
const scratch = mkdtempSync(join(tmpdir(), "rzero-lora-run-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const RUN = smallArgs("iterations=2");
const LORA = ["--engine.lora.rank=4", "--engine.lora.targets=[q_proj, v_proj, up_proj]", "--engine.frozenDtype=int8"];

function rzero(args: string[]) {
  const env = { ...process.env, RZERO_RUNS: join(scratch, "runs"), NO_COLOR: "1", RZERO_DEBUG: "" };
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8", env, cwd: scratch });
  return { status, stdout, stderr };
}

describe("a run with engine.lora", () => {
  const run = join(scratch, "runs", "adapted");
  const texts = join(scratch, "texts.jsonl");
  let stderr = "";
  beforeAll(() => {
    stderr = rzero(["run", "tiny", "--run", "adapted", ...RUN, ...LORA]).stderr;
    writeFileSync(texts, '{"text": "What is 47+85?"}\n{"text": "Pose a math problem."}\n');
  });

  function scores(model: string): number[] {
    const { stdout } = rzero(["score", "--dtype", "f32", "--model", model, "--input", texts, "--json"]);
    const rows = stdout.trim().split("\n");
    return rows.flatMap((line) => (JSON.parse(line) as { logprobs: number[] }).logprobs);
  }

  it("leaves an adapter and a small state after each phase", () => {
    expect(stderr).not.toContain("rzero:");
    for (const phase of ["iteration-01/challenger", "iteration-02/challenger", "iteration-01/solver", "iteration-02/solver"]) {
      const config = JSON.parse(readFileSync(join(run, phase, "model", "adapter_config.json"), "utf8"));
      expect(config).toMatchObject({ r: 4, lora_alpha: 32, target_modules: ["q_proj", "v_proj", "up_proj"] });
      expect(existsSync(join(run, phase, "model", "model.safetensors"))).toBe(false);
    }
    const done = JSON.parse(readFileSync(join(run, "iteration-02", "solver", "done.json"), "utf8"));
    expect(done.steps[0]).toMatchObject({ samplerMismatch: 0 });
  });

  it("is exported as an adapter, to the bit, and merged, to rounding", () => {
    for (const format of ["peft", "hf"]) {
      const out = join(scratch, format);
      expect(rzero(["export", "adapted", "--what", "solver", "--iteration", "2", "--format", format, "--out", out]).status).toBe(
        0,
      );
    }
    expect(readdirSync(join(scratch, "peft"))).toContain("adapter_model.safetensors");
    const own = scores("adapted:2");
    expect(own).not.toEqual(scores("tiny-base"));
    expect(scores(join(scratch, "peft"))).toEqual(own);
    const merged = scores(join(scratch, "hf"));
    for (const [i, value] of own.entries()) expect(Math.abs(merged[i] - value)).toBeLessThan(1e-4);
  });

  it("is refused as an adapter where whole models trained, and as a base whose adapter is of another shape", () => {
    const tuned = rzero([
      "sft",
      "--model",
      join(scratch, "peft"),
      "--input",
      texts,
      "--out",
      join(scratch, "no"),
      "--steps",
      "1",
    ]);
    expect([tuned.status, tuned.stderr]).toEqual([2, expect.stringContaining("got an adapter of rank 4")]);
    const more = [...LORA.slice(1), "--engine.lora.rank=8", ...RUN];
    const other = rzero(["run", "tiny", "--run", "other", "--base", "adapted:2", ...more]);
    expect([other.status, other.stderr]).toEqual([2, expect.stringContaining("expected the shape of the adapter")]);
  });

  it("refuses dropout", () => {
    const { status, stderr: said } = rzero(["run", "tiny", "--engine.lora.rank=4", "--engine.lora.dropout=0.1"]);
    expect([status, said]).toEqual([
      2,
      expect.stringContaining("dropout would make rollouts and training compute different models"),
    ]);
  });
});
