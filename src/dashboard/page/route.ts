// Where the page is, and going elsewhere. The server never sees the part after "#", so a reload needs no rule of its own there. Knows no view.

import { computed, signal } from "@preact/signals";
import { hrefTo, parseRoute, type Query } from "./address.ts";

const hash = signal(location.hash);
addEventListener("hashchange", () => {
  hash.value = location.hash;
});

/** The current route. */
export const route = computed(() => parseRoute(hash.value));

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
