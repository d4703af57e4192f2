// The time, a few times a minute, for what is said relative to it.

import { signal } from "@preact/signals";

const TICK_MS = 15_000;

/** Milliseconds since 1970; a component that reads it is drawn again as time goes by. */
export const now = signal(Date.now());
setInterval(() => {
  now.value = Date.now();
}, TICK_MS);
