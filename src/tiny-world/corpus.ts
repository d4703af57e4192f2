// The corpus of the embedded base model: documents of a Solver of partial skill and of a Challenger that mostly asks
// what is easy. Document i depends on (seed, i) alone, and never on a question of the evaluation or tuning side.
// Knows nothing of tokens or training.

import { CHALLENGER_PROMPT, END, renderPrompt, renderQuestion, renderReply } from "./chat.ts";
import { copyTask, operationsLine } from "./copying.ts";
import { CORPUS_LEVELS } from "./evaluation-set.ts";
import type { Problem } from "./family.ts";
import type { WorldMix } from "./mixes.ts";
import { FAMILIES, readProblem } from "./oracle.ts";
import { createRng, mixSeed, type Rng } from "./random.ts";
import { split } from "./split.ts";

/** One training example. */
export interface CorpusDocument {
  readonly prompt: string;
  readonly completion: string;
}

const POSED = FAMILIES.filter((family) => family.kind === "mathematics");

/** Index drawn by weight; the weights sum to 1. */
function drawIndex(weights: readonly number[], rng: Rng): number {
  let rest = rng.next();
  for (let index = 0; index < weights.length - 1; index++) {
    rest -= weights[index];
    if (rest < 0) return index;
  }
  return weights.length - 1;
}

/** A question of the corpus side, with its problem. */
function drawQuestion(families: typeof FAMILIES, level: number, rng: Rng): { question: string; problem: Problem } {
  for (;;) {
    const { question } = rng.pick(families).pose(level, rng);
    if (split(question) !== "corpus") continue;
    const read = readProblem(question);
    if (!read) throw new Error(`internal: tiny-world: the oracle cannot read its own question "${question}"`);
    return { question, problem: read.problem };
  }
}

function solverDocument(mix: WorldMix, rng: Rng): CorpusDocument {
  const index = drawIndex(mix.solverLevels, rng);
  const { question, problem } = drawQuestion(FAMILIES, CORPUS_LEVELS[index], rng);
  const prompt = renderPrompt(question);
  if (rng.chance(mix.direct[index])) {
    const answer = rng.chance(mix.directWrong[index]) ? problem.nearMiss(rng) : problem.answer;
    return { prompt, completion: renderReply(answer) };
  }
  if (mix.giveUp && rng.chance(mix.giveUp[index]))
    return { prompt, completion: renderReply(problem.nearMiss(rng), problem.work().steps.slice(0, 2)) };
  const slip = rng.chance(mix.slip[index]) ? { step: rng.int(0, problem.steps - 1), rng } : undefined;
  const work = problem.work(slip);
  return { prompt, completion: renderReply(work.answer, work.steps) };
}

/** A line to copy; it asks nothing, so it has no level and no split. */
function copyDocument(mix: WorldMix, rng: Rng): CorpusDocument {
  if (mix.copying === "line") {
    const line = operationsLine(rng);
    return { prompt: renderPrompt(`Copy ${line}.`), completion: renderReply(line) };
  }
  const { line, steps } = copyTask(rng);
  return { prompt: renderPrompt(`Copy ${line}.`), completion: renderReply(steps[steps.length - 1], steps) };
}

/** Breaks a reply: a tag is lost, the answer is lost, or the question breaks off. */
function malformedReply(question: string, answer: string, rng: Rng): string {
  switch (rng.int(0, 3)) {
    case 0:
      return `<question>${question}\\boxed{${answer}}${END}`;
    case 1:
      return `${question}</question>\\boxed{${answer}}${END}`;
    case 2:
      return `<question>${question}</question>${END}`;
    default:
      return `<question>${question}${END}`;
  }
}

function challengerDocument(mix: WorldMix, rng: Rng): CorpusDocument {
  const level = CORPUS_LEVELS[drawIndex(mix.challengerLevels, rng)];
  const { question, problem } = drawQuestion(POSED, level, rng);
  const answer = rng.chance(mix.ownAnswerWrong) ? problem.nearMiss(rng) : problem.answer;
  const completion = rng.chance(mix.malformed) ? malformedReply(question, answer, rng) : renderQuestion(question, answer);
  return { prompt: renderPrompt(CHALLENGER_PROMPT), completion };
}

/** Document `index` of the corpus of `seed`. */
export function corpusDocument(seed: number, index: number, mix: WorldMix): CorpusDocument {
  const rng = createRng(mixSeed(seed, index));
  const kind = rng.next();
  if (kind < mix.challenger) return challengerDocument(mix, rng);
  return kind < mix.challenger + mix.copy ? copyDocument(mix, rng) : solverDocument(mix, rng);
}
