// Phase 1: the Solver is frozen; the Challenger is rewarded for questions at the edge of what the Solver can do.
// Source: R-Zero section 3.1 (rewards), 3.2 (GRPO). Departure 1 (preset `improved`): every rollout has the same prompt, so one
// baseline over the whole batch replaces groups of G (config challenger.advantage.baseline).

import type { ChallengerConfig } from "../config/schema.ts";
import { inBand } from "../curriculum/filter.ts";
import type { Snapshot } from "../engine/types.ts";
import { batchAdvantages, groupAdvantages } from "../grpo/advantage.ts";
import { grpoStep } from "../grpo/step.ts";
import { challengerRewards, type QuestionReward } from "../reward/challenger.ts";
import { noveltyPenalty } from "../reward/novelty.ts";
import { overlongPenalty } from "../reward/overlong.ts";
import type { QualityFault } from "../reward/quality.ts";
import { shrunkShare } from "../reward/uncertainty.ts";
import type { ArchivedGroup } from "../rollout/archive.ts";
import type { ChallengerMetrics } from "../store/events.ts";
import type { PhaseLayout } from "../store/layout.ts";
import { adamW, type LoopContext, meanOf, seedFor, withFrozen, withSnapshot } from "./context.ts";
import { openJudges, type QuestionJudges } from "./earlier.ts";
import { type AnsweredQuestion, answerQuestions, expectQuestions, type PosedRollout, poseQuestions } from "./questions.ts";
import { type StepFrame, trainPhase } from "./training.ts";
import { verifyVotes } from "./verify-votes.ts";

/** A posed question with what the gate found before anybody answered it. */
interface GatedRollout extends PosedRollout {
  readonly fault: QualityFault | undefined;
}

/** Trains the Challenger for so many rollout steps and returns the metrics of each. Errors: RunError, InterruptedError. */
export async function challengerPhase(
  context: LoopContext,
  iteration: number,
  steps: number,
  files: PhaseLayout,
): Promise<ChallengerMetrics[]> {
  const judges = openJudges(context, iteration);
  const { optimizer, grpo, questionsPerStep, questionsPerOptimizerStep } = context.config.challenger;
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
        const { metrics, example, exampleVote } = await challengerStep(context, iteration, { solver, judges }, frame);
        const { step } = frame;
        return {
          metrics,
          event: (seconds) => ({ event: "challenger-step", iteration, step, steps, seconds, metrics, example, exampleVote }),
        };
      },
    }),
  );
}

/** Pose, vote (by the frozen Solver), reward, update. */
async function challengerStep(
  context: LoopContext,
  iteration: number,
  { solver, judges }: { readonly solver: Snapshot; readonly judges: QuestionJudges },
  frame: StepFrame,
) {
  const options = context.config.challenger;
  const { step, updates, refuse } = frame;
  const seed = (activity: string) => seedFor(context.config, "challenger", iteration, step, activity);
  const call = { iteration, phase: "challenger", step, updates } as const;

  const { prompt, rollouts: posed } = await withSnapshot(context.challenger, (sampler) =>
    poseQuestions(context, sampler, {
      count: options.questionsPerStep,
      sampling: options.sampling,
      seed: seed("pose"),
      call: { ...call, content: "tokens", refuse },
    }),
  );
  expectQuestions(context, prompt, posed);
  const rollouts = posed.map((rollout) => ({ ...rollout, fault: faultOf(rollout, judges) }));
  const questions = rollouts.filter(({ wellFormed, fault }) => wellFormed && !fault).map(({ question }) => question ?? "");
  const voted = await answerQuestions(context, solver, questions, {
    answers: options.solverAnswers,
    sampling: options.solverSampling,
    seed: seed("answer"),
    call,
  });
  const answered = await verifyVotes(context, voted, call);
  const { rewards, faults } = rewardRollouts(context, rollouts, answered, judges);
  const { advantages, zeroVarianceGroups, groups } = advantagesOf(rewards, options);

  await frame.archive(archived({ rollouts, rewards, answered, faults }, advantages));
  const training = await grpoStep(context.challenger, frame.reference, {
    rollouts: rollouts.map(({ prompt, completion }, index) => ({ prompt, completion, advantage: advantages[index] })),
    grpo: options.grpo,
    optimizer: adamW(options.optimizer),
    maxTokens: options.sampling.maxTokens,
    rolloutsPerOptimizerStep: options.questionsPerOptimizerStep,
    done: frame.done,
    largestNorm: frame.largestNorm,
    after: frame.after((sample) => ({ sample })),
  });
  const metrics = { ...training, zeroVarianceGroups, groups, ...describe(context, { rollouts, rewards, answered, faults }) };
  return { metrics, ...exampleOf(answered) };
}

