// The Solver's answers to the held-out questions, journalled like any other: votes, lengths, entropy, and the KL divergence to the base
// model on the same tokens. Knows no rule.

import type { Completion, Prompt, Sampler, SamplingParams, Scorer } from "../engine/types.ts";
import { makeDatum } from "../grpo/datum.ts";
import { renderSolverPrompt } from "../prompts/solver.ts";
import type { GuardMeasures } from "../store/events.ts";
import { checkInterrupted, type LoopContext, meanOf, samplingParams, seedFor, withFrozen, withFrozenBase } from "./context.ts";
import { sampleJournalled } from "./journalled.ts";
import { tally } from "./questions.ts";

/** One held-out question and one policy's vote on it. */
export interface HeldOutRow {
  /** Iteration of the policy; 0 is the base model. */
  readonly iteration: number;
  readonly question: string;
  /** Answers of the majority divided by all answers, those without a vote too. */
  readonly voteShare: number;
  readonly majority: string | null;
  /** The base model's votes that confirm the others, by guard.heldOut.confirm. */
  readonly confirms?: true;
}

/** One policy's answers. */
interface Answers {
  readonly rows: readonly HeldOutRow[];
  /** meanTokens, truncated, entropy. */
  readonly text: GuardMeasures;
}

/** All that was sampled for one iteration. */
export interface HeldOutAnswers {
  readonly solver: Answers;
  /** The base model's, in iteration 1 alone. */
  readonly base: Answers | undefined;
  /** Votes that confirm all the others'; in iteration 1 alone, where they are asked for. */
  readonly confirming: readonly HeldOutRow[];
  /** Mean of sampling − base logprob over the Solver's tokens, in nats. */
  readonly klToBase: number | undefined;
}

/** Samples the Solver as it stands, in iteration 1 the base model too. Errors: EngineError, InterruptedError, RunError. */
export async function answerHeldOut(
  context: LoopContext,
  iteration: number,
  questions: readonly string[],
): Promise<HeldOutAnswers> {
  const prompts = questions.map((question) => renderSolverPrompt(question, context.config.prompts.solver, context.tokenizer));
  const { solverSampling } = context.config.curriculum;
  const { answers, confirm } = context.config.guard.heldOut;
  const sample = (sampler: Sampler, activity: string, params: SamplingParams) =>
    sampleJournalled(context, sampler, prompts, params, { iteration, phase: "guard", content: "tokens", activity });
  // The same draws for every policy: differences between iterations are then paired.
  const paired = samplingParams(context, solverSampling, answers, seedFor(context.config, "guard"));
  // Draws of their own: the base's answers are judged by them too.
  const second = samplingParams(
    context,
    solverSampling,
    confirm.answers,
    seedFor(context.config, "guard", "confirm"),
    confirm.forcedPrefix,
  );
  const describe = (of: number, completions: readonly Completion[][]): Answers => ({
    rows: questions.map((question, index) => {
      const { vote } = tally(context, completions[index]);
      return { iteration: of, question, voteShare: vote.share, majority: vote.majority ?? null };
    }),
    text: textMeasures(completions.flat()),
  });
  const own = await withFrozen(context.solver, (solver) => sample(solver, "held-out", paired));
  const needsBase = iteration === 1 || context.config.guard.klToBase;
  const solver = describe(iteration, own);
  if (!needsBase || questions.length === 0) return { solver, base: undefined, confirming: [], klToBase: undefined };
  return withFrozenBase(context, async (frozen) => {
    const base = iteration === 1 ? describe(0, await sample(frozen, "held-out base", paired)) : undefined;
    checkInterrupted(context);
    const confirms = iteration === 1 && confirm.answers > 0 ? describe(0, await sample(frozen, "confirming", second)).rows : [];
    checkInterrupted(context);
    const klToBase = context.config.guard.klToBase ? await klOf(frozen, prompts, own) : undefined;
    return { solver, base, confirming: confirms.map((row) => ({ ...row, confirms: true })), klToBase };
  });
}

function textMeasures(completions: readonly Completion[]): GuardMeasures {
  if (completions.length === 0) return {};
  const tokens = completions.reduce((sum, completion) => sum + completion.tokens.length, 0);
  const logprobs = completions.reduce((sum, completion) => sum + sumOf(completion.logprobs), 0);
  return {
    meanTokens: tokens / completions.length,
    truncated: meanOf(completions.map(({ stopReason }) => (stopReason === "length" ? 1 : 0))),
    entropy: -logprobs / Math.max(1, tokens),
  };
}

async function klOf(base: Scorer, prompts: readonly Prompt[], groups: readonly Completion[][]): Promise<number | undefined> {
  const data = groups.flatMap((group, index) =>
    group
      .filter(({ tokens }) => tokens.length > 0)
      .map((completion) => makeDatum({ prompt: prompts[index], completion, advantage: 0 })),
  );
  if (data.length === 0) return undefined;
  const scored = await base.logprobs(data);
  let sum = 0;
  let count = 0;
  data.forEach(({ weights, samplingLogprobs }, index) => {
    for (let at = 0; at < weights.length; at++) {
      if (weights[at] === 0) continue;
      sum += (samplingLogprobs?.[at] ?? 0) - scored[index][at];
      count++;
    }
  });
  return sum / count;
}

function sumOf(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
