// More votes for questions whose vote share is near an end of the band, where one answer decides whether they are kept. They are the next
// samples of the same draw, so a question asked m + e times at once would have got the same answers. Knows no label and no truth.

import type { CurriculumConfig } from "../config/schema.ts";
import type { Sampler } from "../engine/types.ts";
import type { LoopContext } from "./context.ts";
import { type AnsweredQuestion, type AnswerOptions, answerMore } from "./questions.ts";

const TOLERANCE = 1e-9;

/** Which of these questions get more votes: within the margin of an end of the band, the nearest first, at most `maxQuestions`. */
export function nearEdges(
  answered: ReadonlyMap<string, AnsweredQuestion>,
  questions: readonly string[],
  { band, extraVotes }: Pick<CurriculumConfig, "band" | "extraVotes">,
): string[] {
  const { margin, maxQuestions } = extraVotes;
  const near = [...new Set(questions)].flatMap((question, index) => {
    const share = answered.get(question)?.vote.share;
    if (share === undefined) return [];
    const distance = Math.min(...band.map((end) => Math.abs(share - end)));
    return distance <= margin + TOLERANCE ? [{ question, index, distance: Math.round(distance / TOLERANCE) }] : [];
  });
  const sorted = near.sort((x, y) => x.distance - y.distance || x.index - y.index).map(({ question }) => question);
  return maxQuestions > 0 ? sorted.slice(0, maxQuestions) : sorted;
}

/**
 * Lets the Solver answer again where it is due, and votes anew. The cap is on the pool's questions; probes, which are there to be treated
 * like them, have one of the same size of their own. Returns how many of the pool's questions got more.
 */
export async function drawExtraVotes(
  context: LoopContext,
  solver: Sampler,
  answered: Map<string, AnsweredQuestion>,
  { posed, probes }: { readonly posed: readonly string[]; readonly probes: readonly string[] },
  options: AnswerOptions,
): Promise<number> {
  const { curriculum } = context.config;
  if (curriculum.extraVotes.answers === 0) return 0;
  const near = nearEdges(answered, posed, curriculum);
  const asked = [...near, ...nearEdges(answered, probes, curriculum)];
  const more = await answerMore(context, solver, answered, asked, {
    ...options,
    answers: curriculum.extraVotes.answers,
    firstSample: options.answers,
  });
  for (const [question, again] of more) answered.set(question, again);
  return near.length;
}
