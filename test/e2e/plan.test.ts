// What a run will need, from the command line: the plan before a run, the plan of a model, and the refusal of one that cannot fit.
// Runs the compiled dist/.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const scratch = mkdtempSync(join(tmpdir(), "rzero-plan-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function rzero(args: readonly string[]) {
  return spawnSync(process.execPath, [join(root, "dist", "cli", "main.js"), ...args], { encoding: "utf8", cwd: scratch });
}

/** A configuration without weights: a plan reads no more. */
function hugeModel(): string {
  const dir = join(scratch, "huge");
  mkdirSync(dir, { recursive: true });
  const config = {
    model_type: "qwen3",
    vocab_size: 151936,
    hidden_size: 8192,
    intermediate_size: 49152,
    num_hidden_layers: 1200,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 128,
    max_position_embeddings: 4096,
    tie_word_embeddings: false,
  };
  writeFileSync(join(dir, "config.json"), JSON.stringify(config));
  return dir;
}

it("plans a run phase by phase, in bytes and seconds", () => {
  const { status, stdout } = rzero(["doctor", "--model", "tiny-base", "--json", "--iterations=2"]);
  expect(status).toBe(0);
  const plan = JSON.parse(stdout) as {
    parameters: number;
    seconds: number;
    fits: boolean;
    phases: Record<string, number | string>[];
  };
  expect([plan.parameters, plan.fits]).toEqual([752_640, true]);
  expect(plan.phases.map(({ name, times }) => [name, times])).toEqual([
    ["base evaluation", 1],
    ["challenger", 2],
    ["curriculum", 2],
    ["solver", 2],
    ["evaluation", 2],
  ]);
  for (const phase of plan.phases)
    for (const part of ["weights", "gradients", "optimizer", "activations", "cache", "total", "tokens", "seconds"])
      expect(Number(phase[part]), `${phase.name} ${part}`).toBeGreaterThan(0);
  expect(Number.isFinite(plan.seconds)).toBe(true);
});

it("refuses what cannot fit: exit code 2, the numbers, what to change", () => {
  const dir = hugeModel();
  const planned = rzero(["doctor", "--model", dir]);
  expect(planned.status).toBe(2);
  expect(planned.stdout).toContain("solver ×3");
  expect(planned.stderr).toMatch(/memory: expected at most .* got a plan of .* in phase \w+ \(weights .*, gradients .*\)/);
  expect(planned.stderr).toContain("engine.optimizerDtype=bf16");
  const run = rzero(["run", "tiny", "--base", dir, "--runs", join(scratch, "runs")]);
  expect([run.status, run.stdout]).toEqual([2, ""]);
  expect(run.stderr).toContain("memory: expected at most");
});
