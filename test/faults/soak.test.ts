// Many tiny steps in one process: memory, open files and threads stay as they are. `SOAK=1000` (npm run test:faults) says how many;
// without it nothing runs here. Linux only, from /proc.

import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { scratchRuns, startRzero, TINY_RUN } from "./harness.ts";

const STEPS = Number(process.env.SOAK ?? 0);
const runs = scratchRuns();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

interface Sample {
  readonly residentKib: number;
  readonly threads: number;
  readonly files: number;
}

/** What /proc says of a process; undefined when it has ended. */
function look(pid: number): Sample | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
    return { residentKib: field("VmRSS"), threads: field("Threads"), files: readdirSync(`/proc/${pid}/fd`).length };
  } catch {
    return undefined;
  }
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

describe.runIf(STEPS > 0 && existsSync("/proc/self/status"))("a long run", () => {
  it("stays as large as it was", async () => {
    const overrides = ["--iterations=1", "--challenger.train=false", `--solver.steps=${STEPS}`];
    const tiny = ["--solver.questionsPerStep=2", "--solver.questionsPerOptimizerStep=2", "--solver.sampling.maxTokens=24"];
    const args = ["run", "tiny", "--run", "long", "--threads", "2", "--json", ...TINY_RUN, ...overrides, ...tiny];
    const { child, ended } = startRzero(runs, args);
    const samples: Sample[] = [];
    child.stdout?.on("data", (chunk) => {
      for (const _ of String(chunk).matchAll(/"event":"solver-step"/g)) {
        const sample = look(child.pid ?? 0);
        if (sample !== undefined) samples.push(sample);
      }
    });
    const { code, stderr } = await ended;
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(samples.length).toBeGreaterThan(STEPS * 0.9);
    const quarter = (number: number, key: keyof Sample) => {
      const from = Math.floor(((number - 1) * samples.length) / 4);
      return median(samples.slice(from, from + Math.floor(samples.length / 4)).map((sample) => sample[key]));
    };
    const table = ([1, 2, 3, 4] as const).map((number) => ({
      residentKib: quarter(number, "residentKib"),
      threads: quarter(number, "threads"),
      files: quarter(number, "files"),
    }));
    console.log(JSON.stringify(table));
    const [, second, , last] = table;
    expect(last.residentKib / second.residentKib).toBeLessThan(1.02);
    expect({ threads: last.threads, files: last.files }).toEqual({ threads: second.threads, files: second.files });
  }, 3_600_000);
});
