// Benchmark questions with ground truth, and their own JSON Lines format. Never seen by anything that trains. Benchmarks of other
// formats and places are load.ts.

import { expectObject, preview, readJsonl } from "../store/jsonl.ts";
import { DataError } from "../util/errors.ts";

/** One benchmark question. */
export interface BenchQuestion {
  readonly id?: string;
  readonly question: string;
  /** Ground truth; for a multiple choice its letter. */
  readonly answer: string;
  /** Options of a multiple choice, shown as A, B, C … */
  readonly choices?: readonly string[];
  /** Groups questions in reports. */
  readonly category?: string;
  /** Coarser group of categories, for example what the Challenger may pose and what it never does. */
  readonly kind?: string;
  /** Difficulty, where the benchmark has one. */
  readonly level?: number;
}

/** Reads a benchmark. Errors: DataError with file and line for a bad line, an empty file, a missing field. */
export function readBench(file: string): BenchQuestion[] {
  const questions = readJsonl(file, parseQuestion);
  if (questions.length === 0) throw new DataError(`${file}: expected at least one question, got an empty file.`);
  return questions;
}

/** One row as a question. Errors: DataError `where: expected …` for a missing or wrong field. */
export function parseQuestion(value: unknown, where: string): BenchQuestion {
  const row = expectObject(value, where);
  const question = textField(row.question, "question", where);
  const answer = typeof row.answer === "number" ? String(row.answer) : textField(row.answer, "answer", where);
  return {
    question,
    answer,
    id: row.id === undefined || row.id === null ? undefined : plainText(row.id, "id", where),
    choices: row.choices === undefined ? undefined : textList(row.choices, where),
    category: row.category === undefined ? undefined : textField(row.category, "category", where),
    kind: row.kind === undefined ? undefined : textField(row.kind, "kind", where),
    level: typeof row.level === "number" ? row.level : undefined,
  };
}

function textField(value: unknown, name: string, where: string): string {
  if (typeof value === "string" && value.trim() !== "") return value;
  throw new DataError(`${where}: expected "${name}" to be a non-empty string, got ${preview(value)}.`);
}

function plainText(value: unknown, name: string, where: string): string {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
  throw new DataError(`${where}: expected "${name}" to be a text or a number, got ${preview(value)}.`);
}

function textList(value: unknown, where: string): string[] {
  if (Array.isArray(value) && value.length >= 2 && value.length <= 26 && value.every((item) => typeof item === "string"))
    return value;
  throw new DataError(`${where}: expected "choices" to be a list of 2 to 26 strings, got ${preview(value)}.`);
}
