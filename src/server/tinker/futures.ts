// Promised results of a Tinker server: made when a request is accepted, settled when it has run, waited for by long polls. What they
// take in memory is bounded: old results are forgotten, or read again where they are on the disk. Knows no request and no HTTP.

import { Problem } from "../problem.ts";

/** What a request came to: the JSON text of its answer. Results of `training` and `sample` can be told as protobuf too. */
export interface FutureResult {
  readonly kind: "training" | "sample" | "other" | "error";
  readonly json: string;
}

/** A request's place in the store. */
export interface Future {
  readonly id: string;
  /** What is left of a result that was dropped from memory; absent: nothing. */
  readonly reread?: () => FutureResult | undefined;
}

interface Entry extends Future {
  result?: FutureResult;
  settled: boolean;
  readonly key?: string;
  readonly wake: Set<() => void>;
}

/** How much is kept. */
export interface FutureLimits {
  /** Requests that have no result yet; more are answered 429. */
  readonly maxPending: number;
  /** Bytes of results in memory. */
  readonly maxResultBytes: number;
}

/** Most futures that are known at all. */
const MOST_FUTURES = 16_384;

/** An error as the protocol tells it. `user`: the request was wrong; `server`: we failed. */
export function failure(message: string, category: "user" | "server"): FutureResult {
  return { kind: "error", json: JSON.stringify({ error: message, category }) };
}

/** See the file header. `epoch` differs between the starts of one server, so that ids never return. */
export class FutureStore {
  readonly #limits: FutureLimits;
  readonly #epoch: number;
  readonly #entries = new Map<string, Entry>();
  /** Requests by what makes them one: the digest of the body, and the future that it got. */
  readonly #keys = new Map<string, { digest: string; id: string }>();
  #next = 1;
  #pending = 0;
  #bytes = 0;
  #closed = false;

  constructor(epoch: number, limits: FutureLimits) {
    this.#epoch = epoch;
    this.#limits = limits;
  }

  /** Requests without a result. */
  get pending(): number {
    return this.#pending;
  }

  /** The id of the next future that `create` makes. */
  get nextId(): string {
    return `${this.#epoch}-${this.#next}`;
  }

  /** The future of a request that came before. Errors: Problem 409 when its body was another. */
  claimed(key: string, digest: string): string | undefined {
    const known = this.#keys.get(key);
    if (known === undefined || known.digest === digest) return known?.id;
    throw new Problem(409, "Training request sequence number was reused");
  }

  /** Errors: Problem 429 when no more requests are taken now. */
  checkRoom(): void {
    if (this.#closed) throw new Problem(503, "server: it is shutting down.", { headers: { "retry-after": "5" } });
    if (this.#pending < this.#limits.maxPending) return;
    throw new Problem(429, `queue: expected at most ${this.#limits.maxPending} requests at once. Try again shortly.`, {
      headers: { "retry-after": "1" },
    });
  }

  /** A new future. Errors: Problem 429. */
  create(claim?: { readonly key: string; readonly digest: string }, reread?: Future["reread"]): Future {
    this.checkRoom();
    const id = this.nextId;
    this.#next++;
    return this.adopt({ id, reread }, claim);
  }

  /** Takes in a future that an earlier start made; it has no result until `settle`. */
  adopt(future: Future, claim?: { readonly key: string; readonly digest: string }): Future {
    const entry: Entry = { ...future, settled: false, key: claim?.key, wake: new Set() };
    this.#entries.set(future.id, entry);
    if (claim !== undefined) this.#keys.set(claim.key, { digest: claim.digest, id: future.id });
    this.#pending++;
    this.#forgetOldest();
    return entry;
  }

  /** Gives a future its result. */
  settle({ id }: Future, result: FutureResult): void {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.settled) return;
    entry.settled = true;
    this.#keep(entry, result);
    this.#pending--;
    for (const wake of entry.wake) wake();
  }

  /**
   * The result, waited for at most `ms`; undefined when there is none by then. Errors: Problem 404 (an id that never was), 410 (one that
   * is forgotten), 503 (the server ends).
   */
  async wait(id: string, ms: number, gone: AbortSignal): Promise<FutureResult | undefined> {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw this.#missing(id);
    if (!entry.settled && ms > 0 && !gone.aborted && !this.#closed) await this.#sleep(entry, ms, gone);
    if (!entry.settled && this.#closed)
      throw new Problem(503, "server: it is shutting down.", { headers: { "retry-after": "5" } });
    if (!entry.settled) return undefined;
    if (entry.result !== undefined) return entry.result;
    const again = entry.reread?.();
    if (again === undefined) throw this.#missing(id);
    this.#keep(entry, again);
    return again;
  }

  /** Ends all waiting; nothing new is taken in. */
  close(): void {
    this.#closed = true;
    for (const entry of this.#entries.values()) for (const wake of entry.wake) wake();
  }

  #sleep(entry: Entry, ms: number, gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        entry.wake.delete(end);
        gone.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      entry.wake.add(end);
      gone.addEventListener("abort", end, { once: true });
    });
  }

  #missing(id: string): Problem {
    const [epoch, count] = id.split("-", 2).map(Number);
    const issued = epoch < this.#epoch ? epoch >= 1 : epoch === this.#epoch && count >= 1 && count < this.#next;
    if (!/^\d{1,9}-\d{1,15}$/.test(id) || !issued) return new Problem(404, "Future not found");
    return new Problem(410, `request ${id}: its result is no longer kept. Send the request again.`);
  }

  #keep(entry: Entry, result: FutureResult): void {
    entry.result = result;
    this.#bytes += result.json.length;
    for (const old of this.#entries.values()) {
      if (this.#bytes <= this.#limits.maxResultBytes) return;
      if (old === entry || old.result === undefined) continue;
      this.#bytes -= old.result.json.length;
      old.result = undefined;
      if (old.reread === undefined) this.#remove(old);
    }
  }

  #forgetOldest(): void {
    for (const old of this.#entries.values()) {
      if (this.#entries.size <= MOST_FUTURES) return;
      if (!old.settled) continue;
      this.#bytes -= old.result?.json.length ?? 0;
      this.#remove(old);
    }
  }

  #remove({ id, key }: Entry): void {
    this.#entries.delete(id);
    if (key !== undefined && this.#keys.get(key)?.id === id) this.#keys.delete(key);
  }
}
