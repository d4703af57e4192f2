// The shape of the markers that finished phases leave, checked when they are read: reports count on it. Unknown keys are left alone, so
// that a marker of a newer version still reads. Knows no algorithm.

import { DataError } from "../util/errors.ts";
import { expectObject, type JsonObject, preview } from "../util/json.ts";
import type { Phase } from "./layout.ts";

const MAX_STEPS = 1_000_000;

/** Returns the marker of a phase. Errors: DataError naming the field. */
export function checkDone(phase: Phase, value: unknown, where: string): JsonObject {
  const marker = expectObject(value, where);
  if (phase === "evaluation") checkLines(marker, where);
  else if (phase === "curriculum") checkNumbers(marker, where, ["pool", "kept"]);
  else if (marker.steps !== undefined)
    list(marker.steps, `${where} steps`).forEach((step, index) => {
      checkNumbers(step, `${where} steps[${index}]`, []);
    });
  return marker;
}

/** The summary of a complete run. Errors: DataError. */
export function checkSummary(value: unknown, where: string): JsonObject {
  const summary = expectObject(value, where);
  checkNumbers(summary.best, `${where} best`, ["iteration"]);
  for (const key of ["base", "final"].filter((name) => summary[name] !== undefined))
    checkLines(expectObject(summary[key], `${where} ${key}`), `${where} ${key}`);
  return summary;
}

/** Scores of one or more lines of policies, each a list of benchmarks. */
function checkLines(marker: JsonObject, where: string): void {
  checkBenches(marker.solver, `${where} solver`);
  if (marker.forcedPrefix !== undefined) checkBenches(marker.forcedPrefix, `${where} forcedPrefix`);
}

function checkBenches(value: unknown, where: string): void {
  const benches = list(value, where);
  for (const [index, item] of benches.entries()) {
    const bench = expectObject(item, `${where}[${index}]`);
    if (typeof bench.name !== "string") throw new DataError(`${where}[${index}]: expected a name, got ${preview(bench.name)}.`);
    checkNumbers(bench, `${where}[${index}]`, ["questions", "samples", "temperature"]);
    checkScore(bench.sampled, `${where}[${index}] sampled`);
    if (bench.greedy !== undefined) checkScore(bench.greedy, `${where}[${index}] greedy`);
  }
}

function checkScore(value: unknown, where: string): void {
  const score = expectObject(value, where);
  checkNumbers(score, where, ["mean", "unparsed", "truncated"]);
  if (!Array.isArray(score.ci95) || score.ci95.length !== 2 || !score.ci95.every(isMeasure))
    throw new DataError(`${where} ci95: expected two numbers, got ${preview(score.ci95)}.`);
  for (const group of ["categories", "kinds", "levels"])
    for (const [key, mean] of Object.entries(expectObject(score[group], `${where} ${group}`)))
      if (!isMeasure(mean)) throw new DataError(`${where} ${group} ${preview(key)}: expected a number, got ${preview(mean)}.`);
}

/** What reports do arithmetic on is a number or null; `required` ones are numbers. Other keys are left alone. */
function checkNumbers(value: unknown, where: string, required: readonly string[]): void {
  const object = expectObject(value, where);
  for (const key of required)
    if (typeof object[key] !== "number") throw new DataError(`${where} ${key}: expected a number, got ${preview(object[key])}.`);
  for (const key of MEASURES)
    if (object[key] !== undefined && !isMeasure(object[key]))
      throw new DataError(`${where} ${key}: expected a number, got ${preview(object[key])}.`);
}

/** Fields that reports do arithmetic on. */
const MEASURES = ["inBand", "level", "keptLevel", "voteShare", "labelAccuracy", "reward", "thinks", "passAtK", "mean"];

function isMeasure(value: unknown): boolean {
  return value === null || typeof value === "number";
}

function list(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value) && value.length <= MAX_STEPS) return value;
  throw new DataError(`${where}: expected a list, got ${preview(value)}.`);
}
