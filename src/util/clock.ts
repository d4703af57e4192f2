// Time and waiting, so that what retries can be tested without either; and how long to wait before the next try.
// Knows no protocol.

/** Where time comes from. */
export interface Clock {
  /** Milliseconds; only differences mean something. */
  now(): number;
  /** Fulfilled after so many milliseconds, or at once when `signal` aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** This machine's. */
export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      signal?.addEventListener("abort", end, { once: true });
    }),
};

/** Pause before try `attempt` + 1, in ms: doubling, at most `mostMs`, shortened by up to half at random so that clients spread. */
export function backoffMs(attempt: number, firstMs: number, mostMs: number, random: () => number = Math.random): number {
  return Math.min(mostMs, firstMs * 2 ** Math.min(attempt, 40)) * (1 - 0.5 * random());
}

/** What a server's Retry-After asks for in ms (seconds or an HTTP date), at most an hour; undefined without one that can be read. */
export function retryAfterMs(header: string | undefined, date: number = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  const seconds = /^\s*\d+(\.\d+)?\s*$/.test(header) ? Number(header) : (Date.parse(header) - date) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.min(3600, Math.max(0, seconds)) * 1000;
}
