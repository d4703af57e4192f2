// What each phase of a run will sample and train on at most, from the configuration alone: the input of the engine's plan. Knows no
// model. Token counts of texts are estimates; questions that nobody has posed yet are taken to be QUESTION_TOKENS long.

import type { Config, SamplingConfig } from "../config/schema.ts";
import type { PhaseWork, RunWork, SamplingWork, TrainingWork } from "../engine/plan.ts";

/** Questions of a benchmark and their mean length in characters. */
export interface BenchSize {
  readonly questions: number;
  readonly characters: number;
}

/** Name of the phase before the first iteration. */
export const BASE_EVALUATION = "base evaluation";
const QUESTION_TOKENS = 100;
/** Of a byte-pair vocabulary on English and formulas; coarse, and of little weight beside completions. */
const CHARACTERS_PER_TOKEN = 3;

/** All phases of a run, in order. `context` is the model's longest sequence, which bounds completions. */
export function workOf(config: Config, benches: readonly BenchSize[], context: number): RunWork {
  const { challenger, solver, iterations } = config;
  const needsBase = [challenger, solver].some(({ train, grpo }) => train && grpo.klWeight > 0 && grpo.reference === "base");
  const lines = config.evaluation.referenceLines ? 2 : 1;
  return {
    trainers: config.roles === "shared" ? 1 : 2,
    base: needsBase,
    phases: [
      ...(benches.length > 0 ? [evaluation(config, benches, context, BASE_EVALUATION, lines, 1)] : []),
      ...(challenger.train ? [challengerPhase(config, context)] : []),
      curriculum(config, context),
      ...(solver.train ? [solverPhase(config, context)] : []),
      ...(benches.length > 0 ? [evaluation(config, benches, context, "evaluation", 1, iterations)] : []),
    ],
  };
}

/** Longest sequence that frozen roles ask for. `context` is the model's, which bounds it. */
export function frozenContext(config: Config, benches: readonly BenchSize[], context: number): number {
  const frozen = workOf(config, benches, context).phases.flatMap(({ sampling }) => sampling.filter((call) => call.frozen));
  return Math.max(...frozen.map(({ promptTokens, newTokens }) => promptTokens + newTokens));
}

function challengerPhase({ challenger: options, prompts, iterations }: Config, context: number): PhaseWork {
  const promptTokens = tokensOf(prompts.challenger);
  const { steps, questionsPerStep, sampling, grpo } = options;
  const pose = draw(sampling, { calls: steps, prompts: 1, completions: questionsPerStep, promptTokens, frozen: false }, context);
  const asked = { calls: steps, questions: questionsPerStep, answers: options.solverAnswers };
  const answer = { ...votes(prompts, options.solverSampling, asked, context), copyLives: true };
  const training: TrainingWork = {
    steps,
    rollouts: questionsPerStep,
    groupSize: questionsPerStep,
    promptTokens,
    newTokens: pose.newTokens,
    updates: questionsPerStep / options.questionsPerOptimizerStep,
    reference: grpo.klWeight > 0,
  };
  const references = referencesOf(grpo);
  return { name: "challenger", times: iterations, sampling: [pose, answer], training, references, voters: 1 };
}

function curriculum({ curriculum: options, prompts, iterations }: Config, context: number): PhaseWork {
  const promptTokens = tokensOf(prompts.challenger);
  const pose = draw(
    options.sampling,
    { calls: 1, prompts: 1, completions: options.poolSize, promptTokens, frozen: false },
    context,
  );
  const answer = votes(
    prompts,
    options.solverSampling,
    { calls: 1, questions: options.poolSize, answers: options.answers },
    context,
  );
  const asked = { calls: 1, questions: options.poolSize, answers: options.confirm.answers };
  const confirm = options.confirm.answers > 0 ? [votes(prompts, options.solverSampling, asked, context)] : [];
  return { name: "curriculum", times: iterations, sampling: [pose, answer, ...confirm], references: 0, voters: 0 };
}

function solverPhase({ solver: options, prompts, iterations }: Config, context: number): PhaseWork {
  const promptTokens = questionPrompt(prompts);
  const { steps, questionsPerStep, groupSize, grpo } = options;
  const rollouts = questionsPerStep * groupSize;
  const answer = draw(
    options.sampling,
    { calls: steps, prompts: questionsPerStep, completions: rollouts, promptTokens, frozen: false },
    context,
  );
  const training: TrainingWork = {
    steps,
    rollouts,
    groupSize,
    promptTokens,
    newTokens: answer.newTokens,
    updates: questionsPerStep / options.questionsPerOptimizerStep,
    reference: grpo.klWeight > 0,
  };
  return { name: "solver", times: iterations, sampling: [answer], training, references: referencesOf(grpo), voters: 0 };
}

function evaluation(
  { evaluation: options, prompts }: Config,
  benches: readonly BenchSize[],
  context: number,
  name: string,
  lines: number,
  times: number,
): PhaseWork {
  const empty = tokensOf(prompts.solver);
  const sampling = benches.map(({ questions, characters }) =>
    draw(
      options,
      {
        calls: lines,
        prompts: questions,
        completions: questions * (options.samples + (options.greedy ? 1 : 0)),
        promptTokens: empty + Math.ceil(characters / CHARACTERS_PER_TOKEN),
        frozen: true,
      },
      context,
    ),
  );
  return { name, times, sampling, references: 0, voters: 0 };
}

/** A copy of the policy at the start of its phase; the base is counted with the run. */
function referencesOf({ klWeight, reference }: Config["solver"]["grpo"]): number {
  return klWeight > 0 && reference === "phase-start" ? 1 : 0;
}

function votes(
  prompts: Config["prompts"],
  sampling: SamplingConfig,
  { calls, questions, answers }: { calls: number; questions: number; answers: number },
  context: number,
): SamplingWork {
  const asked = {
    calls,
    prompts: questions,
    completions: questions * answers,
    promptTokens: questionPrompt(prompts),
    frozen: true,
  };
  return draw(sampling, asked, context);
}

function draw(
  { maxTokens }: Pick<SamplingConfig, "maxTokens">,
  work: Omit<SamplingWork, "newTokens">,
  context: number,
): SamplingWork {
  const promptTokens = Math.min(work.promptTokens, context - 1);
  return { ...work, promptTokens, newTokens: Math.min(maxTokens, context - promptTokens) };
}

function questionPrompt(prompts: Config["prompts"]): number {
  return tokensOf(prompts.solver) + QUESTION_TOKENS;
}

function tokensOf(messages: readonly { readonly content: string }[]): number {
  const perMessage = 5;
  return messages.reduce((sum, { content }) => sum + perMessage + Math.ceil(content.length / CHARACTERS_PER_TOKEN), 0);
}
