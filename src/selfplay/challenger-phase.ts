// Phase 1: the Solver is frozen; the Challenger is rewarded for questions at the edge of what the Solver can do.
// Source: R-Zero section 3.1 (rewards), 3.2 (GRPO). Departure 1 (preset `improved`): every rollout has the same prompt, so one
// baseline over the whole batch replaces groups of G (config challenger.advantage.baseline).

import type { ChallengerConfig, ChallengerRewardConfig } from "../config/schema.ts";
import { inBand } from "../curriculum/filter.ts";
import type { Snapshot } from "../engine/types.ts";
import { batchAdvantages, groupAdvantages } from "../grpo/advantage.ts";
import { grpoStep } from "../grpo/step.ts";
import { challengerRewards, type QuestionReward } from "../reward/challenger.ts";
import type { ChallengerMetrics } from "../store/events.ts";
import type { PhaseLayout } from "../store/layout.ts";
import { adamW, type LoopContext, meanOf, seedFor, withFrozen, withSnapshot } from "./context.ts";
import { type AnsweredQuestion, answerQuestions, expectQuestions, type PosedRollout, poseQuestions } from "./questions.ts";
import { type StepFrame, trainPhase } from "./training.ts";

/** Trains the Challenger for `challenger.steps` rollout steps and returns the metrics of each. Errors: RunError, InterruptedError. */
export async function challengerPhase(context: LoopContext, iteration: number, files: PhaseLayout): Promise<ChallengerMetrics[]> {
  const { steps, optimizer, grpo, questionsPerStep, questionsPerOptimizerStep } = context.config.challenger;
  return withFrozen(context.solver, (solver) =>
    trainPhase<ChallengerMetrics>(context, {
      iteration,
      role: "challenger",
      files,
      steps,
      updates: questionsPerStep / questionsPerOptimizerStep,
      optimizer,
      grpo,
      run: async (frame) => {
        const { metrics, example } = await challengerStep(context, iteration, solver, frame);
        const { step } = frame;
        return {
          metrics,
          event: (seconds) => ({ event: "challenger-step", iteration, step, steps, seconds, metrics, example }),
        };
      },
    }),
  );
}

/** Pose, vote (by the frozen Solver), reward, update. */
async function challengerStep(context: LoopContext, iteration: number, solver: Snapshot, frame: StepFrame) {
  const options = context.config.challenger;
  const { step, updates, refuse } = frame;
  const seed = (activity: string) => seedFor(context.config, "challenger", iteration, step, activity);
  const call = { iteration, phase: "challenger", step, updates } as const;

  const { prompt, rollouts } = await withSnapshot(context.challenger, (sampler) =>
    poseQuestions(context, sampler, {
      count: options.questionsPerStep,
      sampling: options.sampling,
      seed: seed("pose"),
      call: { ...call, content: "tokens", refuse },
    }),
  );
  expectQuestions(context, prompt, rollouts);
  const questions = rollouts.filter(({ wellFormed }) => wellFormed).map(({ question }) => question ?? "");
  const answered = await answerQuestions(context, solver, questions, {
    answers: options.solverAnswers,
    sampling: options.solverSampling,
    seed: seed("answer"),
    call,
  });
  const rewards = rewardRollouts(rollouts, answered, options.reward);
  const { advantages, zeroVarianceGroups, groups } = advantagesOf(rewards, options);

  const training = await grpoStep(context.challenger, frame.reference, {
    rollouts: rollouts.map(({ completion }, index) => ({ prompt, completion, advantage: advantages[index] })),
    grpo: options.grpo,
    optimizer: adamW(options.optimizer),
    rolloutsPerOptimizerStep: options.questionsPerOptimizerStep,
    done: frame.done,
    largestNorm: frame.largestNorm,
    after: frame.after((sample) => ({ sample })),
  });
  const metrics = { ...training, zeroVarianceGroups, groups, ...describe(context, rollouts, rewards, answered) };
  return { metrics, example: exampleOf(answered) };
}

/** Rewards in rollout order; parts are kept for the metrics. */
function rewardRollouts(
  rollouts: readonly PosedRollout[],
  answered: ReadonlyMap<string, AnsweredQuestion>,
  reward: ChallengerRewardConfig,
): QuestionReward[] {
  const voted = rollouts.map((rollout) => ({ ...rollout, voteShare: answered.get(rollout.question ?? "")?.vote.share }));
  return challengerRewards(voted, reward);
}

function advantagesOf(rewards: readonly QuestionReward[], { advantage, groupSize }: ChallengerConfig) {
  const totals = rewards.map(({ total }) => total);
  return advantage.baseline === "batch" ? batchAdvantages(totals) : groupAdvantages(totals, groupSize);
}

function describe(
  context: LoopContext,
  rollouts: readonly PosedRollout[],
  rewards: readonly QuestionReward[],
  answered: ReadonlyMap<string, AnsweredQuestion>,
) {
  const wellFormed = rollouts.filter((rollout) => rollout.wellFormed).map(({ question }) => question ?? "");
  const shares = wellFormed.map((question) => answered.get(question)?.vote.share ?? 0);
  const votes = [...answered.values()];
  return {
    reward: meanOf(rewards.map(({ total }) => total)),
    uncertainty: meanOf(rewards.map(({ uncertainty }) => uncertainty)),
    repetitionPenalty: meanOf(rewards.map(({ repetition }) => repetition)),
    wellFormed: wellFormed.length / rollouts.length,
    voteShare: meanOf(shares),
    inBand: shares.filter((share) => inBand(share, context.config.curriculum.band)).length / rollouts.length,
    level: meanLevel(context, wellFormed),
    meanTokens: meanOf(rollouts.map(({ completion }) => completion.tokens.length)),
    truncatedAnswers: meanOf(votes.map(({ truncated, answers }) => truncated / answers.length)),
  };
}

/** Mean level of the questions that the oracle can read; undefined without an oracle or when it can read none. */
export function meanLevel({ oracle }: LoopContext, questions: readonly string[]): number | undefined {
  if (!oracle) return undefined;
  const levels = questions.flatMap((question) => oracle(question)?.level ?? []);
  return levels.length > 0 ? meanOf(levels) : undefined;
}

/** The question nearest to the edge, for people who watch. */
function exampleOf(answered: ReadonlyMap<string, AnsweredQuestion>): string | undefined {
  const distance = (question: string) => Math.abs((answered.get(question)?.vote.share ?? 0) - 0.5);
  const questions = [...answered.keys()];
  return questions.reduce<string | undefined>(
    (best, question) => (best === undefined || distance(question) < distance(best) ? question : best),
    undefined,
  );
}
