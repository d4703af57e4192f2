// Phase 4: the Solver on benchmarks with ground truth. Nothing computed here is read by any phase that trains.
// Source: R-Zero section 4; departures in docs/algorithm.md (sampled mean@k beside greedy, intervals, no guessing).

import type { Sampler } from "../engine/types.ts";
import { gradeBy } from "../evaluation/grading.ts";
import { evaluate, type GradedQuestion } from "../evaluation/runner.ts";
import type { BenchScore } from "../store/events.ts";
import type { JsonObject } from "../store/jsonl.ts";
import type { PhaseLayout } from "../store/layout.ts";
import { type LoopContext, seedFor, withFrozen, withFrozenBase } from "./context.ts";
import { sampleJournalled } from "./journalled.ts";
import { writeRows } from "./room.ts";

/** Scores the Solver as it stands; iteration 0 is the base model, with the elicitation line where the recipe asks for it. */
export async function evaluationPhase(context: LoopContext, iteration: number, files: PhaseLayout): Promise<JsonObject> {
  const { evaluation } = context.config;
  const rows: JsonObject[] = [];
  const score = (sampler: Sampler, line: Line) => scoreBenches(context, iteration, rows, sampler, line);
  const lines = async (sampler: Sampler) => {
    const solver = await score(sampler, "solver");
    const reference = iteration === 0 && evaluation.referenceLines;
    return reference ? { solver, forcedPrefix: await score(sampler, "forced-prefix") } : { solver };
  };
  const scores = iteration === 0 ? await withFrozenBase(context, lines) : await withFrozen(context.solver, lines);
  await writeRows(context, "graded answers", files.answers, rows);
  return scores;
}

type Line = "solver" | "forced-prefix";

async function scoreBenches(
  context: LoopContext,
  iteration: number,
  rows: JsonObject[],
  sampler: Sampler,
  line: Line,
): Promise<BenchScore[]> {
  const { evaluation, prompts, domain } = context.config;
  const scores: BenchScore[] = [];
  for (const [index, { name, questions }] of context.benches.entries()) {
    const { score, graded } = await evaluate({
      sampler: journalledSampler(context, iteration, sampler, `${line} ${index}`),
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
      grade: gradeBy(domain.answer.policy),
    });
    scores.push(score);
    rows.push(...graded.map((question) => toRow(name, line, question)));
  }
  context.emit({ event: "evaluation", iteration, line, benches: scores });
  return scores;
}

/** A sampler whose first call is `… sampled`, its second `… greedy`, each with its journal; only texts are kept. */
function journalledSampler(context: LoopContext, iteration: number, sampler: Sampler, name: string): Sampler {
  const activities = [`${name} sampled`, `${name} greedy`];
  return {
    sample: (prompts, params) => {
      const activity = activities.shift();
      if (activity === undefined) throw new Error("internal: an evaluation samples twice at most");
      return sampleJournalled(context, sampler, prompts, params, { iteration, phase: "evaluation", activity, content: "text" });
    },
  };
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
