// Tables of the index and the numbers that name its rows. A row's number says where its line stands, so it is the same however often
// the index is built anew. Texts are not in it, only where they stand; and their words, for the search. Knows no file.

import type { Source } from "../api-questions.ts";

/** A change of what is written here makes older indexes be built anew. */
export const INDEX_FORMAT = 1;

export const TABLES = `
CREATE TABLE runs (run INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE files (
  file INTEGER PRIMARY KEY, run INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, iteration INTEGER NOT NULL,
  step INTEGER NOT NULL, stamp TEXT NOT NULL, read INTEGER NOT NULL, lines INTEGER NOT NULL, tail TEXT NOT NULL, UNIQUE (run, path)
);
CREATE TABLE verdicts (verdict INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE questions (
  id INTEGER PRIMARY KEY, run INTEGER NOT NULL, iteration INTEGER NOT NULL, source INTEGER NOT NULL, verdict INTEGER NOT NULL,
  share REAL, reward REAL, length INTEGER NOT NULL, answers INTEGER NOT NULL, label INTEGER, cluster INTEGER,
  trained INTEGER NOT NULL DEFAULT 0, file INTEGER NOT NULL, start INTEGER NOT NULL, bytes INTEGER NOT NULL, truth INTEGER
);
CREATE TABLE groups (
  id INTEGER PRIMARY KEY, question INTEGER NOT NULL, samples INTEGER NOT NULL, reward REAL, file INTEGER NOT NULL,
  start INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE INDEX groups_by_question ON groups (question);
CREATE TABLE maps (run INTEGER PRIMARY KEY, made_from TEXT NOT NULL, map TEXT NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(text, content='', contentless_delete=1, tokenize='unicode61', detail=none);
PRAGMA user_version = ${INDEX_FORMAT};
`;

/** Where a line stands. `kind` of a group is `solver`; a Challenger's group is the line of its question. */
export interface Place {
  /** Number of the run in the index. */
  readonly run: number;
  readonly iteration: number;
  readonly kind: Source | "solver";
  /** Rollout step; 0 in a pool. */
  readonly step: number;
  /** From 1. */
  readonly line: number;
}

const LINES_PER_STEP = 2 ** 16;
const LOCAL = 2 ** 32;
const ITERATIONS = 2 ** 10;
/** Runs that one index can hold. */
export const MOST_RUNS = 2 ** 10;
/** Largest line of a pool, step, and line of a step, that has a number. */
const LARGEST = { pool: LOCAL - 1, step: 2 ** 16 - 1, line: LINES_PER_STEP - 1 } as const;

/** The number of a line: run, iteration, pool or step file, line, in this order of weight. Undefined when it has none. */
export function idOf({ run, iteration, kind, step, line }: Place): number | undefined {
  if (iteration >= ITERATIONS || step > LARGEST.step || line > (kind === "pool" ? LARGEST.pool : LARGEST.line)) return undefined;
  const local = kind === "pool" ? line : step * LINES_PER_STEP + line;
  return ((run * ITERATIONS + iteration) * 2 + (kind === "pool" ? 0 : 1)) * LOCAL + local;
}

/** The numbers that a run's rows have; an iteration's when it is given: first, and the one after the last. */
export function idRange(run: number, iteration?: number): [from: number, to: number] {
  const size = 2 * LOCAL;
  if (iteration === undefined) return [run * ITERATIONS * size, (run + 1) * ITERATIONS * size];
  return [(run * ITERATIONS + iteration) * size, (run * ITERATIONS + iteration + 1) * size];
}

/** Place of a question's number. */
export function placeOf(id: number): Place {
  const local = id % LOCAL;
  const above = Math.floor(id / LOCAL);
  const kind = above % 2 === 0 ? "pool" : "challenger";
  const [step, line] = kind === "pool" ? [0, local] : [Math.floor(local / LINES_PER_STEP), local % LINES_PER_STEP];
  const both = Math.floor(above / 2);
  return { run: Math.floor(both / ITERATIONS), iteration: both % ITERATIONS, kind, step, line };
}

/** `NAME/1/pool/0/17`: the name of a place for everybody else. */
export function placeName(run: string, { iteration, kind, step, line }: Omit<Place, "run">): string {
  return [run, iteration, kind, step, line].join("/");
}

/** The run's name and the place that a name of `placeName` says; undefined for any other text. */
export function parsePlace(name: string): (Omit<Place, "run"> & { readonly run: string }) | undefined {
  const match = /^([A-Za-z0-9][A-Za-z0-9._-]{0,99})\/(\d{1,4})\/(pool|challenger|solver)\/(\d{1,5})\/(\d{1,10})$/.exec(name);
  if (match === null) return undefined;
  const [, run, iteration, kind, step, line] = match;
  return { run, iteration: Number(iteration), kind: kind as Place["kind"], step: Number(step), line: Number(line) };
}
