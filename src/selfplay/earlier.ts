// What earlier iterations posed and kept, read back from their question files, so that a resumed run sees the same. Knows no reward.

import { normaliseQuestion } from "../curriculum/filter.ts";
import { QuestionArchive } from "../reward/novelty.ts";
import { QualityGate } from "../reward/quality.ts";
import { expectObject, type JsonObject } from "../store/jsonl.ts";
import { rngFrom } from "../util/rng.ts";
import type { LoopContext } from "./context.ts";

/** What the Solver phase trains on. */
export interface CurriculumQuestion {
  readonly question: string;
  readonly pseudoLabel: string;
  /** Its iteration, and its line in the questions.jsonl of that, from 1. */
  readonly iteration: number;
  readonly line: number;
}

/** The curriculum of a finished phase, from its file. Errors: DataError. */
export function readCurriculum(context: LoopContext, iteration: number): CurriculumQuestion[] {
  return readRows(context, iteration)
    .map((row, index): JsonObject & { line: number } => ({ ...row, line: index + 1 }))
    .filter(({ verdict }) => verdict === "kept")
    .map(({ question, pseudoLabel, line }) => ({
      question: String(question),
      pseudoLabel: String(pseudoLabel),
      iteration,
      line,
    }));
}

/** The curricula of all iterations before this one, in order. */
export function readEarlierCurricula(context: LoopContext, iteration: number): CurriculumQuestion[] {
  return earlierIterations(context, iteration).flatMap((earlier) => readCurriculum(context, earlier));
}

/** Different texts of all well-formed questions of earlier pools, as `normaliseQuestion` gives them, in the order first posed. */
export function readEarlierTexts(context: LoopContext, iteration: number): Set<string> {
  const rows = earlierIterations(context, iteration).flatMap((earlier) => readRows(context, earlier));
  return new Set(
    rows.filter(({ verdict }) => verdict !== "malformed").map(({ question }) => normaliseQuestion(String(question))),
  );
}

/** What questions of an iteration are judged against: the archive, and the gate where one is asked for. */
export interface QuestionJudges {
  readonly archive: QuestionArchive;
  readonly gate: QualityGate;
}

/** Opens the judges; the archive is read only where an option looks at it. Errors: DataError. */
export function openJudges(context: LoopContext, iteration: number): QuestionJudges {
  const { novelty, quality } = context.config.challenger.reward;
  const needed = novelty.weight > 0 || quality.archiveCopy < 1;
  const texts = needed ? chooseArchived(context, [...readEarlierTexts(context, iteration)]) : [];
  const archive = new QuestionArchive(texts);
  const prompt = context.config.prompts.challenger.map(({ content }) => content);
  return { archive, gate: new QualityGate(quality, prompt, archive) };
}

/** At most archive.maxQuestions of them: those whose key under the run's seed is lowest, so that a choice changes little as it grows. */
function chooseArchived({ config }: LoopContext, texts: readonly string[]): string[] {
  const { maxQuestions } = config.archive;
  if (texts.length <= maxQuestions) return [...texts];
  const keyed = texts.map((text, index) => ({ text, index, key: rngFrom(config.seed, "archive", text).next() }));
  const chosen = keyed.sort((x, y) => x.key - y.key || x.index - y.index).slice(0, maxQuestions);
  return chosen.sort((x, y) => x.index - y.index).map(({ text }) => text);
}

function earlierIterations({ store }: LoopContext, iteration: number): number[] {
  return store.iterations().filter((earlier) => earlier > 0 && earlier < iteration && store.phaseDone(earlier, "curriculum"));
}

function readRows({ store }: LoopContext, iteration: number): JsonObject[] {
  const file = store.phase(iteration, "curriculum").questions;
  return store.readJsonl<JsonObject>(file, (value, where) => expectObject(value, where));
}