/** What the gate holds against a question before it is answered; of a malformed one it is not asked. */
export function faultOf(
  { wellFormed, question, ownAnswer, questionTokens }: PosedRollout,
  { gate }: QuestionJudges,
): QualityFault | undefined {
  return wellFormed ? gate.fault({ question: question ?? "", ownAnswer, questionTokens }) : undefined;
}

/** Rewards in rollout order, and what the gate held against each question in the end. */
function rewardRollouts(
  { config }: LoopContext,
  rollouts: readonly GatedRollout[],
  answered: ReadonlyMap<string, AnsweredQuestion>,
  { archive, gate }: QuestionJudges,
): { rewards: QuestionReward[]; faults: (QualityFault | undefined)[] } {
  const { reward, sampling } = config.challenger;
  const voted = rollouts.map((rollout) => {
    const { completion, question = "", ownAnswer, wellFormed } = rollout;
    const vote = answered.get(question)?.vote;
    const disagrees = wellFormed && vote ? gate.disagreement(ownAnswer, vote.majority, config.votes.equivalence) : undefined;
    return {
      ...rollout,
      voteShare: vote && shrunkShare(vote, reward.prior),
      fault: rollout.fault ?? disagrees,
      novelty: wellFormed ? noveltyPenalty(question, archive, reward.novelty) : 0,
      overlong: overlongPenalty(completion.tokens.length, sampling.maxTokens, reward.overlong),
    };
  });
  return { rewards: challengerRewards(voted, reward), faults: voted.map(({ fault }) => fault) };
}

function advantagesOf(rewards: readonly QuestionReward[], { advantage, grpo, groupSize }: ChallengerConfig) {
  const totals = rewards.map(({ total }) => total);
  if (advantage.baseline === "batch") return batchAdvantages(totals, grpo.estimator);
  return groupAdvantages(totals, groupSize, grpo.estimator);
}

/** All that is known of one step's questions. */
interface RewardedStep {
  readonly rollouts: readonly PosedRollout[];
  readonly rewards: readonly QuestionReward[];
  readonly answered: ReadonlyMap<string, AnsweredQuestion>;
  readonly faults: readonly (QualityFault | undefined)[];
}

/** Questions as the archive keeps them: with their votes and the parts of their rewards. */
function archived({ rollouts, rewards, answered, faults }: RewardedStep, advantages: ArrayLike<number>): ArchivedGroup[] {
  return rollouts.map(({ completion, question, ownAnswer, wellFormed }, i) => {
    const asked = wellFormed ? answered.get(question ?? "") : undefined;
    const { total, uncertainty, repetition, novelty, cluster } = rewards[i];
    const head = {
      question,
      ownAnswer,
      verdict: wellFormed ? (faults[i] ?? "wellFormed") : "malformed",
      pseudoLabel: asked?.vote.majority,
      voteShare: asked?.vote.share,
      answers: asked?.answers.map((answer) => answer ?? null),
      reward: { total, uncertainty, repetition, novelty },
      cluster,
    };
    return { head, rollouts: [{ completion, reward: total, advantage: advantages[i] }] };
  });
}

function describe(context: LoopContext, { rollouts, rewards, answered, faults }: RewardedStep) {
  const wellFormed = rollouts.filter((rollout) => rollout.wellFormed).map(({ question }) => question ?? "");
  const shares = wellFormed.flatMap((question) => answered.get(question)?.vote.share ?? []);
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
    ...describeRemedies(context, rewards, faults),
  };
}

/** Measures of remedies that are on. */
function describeRemedies(
  { config }: LoopContext,
  rewards: readonly QuestionReward[],
  faults: readonly (QualityFault | undefined)[],
) {
  const counts: Partial<Record<QualityFault, number>> = {};
  for (const fault of faults) if (fault !== undefined) counts[fault] = (counts[fault] ?? 0) + 1;
  const novelty = config.challenger.reward.novelty.weight > 0;
  return {
    ...(novelty ? { noveltyPenalty: meanOf(rewards.map((reward) => reward.novelty)) } : {}),
    ...(Object.keys(counts).length > 0 ? { faults: counts } : {}),
  };
}

/** Mean level of the questions that the oracle can read; undefined without an oracle or when it can read none. */
export function meanLevel({ oracle }: LoopContext, questions: readonly string[]): number | undefined {
  if (!oracle) return undefined;
  const levels = questions.flatMap((question) => oracle(question)?.level ?? []);
  return levels.length > 0 ? meanOf(levels) : undefined;
}

/** The question nearest to the edge with its vote, for people who watch. */
function exampleOf(answered: ReadonlyMap<string, AnsweredQuestion>) {
  const distance = (question: string) => Math.abs((answered.get(question)?.vote.share ?? 0) - 0.5);
  const questions = [...answered.keys()];
  const example = questions.reduce<string | undefined>(
    (best, question) => (best === undefined || distance(question) < distance(best) ? question : best),
    undefined,
  );
  const vote = answered.get(example ?? "")?.vote;
  return { example, exampleVote: vote && { count: vote.count, m: vote.m } };
}
