// Server-sent events with a reconnect of its own: after a loss it opens again from the last event that was seen, waiting a little longer
// each time, and says meanwhile that it is reconnecting. Knows no view.

import { signal } from "@preact/signals";

/** What the top of the page says about the stream. */
export type Connection = "connecting" | "live" | "reconnecting";

/** State of the stream that the current view listens to. */
export const connection = signal<Connection>("connecting");

/** Handlers by the event's name, with its data parsed. */
export type Handlers = Readonly<Record<string, (data: never) => void>>;

const WAITS_MS = [250, 500, 1000, 2000, 3000];

/** Listens to a stream until the returned function is called. `after`: id of the last event that is known already. */
export function listen(path: string, handlers: Handlers, after?: string): () => void {
  let source: EventSource | undefined;
  let last = after;
  let losses = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  connection.value = "connecting";

  const open = () => {
    source = new EventSource(last === undefined ? path : `${path}?after=${encodeURIComponent(last)}`);
    source.onopen = () => {
      losses = 0;
      connection.value = "live";
    };
    source.onerror = () => {
      source?.close();
      connection.value = "reconnecting";
      timer = setTimeout(open, WAITS_MS[Math.min(losses++, WAITS_MS.length - 1)]);
    };
    for (const [name, handle] of Object.entries(handlers))
      source.addEventListener(name, (message: MessageEvent<string>) => {
        if (message.lastEventId !== "") last = message.lastEventId;
        if (name === "reset") last = undefined;
        handle(JSON.parse(message.data || "null") as never);
      });
  };
  open();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}

/** Calls `work` at once and then at most every `ms`, the last call never lost. */
export function throttled(work: () => void, ms: number): () => void {
  let waiting = false;
  let missed = false;
  const run = () => {
    if (waiting) {
      missed = true;
      return;
    }
    work();
    waiting = true;
    setTimeout(() => {
      waiting = false;
      if (missed) {
        missed = false;
        run();
      }
    }, ms);
  };
  return run;
}
