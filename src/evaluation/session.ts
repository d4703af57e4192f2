// An evaluation in resumable pieces: samples questions chunk by chunk, journals each, then grades and scores. The numbers depend on
// weights, data, settings and seed alone, never on the size of a chunk, the number of threads, or how often it was interrupted.
// Knows samplers and files of its own; knows no command line.

import type { Sampler } from "../engine/types.ts";
import { InterruptedError } from "../util/errors.ts";
import type { AnswerText, GradedAnswer, Grader } from "./grading.ts";
import { Journal } from "./journal.ts";
import { type JudgedPair, type JudgeSettings, type JudgeVerdict, judgePairs, pairKey } from "./judge.ts";
import type { Benchmark } from "./load.ts";
import type { SamplingPlan } from "./protocols.ts";
import { type BenchResultWithItems, benchResult, type ResultItem } from "./results.ts";
import { type AnswerSampling, answerParams, gradeAll, renderQuestions, scoreBench } from "./runner.ts";
import { mean } from "./statistics.ts";

/** A benchmark and how it is asked. */
export interface PlannedBench {
  readonly bench: Benchmark;
  readonly plan: SamplingPlan;
}

/** What a session needs. */
export interface SessionOptions {
  readonly sampler: Sampler;
  readonly benches: readonly PlannedBench[];
  readonly sampling: Omit<AnswerSampling, "samples" | "temperature">;
  /** File of the journal, and its name once the evaluation is finished. */
  readonly journal: string;
  readonly answers: string;
  readonly fingerprint: string;
  /** Completions sampled between two writes to the journal. */
  readonly chunkCompletions: number;
  readonly judge?: JudgeSettings;
  /** Default: gradeAnswer. */
  readonly grade?: Grader;
  readonly signal?: AbortSignal;
  /** Progress of one benchmark, in completions. */
  readonly on?: (activity: string, done: number, total: number) => void;
  /** Told once: questions found finished, and whether a journal of something else was dropped. */
  readonly onOpen?: (journal: Pick<Journal, "resumed" | "dropped">) => void;
}

/**
 * Runs or goes on with an evaluation. `keep` is called with the results before the journal counts as finished, to write them down.
 * Errors: those of the Sampler; InterruptedError when the signal aborts (the journal stays); ConfigError when the journal is in use.
 */
export async function evaluateBenches(
  options: SessionOptions,
  keep: (results: readonly BenchResultWithItems[]) => void,
): Promise<void> {
  const journal = new Journal(options.journal, options.fingerprint);
  options.onOpen?.(journal);
  try {
    const results: BenchResultWithItems[] = [];
    for (const [index, planned] of options.benches.entries()) {
      const completions = await completionsOf(options, index, planned, journal);
      const result = await resultOf(options, planned, completions);
      results.push(options.judge ? await judged(options, options.judge, planned, result, journal) : result);
    }
    keep(results);
  } catch (error) {
    journal.close();
    throw error;
  }
  journal.finish(options.answers);
}

async function completionsOf(
  options: SessionOptions,
  index: number,
  { bench, plan }: PlannedBench,
  journal: Journal,
): Promise<(readonly AnswerText[])[]> {
  const { questions } = bench;
  const params = answerParams({ ...options.sampling, ...plan });
  const open = questions.flatMap((_, question) => (journal.completions(index, question) === undefined ? question : []));
  const perChunk = Math.max(1, Math.floor(options.chunkCompletions / plan.samples));
  const total = questions.length * plan.samples;
  for (let from = 0; from < open.length; from += perChunk) {
    if (options.signal?.aborted)
      throw new InterruptedError("evaluation: stopped; the finished questions are kept. The same command goes on.");
    const chunk = open.slice(from, from + perChunk);
    const before = (questions.length - open.length + from) * plan.samples;
    const prompts = renderQuestions(
      chunk.map((question) => questions[question]),
      options.sampling,
    );
    const sampled = await options.sampler.sample(prompts, params, (done) => options.on?.(bench.name, before + done, total));
    journal.append(
      chunk.map((question, at) => ({
        bench: index,
        question,
        completions: sampled[at].map(({ text, stopReason }) => ({ text, stopReason })),
      })),
    );
  }
  return questions.map((_, question) => journal.completions(index, question) ?? []);
}

async function resultOf(
  { sampling, grade }: SessionOptions,
  { bench, plan }: PlannedBench,
  completions: readonly (readonly AnswerText[])[],
): Promise<BenchResultWithItems> {
  const graded: GradedAnswer[][] = await gradeAll(completions, bench.questions, grade);
  const score = scoreBench({ name: bench.name, questions: bench.questions, ...plan, seed: sampling.seed }, graded);
  return benchResult(bench, score, graded, sampling.seed);
}

/** Asks the judge about every answer that was found, each distinct pair once; verdicts already journalled are not asked again. */
async function judged(
  { on }: SessionOptions,
  settings: JudgeSettings,
  { bench }: PlannedBench,
  result: BenchResultWithItems,
  journal: Journal,
): Promise<BenchResultWithItems> {
  const pairOf = (question: number, predicted: string): JudgedPair => ({
    question: bench.questions[question].question,
    truth: truthText(bench, question),
    predicted,
  });
  const open = new Map<string, JudgedPair>();
  result.items.forEach(({ answers }, question) => {
    for (const { answer } of answers) {
      if (answer === null) continue;
      const pair = pairOf(question, answer);
      const key = pairKey(settings, pair);
      if (journal.verdict(key) === undefined || journal.verdict(key) === "failed") open.set(key, pair);
    }
  });
  const keys = [...open.keys()];
  let done = 0;
  await judgePairs([...open.values()], settings, (index, verdict) => {
    journal.append([{ judged: keys[index], verdict }]);
    on?.(`${bench.name}, judge`, ++done, keys.length);
  });
  const verdictOf = (question: number, answer: string): JudgeVerdict =>
    journal.verdict(pairKey(settings, pairOf(question, answer))) ?? "failed";
  const items = result.items.map((item, question) => ({
    ...item,
    answers: item.answers.map((given) =>
      given.answer === null ? given : { ...given, judge: verdictOf(question, given.answer) },
    ),
  }));
  return { ...result, judge: summarise(settings.model, items), items };
}

/** A letter says little to a judge: the choice's text stands behind it. */
function truthText({ questions }: Benchmark, question: number): string {
  const { answer, choices } = questions[question];
  const choice = answer.length === 1 ? choices?.[answer.charCodeAt(0) - "A".charCodeAt(0)] : undefined;
  return choice === undefined ? answer : `${answer}. ${choice}`;
}

function summarise(model: string, items: readonly ResultItem[]) {
  const asked = items.flatMap(({ answers }) => answers).filter(({ judge }) => judge !== undefined);
  const failed = asked.filter(({ judge }) => judge === "failed").length;
  const agreed = asked.filter(({ judge, correct }) => judge === correct).length;
  const shares = items.map(({ answers }) => mean(answers.map(({ judge }) => (judge === true ? 1 : 0))));
  return { model, mean: mean(shares), agreed, disagreed: asked.length - failed - agreed, failed };
}
