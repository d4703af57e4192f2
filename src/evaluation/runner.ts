// Scores a policy on questions with ground truth: greedy pass@1 and mean@k of sampled answers, with intervals over questions.
// Knows prompts and answers, not how the policy was trained. An answer without a box, or cut at the limit, is wrong and is counted.

import { equivalent } from "../answer/equivalent.ts";
import { extractBoxed } from "../answer/extract.ts";
import type { ChatMessage, Completion, Progress, Prompt, Sampler, SamplingParams, Tokenizer } from "../engine/types.ts";
import { renderSolverPrompt } from "../prompts/solver.ts";
import type { BenchScore, Score } from "../store/events.ts";
import { rngFrom } from "../util/rng.ts";
import type { BenchQuestion } from "./benchmarks.ts";
import { bootstrapMean, mean, passAtK } from "./statistics.ts";

/** How to evaluate. */
export interface EvaluationOptions {
  readonly sampler: Sampler;
  readonly tokenizer: Tokenizer;
  /** The Solver's prompt messages with `{question}`. */
  readonly messages: readonly ChatMessage[];
  readonly name: string;
  readonly questions: readonly BenchQuestion[];
  /** k of mean@k. */
  readonly samples: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK?: number;
  readonly maxTokens: number;
  /** Greedy pass@1 beside the samples. */
  readonly greedy: boolean;
  readonly seed: number;
  /** Text that every completion is forced to begin with. */
  readonly forcedPrefix?: string;
  /** Text whose presence at the start of a completion counts as thinking. */
  readonly thinkingPrefix?: string;
  readonly on?: Progress;
}

/** One question's outcome. */
export interface GradedQuestion {
  readonly question: BenchQuestion;
  readonly greedy?: GradedAnswer;
  readonly samples: readonly GradedAnswer[];
}

/** One graded answer. */
export interface GradedAnswer {
  /** Content of the last box; undefined when there is none. */
  readonly answer: string | undefined;
  readonly correct: boolean;
  readonly truncated: boolean;
  readonly text: string;
}

/** Samples, grades and scores one benchmark. Errors: those of the Sampler. */
export async function evaluate(options: EvaluationOptions): Promise<{ score: BenchScore; graded: GradedQuestion[] }> {
  const { questions, sampler, samples, temperature } = options;
  const prompts = questions.map((question) => renderSolverPrompt(questionText(question), options.messages, options.tokenizer));
  const params = samplingParams(options);
  const sampled = await gradeAll(sampler, prompts, questions, params, options.on);
  const greedy = options.greedy
    ? await gradeAll(sampler, prompts, questions, { ...params, n: 1, temperature: 0 }, options.on)
    : undefined;
  const graded = questions.map((question, index) => ({ question, greedy: greedy?.[index][0], samples: sampled[index] }));
  const right = sampled.map((answers) => answers.filter(({ correct }) => correct).length);
  const score: BenchScore = {
    name: options.name,
    questions: questions.length,
    samples,
    temperature,
    greedy: greedy && scoreOf(questions, greedy, options.seed),
    sampled: scoreOf(questions, sampled, options.seed),
    passAtK: mean(right.map((correct) => passAtK({ samples, correct, k: samples }))),
    thinks: options.thinkingPrefix === undefined ? undefined : thinkingShare(sampled, options.thinkingPrefix),
  };
  return { score, graded };
}

function samplingParams(options: EvaluationOptions): SamplingParams {
  return {
    n: options.samples,
    maxTokens: options.maxTokens,
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK ?? 0,
    stopTokens: options.tokenizer.stopTokens,
    seed: options.seed,
    forcedPrefix: options.forcedPrefix === undefined ? undefined : [...options.tokenizer.encode(options.forcedPrefix)],
  };
}

/** The question as the model sees it; choices follow as lettered lines. */
function questionText({ question, choices }: BenchQuestion): string {
  if (!choices) return question;
  return [question, ...choices.map((choice, index) => `${letterOf(index)}. ${choice}`)].join("\n");
}

function letterOf(index: number): string {
  return String.fromCharCode("A".charCodeAt(0) + index);
}

async function gradeAll(
  sampler: Sampler,
  prompts: readonly Prompt[],
  questions: readonly BenchQuestion[],
  params: SamplingParams,
  on: Progress | undefined,
): Promise<GradedAnswer[][]> {
  const completions = await sampler.sample(prompts, params, on);
  return completions.map((group, index) => group.map((completion) => grade(completion, questions[index])));
}

function grade({ text, stopReason }: Completion, question: BenchQuestion): GradedAnswer {
  const answer = extractBoxed(text);
  return { answer, correct: answer !== undefined && isRight(answer, question), truncated: stopReason === "length", text };
}

/** Equivalent to the truth; for a multiple choice the letter, or the text of the right choice. */
function isRight(answer: string, { answer: truth, choices }: BenchQuestion): boolean {
  if (equivalent({ predicted: answer, truth }).equivalent) return true;
  const choice = choices?.[truth.trim().toUpperCase().charCodeAt(0) - "A".charCodeAt(0)];
  return choice !== undefined && truth.trim().length === 1 && equivalent({ predicted: answer, truth: choice }).equivalent;
}

function scoreOf(questions: readonly BenchQuestion[], graded: readonly (readonly GradedAnswer[])[], seed: number): Score {
  const perQuestion = graded.map((answers) => mean(answers.map(({ correct }) => (correct ? 1 : 0))));
  const rng = rngFrom(seed, "bootstrap");
  const { mean: average, ci95 } = bootstrapMean(perQuestion, () => rng.next(), { resamples: 2000 });
  const all = graded.flat();
  return {
    mean: average,
    ci95,
    categories: meanBy(
      questions.map(({ category }) => category),
      perQuestion,
    ),
    kinds: meanBy(
      questions.map(({ kind }) => kind),
      perQuestion,
    ),
    levels: meanBy(
      questions.map(({ level }) => level?.toString()),
      perQuestion,
    ),
    unparsed: all.filter(({ answer }) => answer === undefined).length,
    truncated: all.filter(({ truncated }) => truncated).length,
  };
}

/** Means per key, keys in sorted order; values without a key are left out. */
function meanBy(keys: readonly (string | undefined)[], values: readonly number[]): Record<string, number> {
  const groups = new Map<string, number[]>();
  keys.forEach((key, index) => {
    if (key === undefined) return;
    const group = groups.get(key);
    if (group) group.push(values[index]);
    else groups.set(key, [values[index]]);
  });
  return Object.fromEntries([...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, group]) => [key, mean(group)]));
}

function thinkingShare(sampled: readonly (readonly GradedAnswer[])[], prefix: string): number {
  return mean(sampled.flat().map(({ text }) => (text.startsWith(prefix) ? 1 : 0)));
}
