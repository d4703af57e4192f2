// Scores a policy on questions with ground truth: greedy pass@1 and mean@k of sampled answers, with intervals over questions.
// Knows prompts and answers, not how the policy was trained. `evaluate` does it in one go, inside a run; session.ts does the same
// in resumable pieces from the same parts.

import type { ChatMessage, Completion, Progress, Prompt, Sampler, SamplingParams, Tokenizer } from "../engine/types.ts";
import { renderSolverPrompt } from "../prompts/solver.ts";
import type { BenchScore, Score } from "../store/events.ts";
import { rngFrom } from "../util/rng.ts";
import type { BenchQuestion } from "./benchmarks.ts";
import { type AnswerText, type GradedAnswer, type Grader, gradeAnswer, letterOf } from "./grading.ts";
import { type BootstrapMean, bootstrapMean, mean, passAtK } from "./statistics.ts";

export type { GradedAnswer } from "./grading.ts";

/** How completions are drawn. */
export interface AnswerSampling {
  readonly tokenizer: Tokenizer;
  /** The Solver's prompt messages with `{question}`. */
  readonly messages: readonly ChatMessage[];
  /** k of mean@k. */
  readonly samples: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK?: number;
  readonly maxTokens: number;
  readonly seed: number;
  /** Text that every completion is forced to begin with. */
  readonly forcedPrefix?: string;
}

/** How to evaluate. */
export interface EvaluationOptions extends AnswerSampling {
  readonly sampler: Sampler;
  readonly name: string;
  readonly questions: readonly BenchQuestion[];
  /** Greedy pass@1 beside the samples. */
  readonly greedy: boolean;
  /** Text whose presence at the start of a completion counts as thinking. */
  readonly thinkingPrefix?: string;
  /** Default: gradeAnswer. */
  readonly grade?: Grader;
  readonly on?: Progress;
}

/** One question's outcome. */
export interface GradedQuestion {
  readonly question: BenchQuestion;
  readonly greedy?: GradedAnswer;
  readonly samples: readonly GradedAnswer[];
}

/** Samples, grades and scores one benchmark. Errors: those of the Sampler. */
export async function evaluate(options: EvaluationOptions): Promise<{ score: BenchScore; graded: GradedQuestion[] }> {
  const { questions, sampler, grade } = options;
  const prompts = renderQuestions(questions, options);
  const params = answerParams(options);
  const sampled = await gradeAll(await sampler.sample(prompts, params, options.on), questions, grade);
  const greedy = options.greedy
    ? await gradeAll(await sampler.sample(prompts, { ...params, n: 1, temperature: 0 }, options.on), questions, grade)
    : undefined;
  const graded = questions.map((question, index) => ({ question, greedy: greedy?.[index][0], samples: sampled[index] }));
  return { score: scoreBench(options, sampled, greedy), graded };
}

/** The prompts of questions, in order. */
export function renderQuestions(
  questions: readonly BenchQuestion[],
  { messages, tokenizer }: Pick<AnswerSampling, "messages" | "tokenizer">,
): Prompt[] {
  return questions.map((question) => renderSolverPrompt(questionText(question), messages, tokenizer));
}

/** Sampling parameters of the answers. */
export function answerParams(options: AnswerSampling): SamplingParams {
  const { samples, maxTokens, temperature, topP, topK, tokenizer, seed, forcedPrefix } = options;
  return {
    n: samples,
    maxTokens,
    temperature,
    topP,
    topK: topK ?? 0,
    stopTokens: tokenizer.stopTokens,
    seed,
    forcedPrefix: forcedPrefix === undefined ? undefined : [...tokenizer.encode(forcedPrefix)],
  };
}

/** The question as the model sees it; choices follow as lettered lines. */
function questionText({ question, choices }: BenchQuestion): string {
  if (!choices) return question;
  return [question, ...choices.map((choice, index) => `${letterOf(index)}. ${choice}`)].join("\n");
}

