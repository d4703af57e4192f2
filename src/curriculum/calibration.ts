// From probes of known truth to the accuracy of labels nobody can check: how often is a majority of this size right? Pure numbers; knows no
// question. The assumption that makes it an estimate: at equal vote share a kept question's label is right as often as that of a probe like
// it. It holds only roughly, because a trained Challenger finds what tells them apart, so a probe counts for less than one observation; and of
// labels that no probe is like nothing is assumed: the interval counts them all wrong at its low end and all right at its high end.
// Model: vote shares in ten bins, a Beta-binomial in each, with a weak prior from the bins around. The interval is a parametric bootstrap:
// chances are drawn from the posteriors and right labels from the chances. (Making the chances monotonic in the share as well covers worse:
// it turns the noise of flat curves into slopes.)

import type { Rng } from "../util/rng.ts";

/** One probe: the vote share of its majority answer, and whether that is the truth. */
export interface ProbeVote {
  readonly voteShare: number;
  readonly right: boolean;
}

/** One probe whose majority answer a second judge has confirmed, or not. */
export interface JudgedProbe {
  readonly right: boolean;
  readonly confirmed: boolean;
}

/** Estimated share of right labels, in [0, 1]. */
export interface LabelEstimate {
  /** Probes behind it that had a majority. */
  readonly probes: number;
  /** Share of the labels that a probe is like; absent where a second judge makes that unnecessary. */
  readonly alike?: number;
  /** Labels that no probe is like count as half right. */
  readonly mean: number;
  /** 95 % interval of the share of right labels among exactly these labels. */
  readonly ci95: readonly [number, number];
}

const BINS = 10;
const REPLICATES = 500;
/** What a probe counts for, in observations. */
const PROBE_WEIGHT = 0.5;
/** Strength of the prior of a bin, in observations; its mean is that of the probes around, each bin further away counting a third of the one before. */
const PRIOR_PROBES = 1;
const NEIGHBOUR = 1 / 3;
/** From here on the count of right labels in a bin is drawn as a rounded normal. */
const NORMAL_FROM = 100;

/** Labels to be judged. */
export interface UnknownLabels {
  /** Vote shares of those that a probe is like. */
  readonly shares: readonly number[];
  /** Count of the others. */
  readonly unlike?: number;
}

/** Estimates the accuracy of labels; undefined without probes or labels. */
export function estimateLabelAccuracy(
  probes: readonly ProbeVote[],
  { shares, unlike = 0 }: UnknownLabels,
  rng: Rng,
): LabelEstimate | undefined {
  const count = shares.length + unlike;
  if (probes.length === 0 || count === 0) return undefined;
  const alike = shares.length / count;
  const { mean, ci95 } = shares.length === 0 ? NOTHING_KNOWN : estimate(probes, shares, rng);
  return {
    probes: probes.length,
    alike,
    mean: alike * mean + (1 - alike) / 2,
    ci95: [alike * ci95[0], alike * ci95[1] + 1 - alike],
  };
}

const NOTHING_KNOWN = { mean: 0.5, ci95: [0, 1] } as const;

/** Labels that a second judge has judged. */
export interface JudgedLabels {
  readonly confirmed: number;
  readonly unconfirmed: number;
  /** Which of them are asked about. */
  readonly kept: "confirmed" | "all";
}

/**
 * Estimates the accuracy of labels by a second judge whose errors the probes show: how often it confirms right and wrong labels of theirs, and
 * how often it confirms these, give the share of right ones (Rogan and Gladen, 1978). So labels may be wrong more often than the probes',
 * which a trained Challenger sees to; assumed is that the judge treats right labels alike and wrong ones alike. Undefined without probes or labels.
 */
