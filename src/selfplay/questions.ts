// What the Challenger and the curriculum phase share: sampling questions from the Challenger, and letting the frozen Solver vote on
// them. A question's answers depend on (seed, text, m) alone, so equal questions are answered once.

import { extractBoxed } from "../answer/extract.ts";
import { type AnswerKind, isOfKind } from "../answer/kind.ts";
import { type Vote, vote } from "../answer/vote.ts";
import type { SamplingConfig } from "../config/schema.ts";
import type { Completion, Prompt, Sampler } from "../engine/types.ts";
import { type PosedQuestion, parseChallengerCompletion } from "../prompts/challenger.ts";
import { renderSolverPrompt } from "../prompts/solver.ts";
import { isWellFormed } from "../reward/challenger.ts";
import { RunError } from "../util/errors.ts";
import { type ChallengerPrompt, challengerPrompts } from "./anchors.ts";
import { type LoopContext, samplingParams } from "./context.ts";
import { type SamplingCall, sampleJournalled } from "./journalled.ts";

/** A Challenger completion and what it parses to. */
export interface PosedRollout extends PosedQuestion {
  readonly prompt: Prompt;
  readonly completion: Completion;
  /** Whether it meets the run's rule for a question (config challenger.reward.wellFormed and gate). */
  readonly wellFormed: boolean;
  /** Tokens of the question's text; 0 without one. */
  readonly questionTokens: number;
}

export interface PoseOptions {
  /** Questions to sample. */
  readonly count: number;
  readonly sampling: SamplingConfig;
  readonly seed: number;
  readonly call: Omit<SamplingCall, "activity">;
}

/**
 * Samples `count` completions of the Challenger, as evenly as can be of each of its prompts, those of one prompt side by side. Without
 * anchors and openings there is one prompt.
 */
export async function poseQuestions(
  context: LoopContext,
  challenger: Sampler,
  options: PoseOptions,
): Promise<{ prompt: Prompt; rollouts: PosedRollout[] }> {
  const prompts = challengerPrompts(context, options.seed);
  const each = Math.ceil(options.count / prompts.length);
  const params = samplingParams(context, options.sampling, each, options.seed);
  const groups = await sampleJournalled(context, challenger, prompts, params, { ...options.call, activity: "posing" });
  const surplus = each * prompts.length - options.count;
  const rollouts = groups.flatMap((completions, index) =>
    completions
      .slice(0, index < prompts.length - surplus ? each : each - 1)
      .map((completion) => parse(context, prompts[index], completion)),
  );
  return { prompt: prompts[0], rollouts };
}

function parse({ tokenizer, config }: LoopContext, prompt: ChallengerPrompt, completion: Completion): PosedRollout {
  const posed = parseChallengerCompletion(prompt.opening + completion.text);
  const questionTokens = posed.question === undefined ? 0 : tokenizer.encode(posed.question).length;
  const isAnswer = posed.ownAnswer === undefined || isOfKind(posed.ownAnswer, config.domain.answer.kind);
  const wellFormed = isAnswer && isWellFormed({ ...posed, questionTokens }, config.challenger.reward);
  return { prompt, completion, ...posed, questionTokens, wellFormed };
}

/** Stops a run whose Challenger poses nothing. Errors: RunError, with the start of a completion and what to change. */
export function expectQuestions({ config }: LoopContext, prompt: Prompt, rollouts: readonly PosedRollout[]): void {
  if (rollouts.some(({ wellFormed }) => wellFormed)) return;
  const found = `Challenger: expected at least one well-formed question, got none in ${rollouts.length} completions`;
  if (rollouts.every(({ completion }) => completion.tokens.length === 0))
    throw new RunError(
      `${found}, all of them empty: the prompt of ${prompt.tokens.length} tokens fills the context of ${config.base}. Shorten prompts.challenger.`,
    );
  throw new RunError(
    `${found}; the first begins with ${JSON.stringify(rollouts[0].completion.text.slice(0, 60))}. Adapt prompts.challenger to this base ` +
      `model (${config.base}), raise challenger.sampling.maxTokens, or set challenger.reward.wellFormed=question.`,
  );
}

export interface AnswerOptions {
  /** m: answers per question. */
  readonly answers: number;
  readonly sampling: SamplingConfig;
  readonly seed: number;
  /** What every answer begins with. */
  readonly forcedPrefix?: string;
  readonly call: Omit<SamplingCall, "activity" | "content" | "refuse"> & Partial<Pick<SamplingCall, "activity">>;
}

/** The frozen Solver's vote on one question. */
export interface AnsweredQuestion {
  readonly vote: Vote;
  /** The answers as extracted, undefined where there was no box. */
  readonly answers: readonly (string | undefined)[];
  /** Which of them were cut at the token limit, and how many. */
  readonly cut: readonly boolean[];
  readonly truncated: number;
}

/** Answers each distinct question m times and takes the majority; keyed by question text. */
export async function answerQuestions(
  context: LoopContext,
  solver: Sampler,
  questions: readonly string[],
  options: AnswerOptions,
): Promise<Map<string, AnsweredQuestion>> {
  return answerMore(context, solver, new Map(), questions, options);
}

/** As answerQuestions, with the votes of `before` counted too: for samples from `firstSample` on. */
export async function answerMore(
  context: LoopContext,
  solver: Sampler,
  before: ReadonlyMap<string, AnsweredQuestion>,
  questions: readonly string[],
  { firstSample, ...options }: AnswerOptions & { readonly firstSample?: number },
): Promise<Map<string, AnsweredQuestion>> {
  const distinct = [...new Set(questions)];
  const prompts = distinct.map((question) => renderSolverPrompt(question, context.config.prompts.solver, context.tokenizer));
  const params = samplingParams(context, options.sampling, options.answers, options.seed, options.forcedPrefix);
  const drawn = firstSample === undefined ? params : { ...params, firstSample };
  const answered = new Array<AnsweredQuestion>(distinct.length);
  const call: SamplingCall = {
    activity: firstSample === undefined ? "voting" : "voting again",
    ...options.call,
    content: "text",
    graded: (index, completions) => {
      answered[index] = tally(context, completions, before.get(distinct[index]));
    },
  };
  await sampleJournalled(context, solver, prompts, drawn, call);
  return new Map(distinct.map((question, index) => [question, answered[index]]));
}

/** The vote on one question's completions, and on those of `before` if there are some. */
export function tally(
  { config }: Pick<LoopContext, "config">,
  completions: readonly Completion[],
  before?: AnsweredQuestion,
): AnsweredQuestion {
  const { missing, truncated, equivalence: policy } = config.votes;
  const { kind } = config.domain.answer;
  const answers = [...(before?.answers ?? []), ...completions.map(({ text }) => answerOfKind(extractBoxed(text), kind))];
  const cut = [...(before?.cut ?? []), ...completions.map(({ stopReason }) => stopReason === "length")];
  return {
    vote: vote(answers, { missing, truncated: cut, truncatedVote: truncated, policy }),
    answers,
    cut,
    truncated: cut.filter(Boolean).length,
  };
}

/** An answer of another kind than the domain's is none. */
function answerOfKind(answer: string | undefined, kind: AnswerKind): string | undefined {
  return answer !== undefined && isOfKind(answer, kind) ? answer : undefined;
}
