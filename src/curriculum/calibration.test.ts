import { describe, expect, it } from "vitest";
import { rngFrom } from "../util/rng.ts";
import { estimateJudgedLabels, estimateLabelAccuracy } from "./calibration.ts";

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

describe("labels that a second judge has judged", () => {
  /** Probes are right with `ofProbes`, labels with `ofLabels`; the judge confirms right ones with 0.85 and wrong ones with 0.15. */
  function world(seed: number, ofProbes: number, ofLabels: number) {
    const rng = rngFrom(seed, "judged");
    const draw = (share: number) => {
      const right = rng.next() < share;
      return { right, confirmed: rng.next() < (right ? 0.85 : 0.15) };
    };
    return {
      probes: Array.from({ length: 120 }, () => draw(ofProbes)),
      labels: Array.from({ length: 300 }, () => draw(ofLabels)),
    };
  }
  const shareRight = (of: readonly { readonly right: boolean }[]) => of.filter(({ right }) => right).length / of.length;

  it.each([
    ["as good as the probes'", 0.8, "confirmed"],
    ["much worse", 0.3, "all"],
    ["much worse, the confirmed ones", 0.4, "confirmed"],
    ["all wrong", 0, "all"],
  ] as const)("covers the truth in at least 90 %% of worlds, where labels are %s", (_, ofLabels, kept) => {
    let covered = 0;
    for (let seed = 0; seed < 100; seed++) {
      const { probes, labels } = world(seed, 0.8, ofLabels);
      const confirmed = labels.filter((label) => label.confirmed);
      const counts = { confirmed: confirmed.length, unconfirmed: labels.length - confirmed.length, kept };
      const [low, high] = estimateJudgedLabels(probes, counts, rngFrom(seed, "audit"))?.ci95 ?? [1, 0];
      const truth = shareRight(kept === "all" ? labels : confirmed);
      covered += Number(low <= truth && truth <= high);
    }
    expect(covered).toBeGreaterThanOrEqual(90);
  });

  it("knows that a judge who confirms everything tells nothing, and says nothing without probes or labels", () => {
    const probes = Array.from({ length: 100 }, (_, index) => ({ right: index % 2 === 0, confirmed: true }));
    const estimate = estimateJudgedLabels(probes, { confirmed: 100, unconfirmed: 0, kept: "all" }, rngFrom(1));
    expect((estimate?.ci95[1] ?? 0) - (estimate?.ci95[0] ?? 1)).toBeGreaterThan(0.8);
    expect(estimateJudgedLabels([], { confirmed: 9, unconfirmed: 9, kept: "all" }, rngFrom(1))).toBeUndefined();
    expect(estimateJudgedLabels(probes, { confirmed: 0, unconfirmed: 9, kept: "confirmed" }, rngFrom(1))).toBeUndefined();
  });
});
