// A second opinion on labels. A Solver that trains on its own majority grows surer of its errors, and the Challenger finds them; the base
// model never trains, so its errors are others and do not grow. A question stays only where the base's majority is the label too.
// Knows labels and votes, no truth. Source: docs/results (label accuracy with and without it).

import { equivalent } from "../answer/equivalent.ts";
import { inBand } from "../curriculum/filter.ts";
import { type LoopContext, seedFor, withFrozenBase } from "./context.ts";
import { answerQuestions } from "./questions.ts";

/** Whether a question goes out whose label the base does not confirm. */
export const dropsUnconfirmed = ({ curriculum }: LoopContext["config"]): boolean => curriculum.confirm.answers > 0;

/**
 * Which of these questions the base model labels alike; undefined when nobody asks it, or where a verifier has judged the labels: its word
 * needs no majority. `labels`: by question text. Errors: those of the Sampler, InterruptedError, RunError (disk).
 */
export async function confirmLabels(
  context: LoopContext,
  iteration: number,
  labels: ReadonlyMap<string, string>,
): Promise<ReadonlySet<string> | undefined> {
  const { curriculum, votes, audit } = context.config;
  const forAudit = !dropsUnconfirmed(context.config);
  const { answers, minShare, forcedPrefix } = forAudit ? audit.confirm : curriculum.confirm;
  if (answers === 0 || context.verifier !== undefined || (forAudit && audit.probes === undefined)) return undefined;
  const seed = seedFor(context.config, "curriculum", iteration, "confirm");
  const call = { iteration, phase: "curriculum", activity: "confirming" } as const;
  const options = { answers, sampling: curriculum.solverSampling, seed, call, forcedPrefix };
  const base = await withFrozenBase(context, (frozen) => answerQuestions(context, frozen, [...labels.keys()], options));
  const policy = votes.equivalence;
  const isConfirmed = ([question, label]: readonly [string, string]) => {
    const { majority, share } = base.get(question)?.vote ?? {};
    const isMajority = share !== undefined && inBand(share, [minShare, 1]);
    return isMajority && equivalent({ predicted: majority, truth: label }, { policy }).equivalent;
  };
  return new Set([...labels].filter(isConfirmed).map(([question]) => question));
}
