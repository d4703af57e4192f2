// The queries of requests, checked: every number within its bounds, every list short, every name one of those that there are.
// Knows the interface, no run. Errors: Problem 400 everywhere.

import { badRequest } from "../server/problem.ts";
import { MOST_COMPARED, MOST_ROWS } from "./api.ts";
import { LABELS, type QuestionQuery, SORTS, SOURCES } from "./api-questions.ts";

const MOST_IN_LIST = 64;
const LONGEST_SEARCH = 500;
const LONGEST_NAME = 200;
const DEFAULT_ROWS = 100;
const DEFAULT_POINTS = 2000;
const MOST_POINTS = 20_000;

/** The conditions, order and window of `/api/questions`. */
export function questionQuery(query: URLSearchParams): QuestionQuery & { readonly offset: number; readonly limit: number } {
  const search = query.get("search") ?? undefined;
  if (search !== undefined && search.length > LONGEST_SEARCH)
    throw badRequest(`search: expected at most ${LONGEST_SEARCH} characters, got ${search.length}.`, "search");
  return {
    run: names(query, "run"),
    iteration: names(query, "iteration").map((text) => numberIn("iteration", text, { most: 1e6, whole: true })),
    source: oneOf(query, "source", SOURCES),
    verdict: names(query, "verdict"),
    label: oneOf(query, "label", LABELS),
    cluster: number(query, "cluster", { most: 1e6, whole: true }),
    trained: flag(query, "trained"),
    minShare: number(query, "minShare", { most: 1 }),
    maxShare: number(query, "maxShare", { most: 1 }),
    search,
    sort: oneOf(query, "sort", SORTS),
    descending: flag(query, "descending"),
    offset: number(query, "offset", { most: 1e9, whole: true }) ?? 0,
    limit: number(query, "limit", { most: MOST_ROWS, whole: true }) ?? DEFAULT_ROWS,
  };
}

/** Points per curve. */
export function pointCount(query: URLSearchParams): number {
  return Math.max(1, number(query, "points", { most: MOST_POINTS, whole: true }) ?? DEFAULT_POINTS);
}

/** Names of the runs to compare. */
export function comparedRuns(query: URLSearchParams): string[] {
  const runs = [...new Set(names(query, "run"))];
  if (runs.length >= 1 && runs.length <= MOST_COMPARED) return runs;
  throw badRequest(`run: expected 1 to ${MOST_COMPARED} runs, got ${runs.length}.`, "run");
}

/** A required text. */
export function required(query: URLSearchParams, key: string): string {
  const [value] = names(query, key);
  if (value !== undefined) return value;
  throw badRequest(`${key}: expected a value, got none.`, key);
}

function names(query: URLSearchParams, key: string): string[] {
  const values = query.getAll(key).filter((value) => value !== "");
  if (values.length <= MOST_IN_LIST && values.every((value) => value.length <= LONGEST_NAME)) return values;
  throw badRequest(`${key}: expected at most ${MOST_IN_LIST} values of ${LONGEST_NAME} characters, got more.`, key);
}

function oneOf<T extends string>(query: URLSearchParams, key: string, known: readonly T[]): T | undefined {
  const value = query.get(key);
  if (value === null || value === "") return undefined;
  const found = known.find((one) => one === value);
  if (found !== undefined) return found;
  throw badRequest(`${key}: expected one of ${known.join(", ")}, got ${JSON.stringify(value.slice(0, 40))}.`, key);
}

function flag(query: URLSearchParams, key: string): boolean | undefined {
  const value = oneOf(query, key, ["true", "false"] as const);
  return value === undefined ? undefined : value === "true";
}

interface Bounds {
  readonly most: number;
  readonly whole?: boolean;
}

function number(query: URLSearchParams, key: string, bounds: Bounds): number | undefined {
  const text = query.get(key);
  return text === null || text === "" ? undefined : numberIn(key, text, bounds);
}

function numberIn(key: string, text: string, { most, whole }: Bounds): number {
  const value = Number(text);
  if (text.length <= 30 && value >= 0 && value <= most && (!whole || Number.isInteger(value))) return value;
  throw badRequest(
    `${key}: expected a ${whole ? "whole " : ""}number from 0 to ${most}, got ${JSON.stringify(text.slice(0, 40))}.`,
    key,
  );
}
