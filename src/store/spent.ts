// What a run with a budget has spent over all its resumptions. Knows no prices.

import { existsSync } from "node:fs";
import { DataError } from "../util/errors.ts";
import { writeFileAtomic } from "../util/files.ts";
import { expectObject, readJsonFile } from "../util/json.ts";

/** Tokens by what was done with them. */
export interface SpentTokens {
  readonly prompt: number;
  readonly sample: number;
  readonly train: number;
}

/** Tokens of the engine that trains and of servers that answer for frozen roles, and seconds of work. */
export interface Spent {
  readonly engine: SpentTokens;
  readonly sampler: SpentTokens;
  readonly seconds: number;
}

const MAX_BYTES = 1 << 16;

/** The record in `file`; undefined where nobody counted. Errors: DataError. */
export function readSpent(file: string): Spent | undefined {
  if (!existsSync(file)) return undefined;
  const { engine, sampler, seconds } = expectObject(readJsonFile(file, MAX_BYTES), file);
  if (areTokens(engine, file) && areTokens(sampler, file) && isAmount(seconds)) return { engine, sampler, seconds };
  throw new DataError(`${file}: expected counts of tokens and seconds, got others. Delete the file to count from 0.`);
}

/** Writes the record, whole or not at all. Errors: DiskError. */
export function writeSpent(file: string, spent: Spent): void {
  writeFileAtomic(file, `${JSON.stringify({ format: 1, ...spent })}\n`);
}

function areTokens(value: unknown, file: string): value is SpentTokens {
  const { prompt, sample, train } = expectObject(value, file);
  return [prompt, sample, train].every(isAmount);
}

function isAmount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
