// A second opinion on labels. A Solver that trains on its own majority grows surer of its errors, and the Challenger finds them; the base
// model never trains, so its errors are others and do not grow. A question stays only where the base's majority is the label too.
// Knows labels and votes, no truth. Source: docs/results (label accuracy with and without it).

import { equivalent } from "../answer/equivalent.ts";
import { type LoopContext, seedFor, withFrozenBase } from "./context.ts";
import { answerQuestions } from "./questions.ts";

/**
 * Which of these questions the base model labels alike; undefined when labels are not confirmed. `labels`: by question text. Errors: those
 * of the Sampler, InterruptedError, RunError (disk).
 */
export async function confirmLabels(
  context: LoopContext,
  iteration: number,
  labels: ReadonlyMap<string, string>,
): Promise<ReadonlySet<string> | undefined> {
  const { curriculum, votes } = context.config;
  const { answers, forcedPrefix } = curriculum.confirm;
  if (answers === 0) return undefined;
  const seed = seedFor(context.config, "curriculum", iteration, "confirm");
  const call = { iteration, phase: "curriculum", activity: "confirming" } as const;
  const options = { answers, sampling: curriculum.solverSampling, seed, call, forcedPrefix };
  const base = await withFrozenBase(context, (frozen) => answerQuestions(context, frozen, [...labels.keys()], options));
  const policy = votes.equivalence;
  return new Set(
    [...labels]
      .filter(
        ([question, label]) => equivalent({ predicted: base.get(question)?.vote.majority, truth: label }, { policy }).equivalent,
      )
      .map(([question]) => question),
  );
}
