import { describe, expect, it } from "vitest";
import { batchAdvantages, groupAdvantages } from "./advantage.ts";

const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 5));

describe("group advantages", () => {
  it("standardise within each group, with the unbiased std", () => {
    const { advantages, groups, zeroVarianceGroups } = groupAdvantages([1, 0, 0, 0, 3, 3, 3, 3, 0, 2], 4);
    expect([...advantages]).toEqual(close([1.5, -0.5, -0.5, -0.5, 0, 0, 0, 0, -Math.SQRT1_2, Math.SQRT1_2]));
    expect({ groups, zeroVarianceGroups }).toEqual({ groups: 3, zeroVarianceGroups: 1 });
  });
  it("are exactly 0 for constant rewards, even where a mean would round, and for a single one", () => {
    expect([...groupAdvantages([0.1, 0.1, 0.1], 3).advantages]).toEqual([0, 0, 0]);
    expect(groupAdvantages([5, 7], 1)).toEqual({ advantages: Float64Array.of(0, 0), groups: 2, zeroVarianceGroups: 2 });
    expect(groupAdvantages([], 4)).toEqual({ advantages: new Float64Array(0), groups: 0, zeroVarianceGroups: 0 });
  });
});

describe("batch advantages", () => {
  it("take the mean of the others as baseline and the std of all as scale", () => {
    const rewards = [1, 0, 0, 0, 3, 3, 3, 3];
    const mean = 13 / 8;
    const std = Math.sqrt(rewards.reduce((sum, r) => sum + (r - mean) ** 2, 0) / 7);
    const others = (r: number) => (13 - r) / 7;
    expect([...batchAdvantages(rewards).advantages]).toEqual(close(rewards.map((r) => (r - others(r)) / std)));
  });
  it("give a group of equal rewards a gradient that group baselines deny it", () => {
    const rewards = [3, 3, 3, 3, 0, 0, 0, 0];
    expect(groupAdvantages(rewards, 4).advantages.some((a) => a !== 0)).toBe(false);
    expect(batchAdvantages(rewards).advantages[0]).toBeGreaterThan(0.9);
  });
  it("are exactly 0 for constant rewards", () => {
    expect(batchAdvantages([0.1, 0.1, 0.1])).toEqual({ advantages: new Float64Array(3), groups: 1, zeroVarianceGroups: 1 });
  });
});

describe("estimators", () => {
  it("dr-grpo leaves the spread, rloo compares with the others", () => {
    expect([...groupAdvantages([1, 0, 0, 0, 5, 7], 4, "dr-grpo").advantages]).toEqual([0.75, -0.25, -0.25, -0.25, -1, 1]);
    expect([...groupAdvantages([1, 0, 0, 0, 5, 7], 4, "rloo").advantages]).toEqual(close([1, -1 / 3, -1 / 3, -1 / 3, -2, 2]));
  });
  it("work on a pooled batch, and are exactly 0 for constant rewards", () => {
    expect([...batchAdvantages([4, 0, 0, 0], "rloo").advantages]).toEqual(close([4, -4 / 3, -4 / 3, -4 / 3]));
    expect([...batchAdvantages([4, 0, 0, 0], "dr-grpo").advantages]).toEqual([3, -1, -1, -1]);
    for (const estimator of ["dr-grpo", "rloo"] as const) {
      expect(batchAdvantages([0.1, 0.1, 0.1], estimator).advantages).toEqual(new Float64Array(3));
      expect(groupAdvantages([0.1, 0.1, 0.1, 7], 3, estimator).advantages).toEqual(new Float64Array(4));
    }
  });
});