export function estimateJudgedLabels(
  probes: readonly JudgedProbe[],
  { confirmed, unconfirmed, kept }: JudgedLabels,
  rng: Rng,
): LabelEstimate | undefined {
  const labels = kept === "all" ? confirmed + unconfirmed : confirmed;
  if (probes.length === 0 || labels === 0) return undefined;
  const [right, wrong] = [true, false].map((is) => {
    const of = probes.filter((probe) => probe.right === is);
    const yes = of.filter((probe) => probe.confirmed).length;
    return { a: PROBE_WEIGHT * yes + 0.5, b: PROBE_WEIGHT * (of.length - yes) + 0.5 };
  });
  const draws = Array.from({ length: REPLICATES }, () => {
    const [ofRight, ofWrong] = [drawBeta(right.a, right.b, rng), drawBeta(wrong.a, wrong.b, rng)];
    // A judge that confirms wrong labels as often as right ones tells nothing.
    if (ofRight <= ofWrong) return rng.next();
    const share = drawBeta(confirmed + 0.5, unconfirmed + 0.5, rng);
    const prevalence = Math.min(1, Math.max(0, (share - ofWrong) / (ofRight - ofWrong)));
    const among = kept === "all" ? prevalence : (prevalence * ofRight) / (prevalence * ofRight + (1 - prevalence) * ofWrong);
    return drawBinomial(labels, among, rng) / labels;
  }).sort((x, y) => x - y);
  const mean = draws.reduce((sum, draw) => sum + draw, 0) / REPLICATES;
  return { probes: probes.length, mean, ci95: intervalOf(draws) };
}

/** The 95 % interval of sorted draws. */
function intervalOf(draws: readonly number[]): [number, number] {
  const at = (level: number) => draws[Math.round(level * (REPLICATES - 1))];
  return [at(0.025), at(0.975)];
}

function estimate(probes: readonly ProbeVote[], labelShares: readonly number[], rng: Rng): Pick<LabelEstimate, "mean" | "ci95"> {
  const bins = Array.from({ length: BINS }, () => ({ right: 0, wrong: 0, labels: 0 }));
  for (const { voteShare, right } of probes) bins[binOf(voteShare)][right ? "right" : "wrong"]++;
  for (const share of labelShares) bins[binOf(share)].labels++;
  const priors = bins.map((_, bin) => priorMean(bins, bin));
  const posteriors = bins.map(({ right, wrong }, bin) => ({
    a: PROBE_WEIGHT * right + PRIOR_PROBES * priors[bin],
    b: PROBE_WEIGHT * wrong + PRIOR_PROBES * (1 - priors[bin]),
  }));
  const rightLabels = (chanceOf: (bin: number) => number, count: (labels: number, chance: number) => number) =>
    bins.reduce((sum, { labels }, bin) => sum + (labels === 0 ? 0 : count(labels, chanceOf(bin))), 0) / labelShares.length;
  const mean = rightLabels(
    (bin) => posteriors[bin].a / (posteriors[bin].a + posteriors[bin].b),
    (labels, chance) => labels * chance,
  );
  const draws = Array.from({ length: REPLICATES }, () =>
    rightLabels(
      (bin) => drawBeta(posteriors[bin].a, posteriors[bin].b, rng),
      (labels, chance) => drawBinomial(labels, chance, rng),
    ),
  ).sort((x, y) => x - y);
  return { mean, ci95: intervalOf(draws) };
}

/** Share of right ones among the probes around a bin, with half of each added. */
function priorMean(bins: readonly { readonly right: number; readonly wrong: number }[], bin: number): number {
  let [right, all] = [0.5, 1];
  bins.forEach((other, index) => {
    const weight = NEIGHBOUR ** Math.abs(index - bin);
    right += weight * other.right;
    all += weight * (other.right + other.wrong);
  });
  return right / all;
}

function binOf(share: number): number {
  return Math.min(BINS - 1, Math.floor(share * BINS + 1e-9));
}

function drawBeta(a: number, b: number, rng: Rng): number {
  const x = drawGamma(a, rng);
  const y = drawGamma(b, rng);
  return x + y === 0 ? a / (a + b) : x / (x + y);
}

/** Gamma(shape, 1) by Marsaglia and Tsang (2000); below shape 1 by their boost. */
function drawGamma(shape: number, rng: Rng): number {
  if (shape < 1) return drawGamma(shape + 1, rng) * (1 - rng.next()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = rng.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - rng.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

function drawBinomial(n: number, p: number, rng: Rng): number {
  if (n >= NORMAL_FROM) return Math.min(n, Math.max(0, Math.round(n * p + Math.sqrt(n * p * (1 - p)) * rng.normal())));
  let count = 0;
  for (let i = 0; i < n; i++) if (rng.next() < p) count++;
  return count;
}
