import { describe, expect, it } from "vitest";
import { rngFrom } from "../util/rng.ts";
import { estimateLabelAccuracy } from "./calibration.ts";

/** Probes and labels of one world, in which a majority of share s is right with chance `chance(s)`. */
function world(seed: number, chance: (share: number) => number, probes: number, labels: number) {
  const rng = rngFrom(seed, "world");
  const draw = (low: number) => {
    const voteShare = (low + rng.int(10 - low) + 1) / 10;
    return { voteShare, right: rng.next() < chance(voteShare) };
  };
  const kept = Array.from({ length: labels }, () => draw(4));
  return {
    probes: Array.from({ length: probes }, () => draw(0)),
    shares: kept.map(({ voteShare }) => voteShare),
    truth: kept.filter(({ right }) => right).length / labels,
  };
}

describe("estimated label accuracy", () => {
  it.each([
    ["rising", (share: number) => share, 200],
    ["high", (share: number) => 0.6 + 0.4 * share, 200],
    ["flat", () => 0.8, 60],
    ["a jump", (share: number) => (share > 0.75 ? 0.95 : 0.3), 60],
  ])("covers the truth in at least 90 %% of worlds: %s", (_, chance, probes) => {
    const worlds = 100;
    let covered = 0;
    let error = 0;
    for (let seed = 0; seed < worlds; seed++) {
      const { probes: votes, shares, truth } = world(seed, chance, probes, 300);
      const estimate = estimateLabelAccuracy(votes, { shares }, rngFrom(seed, "audit"));
      const [low, high] = estimate?.ci95 ?? [1, 0];
      covered += Number(low <= truth && truth <= high);
      error += ((estimate?.mean ?? Number.NaN) - truth) / worlds;
    }
    expect(covered / worlds).toBeGreaterThanOrEqual(0.9);
    expect(Math.abs(error)).toBeLessThan(0.03);
  });
  it("gives an interval even where every probe was right", () => {
    const probes = Array.from({ length: 20 }, () => ({ voteShare: 0.8, right: true }));
    const estimate = estimateLabelAccuracy(probes, { shares: new Array(500).fill(0.8) }, rngFrom(1));
    expect(estimate?.mean).toBeGreaterThan(0.9);
    expect(estimate?.ci95[0]).toBeLessThan(0.99);
    expect(estimate?.ci95[1]).toBe(1);
  });
  it("assumes nothing of labels that no probe is like", () => {
    const probes = Array.from({ length: 400 }, () => ({ voteShare: 0.8, right: true }));
    const half = estimateLabelAccuracy(probes, { shares: new Array(100).fill(0.8), unlike: 100 }, rngFrom(1));
    expect(half?.alike).toBe(0.5);
    expect(half?.mean).toBeCloseTo(0.75, 2);
    expect(half?.ci95[0]).toBeGreaterThan(0.45);
    expect(half?.ci95[0]).toBeLessThanOrEqual(0.5);
    expect(half?.ci95[1]).toBe(1);
    expect(estimateLabelAccuracy(probes, { shares: [], unlike: 7 }, rngFrom(1))).toEqual({
      probes: 400,
      alike: 0,
      mean: 0.5,
      ci95: [0, 1],
    });
  });
  it("repeats itself, and says nothing without probes or labels", () => {
    const { probes, shares } = world(1, (share) => share, 50, 50);
    const twice = [1, 1].map((seed) => estimateLabelAccuracy(probes, { shares }, rngFrom(seed)));
    expect(twice[0]).toEqual(twice[1]);
    expect(estimateLabelAccuracy([], { shares }, rngFrom(1))).toBeUndefined();
    expect(estimateLabelAccuracy(probes, { shares: [] }, rngFrom(1))).toBeUndefined();
  });
});
