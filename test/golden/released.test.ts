// The preset `released` from completions to rewards, and from rewards to loss and gradient, against figures of the released code: BLEU
// clusters (repetition.json), advantages and losses (grpo.json). What the files do not hold (votes, malformed) is counted by hand here.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { extractBoxed } from "../../src/answer/extract.ts";
import { vote } from "../../src/answer/vote.ts";
import { parseConfigText } from "../../src/config/load.ts";
import { filterCurriculum } from "../../src/curriculum/filter.ts";
import { labelQuestion } from "../../src/curriculum/question.ts";
import type { Datum } from "../../src/engine/types.ts";
import { groupAdvantages } from "../../src/grpo/advantage.ts";
import { attachReference, makeDatum, normaliseWeights } from "../../src/grpo/datum.ts";
import { grpoLoss } from "../../src/grpo/loss.ts";
import { parseChallengerCompletion } from "../../src/prompts/challenger.ts";
import { challengerRewards, isWellFormed } from "../../src/reward/challenger.ts";
import { solverReward } from "../../src/reward/solver.ts";
import { shrunkShare } from "../../src/reward/uncertainty.ts";

interface RepetitionCase {
  readonly questions: string[];
  readonly distance_threshold: number;
  readonly cluster_share: number[];
}

interface GrpoCase {
  readonly group_size: number;
  readonly rewards: number[];
  readonly clip_low: number;
  readonly clip_high: number;
  readonly clip_dual: number;
  readonly kl_coef: number;
  readonly sampling_logprobs: number[][];
  readonly training_logprobs: number[][];
  readonly reference_logprobs: number[][];
  readonly advantages: number[];
  readonly loss: number;
  readonly dloss_dlogprob: number[][];
}

function casesOf<T>(name: string): T[] {
  return (JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as { cases: T[] }).cases;
}

const config = parseConfigText("preset: released\n", "released.yaml");
const { reward } = config.challenger;
const M = config.challenger.solverAnswers;

/** How many of the ten answers agree on question i; the others differ from each other, or in every fourth question have no box. */
const agreeing = (i: number) => (3 + 7 * i) % 11;
const withoutBox = (i: number) => i % 4 === 0;

function answersTo(i: number): string[] {
  const right = [`So it is \\boxed{${i}}.`, `\\boxed{${i}.0}`, `\\boxed{ ${i} }`];
  return Array.from({ length: M }, (_, at) => {
    if (at < agreeing(i)) return right[at % 3];
    return withoutBox(i) ? `I think ${i}` : `\\boxed{${1000 + at}}`;
  });
}

/** p̂ by hand: ten answers are the denominator, and those without a box vote together, as "None". */
function shareOf(i: number): number {
  const rest = M - agreeing(i);
  return Math.max(agreeing(i), withoutBox(i) ? rest : Math.min(1, rest)) / M;
}

/** The Challenger's completion; every second one has no answer of its own, which released lets pass. */
const completionOf = (question: string, i: number) =>
  question === ""
    ? "I cannot think of one. \\boxed{1}"
    : `<question>\n${question}\n</question>${i % 2 ? "" : " \\boxed{1}"}`;

function votesOn(i: number) {
  const { missing, truncated: truncatedVote, equivalence: policy } = config.votes;
  return vote(answersTo(i).map(extractBoxed), { missing, truncatedVote, policy, truncated: new Array(M).fill(i % 3 === 0) });
}

