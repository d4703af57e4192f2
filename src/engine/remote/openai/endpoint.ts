// One endpoint as the pool sees it: how much may be sent to it at once (additive increase, multiplicative decrease), whether it may be
// sent anything (a circuit breaker), which weights it has, and what it has done so far. Makes no requests.

import { setMaxListeners } from "node:events";
import { backoffMs, type Clock } from "../../../util/clock.ts";
import type { ServerFacts } from "./wire.ts";

/** Where a server is. */
export interface EndpointTarget {
  /** Root address, without /v1 and without a user name; it stands in messages. */
  readonly url: string;
  readonly apiKey?: string;
  /** Name of the variable the key came from, for messages. */
  readonly apiKeyEnv?: string;
  /** The model's name; absent: the first that the server lists. */
  readonly model?: string;
}

/** Bounds of the requests under way at one endpoint. */
export interface Concurrency {
  readonly first: number;
  readonly most: number;
}

/** What an endpoint has done. Completions and tokens are those that were used; a request is counted once, whatever became of it. */
export interface EndpointReport {
  readonly url: string;
  readonly state: "up" | "down" | "gone";
  /** Why it is not up, or was not the last time. */
  readonly reason: string | undefined;
  readonly requests: number;
  readonly completions: number;
  readonly tokens: number;
  /** Requests without an answer, answers that were garbage, and answers that asked to come back later. */
  readonly failures: number;
  readonly garbage: number;
  readonly throttled: number;
  /** Requests that may be under way at once, now. */
  readonly window: number;
}

const FIRST_DOWN_MS = 1000;
const LONGEST_DOWN_MS = 60_000;
const FIRST_QUARANTINE_MS = 60_000;
const LONGEST_QUARANTINE_MS = 900_000;
/** An endpoint that answered garbage so often is not asked again in this run. */
const MOST_GARBAGE = 3;
const DEFAULT_PAUSE_MS = 1000;

/** See the file header. */
export class Endpoint {
  readonly target: EndpointTarget;
  /** Undefined until it was reached for the first time. */
  facts: ServerFacts | undefined;
  state: "up" | "down" | "gone" = "down";
  reason: string | undefined;
  inFlight = 0;
  /** Names of the weights it is known to have. A server that was away may have been started anew and has none. */
  readonly weights = new Set<string>();
  /** Something is under way that must end first: weights are loaded, or a server that was away is looked at. */
  busyWith: "loading" | "probing" | undefined;
  /** Aborts what is under way when it is found dead. */
  controller = newController();
  failedChecks = 0;
  readonly #clock: Clock;
  readonly #most: number;
  #window: number;
  /** Doubles until the first refusal, as TCP does. */
  #slowStart = true;
  #decreasedAt = Number.NEGATIVE_INFINITY;
  #waits = false;
  #until = 0;
  #strikes = 0;
  #requests = 0;
  #completions = 0;
  #tokens = 0;
  #failures = 0;
  #garbage = 0;
  #throttled = 0;

  constructor(target: EndpointTarget, { first, most }: Concurrency, clock: Clock) {
    this.target = target;
    this.#clock = clock;
    this.#window = Math.min(first, most);
    this.#most = most;
  }

  /** Whether one more request may go out now. */
  get hasRoom(): boolean {
    return (
      this.state === "up" &&
      this.busyWith === undefined &&
      this.#clock.now() >= this.#until &&
      this.inFlight < Math.floor(this.#window)
    );
  }

  /** Share of its window that is taken: the pool sends to the least. */
  get load(): number {
    return this.inFlight / this.#window;
  }

  /** When something changes by itself: a pause ends, or it may be tried again. */
  get wakesAt(): number | undefined {
    if (this.state === "gone" || this.busyWith !== undefined) return undefined;
    return this.state === "down" || this.#until > this.#clock.now() ? this.#until : undefined;
  }

  /** It is down and the time to look again has come. */
  get isDue(): boolean {
    return this.state === "down" && this.busyWith === undefined && this.#clock.now() >= this.#until;
  }

  /** It answered a probe. */
  cameUp(facts: ServerFacts): void {
    this.facts = facts;
    this.state = "up";
    this.#until = 0;
    this.failedChecks = 0;
    this.controller = newController();
  }

  sent(): void {
    this.#requests++;
    this.inFlight++;
  }

  /** A right answer: so many completions and tokens are used. */
  succeeded(completions: number, tokens: number): void {
    this.#completions += completions;
    this.#tokens += tokens;
    this.#strikes = 0;
    this.failedChecks = 0;
    if (this.#waits) return;
    this.#window = Math.min(this.#most, this.#window + (this.#slowStart ? 1 : 1 / this.#window));
  }

  /** It asked to come back later. Requests sent before the last decrease tell nothing new. */
  throttled(sentAt: number, pauseMs = DEFAULT_PAUSE_MS): void {
    this.#throttled++;
    this.#until = Math.max(this.#until, this.#clock.now() + pauseMs);
    if (sentAt > this.#decreasedAt) this.#decrease(0.5);
  }

  /** Its own queue: requests wait there that could wait here. */
  queued(running: number, waiting: number): void {
    this.#waits = waiting > 0;
    if (waiting > Math.max(1, running)) this.#decrease(0.75);
  }

  /** No answer, or one that says it cannot: nothing is sent for a while, and its weights are unknown afterwards. */
  failed(reason: string): void {
    this.#failures++;
    this.#takeDown(reason, backoffMs(this.#strikes, FIRST_DOWN_MS, LONGEST_DOWN_MS));
  }

  /** An answer that is none: its word counts for nothing for a long while, and in the end for ever. */
  answeredGarbage(reason: string): void {
    this.#garbage++;
    if (this.#garbage >= MOST_GARBAGE) this.leave(reason);
    else this.#takeDown(reason, backoffMs(2 * (this.#garbage - 1), FIRST_QUARANTINE_MS, LONGEST_QUARANTINE_MS));
  }

  /** It is of no use for the rest of the run. */
  leave(reason: string): void {
    this.#takeDown(reason, 0);
    this.state = "gone";
  }

  report(): EndpointReport {
    return {
      url: this.target.url,
      state: this.state,
      reason: this.reason,
      requests: this.#requests,
      completions: this.#completions,
      tokens: this.#tokens,
      failures: this.#failures,
      garbage: this.#garbage,
      throttled: this.#throttled,
      window: Math.floor(this.#window),
    };
  }

  #takeDown(reason: string, forMs: number): void {
    this.state = "down";
    this.reason = reason;
    this.#strikes++;
    this.#until = this.#clock.now() + forMs;
    this.#window = 1;
    this.#slowStart = true;
    this.#waits = false;
    this.weights.clear();
    this.controller.abort();
  }

  #decrease(factor: number): void {
    this.#window = Math.max(1, this.#window * factor);
    this.#slowStart = false;
    this.#decreasedAt = this.#clock.now();
  }
}

/** One that hundreds of requests may listen to. */
function newController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
