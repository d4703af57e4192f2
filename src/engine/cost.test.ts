import { describe, expect, it } from "vitest";
import { costOf } from "./cost.ts";
import { sizeOfPublished } from "./known-models.ts";
import type { RunWork } from "./plan.ts";

const work: RunWork = {
  trainers: 2,
  base: false,
  phases: [
    {
      name: "challenger",
      times: 2,
      sampling: [
        { calls: 3, prompts: 1, completions: 10, promptTokens: 20, newTokens: 50, frozen: false },
        { calls: 3, prompts: 10, completions: 40, promptTokens: 30, newTokens: 60, frozen: true },
      ],
      training: { steps: 3, rollouts: 10, groupSize: 5, promptTokens: 20, newTokens: 50, updates: 1, reference: true },
      references: 1,
      voters: 1,
    },
  ],
};

describe("what a run costs", () => {
  it("counts tokens by what is done with them and by whom", () => {
    const { phases, tokens, usd } = costOf(work, 1e9, () => true, {});
    expect(phases[0].engine).toEqual({ prompt: 2 * (3 * 20 + 3 * 10 * 70), sample: 2 * 3 * 10 * 50, train: 2 * 3 * 10 * 70 });
    expect(phases[0].sampler).toEqual({ prompt: 2 * 3 * 10 * 30, sample: 2 * 3 * 40 * 60, train: 0 });
    expect(tokens).toBe(4320 + 3000 + 4200 + 1800 + 14400);
    expect(usd).toBeUndefined();
    const alone = costOf(work, 1e9, () => false, {});
    expect(alone.phases[0].sampler).toEqual({ prompt: 0, sample: 0, train: 0 });
    expect(alone.tokens).toBe(tokens);
    expect(alone.gpuHours).toBeCloseTo(((2 * 6120) / 0.4 + (2 * 17400) / 0.1 + (6 * 4200) / 0.35) / 989e3 / 3600, 12);
  });

  it("has a price where prices are given", () => {
    const prices = { engine: { prompt: 1, sample: 10, train: 100 }, sampler: { prompt: 0, sample: 1000, train: 0 } };
    expect(costOf(work, 1e9, () => true, prices).usd).toBeCloseTo((4320 + 30_000 + 420_000 + 14_400_000) / 1e6, 9);
    expect(costOf(work, 1e9, () => true, { engine: prices.engine }).usd).toBeCloseTo(454_320 / 1e6, 9);
  });

  it("knows the published models of the recipes by name", () => {
    // Of the models' cards: 4.02, 8.19 and 3.21 billion.
    expect(sizeOfPublished("Qwen/Qwen3-4B-Base")?.parameters).toBe(4_022_468_096);
    expect(sizeOfPublished("Qwen3-8B-Base")?.parameters).toBe(8_190_735_360);
    expect(sizeOfPublished("OctoThinker-3B-Hybrid-Base")?.parameters).toBe(3_212_749_824);
    expect(sizeOfPublished("unheard-of")).toBeUndefined();
  });
});
