// A run with a budget from outside: it stops there as at Ctrl-C, says so, and a larger one takes it to the bytes of a run without.
// And --plan, which does nothing.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/util/package-root.ts";
import { smallArgs } from "./small-run.ts";

const main = join(packageRoot, "dist", "cli", "main.js");
const scratch = mkdtempSync(join(tmpdir(), "rzero-budget-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const RUN = smallArgs("challenger.steps=2", "evaluation.benches=[]", "guard.enabled=false");

function rzero(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: "utf8",
    cwd: scratch,
    env: { ...process.env, RZERO_RUNS: join(scratch, "runs"), NO_COLOR: "1" },
  });
  return { status, stdout, stderr };
}

const model = (run: string) => readFileSync(join(scratch, "runs", run, "iteration-01", "solver", "model", "model.safetensors"));

describe("a budget", () => {
  it("stops a run cleanly, and a larger one takes it to the same bytes", () => {
    expect(rzero("run", "tiny", "--run", "free", ...RUN).status).toBe(0);
    expect(existsSync(join(scratch, "runs", "free", "spent.json"))).toBe(false);
    const stopped = rzero("run", "tiny", "--run", "tight", "--budget", "2k-tokens", ...RUN);
    expect(stopped.stderr).toMatch(/budget: 2k-tokens is reached \(\d+\.\dk tokens, .*\); what is finished is saved/);
    expect(stopped.stderr).toContain("rzero resume tight --budget LARGER");
    expect(stopped.status).toBe(130);
    expect(existsSync(join(scratch, "runs", "tight", "done.json"))).toBe(false);
    const spent = JSON.parse(readFileSync(join(scratch, "runs", "tight", "spent.json"), "utf8")) as {
      engine: Record<string, number>;
    };
    expect(Object.values(spent.engine).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(2000);
    const again = rzero("resume", "tight", "--budget", "2k-tokens");
    expect(again.status).toBe(2);
    expect(again.stderr).toContain("expected more than what tight has spent");
    expect(rzero("resume", "tight", "--budget", "100M-tokens,1h").status).toBe(0);
    expect(model("tight").equals(model("free"))).toBe(true);
  });

  it("that cannot be read or counted is refused before a run is made", () => {
    expect(rzero("run", "tiny", "--run", "x", "--budget", "much", ...RUN)).toMatchObject({ status: 2 });
    const dollars = rzero("run", "tiny", "--run", "x", "--budget", "5usd", ...RUN);
    expect(dollars.status).toBe(2);
    expect(dollars.stderr).toContain("expected engine.pricing or sampler.pricing");
    expect(readdirSync(join(scratch, "runs"))).not.toContain("x");
  });
});

describe("--plan", () => {
  it("tells tokens, dollars and GPU time of each phase, of models that are not there yet too, and does nothing", () => {
    const before = readdirSync(join(scratch, "runs"));
    const { status, stdout } = rzero("run", "paper-qwen3-8b", "--plan", "--json", "--engine.pricing={sample: 1}");
    expect(status).toBe(0);
    const plan = JSON.parse(stdout) as {
      parameters: number;
      usd: number;
      phases: { name: string; engine: { sample: number }; usd: number }[];
    };
    expect(plan.parameters).toBe(8_190_735_360);
    expect(plan.phases.map(({ name }) => name)).toEqual(["challenger", "curriculum", "solver"]);
    // Of the paper: 5 steps × 512 questions with 10 answers each, up to 4096 tokens, in 3 iterations.
    expect(plan.phases[0].engine.sample).toBe(3 * 5 * 512 * 11 * 4096);
    expect(plan.usd).toBeCloseTo(plan.phases.reduce((sum, { engine }) => sum + engine.sample, 0) / 1e6, 6);
    const text = rzero("run", "tiny", "--plan", ...RUN);
    expect(text.stdout).toMatch(/GPU time is an assumption, not a measurement/);
    expect(text.stdout).toMatch(/challenger/);
    expect(readdirSync(join(scratch, "runs"))).toEqual(before);
  });
});
