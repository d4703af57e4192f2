// Rewards of one question's answers: equivalent to the pseudo-label, format, length, or a coin where rewards are random on purpose.
// Knows one group; no advantage and no step.

import type { Config } from "../config/schema.ts";
import { overlongPenalty } from "../reward/overlong.ts";
import { solverReward } from "../reward/solver.ts";
import { type Group, makeGroup } from "../rollout/types.ts";
import { rngFrom } from "../util/rng.ts";
import type { StepQuestion } from "./solver-questions.ts";

/** A group, and the question it answers. */
export interface AskedGroup extends Group {
  readonly question: StepQuestion;
}

/** Rewards a group. `place` (iteration, step, round, index) is the counter of the random control. */
export function rewardGroup(
  { seed, solver, votes }: Config,
  question: StepQuestion,
  { prompt, completions_G }: Pick<Group, "prompt" | "completions_G">,
  place: readonly number[],
): AskedGroup {
  const { reward, sampling } = solver;
  const options = { correct: reward.correct, format: reward.format, policy: votes.equivalence };
  const { pseudoLabel } = question;
  const coin = rngFrom(seed, "random-reward", ...place);
  const rewards_G = completions_G.map(({ text, tokens }) => {
    if (reward.control === "random") return coin.next() < 0.5 ? 0 : reward.correct;
    return (
      solverReward({ completion: text, pseudoLabel }, options) +
      overlongPenalty(tokens.length, sampling.maxTokens, reward.overlong)
    );
  });
  return { ...makeGroup(prompt, completions_G, rewards_G), question };
}
