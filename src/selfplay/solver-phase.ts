// Phase 3: GRPO on the curriculum; reward 1 when the answer is equivalent to the pseudo-label. Source: R-Zero section 3.4.
// Knows pseudo-labels only; ground truth never comes here.

import type { Snapshot } from "../engine/types.ts";
import { groupAdvantages } from "../grpo/advantage.ts";
import type { DatumInput } from "../grpo/datum.ts";
import { grpoStep } from "../grpo/step.ts";
import { renderSolverPrompt } from "../prompts/solver.ts";
import { solverReward } from "../reward/solver.ts";
import { type Group, makeGroup } from "../rollout/types.ts";
import type { SolverMetrics } from "../store/events.ts";
import { rngFrom } from "../util/rng.ts";
import {
  adamW,
  checkInterrupted,
  type LoopContext,
  meanOf,
  reporter,
  samplingParams,
  seedFor,
  withReference,
  withSnapshot,
} from "./context.ts";
import type { CurriculumQuestion } from "./curriculum-phase.ts";

/** Trains the Solver for `solver.steps` rollout steps and returns the metrics of each. Errors: InterruptedError. */
export async function solverPhase(
  context: LoopContext,
  iteration: number,
  curriculum: readonly CurriculumQuestion[],
): Promise<SolverMetrics[]> {
  const { solver, config } = context;
  const { steps, optimizer, grpo } = config.solver;
  if (optimizer.fresh) await solver.resetOptimizer();
  const history: SolverMetrics[] = [];
  await withReference(context, solver, grpo, async (reference) => {
    for (let step = 1; step <= steps; step++) {
      checkInterrupted(context);
      const started = performance.now();
      const questions = questionsOfStep(config.seed, iteration, step, curriculum, config.solver.questionsPerStep);
      const metrics = await solverStep(context, { iteration, step, questions, reference });
      history.push(metrics);
      context.emit({ event: "solver-step", iteration, step, steps, seconds: (performance.now() - started) / 1000, metrics });
    }
  });
  return history;
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

interface StepInput {
  readonly iteration: number;
  readonly step: number;
  readonly questions: readonly CurriculumQuestion[];
  readonly reference: Snapshot | undefined;
}

/** Sample, reward, update. */
async function solverStep(context: LoopContext, { iteration, step, questions, reference }: StepInput): Promise<SolverMetrics> {
  const options = context.config.solver;
  const groups = await sampleGroups(context, iteration, step, questions);
  const { advantages, zeroVarianceGroups } = groupAdvantages(
    groups.flatMap(({ rewards_G }) => rewards_G),
    options.groupSize,
  );
  const rollouts: DatumInput[] = groups.flatMap(({ prompt, completions_G }, group) =>
    completions_G.map((completion, index) => ({ prompt, completion, advantage: advantages[group * options.groupSize + index] })),
  );
  const training = await grpoStep(context.solver, reference, {
    rollouts,
    grpo: options.grpo,
    optimizer: adamW(options.optimizer),
    rolloutsPerOptimizerStep: options.questionsPerOptimizerStep * options.groupSize,
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
  step: number,
  questions: readonly CurriculumQuestion[],
): Promise<Group[]> {
  const { solver, prompts } = context.config;
  const prompts_Q = questions.map(({ question }) => renderSolverPrompt(question, prompts.solver, context.tokenizer));
  const params = samplingParams(context, solver.sampling, solver.groupSize, seedFor(context.config, "solver", iteration, step));
  const on = reporter(context, iteration, "solver", "answering");
  const completions = await withSnapshot(context.solver, (sampler) => sampler.sample(prompts_Q, params, on));
  return questions.map(({ pseudoLabel }, index) =>
    makeGroup(
      prompts_Q[index],
      completions[index],
      completions[index].map(({ text }) => solverReward({ completion: text, pseudoLabel }, solver.reward)),
    ),
  );
}
