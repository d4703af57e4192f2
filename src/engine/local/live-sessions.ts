// The live batches of a worker: each runs step after step while it has work and gives way to messages every few milliseconds.
// Reports go out every few milliseconds, the end of a completion almost at once. Knows no HTTP and no sampling.

import { setImmediate } from "node:timers/promises";
import { EngineError } from "../../util/errors.ts";
import type { LiveRequest, LiveStats } from "../types.ts";
import type { LiveBatch } from "./live-sampler.ts";
import type { LiveReport } from "./live-slots.ts";
import { type LiveMessage, toWireError } from "./protocol.ts";

/** Many completions report less often, so that who passes the reports on (500 a second, as a rule) leaves the cores to the kernels. */
const MS_PER_REPORT = 2;
const LONGEST_PAUSE_MS = 150;
/** Small steps do not each look for messages. */
const MS_BETWEEN_TURNS = 2;
/** Ends that come close together are told together: waking the other thread costs more than a small step. */
const MS_BETWEEN_ENDS = 5;

interface Session {
  readonly batch: LiveBatch;
  readonly reportMs: number;
  busy: boolean;
  closed: boolean;
}

/** See the file header. Calls must not overlap. */
export class LiveSessions {
  readonly #tell: (message: LiveMessage) => void;
  readonly #sessions = new Map<number, Session>();
  #next = 1;

  constructor(tell: (message: LiveMessage) => void) {
    this.#tell = tell;
  }

  /** Takes over a batch; returns its session. */
  open(batch: LiveBatch, reportMs: number): number {
    const session = this.#next++;
    this.#sessions.set(session, { batch, reportMs, busy: false, closed: false });
    return session;
  }

  /** Takes a request in, or tells why not. */
  add(session: number, id: number, request: LiveRequest): void {
    try {
      const found = this.#find(session);
      found.batch.add(id, request);
      if (!found.busy) void this.#work(session, found);
    } catch (error) {
      this.#tell({ kind: "live", session, reports: [], refused: { id, error: toWireError(error) } });
    }
  }

  cancel(session: number, id: number): void {
    this.#sessions.get(session)?.batch.cancel(id);
  }

  stats(session: number): LiveStats {
    return this.#find(session).batch.stats;
  }

  close(session: number): void {
    const found = this.#sessions.get(session);
    if (found === undefined) return;
    this.#sessions.delete(session);
    found.closed = true;
    found.batch.dispose();
  }

  closeAll(): void {
    for (const session of [...this.#sessions.keys()]) this.close(session);
  }

  #find(session: number): Session {
    const found = this.#sessions.get(session);
    if (found === undefined) throw new EngineError(`engine: expected an open live session, got one that has ended (${session}).`);
    return found;
  }

  /** Steps while there is work. A step that fails ends the session. */
  async #work(session: number, work: Session): Promise<void> {
    work.busy = true;
    try {
      // Requests that come together begin together.
      await setImmediate();
      let last = 0;
      let lastEnd = 0;
      let lastTurn = 0;
      while (!work.closed && work.batch.step()) {
        const now = performance.now();
        if (now - last >= pauseOf(work)) {
          last = now;
          this.#report(session, work.batch.takeReports());
        } else if (work.batch.hasEnded && now - lastEnd >= Math.min(work.reportMs, MS_BETWEEN_ENDS)) {
          lastEnd = now;
          this.#report(session, work.batch.takeReports("ended"));
        }
        if (now - lastTurn < MS_BETWEEN_TURNS) continue;
        await setImmediate();
        lastTurn = performance.now();
      }
      if (!work.closed) this.#report(session, work.batch.takeReports());
    } catch (error) {
      this.close(session);
      this.#tell({ kind: "live", session, reports: [], error: toWireError(error) });
    } finally {
      work.busy = false;
    }
  }

  #report(session: number, reports: LiveReport[]): void {
    if (reports.length > 0) this.#tell({ kind: "live", session, reports });
  }
}

/** How long a session's reports wait for each other. */
function pauseOf({ batch, reportMs }: Session): number {
  return Math.max(reportMs, Math.min(LONGEST_PAUSE_MS, batch.running * MS_PER_REPORT));
}
