// Many endpoints as one: each piece of work goes to the endpoint with the most room, once; where an answer fails to come or is garbage,
// it goes to another. A result is taken once, however many times it was asked for. One dead endpoint costs its share of the speed; only
// when none is left for long enough does the work fail. Knows no prompts' meaning and no training.

import type { Clock } from "../../../util/clock.ts";
import { EngineError, errorText } from "../../../util/errors.ts";
import type { Completion } from "../../types.ts";
import { type Outcome, ServerClient } from "./client.ts";
import type { Endpoint } from "./endpoint.ts";
import { checkHealth } from "./health.ts";
import { type ProbeNeeds, probe } from "./probe.ts";
import type { Weights } from "./weights.ts";
import { type Draw, shapeOf } from "./wire.ts";

/** How the pool works; none of it changes a completion. */
export interface PoolOptions {
  readonly needs: ProbeNeeds;
  readonly clock: Clock;
  /** Longest time to one answer. */
  readonly requestMs: number;
  /** How long to wait for an endpoint when none is up. */
  readonly patienceMs: number;
  /** Between two looks at the health and the queue of an endpoint that has work. */
  readonly healthMs: number;
  /** Told when an endpoint goes or comes back: one line. */
  readonly say: (line: string) => void;
}

/** Completions whose tokens were made from texts, and of those that the server counted, how many have another number of tokens. */
export interface Retokenised {
  completions: number;
  otherLength: number;
}

/** One request's worth of work. */
interface Unit {
  readonly draw: Draw;
  readonly run: Run;
  readonly take: (completions: readonly Completion[]) => void;
  /** Endpoints that did not manage it. */
  readonly avoid: Set<Endpoint>;
  /** Those of them that did not like the request. */
  readonly refusedBy: Set<Endpoint>;
}

/** One call of `run`. */
interface Run {
  readonly weights: Weights;
  left: number;
  ended: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** So many endpoints that say no to the same piece of work make it the work's fault. */
const MOST_REFUSALS = 3;

/** See the file header. */
export class EndpointPool {
  readonly endpoints: readonly Endpoint[];
  readonly retokenised: Retokenised = { completions: 0, otherLength: 0 };
  readonly #options: PoolOptions;
  readonly #clients = new Map<Endpoint, ServerClient>();
  #queue: Unit[] = [];
  readonly #runs = new Set<Run>();
  #lastUp: number;
  #wake = new AbortController();
  #wakesAt = Number.POSITIVE_INFINITY;
  #watching = false;
  /** Aborts when there is no more work. */
  #idle = new AbortController();

  /** `endpoints` have been probed: those that answered are up. */
  constructor(endpoints: readonly Endpoint[], options: PoolOptions) {
    this.endpoints = endpoints;
    this.#options = options;
    this.#lastUp = options.clock.now();
    for (const endpoint of endpoints) this.#clients.set(endpoint, new ServerClient(endpoint.target));
  }

  /** Does all draws; `take` gets each one's completions, in no order, exactly once. Errors: EngineError when it cannot be done. */
  run(draws: readonly Draw[], weights: Weights, take: (draw: number, completions: readonly Completion[]) => void): Promise<void> {
    if (draws.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const run: Run = { weights, left: draws.length, ended: false, resolve, reject };
      draws.forEach((draw, index) => {
        this.#queue.push({ draw, run, take: (found) => take(index, found), avoid: new Set(), refusedBy: new Set() });
      });
      this.#runs.add(run);
      // A server that was started anew between two calls has its old weights again, and nothing else would tell.
      if (weights.exclusive) for (const endpoint of this.endpoints) if (endpoint.inFlight === 0) endpoint.weights.clear();
      this.#lastUp = this.#options.clock.now();
      void this.#watch();
      this.#pump();
    });
  }

