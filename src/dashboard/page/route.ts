// Where the page is: the part of the address after "#", as segments and a query. The server never sees it, so a reload needs no rule of
// its own there. Knows no view.

import { computed, signal } from "@preact/signals";

/** `#/run/tiny-001/questions?sort=share` is path ["run", "tiny-001", "questions"] with the query's keys. */
export interface Route {
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

const hash = signal(location.hash);
addEventListener("hashchange", () => {
  hash.value = location.hash;
});

/** The current route. */
export const route = computed(() => parseRoute(hash.value));

/** Reads an address; a segment that is not valid percent-encoding stands as it is. */
export function parseRoute(text: string): Route {
  const [path = "", query = ""] = text.replace(/^#?\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Values of a query; undefined and "" leave a key out. */
export type Query = Readonly<Record<string, string | number | undefined>>;

/** The address of a place in the page. */
export function hrefTo(path: readonly string[], query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search === "" ? "" : `?${search}`}`;
}

/** Goes to a place, as a new entry of the history. */
export function go(path: readonly string[], query?: Query): void {
  location.hash = hrefTo(path, query);
}

/** Changes keys of the query in place: a filter that is typed makes no entry per letter. */
export function changeQuery(changes: Query): void {
  const { path, query } = route.peek();
  history.replaceState(undefined, "", hrefTo(path, { ...Object.fromEntries(query), ...changes }));
  hash.value = location.hash;
}
