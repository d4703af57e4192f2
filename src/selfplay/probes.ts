// The label audit: questions of known answer are voted on like the pool's, and how often their majority is right, by vote share, estimates
// how often the curriculum's labels are. Reporting only: a probe is held out of the curriculum, and nothing that trains reads the outcome.

import { equivalent } from "../answer/equivalent.ts";
import { estimateJudgedLabels, estimateLabelAccuracy, type LabelEstimate } from "../curriculum/calibration.ts";
import { inBand } from "../curriculum/filter.ts";
import type { LabelledQuestion } from "../curriculum/question.ts";
import type { BenchQuestion } from "../evaluation/benchmarks.ts";
import type { QualityGate } from "../reward/quality.ts";
import { rngFrom } from "../util/rng.ts";
import { dropsUnconfirmed } from "./confirm.ts";
import type { LoopContext } from "./context.ts";
import type { AnsweredQuestion } from "./questions.ts";

/** A question with its known answer. */
export type Probe = Pick<BenchQuestion, "question" | "answer">;

/** How much longer or shorter a probe may be than the question it stands for, in characters. */
const LENGTH_TOLERANCE = 2;

/**
 * The probes of an iteration, drawn anew each time; none when the audit is off. `any`: `audit.probes.count` of the file's. `alike`: for that
 * many questions of the pool one each that begins as it does, up to the first digit, and is as long, where there is one: at equal vote share
 * a long sum's majority is right less often than a short one's, so the probes have to be what the pool is. What the gate would not let
 * pass is no probe either.
 */
export function chooseProbes(
  { config, probes, tokenizer }: LoopContext,
  iteration: number,
  posed: readonly string[],
  gate: QualityGate | undefined,
): Probe[] {
  if (!config.audit.probes) return [];
  const { count, match } = config.audit.probes;
  const rng = rngFrom(config.seed, "audit-probes", iteration);
  const isOpen = ({ question, answer }: Probe) =>
    gate?.fault({ question, ownAnswer: answer, questionTokens: tokenizer.encode(question).length }) === undefined;
  const order = rng.shuffle([...probes]).filter(isOpen);
  if (match === "any") return order.slice(0, count);
  const listOf = byOpening(order);
  return rng
    .shuffle([...posed])
    .slice(0, count)
    .flatMap((question) => takeAlike(listOf(question), question));
}

/** Gives the probes that begin as a question does, up to the first digit: each time the same list. */
function byOpening(probes: readonly Probe[]): (question: string) => Probe[] {
  const opening = (question: string) => /^[^\d]*/.exec(question)?.[0] ?? "";
  const lists = new Map<string, Probe[]>();
  for (const probe of probes) {
    const key = opening(probe.question);
    const list = lists.get(key);
    if (list === undefined) lists.set(key, [probe]);
    else list.push(probe);
  }
  return (question) => lists.get(opening(question)) ?? [];
}

/** Takes the probe out of a list whose length is the nearest to a question's. */
function takeAlike(probes: Probe[], question: string): Probe[] {
  const distance = (probe: Probe) => lengthApart(probe, question);
  const nearest = probes.reduce((best, probe, index) => (distance(probe) < distance(probes[best]) ? index : best), 0);
  if (probes.length === 0 || distance(probes[nearest]) > LENGTH_TOLERANCE) return [];
  return probes.splice(nearest, 1);
}

/** What became of the probes, and of the questions that would be kept but for a second judge. */
export interface ProbesVoted {
  readonly probes: readonly Probe[];
  readonly answered: ReadonlyMap<string, AnsweredQuestion>;
  readonly candidates: readonly LabelledQuestion[];
  /** Questions, and probes in the band, whose label the base model confirms; undefined: it was not asked. */
  readonly confirmed: ReadonlySet<string> | undefined;
}

/**
 * Estimates the accuracy of the labels of kept questions; undefined without probes. By the vote shares alone, or where the base model was
 * asked by what it confirms: then a probe outside the band, which it was not asked about, says nothing.
 */
export function auditByProbes(
  { config, probes: all }: LoopContext,
  iteration: number,
  { probes, answered, candidates, confirmed }: ProbesVoted,
  kept: readonly { readonly question: string; readonly voteShare: number }[],
): LabelEstimate | undefined {
  const rng = rngFrom(config.seed, "audit", iteration);
  const votes = probes.flatMap(({ question, answer }) => {
    const vote = answered.get(question)?.vote;
    if (vote?.majority === undefined) return [];
    const right = equivalent({ predicted: vote.majority, truth: answer }).equivalent;
    return { voteShare: vote.share, right, confirmed: confirmed?.has(question) === true };
  });
  if (confirmed !== undefined) {
    const yes = candidates.filter(({ question }) => confirmed.has(question.text)).length;
    const labels = { confirmed: yes, unconfirmed: candidates.length - yes };
    const asked = votes.filter(({ voteShare }) => inBand(voteShare, config.curriculum.band));
    return estimateJudgedLabels(asked, { ...labels, kept: dropsUnconfirmed(config) ? "confirmed" : "all" }, rng);
  }
  const listOf = byOpening(all);
  const isAlike = (question: string) => listOf(question).some((probe) => lengthApart(probe, question) <= LENGTH_TOLERANCE);
  const alike = kept.filter(({ question }) => config.audit.probes?.match === "any" || isAlike(question));
  return estimateLabelAccuracy(
    votes,
    { shares: alike.map(({ voteShare }) => voteShare), unlike: kept.length - alike.length },
    rng,
  );
}

const lengthApart = (probe: Probe, question: string) => Math.abs(probe.question.length - question.length);