/** Grades the completions of questions: entry [q][k] is sample k of question q. */
export async function gradeAll(
  completions: readonly (readonly AnswerText[])[] | readonly (readonly Completion[])[],
  questions: readonly BenchQuestion[],
  grade: Grader = gradeAnswer,
): Promise<GradedAnswer[][]> {
  return Promise.all(
    completions.map((group, index) => Promise.all(group.map((completion) => grade(completion, questions[index])))),
  );
}

/** What a score is made of beside the graded answers. */
export type ScoreOptions = Pick<EvaluationOptions, "name" | "questions" | "samples" | "temperature" | "seed" | "thinkingPrefix">;

/** The score of one benchmark from its graded answers. */
export function scoreBench(
  { name, questions, samples, temperature, seed, thinkingPrefix }: ScoreOptions,
  sampled: readonly (readonly GradedAnswer[])[],
  greedy?: readonly (readonly GradedAnswer[])[],
): BenchScore {
  return {
    name,
    questions: questions.length,
    samples,
    temperature,
    greedy: greedy && scoreOf(questions, greedy, seed),
    sampled: scoreOf(questions, sampled, seed),
    passAtK: meanPassAtK(sampled, samples),
    thinks: thinkingPrefix === undefined ? undefined : thinkingShare(sampled, thinkingPrefix),
  };
}

/** Mean over questions of the unbiased pass@k. */
export function meanPassAtK(graded: readonly (readonly GradedAnswer[])[], k: number): number {
  return mean(graded.map((answers) => passAtK({ samples: answers.length, correct: answers.filter(isCorrect).length, k })));
}

/**
 * Mean of per-question shares with its 95 % interval over questions. Where every answer is wrong, or every one right, resampling
 * knows no spread: the open end is then the exact binomial bound, 1 − 0.025^(1/n) away.
 */
export function meanWithInterval(perQuestion: readonly number[], seed: number): BootstrapMean {
  const rng = rngFrom(seed, "bootstrap");
  const { mean: average, ci95 } = bootstrapMean(perQuestion, () => rng.next(), { resamples: 2000 });
  const bound = 0.025 ** (1 / perQuestion.length);
  if (average === 0) return { mean: 0, ci95: [0, 1 - bound] };
  return { mean: average, ci95: average === 1 ? [bound, 1] : ci95 };
}

/** Share of correct samples of each question. */
export function shareCorrect(graded: readonly (readonly GradedAnswer[])[]): number[] {
  return graded.map((answers) => mean(answers.map((answer) => (answer.correct ? 1 : 0))));
}

function scoreOf(questions: readonly BenchQuestion[], graded: readonly (readonly GradedAnswer[])[], seed: number): Score {
  const perQuestion = shareCorrect(graded);
  const { mean: average, ci95 } = meanWithInterval(perQuestion, seed);
  const all = graded.flat();
  const meansBy = (key: (question: BenchQuestion) => string | undefined) =>
    Object.fromEntries([...groupBy(questions.map(key), perQuestion)].map(([name, values]) => [name, mean(values)]));
  return {
    mean: average,
    ci95,
    categories: meansBy(({ category }) => category),
    kinds: meansBy(({ kind }) => kind),
    levels: meansBy(({ level }) => level?.toString()),
    unparsed: all.filter(({ answer }) => answer === undefined).length,
    truncated: all.filter(({ truncated }) => truncated).length,
  };
}

/** Values per key, keys in sorted order; values without a key are left out. */
export function groupBy(keys: readonly (string | undefined)[], values: readonly number[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  keys.forEach((key, index) => {
    if (key === undefined) return;
    const group = groups.get(key);
    if (group) group.push(values[index]);
    else groups.set(key, [values[index]]);
  });
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isCorrect({ correct }: GradedAnswer): boolean {
  return correct;
}

function thinkingShare(sampled: readonly (readonly GradedAnswer[])[], prefix: string): number {
  return mean(sampled.flat().map(({ text }) => (text.startsWith(prefix) ? 1 : 0)));
}
