// The label audit: questions of known answer are voted on like the pool's, and how often their majority is right, by vote share, estimates
// how often the curriculum's labels are. Reporting only: a probe is held out of the curriculum, and nothing that trains reads the outcome.

import { equivalent } from "../answer/equivalent.ts";
import { estimateLabelAccuracy, type LabelEstimate } from "../curriculum/calibration.ts";
import type { BenchQuestion } from "../evaluation/benchmarks.ts";
import { rngFrom } from "../util/rng.ts";
import type { LoopContext } from "./context.ts";
import type { AnsweredQuestion } from "./questions.ts";

/** A question with its known answer. */
export type Probe = Pick<BenchQuestion, "question" | "answer">;

/** The probes of an iteration: `audit.probes.count` of the file's, drawn anew each time; none when the audit is off. */
export function chooseProbes({ config, probes }: LoopContext, iteration: number): Probe[] {
  const order = rngFrom(config.seed, "audit-probes", iteration).shuffle([...probes]);
  return order.slice(0, config.audit.probes?.count ?? 0);
}

/** Estimates the accuracy of labels with these vote shares; undefined without probes. */
export function auditByProbes(
  { config }: LoopContext,
  iteration: number,
  { answered, probes }: { readonly answered: ReadonlyMap<string, AnsweredQuestion>; readonly probes: readonly Probe[] },
  labelShares: readonly number[],
): LabelEstimate | undefined {
  const votes = probes.flatMap(({ question, answer }) => {
    const vote = answered.get(question)?.vote;
    if (vote?.majority === undefined) return [];
    return { voteShare: vote.share, right: equivalent({ predicted: vote.majority, truth: answer }).equivalent };
  });
  return estimateLabelAccuracy(votes, labelShares, rngFrom(config.seed, "audit", iteration));
}
