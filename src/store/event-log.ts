// The run's events as its log gets them: each event of a place (a step, a phase) once, however often the run was killed and did that
// place again; nothing is lost to a full disk, it waits in memory. Knows the log's file, not what events mean.

import { DataError, isDiskFull } from "../util/errors.ts";
import type { RunStore, StoredEvent } from "./run-store.ts";

/** Events that a resumed run tells again; all others are told once per place. */
const REPEATED = new Set(["start", "warning", "interrupted", "paused", "rollback", "restart", "engine"]);

/** See the file header. */
export class EventLog {
  readonly #store: RunStore;
  readonly #known = new Set<string>();
  readonly #waiting: string[] = [];
  /** Why the old log could not be read, if so. */
  readonly problem: string | undefined;

  constructor(store: RunStore) {
    this.#store = store;
    try {
      for (const event of store.events()) this.#known.add(placeOf(event));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      this.problem = error.message;
    }
  }

  /** Adds an event with its time, unless the log has it. Errors: DiskError, but never for a lack of room; RunError (lock lost). */
  append(event: StoredEvent): void {
    const place = placeOf(event);
    if (!REPEATED.has(event.event)) {
      if (this.#known.has(place)) return;
      this.#known.add(place);
    }
    this.#waiting.push(JSON.stringify({ time: new Date().toISOString(), ...event }));
    try {
      this.flush();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }

  /** Writes what waits. Errors: DiskError. */
  flush(): void {
    while (this.#waiting.length > 0) {
      this.#store.appendEventLine(this.#waiting[0]);
      this.#waiting.shift();
    }
  }
}

/** What an event is about; two events of one place are the same one told twice. */
function placeOf({ event, iteration, phase, state, step, update, line }: StoredEvent): string {
  return [event, iteration, phase, state, step, update, line].join("/");
}
