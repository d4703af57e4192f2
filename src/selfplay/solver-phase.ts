// Phase 3: GRPO on the curriculum; reward 1 when the answer is equivalent to the pseudo-label. Source: R-Zero section 3.4.
// Knows pseudo-labels only; ground truth never comes here. Departures, as options: 1. groups of equal rewards are replaced (dynamic
// sampling, DAPO, 2503.14476, eq. 11). 2. earlier curricula are replayed, and a question's uses are bounded (solver-questions.ts).

import type { SolverConfig } from "../config/schema.ts";
import { groupAdvantages } from "../grpo/advantage.ts";
import type { DatumInput } from "../grpo/datum.ts";
import { grpoStep } from "../grpo/step.ts";
import { renderSolverPrompt } from "../prompts/solver.ts";
import type { ArchivedGroup } from "../rollout/archive.ts";
import type { SolverMetrics } from "../store/events.ts";
import type { PhaseLayout } from "../store/layout.ts";
import { adamW, type LoopContext, meanOf, samplingParams, seedFor, withSnapshot } from "./context.ts";
import { type CurriculumQuestion, readEarlierCurricula } from "./earlier.ts";
import { type SamplingCall, sampleJournalled } from "./journalled.ts";
import { phaseSteps } from "./schedule.ts";
import { type AskedGroup, rewardGroup } from "./solver-groups.ts";
import { type StepQuestion, StepQuestions } from "./solver-questions.ts";
import { type StepFrame, trainPhase } from "./training.ts";

/** Trains the Solver for its rollout steps and returns the metrics of each. Errors: RunError, InterruptedError. */
export async function solverPhase(
  context: LoopContext,
  iteration: number,
  files: PhaseLayout,
  curriculum: readonly CurriculumQuestion[],
): Promise<SolverMetrics[]> {
  const { config } = context;
  const { optimizer, grpo, questionsPerStep, questionsPerOptimizerStep, replay } = config.solver;
  const steps = phaseSteps(config, "solver", iteration);
  const earlier = replay > 0 ? readEarlierCurricula(context, iteration) : [];
  const questions = new StepQuestions(config, iteration, curriculum, earlier);
  if (steps > 0 && !questions.enough(0)) warnOfTooFew(context, iteration, curriculum.length);
  return trainPhase<SolverMetrics>(context, {
    iteration,
    role: "solver",
    files,
    steps,
    updates: questionsPerStep / questionsPerOptimizerStep,
    optimizer,
    grpo,
    more: (history) => questions.enough(questions.position(history)),
    run: async (frame, history) => {
      const { step } = frame;
      const metrics = await solverStep(context, iteration, { questions, position: questions.position(history) }, frame);
      return { metrics, event: (seconds) => ({ event: "solver-step", iteration, step, steps, seconds, metrics }) };
    },
  });
}

function warnOfTooFew({ config, emit }: LoopContext, iteration: number, kept: number): void {
  const { questionsPerStep, maxUses } = config.solver;
  const message = `the Solver does not train: ${kept} questions, ${maxUses} times each, do not fill a step of ${questionsPerStep}. Raise solver.maxUses or curriculum.poolSize.`;
  emit({ event: "warning", iteration, phase: "solver", message });
}

/** Where a step reads its questions from. */
interface QuestionSource {
  readonly questions: StepQuestions;
  readonly position: number;
}

