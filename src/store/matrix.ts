// The matrix of a run: each iteration's Solver asked the questions of each iteration's curriculum. Written cell by cell after the run, so that
// a measurement that was stopped goes on. Knows no engine.

import { existsSync } from "node:fs";
import { DataError } from "../util/errors.ts";
import { expectObject, type JsonObject, preview } from "../util/json.ts";
import { readJson, writeJson } from "./jsonl.ts";

/** One Solver on the questions of one iteration. */
export interface MatrixCell {
  /** Iteration of the Solver; 0 is the base model. */
  readonly solver: number;
  readonly questionsOf: number;
  readonly questions: number;
  /** Answers per question. */
  readonly samples: number;
  /** Share of answers equivalent to the question's pseudo-label, and its 95 % interval over questions. */
  readonly agreement: number;
  readonly ci95: readonly [number, number];
  /** Share of answers that are true, over the questions of known truth; absent without any. */
  readonly accuracy?: number;
  /** Mean vote share of this Solver. */
  readonly voteShare: number;
}

/** The file's content: what was asked for, and the cells that are measured. */
export interface StoredMatrix {
  readonly questions: number;
  readonly samples: number;
  readonly cells: readonly MatrixCell[];
}

/** What is there; undefined without a file. Errors: DataError. */
export function readMatrix(file: string): StoredMatrix | undefined {
  if (!existsSync(file)) return undefined;
  const { questions, samples, cells } = expectObject(readJson(file), file);
  if (typeof questions !== "number" || typeof samples !== "number" || !Array.isArray(cells))
    throw new DataError(
      `${file}: expected questions, samples and cells, got ${preview({ questions, samples })}. Delete the file.`,
    );
  return {
    questions,
    samples,
    cells: cells.map((cell, index) => checkCell(expectObject(cell, `${file} cells[${index}]`), file)),
  };
}

/** The measured cells as a grid: cells[i][j] is the Solver of iteration solvers[i] on the questions of questions[j]; null: not measured. */
export interface MatrixGrid {
  readonly solvers: readonly number[];
  readonly questions: readonly number[];
  readonly cells: readonly (readonly (MatrixCell | null)[])[];
}

/** Rows and columns ascending; empty without a matrix. */
export function matrixGrid(matrix: StoredMatrix | undefined): MatrixGrid {
  const all = matrix?.cells ?? [];
  const solvers = [...new Set(all.map(({ solver }) => solver))].sort((a, b) => a - b);
  const questions = [...new Set(all.map(({ questionsOf }) => questionsOf))].sort((a, b) => a - b);
  const cells = solvers.map((solver) =>
    questions.map((of) => all.find((cell) => cell.solver === solver && cell.questionsOf === of) ?? null),
  );
  return { solvers, questions, cells };
}

function checkCell(cell: JsonObject, file: string): MatrixCell {
  const { ci95 } = cell;
  for (const key of ["solver", "questionsOf", "questions", "samples", "agreement", "voteShare"])
    if (typeof cell[key] !== "number") throw new DataError(`${file}: expected ${key} to be a number, got ${preview(cell[key])}.`);
  if (!Array.isArray(ci95) || ci95.length !== 2)
    throw new DataError(`${file}: expected ci95, two numbers, got ${preview(ci95)}.`);
  return cell as unknown as MatrixCell;
}

/** Replaces the file. Errors: DiskError. */
export function writeMatrix(file: string, matrix: StoredMatrix): void {
  writeJson(file, { format: 1, ...matrix });
}
