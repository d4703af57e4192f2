// What to do when a Tinker server did not give what it was asked for: the client's table of statuses, as a pure function. Knows no
// transport and no time. Source: api_future_impl.py and retry_handler.py of the public `tinker` SDK.

import { backoffMs } from "../../../util/clock.ts";
import { EngineError } from "../../../util/errors.ts";
import { redact } from "../../../util/secrets.ts";
import type { TransportFailure } from "../http.ts";

/** How an attempt went wrong: a status that is not 200, or no answer. */
export type Setback = { readonly status: number; readonly retryAfterMs?: number } | { readonly failure: TransportFailure };

/** Which kind of request it was: one that does something, or a poll for a future's result. */
export type Step = "submit" | "poll";

/** What next: the same request after a pause, the request that the future came from once more, or an error. */
export type Verdict =
  | { readonly next: "again"; readonly waitMs: number }
  | { readonly next: "resubmit" }
  | { readonly next: "fail" };

/** Tries of a bare 400, which proxies give for what is not the request's fault, and of a 409 or 410 of a request. */
const BAD_REQUEST_TRIES = 3;
const CONFLICT_TRIES = 8;
/** A server that waits for a payment is asked so often for so long. */
const BILLING_PAUSE_MS = 5000;
const BILLING_TRIES = 720;

/**
 * The next move after the `tries`-th failure in a row (from 1). Connection errors and 429 wait 1, 2, 4 … 30 s, requests otherwise 0.5 to
 * 10 s, polls go on at once. `random` is in [0, 1).
 */
export function verdictOn(step: Step, setback: Setback, tries: number, random: () => number): Verdict {
  if ("failure" in setback) {
    if (setback.failure === "aborted" || setback.failure === "too-large") return { next: "fail" };
    // A poll that took too long is nothing unusual: the result is not there yet.
    if (setback.failure === "deadline" && step === "poll") return { next: "again", waitMs: 0 };
    return { next: "again", waitMs: backoffMs(tries - 1, 1000, 30_000, random) };
  }
  const { status, retryAfterMs } = setback;
  const again = (firstMs: number, mostMs: number): Verdict => ({
    next: "again",
    waitMs: retryAfterMs ?? backoffMs(tries - 1, firstMs, mostMs, random),
  });
  if (status === 429) return again(1000, 30_000);
  if (status === 402) return tries <= BILLING_TRIES ? { next: "again", waitMs: BILLING_PAUSE_MS } : { next: "fail" };
  if (status === 400) return tries < BAD_REQUEST_TRIES ? again(500, 10_000) : { next: "fail" };
  if (step === "poll") {
    if (status === 410 || status === 404) return { next: "resubmit" };
    if (status === 408) return { next: "again", waitMs: 0 };
    return status >= 500 ? again(100, 10_000) : { next: "fail" };
  }
  if (status === 409 || status === 410) return tries < CONFLICT_TRIES ? again(500, 10_000) : { next: "fail" };
  return status === 408 || status >= 500 ? again(500, 10_000) : { next: "fail" };
}

/** A Tinker server refused, failed or was not reached. `status` is that of HTTP, where there was an answer. */
export class TinkerError extends EngineError {
  override name = "TinkerError";
  readonly status: number | undefined;
  constructor(message: string, options: { status?: number; retryable?: boolean; cause?: unknown } = {}) {
    super(redact(message), options);
    this.status = options.status;
  }
}

/** Whether an error says that the server does not know what the request was about (any more), or stands elsewhere than we do. */
export function isLost(error: unknown): error is TinkerError {
  if (!(error instanceof TinkerError)) return false;
  const { status, message } = error;
  if (status === 400) return /not (loaded|found)|unloaded|unknown|does not exist|no such/i.test(message);
  return status === 404 || status === 409 || status === 410;
}
