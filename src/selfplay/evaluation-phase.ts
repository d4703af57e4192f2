// Phase 4: the Solver on benchmarks with ground truth. Nothing computed here is read by any phase that trains.
// Source: R-Zero section 4; departures in docs/algorithm.md (sampled mean@k beside greedy, intervals, no guessing).

import type { Sampler } from "../engine/types.ts";
import { evaluate, type GradedQuestion } from "../evaluation/runner.ts";
import type { BenchScore } from "../store/events.ts";
import type { JsonObject } from "../store/jsonl.ts";
import type { PhaseLayout } from "../store/layout.ts";
import { checkInterrupted, type LoopContext, reporter, seedFor, withFrozen, withFrozenBase } from "./context.ts";

/** Scores the Solver as it stands; iteration 0 is the base model, with the elicitation line where the recipe asks for it. */
export async function evaluationPhase(context: LoopContext, iteration: number, files: PhaseLayout): Promise<JsonObject> {
  const { evaluation } = context.config;
  const score = (sampler: Sampler, line: "solver" | "forced-prefix") => scoreBenches(context, iteration, files, sampler, line);
  if (iteration > 0) return { solver: await withFrozen(context.solver, (sampler) => score(sampler, "solver")) };
  return withFrozenBase(context, async (base) => {
    const solver = await score(base, "solver");
    return evaluation.referenceLines ? { solver, forcedPrefix: await score(base, "forced-prefix") } : { solver };
  });
}

async function scoreBenches(
  context: LoopContext,
  iteration: number,
  files: PhaseLayout,
  sampler: Sampler,
  line: "solver" | "forced-prefix",
): Promise<BenchScore[]> {
  const { evaluation, prompts } = context.config;
  const scores: BenchScore[] = [];
  const rows: JsonObject[] = [];
  for (const { name, questions } of context.benches) {
    checkInterrupted(context);
    const { score, graded } = await evaluate({
      sampler,
      tokenizer: context.tokenizer,
      messages: prompts.solver,
      name,
      questions,
      samples: evaluation.samples,
      temperature: evaluation.temperature,
      topP: evaluation.topP,
      maxTokens: evaluation.maxTokens,
      greedy: evaluation.greedy,
      // The same draws for every policy: differences between iterations are then paired.
      seed: seedFor(context.config, "evaluation", name),
      forcedPrefix: line === "forced-prefix" ? evaluation.forcedPrefix : undefined,
      thinkingPrefix: evaluation.forcedPrefix,
      on: reporter(context, iteration, "evaluation", name),
    });
    scores.push(score);
    rows.push(...graded.map((question) => toRow(name, line, question)));
  }
  for (const row of rows) context.store.appendJsonl(files.answers, row);
  context.emit({ event: "evaluation", iteration, line, benches: scores });
  return scores;
}

function toRow(bench: string, line: string, { question, greedy, samples }: GradedQuestion): JsonObject {
  return {
    bench,
    line,
    id: question.id,
    question: question.question,
    truth: question.answer,
    greedy: greedy && { answer: greedy.answer, correct: greedy.correct, text: greedy.text },
    samples: samples.map(({ answer, correct }) => ({ answer, correct })),
  };
}
