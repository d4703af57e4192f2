// Human questions in the loop: as examples in the Challenger's prompt and as a share of the curriculum, both drawn by counter-based
// randomness, so that a resumed run draws the same. Also the beginnings that a domain gives the Challenger's replies.
// Source: R-Few (arXiv 2512.02472). A benchmark's question is never an anchor: texts are compared, answers not read.

import { promptVariants } from "../config/domain.ts";
import { normaliseQuestion } from "../curriculum/filter.ts";
import type { ChatMessage, Prompt } from "../engine/types.ts";
import { type BenchQuestion, readBench } from "../evaluation/benchmarks.ts";
import { renderChallengerCompletion, renderChallengerPrompt } from "../prompts/challenger.ts";
import { rngFrom } from "../util/rng.ts";
import type { LoopContext } from "./context.ts";

/** A prompt of the Challenger and the beginning of the reply that stands in it. */
export interface ChallengerPrompt extends Prompt {
  readonly opening: string;
}

/**
 * The prompts of one call that poses questions, the same for every run of it: one per draw of examples and opening. `seed` is the
 * call's sampling seed.
 */
export function challengerPrompts({ config, tokenizer, anchors }: LoopContext, seed: number): ChallengerPrompt[] {
  const { domain, prompts } = config;
  const openings = domain.openings.length === 0 ? [""] : domain.openings;
  const draws = promptVariants(domain, config.anchors) / openings.length;
  return Array.from({ length: draws }, (_, draw) => {
    const examples = rngFrom(seed, "anchors", draw)
      .shuffle([...anchors])
      .slice(0, config.anchors?.examples ?? 0);
    const messages = withExamples(prompts.challenger, examples);
    return openings.map((opening) => ({ ...renderChallengerPrompt(messages, tokenizer, opening), opening }));
  }).flat();
}

/** Examples are earlier turns: the last user message, answered by a human's question, then asked again. */
function withExamples(messages: readonly ChatMessage[], examples: readonly BenchQuestion[]): readonly ChatMessage[] {
  const asked = messages.findLast(({ role }) => role === "user");
  if (asked === undefined || examples.length === 0) return messages;
  const turns = examples.flatMap(({ question, answer }): ChatMessage[] => [
    asked,
    { role: "assistant", content: renderChallengerCompletion({ question, ownAnswer: answer }) },
  ]);
  const at = messages.lastIndexOf(asked);
  return [...messages.slice(0, at), ...turns, ...messages.slice(at)];
}

/** Reads the anchors of a run, without questions of its benchmarks. Errors: DataError. */
export function openAnchors(file: string | undefined, benchQuestions: readonly string[]): BenchQuestion[] {
  if (file === undefined) return [];
  const known = new Set(benchQuestions.map(normaliseQuestion));
  return readBench(file).filter(({ question }) => !known.has(normaliseQuestion(question)));
}

/** Lines of the curriculum that are anchors, so many that they make up their share beside `kept` questions, as far as there are enough. */
export function anchorRows({ config, anchors }: LoopContext, iteration: number, kept: number) {
  const share = config.anchors?.curriculumShare ?? 0;
  const wanted = Math.round((kept * share) / (1 - share));
  return rngFrom(config.seed, "anchor-curriculum", iteration)
    .shuffle([...anchors])
    .slice(0, wanted)
    .map(({ question, answer }) => ({ question, pseudoLabel: answer, voteShare: 1, answers: [], verdict: "kept", anchor: true }));
}
