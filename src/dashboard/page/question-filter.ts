// The filter of the questions as the address of the page holds it: read from the route's query and written back. Pure.

import { LABELS, type LabelState, type QuestionQuery, SORTS, SOURCES, type Sort, type Source } from "../api-questions.ts";

/** Reads what the address says; what it says wrongly is left out. */
export function filterOf(run: string, query: URLSearchParams): QuestionQuery {
  const trained = query.get("trained");
  return {
    run: [run],
    iteration: numberOf(query, "iteration") === undefined ? undefined : [numberOf(query, "iteration") as number],
    source: oneOf<Source>(SOURCES, query.get("source")),
    verdict: query.get("verdict") ? [query.get("verdict") as string] : undefined,
    label: oneOf<LabelState>(LABELS, query.get("label")),
    cluster: numberOf(query, "cluster"),
    trained: trained === "yes" ? true : trained === "no" ? false : undefined,
    minShare: shareOf(query, "min"),
    maxShare: shareOf(query, "max"),
    search: query.get("search") || undefined,
    sort: oneOf<Sort>(SORTS, query.get("sort")),
    descending: query.get("down") === "1" ? true : undefined,
  };
}

function oneOf<T extends string>(known: readonly T[], value: string | null): T | undefined {
  return known.find((one) => one === value);
}

function numberOf(query: URLSearchParams, key: string): number | undefined {
  const text = query.get(key);
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** Shares stand in the address in percent, as they are typed. */
function shareOf(query: URLSearchParams, key: string): number | undefined {
  const text = query.get(key);
  const value = text === null || text === "" ? Number.NaN : Number(text);
  return value >= 0 && value <= 100 ? value / 100 : undefined;
}
