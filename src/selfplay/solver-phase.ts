// Phase 3: GRPO on the curriculum; reward 1 when the answer is equivalent to the pseudo-label. Source: R-Zero section 3.4.
// Knows pseudo-labels only; ground truth never comes here.

import { groupAdvantages } from "../grpo/advantage.ts";
import type { DatumInput } from "../grpo/datum.ts";
import { grpoStep } from "../grpo/step.ts";
import { renderSolverPrompt } from "../prompts/solver.ts";
import { solverReward } from "../reward/solver.ts";
import { type Group, makeGroup } from "../rollout/types.ts";
import type { SolverMetrics } from "../store/events.ts";
import type { PhaseLayout } from "../store/layout.ts";
import { rngFrom } from "../util/rng.ts";
import { adamW, type LoopContext, meanOf, samplingParams, seedFor, withSnapshot } from "./context.ts";
import type { CurriculumQuestion } from "./curriculum-phase.ts";
import { type SamplingCall, sampleJournalled } from "./journalled.ts";
import { type StepFrame, trainPhase } from "./training.ts";

/** Trains the Solver for `solver.steps` rollout steps and returns the metrics of each. Errors: RunError, InterruptedError. */
export async function solverPhase(
  context: LoopContext,
  iteration: number,
  files: PhaseLayout,
  curriculum: readonly CurriculumQuestion[],
): Promise<SolverMetrics[]> {
  const { config } = context;
  const { steps, optimizer, grpo, questionsPerStep, questionsPerOptimizerStep } = config.solver;
  return trainPhase<SolverMetrics>(context, {
    iteration,
    role: "solver",
    files,
    steps,
    updates: questionsPerStep / questionsPerOptimizerStep,
    optimizer,
    grpo,
    run: async (frame) => {
      const { step } = frame;
      const questions = questionsOfStep(config.seed, iteration, step, curriculum, questionsPerStep);
      const metrics = await solverStep(context, iteration, questions, frame);
      return { metrics, event: (seconds) => ({ event: "solver-step", iteration, step, steps, seconds, metrics }) };
    },
  });
}

/**
 * The questions of one step: the curriculum is read in a shuffled order, pass after pass, each pass shuffled anew. A pure function of its
 * arguments, so a step needs no memory of the steps before it.
 */
export function questionsOfStep<T>(seed: number, iteration: number, step: number, curriculum: readonly T[], count: number): T[] {
  const chosen: T[] = [];
  let pass = -1;
  let order: T[] = [];
  for (let at = (step - 1) * count; at < step * count; at++) {
    const needed = Math.floor(at / curriculum.length);
    if (needed !== pass) {
      pass = needed;
      order = rngFrom(seed, "solver-order", iteration, pass).shuffle([...curriculum]);
    }
    chosen.push(order[at % curriculum.length]);
  }
  return chosen;
}

/** Sample, reward, update. */
async function solverStep(
  context: LoopContext,
  iteration: number,
  questions: readonly CurriculumQuestion[],
  frame: StepFrame,
): Promise<SolverMetrics> {
  const options = context.config.solver;
  const groups = await sampleGroups(context, iteration, questions, frame);
  const { advantages, zeroVarianceGroups } = groupAdvantages(
    groups.flatMap(({ rewards_G }) => rewards_G),
    options.groupSize,
  );
  const rollouts: DatumInput[] = groups.flatMap(({ prompt, completions_G }, group) =>
    completions_G.map((completion, index) => ({ prompt, completion, advantage: advantages[group * options.groupSize + index] })),
  );
  const training = await grpoStep(context.solver, frame.reference, {
    rollouts,
    grpo: options.grpo,
    optimizer: adamW(options.optimizer),
    rolloutsPerOptimizerStep: options.questionsPerOptimizerStep * options.groupSize,
    done: frame.done,
    largestNorm: frame.largestNorm,
    after: frame.after((datum) => ({
      question: questions[Math.floor(datum / options.groupSize)].line,
      sample: datum % options.groupSize,
    })),
  });
  const completions = groups.flatMap(({ completions_G }) => completions_G);
  return {
    ...training,
    zeroVarianceGroups,
    groups: groups.length,
    reward: meanOf(groups.flatMap(({ rewards_G }) => rewards_G)),
    meanTokens: meanOf(completions.map(({ tokens }) => tokens.length)),
    truncated: meanOf(completions.map(({ stopReason }) => (stopReason === "length" ? 1 : 0))),
  };
}

async function sampleGroups(
  context: LoopContext,
  iteration: number,
  questions: readonly CurriculumQuestion[],
  { step, updates, refuse }: StepFrame,
): Promise<Group[]> {
  const { solver, prompts } = context.config;
  const prompts_Q = questions.map(({ question }) => renderSolverPrompt(question, prompts.solver, context.tokenizer));
  const params = samplingParams(context, solver.sampling, solver.groupSize, seedFor(context.config, "solver", iteration, step));
  const call: SamplingCall = { iteration, phase: "solver", step, activity: "answering", content: "tokens", updates, refuse };
  const completions = await withSnapshot(context.solver, (sampler) =>
    sampleJournalled(context, sampler, prompts_Q, params, call),
  );
  return questions.map(({ pseudoLabel }, index) =>
    makeGroup(
      prompts_Q[index],
      completions[index],
      completions[index].map(({ text }) => solverReward({ completion: text, pseudoLabel }, solver.reward)),
    ),
  );
}