  /** Lets all servers forget these weights; one that fails to is left alone. */
  async forget(weights: Weights): Promise<void> {
    const having = this.endpoints.filter((endpoint) => endpoint.state === "up" && endpoint.weights.has(weights.name));
    await Promise.all(
      having.map(async (endpoint) => {
        endpoint.weights.delete(weights.name);
        await weights.unload?.(this.#client(endpoint)).catch(() => undefined);
      }),
    );
  }

  /** Ends what is under way: nothing keeps the process alive after it. */
  close(): void {
    for (const run of [...this.#runs]) this.#fail(run, new EngineError("sampler: expected to be asked while open, got closed."));
    for (const endpoint of this.endpoints) endpoint.controller.abort();
    this.#sleep();
  }

  /** Gives out work while there is room, and comes back when something changes. */
  #pump(): void {
    for (const endpoint of this.endpoints) if (endpoint.isDue && this.#runs.size > 0) void this.#lookAgain(endpoint);
    while (this.#queue.length > 0) {
      const [unit] = this.#queue;
      if (unit.run.ended) {
        this.#queue.shift();
        continue;
      }
      const endpoint = this.#choose(unit);
      if (endpoint === undefined) break;
      this.#queue.shift();
      this.#do(unit, endpoint).catch((error) => this.#fail(unit.run, error));
    }
    this.#giveUp();
    this.#sleep();
  }

  /** The least loaded endpoint with room that has the unit's weights; those without are told to load them. */
  #choose({ run, avoid, refusedBy }: Unit): Endpoint | undefined {
    let best: Endpoint | undefined;
    for (const endpoint of this.endpoints) {
      if (!endpoint.hasRoom || refusedBy.has(endpoint)) continue;
      if (!endpoint.weights.has(run.weights.name)) {
        if (!run.weights.exclusive || endpoint.inFlight === 0) void this.#load(endpoint, run.weights);
        continue;
      }
      const rank = (one: Endpoint) => (avoid.has(one) ? 1e6 : 0) + one.load;
      if (best === undefined || rank(endpoint) < rank(best)) best = endpoint;
    }
    return best;
  }

  async #do(unit: Unit, endpoint: Endpoint): Promise<void> {
    const { clock, needs, requestMs } = this.#options;
    const { facts, controller } = endpoint;
    if (facts === undefined) throw new Error("internal: work for an endpoint that was never reached");
    const shape = shapeOf(unit.draw, facts.context);
    if (shape === undefined) return this.#finish(unit, emptyCompletions(unit.draw.n));
    const counted = { completions: 0, otherLength: 0 };
    const retokenised = (made: number, server: number | undefined) => {
      counted.completions++;
      if (server !== undefined && server !== made) counted.otherLength++;
    };
    const sentAt = clock.now();
    endpoint.sent();
    const { weights } = unit.run;
    const version = weights.exclusive ? weights.name : undefined;
    const context = { facts, model: weights.modelAt(facts), version, ...needs, retokenised };
    const outcome = await this.#client(endpoint).draw(unit.draw, shape, context, {
      deadlineMs: requestMs,
      signal: controller.signal,
    });
    endpoint.inFlight--;
    // What was under way when the endpoint was found dead tells nothing new, and a word of one that was caught lying counts for nothing.
    const late = controller.signal.aborted;
    if (outcome.kind === "done" && !late && !unit.run.ended) {
      this.retokenised.completions += counted.completions;
      this.retokenised.otherLength += counted.otherLength;
      const tokens = outcome.completions.reduce((sum, completion) => sum + completion.tokens.length, 0);
      endpoint.succeeded(outcome.completions.length, tokens);
      for (const other of unit.refusedBy) this.#blame(other);
      this.#finish(unit, outcome.completions);
    } else if (!unit.run.ended) this.#redo(unit, endpoint, late ? undefined : outcome, sentAt);
    this.#pump();
  }

  /** Puts a unit back, first in line, and draws the conclusion about the endpoint. */
  #redo(unit: Unit, endpoint: Endpoint, outcome: Outcome | undefined, sentAt: number): void {
    this.#queue.unshift(unit);
    if (outcome === undefined || outcome.kind === "done") return;
    if (outcome.kind === "busy") {
      endpoint.throttled(sentAt, outcome.pauseMs);
      return;
    }
    unit.avoid.add(endpoint);
    const { reason } = outcome;
    if (outcome.kind === "refused") {
      unit.refusedBy.add(endpoint);
      const others = this.endpoints.filter((other) => other.state !== "gone" && !unit.refusedBy.has(other));
      if (unit.refusedBy.size >= MOST_REFUSALS || others.length === 0)
        this.#fail(unit.run, new EngineError(`${endpoint.target.url}: expected completions, got a refusal. ${reason}`));
      return;
    }
    if (outcome.kind === "garbage") endpoint.answeredGarbage(reason);
    else if (outcome.kind === "locked") endpoint.leave(reason);
    else endpoint.failed(reason);
    this.#sayState(endpoint);
  }

  /** It refused what another has answered: the fault is its own. */
  #blame(endpoint: Endpoint): void {
    if (endpoint.state !== "up") return;
    endpoint.failed("it refuses requests that others answer");
    this.#sayState(endpoint);
  }

  #finish(unit: Unit, completions: readonly Completion[]): void {
    const { run } = unit;
    try {
      unit.take(completions);
    } catch (error) {
      this.#fail(run, error);
      return;
    }
    if (--run.left > 0) return;
    this.#end(run);
    run.resolve();
  }

  #fail(run: Run, error: unknown): void {
    if (run.ended) return;
    this.#end(run);
    this.#queue = this.#queue.filter((unit) => unit.run !== run);
    run.reject(error);
  }

  #end(run: Run): void {
    run.ended = true;
    this.#runs.delete(run);
    if (this.#runs.size === 0) this.#idle.abort();
  }

  async #load(endpoint: Endpoint, weights: Weights): Promise<void> {
    endpoint.busyWith = "loading";
    try {
      await weights.load(this.#client(endpoint));
      if (weights.exclusive) endpoint.weights.clear();
      endpoint.weights.add(weights.name);
    } catch (error) {
      const refused = error instanceof EngineError && !error.retryable;
      if (refused) endpoint.leave(errorText(error));
      else endpoint.failed(errorText(error));
      this.#sayState(endpoint);
    }
    endpoint.busyWith = undefined;
    this.#pump();
  }

  /** Looks whether an endpoint that was away is back, and still what it was. */
  async #lookAgain(endpoint: Endpoint): Promise<void> {
    endpoint.busyWith = "probing";
    try {
      endpoint.cameUp(await probe(endpoint.target, this.#options.needs));
      this.#options.say(`${endpoint.target.url}: back`);
    } catch (error) {
      const hopeless = !(error instanceof EngineError && error.retryable);
      if (hopeless) endpoint.leave(errorText(error));
      else endpoint.failed(errorText(error));
      if (hopeless) this.#sayState(endpoint);
    }
    endpoint.busyWith = undefined;
    this.#pump();
  }

  /** Ends all work when no endpoint can do it any more, or none has been up for too long. */
  #giveUp(): void {
    if (this.#runs.size === 0) return;
    const { clock, patienceMs } = this.#options;
    const [first] = this.#queue;
    if (this.endpoints.some((one) => one.state === "up" && !first?.refusedBy.has(one))) this.#lastUp = clock.now();
    const hopeless = this.endpoints.every(({ state }) => state === "gone");
    if (!hopeless && clock.now() - this.#lastUp < patienceMs) return;
    const reasons = this.endpoints.map(({ target, reason }) => `${target.url}: ${reason ?? "refuses the request"}`);
    const waited = hopeless ? "" : ` for ${patienceMs / 1000} s`;
    const error = new EngineError(`sampler: expected an endpoint that answers, got none${waited}. ${reasons.join(" · ")}`, {
      retryable: true,
    });
    for (const run of new Set(this.#queue.map((unit) => unit.run))) this.#fail(run, error);
  }

  /** Comes back to the queue at the next time something changes by itself. */
  #sleep(): void {
    const { clock, patienceMs } = this.#options;
    const times = this.endpoints.flatMap(({ wakesAt }) => wakesAt ?? []);
    const at = this.#runs.size === 0 ? Number.POSITIVE_INFINITY : Math.min(...times, this.#lastUp + patienceMs);
    if (at === this.#wakesAt) return;
    this.#wake.abort();
    this.#wakesAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    const wake = new AbortController();
    this.#wake = wake;
    void clock.sleep(Math.max(1, at - clock.now()), wake.signal).then(() => {
      if (wake.signal.aborted) return;
      this.#wakesAt = Number.POSITIVE_INFINITY;
      this.#pump();
    });
  }

  /** While there is work: looks after the endpoints that have some. */
  async #watch(): Promise<void> {
    if (this.#watching) return;
    this.#watching = true;
    const { clock, healthMs } = this.#options;
    while (this.#runs.size > 0) {
      if (this.#idle.signal.aborted) this.#idle = new AbortController();
      await clock.sleep(healthMs, this.#idle.signal);
      const working = this.endpoints.filter(({ state, inFlight }) => state === "up" && inFlight > 0);
      await Promise.all(
        working.map(async (endpoint) => {
          const problem = await checkHealth(this.#client(endpoint), endpoint);
          if (problem === undefined || endpoint.state !== "up") return;
          endpoint.failed(problem);
          this.#sayState(endpoint);
        }),
      );
      this.#pump();
    }
    this.#watching = false;
  }

  #client(endpoint: Endpoint): ServerClient {
    return this.#clients.get(endpoint) as ServerClient;
  }

  #sayState({ target, state, reason }: Endpoint): void {
    this.#options.say(`${target.url}: ${state === "gone" ? "out for the rest of the run" : "out for now"}: ${reason}`);
  }
}

/** The prompt fills the context. */
function emptyCompletions(n: number): Completion[] {
  const nothing = { tokens: new Int32Array(0), logprobs: new Float32Array(0), text: "", stopReason: "length" as const };
  return Array.from({ length: n }, () => nothing);
}
