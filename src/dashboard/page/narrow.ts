// Whether the page is as narrow as a phone, where rows stack their cells. The width is the one of styles/parts.css.

import { signal } from "@preact/signals";

const query = matchMedia("(max-width: 719px)");
const narrow = signal(query.matches);
query.addEventListener("change", () => {
  narrow.value = query.matches;
});

/** True on a narrow page; a component that reads it follows. */
export function useNarrow(): boolean {
  return narrow.value;
}
