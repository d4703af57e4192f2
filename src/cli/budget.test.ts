// Limits, and what counts against them.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig, parseOverride } from "../config/load.ts";
import { createRun } from "../store/runs.ts";
import { DataError, InterruptedError } from "../util/errors.ts";
import { Budget, openBudget, parseBudget } from "./budget.ts";

const PRICES = [
  "engine.pricing={prompt: 1, sample: 10, train: 100}",
  "sampler={kind: openai, endpoints: [{url: 'http://x'}], pricing: {sample: 1000}}",
];

function runWith(...overrides: string[]) {
  const config = loadConfig({ recipe: "tiny", overrides: overrides.map((text) => parseOverride(`--${text}`)) });
  return createRun({ root: mkdtempSync(join(tmpdir(), "rzero-budget-")), config, name: "r", version: "test" });
}

describe("limits", () => {
  it.each([
    ["20usd", "usd", 20],
    ["0.5 USD", "usd", 0.5],
    ["100M-tokens", "tokens", 1e8],
    ["250k-tokens", "tokens", 250_000],
    ["7tokens", "tokens", 7],
    ["2h", "seconds", 7200],
    ["90m", "seconds", 5400],
    ["1.5d", "seconds", 129_600],
  ])("%s", (text, unit, most) => {
    expect(parseBudget(text)).toEqual([{ unit, most, text }]);
  });

  it("may be several, and anything else is refused", () => {
    expect(parseBudget("20usd,2h").map(({ unit }) => unit)).toEqual(["usd", "seconds"]);
    for (const text of ["", "20", "usd", "-3h", "0h", "3 apples", "1e9usd", "5usd,"])
      expect(() => parseBudget(text)).toThrow(/budget: expected dollars/);
  });
});

describe("a budget", () => {
  it("is reached in the tokens of engine and servers together, and goes on where it stood", () => {
    const store = runWith();
    expect(openBudget(undefined, store)).toBeUndefined();
    const first = new Budget(parseBudget("1000tokens"), store);
    first.spend("engine", { prompt: 300, sample: 300, train: 300 });
    expect(first.signal.aborted).toBe(false);
    first.close();
    const second = new Budget(parseBudget("1000tokens"), store);
    second.spend("sampler", { prompt: 50, sample: 50, train: 0 });
    expect(second.signal.aborted).toBe(true);
    second.close();
    const error = second.explain(new InterruptedError("interrupted"), "rzero resume r");
    expect(String(error)).toMatch(
      /budget: 1000tokens is reached \(1\.0k tokens, .*s\); .*Go on with: rzero resume r --budget LARGER/,
    );
    const other = new Error("other");
    expect(second.explain(other, "")).toBe(other);
    expect(() => new Budget(parseBudget("1000tokens"), store)).toThrow(/expected more than what r has spent \(1\.0k tokens/);
    expect(openBudget("2000tokens", store)?.signal.aborted).toBe(false);
    // Without a limit what is spent is still counted, because it once was.
    expect(openBudget(undefined, store)?.describe()).toContain("1.0k tokens");
  });

  it("in dollars needs prices, and uses each one's own", () => {
    expect(() => new Budget(parseBudget("1usd"), runWith())).toThrow(/expected engine.pricing or sampler.pricing/);
    const budget = new Budget(parseBudget("0.5usd"), runWith(...PRICES));
    budget.spend("engine", { prompt: 10_000, sample: 10_000, train: 1000 });
    expect(budget.describe()).toContain("$0.21");
    budget.spend("sampler", { prompt: 1e6, sample: 280, train: 0 });
    expect(budget.signal.aborted).toBe(false);
    budget.spend("sampler", { prompt: 0, sample: 10, train: 0 });
    expect(budget.signal.aborted).toBe(true);
  });

  it("in time ends by itself", async () => {
    const budget = new Budget(parseBudget("0.05s"), runWith());
    await new Promise((resolve) => budget.signal.addEventListener("abort", resolve, { once: true }));
    budget.close();
    expect(budget.seconds).toBeGreaterThan(0.05);
  });

  it("does not believe a damaged record", () => {
    const store = runWith();
    writeFileSync(store.layout.spent, '{"engine": {"prompt": -1, "sample": 0, "train": 0}, "sampler": {}, "seconds": 1}');
    expect(() => openBudget("1h", store)).toThrow(DataError);
  });
});
