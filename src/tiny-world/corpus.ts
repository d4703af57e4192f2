// The corpus of the embedded base model: documents of a Solver of partial skill and of a Challenger that mostly asks
// what is easy. Document i depends on (seed, i) alone, and never on a question of the evaluation or tuning side.
// Knows nothing of tokens or training.

import { CHALLENGER_PROMPT, END, renderPrompt, renderQuestion, renderReply } from "./chat.ts";
import { CORPUS_LEVELS } from "./evaluation-set.ts";
import type { Problem } from "./family.ts";
import { FAMILIES, readProblem } from "./oracle.ts";
import { createRng, mixSeed, type Rng } from "./random.ts";
import { DAYS, MONTHS } from "./sequences.ts";
import { split } from "./split.ts";

/** One training example. */
export interface CorpusDocument {
  readonly prompt: string;
  readonly completion: string;
}

/** Shares that make the world what it is; lists are by level, 1 to 4, all shares in [0, 1]. */
export interface WorldMix {
  /** Share of Challenger documents, and of documents that only copy a line: they teach to copy far, which long questions need. */
  readonly challenger: number;
  readonly copy: number;
  readonly solverLevels: readonly number[];
  /** Share of Solver documents that answer at once, and of those the share that answers wrongly. */
  readonly direct: readonly number[];
  readonly directWrong: readonly number[];
  /** Share of worked solutions with one wrong step. */
  readonly slip: readonly number[];
  readonly challengerLevels: readonly number[];
  /** Share of Challenger documents that are malformed, and of the others the share whose own answer is wrong. */
  readonly malformed: number;
  readonly ownAnswerWrong: number;
}

/** The mix the embedded base model is made from; docs/tiny-base.md says what each share is for. */
export const WORLD_MIX: WorldMix = {
  challenger: 0.12,
  copy: 0.08,
  solverLevels: [0.27, 0.28, 0.25, 0.2],
  direct: [0.85, 0.63, 0.61, 0.59],
  directWrong: [0.015, 0.2, 0.3, 0.4],
  slip: [0.42, 0.03, 0.04, 0.06],
  challengerLevels: [0.964, 0.021, 0.01, 0.005],
  malformed: 0.12,
  ownAnswerWrong: 0.3,
};

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
  const slip = rng.chance(mix.slip[index]) ? { step: rng.int(0, problem.steps - 1), rng } : undefined;
  const work = problem.work(slip);
  return { prompt, completion: renderReply(work.answer, work.steps) };
}

/** A line of operations or letters to copy; it asks nothing, so it has no level and no split. */
function copyDocument(rng: Rng): CorpusDocument {
  let line = rng.chance(0.6) ? String(rng.int(1, 60)) : rng.pick([...MONTHS, ...DAYS]);
  const length = rng.int(2, 8);
  const signs = rng.pick(["+-*", "+-", "+", ","]);
  for (let i = 0; i < length; i++) line += `${rng.pick([...signs])}${rng.int(1, 12)}`;
  return { prompt: renderPrompt(`Copy ${line}.`), completion: renderReply(line) };
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
export function corpusDocument(seed: number, index: number, mix: WorldMix = WORLD_MIX): CorpusDocument {
  const rng = createRng(mixSeed(seed, index));
  const kind = rng.next();
  if (kind < mix.challenger) return challengerDocument(mix, rng);
  return kind < mix.challenger + mix.copy ? copyDocument(rng) : solverDocument(mix, rng);
}
