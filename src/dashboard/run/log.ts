// A run's log of events, read on as it grows. A place in it is named by the byte where it is and by the log's first line, so that a name
// outlives the server and tells when the log is another one. Knows lines, not what events mean.

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { forEachLineFrom, LineFiles } from "../../store/lines.ts";
import { sha256 } from "../../util/files.ts";
import type { StreamedEvent } from "../api.ts";
import { objectOf } from "../index/ingest.ts";

/** An event and the name of the place after it. */
export interface LoggedEvent {
  readonly id: string;
  readonly event: StreamedEvent["event"];
}

/** A log that was begun anew while it was read: what was told of it is void. */
export class LogReplaced extends Error {}

const FIRST_BYTES = 256;

/** Reads a log from a place on. */
export class LogReader {
  readonly #file: string;
  #at = 0;
  #mark: string | undefined;
  #stamp = "";

  /** Begins at the place `after`, or at the start. Errors: LogReplaced when the log has no such place. */
  constructor(file: string, after?: string) {
    this.#file = file;
    if (after === undefined || after === "0") return;
    const match = /^(\d{1,15})\.([0-9a-f]{8})$/.exec(after);
    if (match === null || match[2] !== markOf(file) || !isLineStart(file, Number(match[1]))) throw new LogReplaced();
    this.#at = Number(match[1]);
    this.#mark = match[2];
  }

  /** The place that was read up to. */
  get place(): string {
    return this.#mark === undefined ? "0" : `${this.#at}.${this.#mark}`;
  }

  /** Hands over the events that came since the last call. Errors: LogReplaced. */
  read(visit: (event: LoggedEvent) => void): void {
    const stat = statSync(this.#file, { throwIfNoEntry: false });
    const stamp = stat === undefined ? "" : `${stat.size}:${stat.mtimeMs}`;
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    const mark = markOf(this.#file);
    if (this.#mark !== undefined && (mark !== this.#mark || (stat?.size ?? 0) < this.#at)) throw new LogReplaced();
    this.#mark = mark;
    if (mark === undefined) return;
    this.#at = forEachLineFrom(this.#file, this.#at, ({ start, buffer, from, to }) => {
      const event = objectOf(buffer.toString("utf8", from, to));
      if (typeof event?.event !== "string" || typeof event.time !== "string") return;
      visit({ id: `${start + to - from + 1}.${mark}`, event: event as StreamedEvent["event"] });
    });
  }

  /** Passes over what is there. */
  skip(): void {
    this.read(() => {});
  }
}

/** The first line in short; undefined while there is none. */
function markOf(file: string): string | undefined {
  const files = new LineFiles();
  const head = files.read(file, 0, FIRST_BYTES).toString("latin1");
  files.close();
  const end = head.indexOf("\n");
  if (end < 0 && head.length < FIRST_BYTES) return undefined;
  return sha256(end < 0 ? head : head.slice(0, end)).slice(0, 8);
}

function isLineStart(file: string, at: number): boolean {
  const descriptor = openSync(file, "r");
  try {
    const before = Buffer.alloc(1);
    return at > 0 && readSync(descriptor, before, 0, 1, at - 1) === 1 && before[0] === 0x0a;
  } finally {
    closeSync(descriptor);
  }
}