describe.each(casesOf<RepetitionCase>("repetition.json").map((entry) => [entry.questions.length, entry] as const))(
  "the Challenger's reward of %d questions",
  (_, { questions, distance_threshold, cluster_share }) => {
    const posed = questions.map((question, i) => parseChallengerCompletion(completionOf(question, i)));
    const rewards = challengerRewards(
      posed.map((one, i) => ({ ...one, voteShare: isWellFormed(one, reward) ? shrunkShare(votesOn(i), reward.prior) : undefined })),
      reward,
    );

    it("asks for tags alone, and cuts clusters where the released code does", () => {
      expect(posed.map((one) => isWellFormed(one, reward))).toEqual(questions.map((question) => question !== ""));
      expect(reward.repetition).toEqual({ weight: 1, threshold: distance_threshold });
    });
    it("is min(p̂, 1 − p̂) − r_rep without a clamp, and −1 − r_rep when malformed", () => {
      const expected = questions.map((question, i) => {
        const share = shareOf(i);
        return (question === "" ? -1 : Math.min(share, 1 - share)) - cluster_share[i];
      });
      rewards.forEach(({ total }, i) => {
        expect(total).toBeCloseTo(expected[i], 8);
      });
      expect(Math.min(...expected)).toBeLessThan(0);
    });
    it("gives advantages in groups of four, with the unbiased std", () => {
      const totals = rewards.map(({ total }) => total);
      const { advantages } = groupAdvantages(totals, config.challenger.groupSize, config.challenger.grpo.estimator);
      totals.forEach((value, i) => {
        const group = totals.slice(i - (i % 4), i - (i % 4) + 4);
        const mean = group.reduce((sum, one) => sum + one, 0) / group.length;
        const std = Math.sqrt(group.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (group.length - 1));
        expect(advantages[i]).toBeCloseTo((value - mean) / (std + 1e-6), 9);
      });
    });
    it("keeps 0.3 ≤ p̂ ≤ 0.8, but no label None, no box and no proof", () => {
      const pool = questions.map((text, i) => labelQuestion({ text, wellFormed: text !== "" }, votesOn(i)));
      const { verdicts } = filterCurriculum(pool, config.curriculum);
      questions.forEach((text, i) => {
        const inside = shareOf(i) >= 0.3 && shareOf(i) <= 0.8;
        const none = withoutBox(i) && M - agreeing(i) > agreeing(i);
        expect(verdicts[i] === "kept").toBe(text !== "" && inside && !none && !/box|prove|proof/i.test(text));
      });
    });
  },
);

describe.each(
  casesOf<GrpoCase>("grpo.json")
    .map((entry, index) => [index, entry] as const)
    .filter(([, { kl_coef }]) => kl_coef === config.solver.grpo.klWeight),
)("GRPO, case %d", (_, entry) => {
  const { grpo } = config.solver;
  const data = entry.sampling_logprobs.map((sampling, i): Datum => {
    const completion = { tokens: new Int32Array(sampling.length), logprobs: Float32Array.from(sampling) };
    const datum = makeDatum({ prompt: { tokens: Int32Array.of(1) }, completion, advantage: entry.advantages[i] });
    return attachReference(datum, Float32Array.from(entry.reference_logprobs[i]));
  });
  const run = (microBatch: number) => {
    const lossFn = grpoLoss(grpo);
    return normaliseWeights(data, grpo.lossNormalisation, { microBatch }).map((datum, i) =>
      lossFn(Float32Array.from(entry.training_logprobs[i]), datum),
    );
  };

  it("has the released constants", () => {
    expect([grpo.clipLow, grpo.clipHigh, grpo.clipDual]).toEqual([entry.clip_low, entry.clip_high, entry.clip_dual]);
    expect(config.challenger.grpo).toEqual(grpo);
    expect([grpo.loss, grpo.estimator, grpo.entropyWeight, grpo.reference]).toEqual(["ppo", "grpo", 0, "phase-start"]);
  });
  it("has the released loss when one micro-batch holds everything", () => {
    expect(run(data.length).reduce((sum, { loss }) => sum + loss, 0)).toBeCloseTo(entry.loss, 6);
  });
  it("has the mean of the parts' gradients when several do", () => {
    const tokens = entry.training_logprobs.map(({ length }) => length);
    const all = tokens.reduce((sum, length) => sum + length, 0);
    const parts = Math.ceil(data.length / grpo.microBatch);
    run(grpo.microBatch).forEach(({ dLogprobs }, i) => {
      const first = i - (i % grpo.microBatch);
      const inPart = tokens.slice(first, first + grpo.microBatch).reduce((sum, length) => sum + length, 0);
      // The file's gradient is that of the mean over all tokens.
      entry.dloss_dlogprob[i].forEach((value, t) => {
        expect(dLogprobs[t]).toBeCloseTo((value * all) / (inPart * parts), 6);
      });
    });
  });
});

it("the Solver's 0.9 and 0.1 give the advantages of 1 and 0 when every answer has the form", () => {
  const options = { ...config.solver.reward, policy: config.votes.equivalence };
  for (const { rewards, group_size, advantages } of casesOf<GrpoCase>("grpo.json")) {
    if (!rewards.every((value) => value === 0 || value === 1)) continue;
    const scored = rewards.map((value) =>
      solverReward({ completion: `<think>hm</think> \\boxed{${value === 1 ? "50\\%" : "7"}}`, pseudoLabel: "50" }, options),
    );
    expect(new Set(scored.map((value) => value.toFixed(12)))).toEqual(new Set(["1.000000000000", "0.100000000000"]));
    const found = groupAdvantages(scored, group_size).advantages;
    advantages.forEach((value, i) => {
      expect(found[i]).toBeCloseTo(value, 5);
    });
  }
});