/** Sample, reward, update. */
async function solverStep(
  context: LoopContext,
  iteration: number,
  source: QuestionSource,
  frame: StepFrame,
): Promise<SolverMetrics> {
  const options = context.config.solver;
  const { sampled, trained, drawn } = await withSnapshot(context.solver, (sampler) =>
    collectGroups(source, options, frame.step, (questions, round) =>
      sampleGroups(context, sampler, { iteration, questions, round }, frame),
    ),
  );
  const { advantages } = groupAdvantages(rewardsOf(trained), options.groupSize, options.grpo.estimator);
  const rollouts: DatumInput[] = trained.flatMap(({ prompt, completions_G }, group) =>
    completions_G.map((completion, index) => ({ prompt, completion, advantage: advantages[group * options.groupSize + index] })),
  );
  await frame.archive(archived(trained, advantages));
  const training = await grpoStep(context.solver, frame.reference, {
    rollouts,
    grpo: options.grpo,
    optimizer: adamW(options.optimizer),
    maxTokens: options.sampling.maxTokens,
    rolloutsPerOptimizerStep: options.questionsPerOptimizerStep * options.groupSize,
    done: frame.done,
    largestNorm: frame.largestNorm,
    after: frame.after((datum) => {
      const { line, replayed } = trained[Math.floor(datum / options.groupSize)].question;
      return { question: replayed ? undefined : line, sample: datum % options.groupSize };
    }),
  });
  const completions = sampled.flatMap(({ completions_G }) => completions_G);
  return {
    ...training,
    zeroVarianceGroups: sampled.filter(isConstant).length,
    groups: sampled.length,
    reward: meanOf(rewardsOf(sampled)),
    meanTokens: meanOf(completions.map(({ tokens }) => tokens.length)),
    truncated: meanOf(completions.map(({ stopReason }) => (stopReason === "length" ? 1 : 0))),
    ...(options.dynamicSampling.refills > 0 ? { drawn } : {}),
  };
}

/** Groups as the archive keeps them: a question by its iteration and line. */
function archived(groups: readonly AskedGroup[], advantages: ArrayLike<number>): ArchivedGroup[] {
  let next = 0;
  return groups.map(({ question, completions_G, rewards_G }) => ({
    head: { iteration: question.iteration, line: question.line },
    rollouts: completions_G.map((completion, i) => ({ completion, reward: rewards_G[i], advantage: advantages[next++] })),
  }));
}

/** The groups of a step: all that were sampled, those to train on, and how many questions of the curriculum they took. */
async function collectGroups(
  { questions, position }: QuestionSource,
  { dynamicSampling, questionsPerStep }: SolverConfig,
  step: number,
  sample: (questions: readonly StepQuestion[], round: number) => Promise<AskedGroup[]>,
): Promise<{ sampled: AskedGroup[]; trained: AskedGroup[]; drawn: number }> {
  const { questions: first, next } = questions.take(step, position);
  const sampled = await sample(first, 0);
  if (dynamicSampling.refills === 0) return { sampled, trained: sampled, drawn: next - position };
  let at = next;
  const lacking = () => questionsPerStep - sampled.filter((group) => !isConstant(group)).length;
  for (let round = 1; round <= dynamicSampling.refills && lacking() > 0; round++) {
    const refill = questions.more(at, lacking());
    if (refill.length === 0) break;
    at += refill.length;
    sampled.push(...(await sample(refill, round)));
  }
  return { sampled, trained: sampled.filter((group) => !isConstant(group)), drawn: at - position };
}

function rewardsOf(groups: readonly AskedGroup[]): number[] {
  return groups.flatMap(({ rewards_G }) => rewards_G);
}

function isConstant({ rewards_G }: AskedGroup): boolean {
  return rewards_G.every((reward) => reward === rewards_G[0]);
}

async function sampleGroups(
  context: LoopContext,
  sampler: Parameters<typeof sampleJournalled>[1],
  { iteration, questions, round }: { iteration: number; questions: readonly StepQuestion[]; round: number },
  { step, updates, refuse }: StepFrame,
): Promise<AskedGroup[]> {
  const { config, tokenizer } = context;
  const { solver, prompts } = config;
  const prompts_Q = questions.map(({ question }) => renderSolverPrompt(question, prompts.solver, tokenizer));
  // A refill has draws of its own: a question may come back in it.
  const seed = round === 0 ? seedFor(config, "solver", iteration, step) : seedFor(config, "solver", iteration, step, round);
  const params = samplingParams(context, solver.sampling, solver.groupSize, seed);
  const activity = round === 0 ? "answering" : `answering ${round}`;
  const call: SamplingCall = { iteration, phase: "solver", step, activity, content: "tokens", updates, refuse };
  const completions = await sampleJournalled(context, sampler, prompts_Q, params, call);
  return questions.map((question, index) =>
    rewardGroup(config, question, { prompt: prompts_Q[index], completions_G: completions[index] }, [
      iteration,
      step,
      round,
      index,
    ]),
  );
}
