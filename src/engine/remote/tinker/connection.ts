// The way to one Tinker server: requests that are tried again by the table in retry.ts, and futures that are polled until their result is
// there. The key goes into a header and nowhere else. Knows no model and no session.

import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import type { z } from "zod";
import { futureFailure, futureReply, parseValue } from "../../../tinker-wire/messages.ts";
import { API_PREFIX, type Codec, KEY_HEADER, MAX_BODY_BYTES, MEDIA_TYPES } from "../../../tinker-wire/protocol.ts";
import { type Clock, retryAfterMs } from "../../../util/clock.ts";
import { DataError } from "../../../util/errors.ts";
import { type JsonObject, parseJson, preview } from "../../../util/json.ts";
import { type HttpReply, httpCall, TransportError } from "../http.ts";
import { type Setback, type Step, TinkerError, verdictOn } from "./retry.ts";

/** How to reach a server. */
export interface ConnectionOptions {
  /** Address before `/api/v1`. */
  readonly url: string;
  readonly key: string | undefined;
  readonly clock: Clock;
  readonly random: () => number;
  /** A poll is given up and made again after so long. */
  readonly pollMs: number;
  /** From a request to its result, at most. */
  readonly deadlineMs: number;
  /** Without a sign of life for so long, the server counts as gone. */
  readonly patienceMs: number;
}

/** A body and its codec. */
export interface Body {
  readonly content: string | Uint8Array;
  readonly codec: Codec;
}

/** A future's result as it came. */
export type RawResult = { readonly json: unknown } | { readonly protobuf: Uint8Array };

/** The answer to a request that is worked on. */
export type Accepted = z.output<typeof futureReply>;

/** A request that was accepted, and what it takes to make it again. */
export interface Pending {
  readonly accepted: Accepted;
  /** The result; see Connection.submit for errors. */
  result(): Promise<RawResult>;
}

/** Polls that are answered "not yet" at once must not become a busy loop. */
const FAST_POLL_MS = 1000;
const FAST_POLL_PAUSES_MS = [5, 10, 25, 50, 100, 250, 500];
const SUBMIT_TIMEOUT_MS = 120_000;
const BEST_EFFORT_TIMEOUT_MS = 5000;

/** See the file header. */
export class Connection {
  readonly options: ConnectionOptions;
  /** Without a sign of life for so long, the server counts as gone. */
  patienceMs: number;
  /** How often the server was too busy (429). */
  refusals = 0;
  /** Codec of what a future gives. */
  accept: Codec = "json";
  readonly #abort = new AbortController();
  #contact: number;

  constructor(options: ConnectionOptions) {
    this.options = options;
    this.patienceMs = options.patienceMs;
    setMaxListeners(0, this.#abort.signal); // one per request under way
    this.#contact = options.clock.now();
  }

  /** Gives up all that is under way. */
  close(): void {
    this.#abort.abort();
  }

  get(path: string): Promise<JsonObject> {
    return this.#json("GET", path, undefined);
  }

  post(path: string, body: JsonObject): Promise<JsonObject> {
    return this.#json("POST", path, jsonBody(body));
  }

  /** Deletes once; what is left is the server's to clean. */
  async delete(path: string): Promise<void> {
    await this.#send("DELETE", path, undefined, {}, BEST_EFFORT_TIMEOUT_MS).catch(() => undefined);
  }

  /** Posts once, for what may as well fail. */
  async attempt(path: string, body: JsonObject): Promise<void> {
    await this.#send("POST", path, jsonBody(body), {}, BEST_EFFORT_TIMEOUT_MS).catch(() => undefined);
  }

  /**
   * Asks for something that takes time; fulfilled when the server has taken it on. Errors, here and of the result: TinkerError (refused,
   * failed, out of patience), DataError (an answer that is none).
   */
  async submit(path: string, body: Body): Promise<Pending> {
    const { clock, deadlineMs } = this.options;
    const started = clock.now();
    const ask = async () => {
      // Tries of one request are one to the server; a request that is made again for a broken promise is another.
      const headers = { "x-idempotency-key": randomUUID() };
      const reply = await this.#persist("submit", path, () => this.#send("POST", path, body, headers));
      return parseValue(futureReply, jsonOf(reply, path), path);
    };
    const accepted = await ask();
    return {
      accepted,
      result: async () => {
        for (let id = accepted.request_id, resubmitted = 0; ; resubmitted++) {
          const raw = await this.#poll(path, id, started + deadlineMs);
          if (raw !== undefined) return raw;
          // A promise that is broken again and again is not kept by asking faster.
          await clock.sleep(Math.min(30_000, 50 * 2 ** resubmitted), this.#abort.signal);
          id = (await ask()).request_id;
        }
      },
    };
  }

  /** The result of a future; undefined when its request must be made again. */
  async #poll(path: string, id: string, deadline: number): Promise<RawResult | undefined> {
    const { clock } = this.options;
    const body = jsonBody({ request_id: id });
    for (let iteration = 0, fast = 0; ; iteration++) {
      if (clock.now() >= deadline)
        throw new TinkerError(`${path}: expected a result within ${this.options.deadlineMs / 1000} s, got none.`, {
          retryable: true,
        });
      const asked = clock.now();
      const headers = {
        accept: MEDIA_TYPES[this.accept],
        "x-tinker-request-iteration": `${iteration}`,
        "x-tinker-request-type": path.slice(1),
      };
      const send = () => this.#send("POST", "/retrieve_future", body, headers, this.options.pollMs);
      const reply = await this.#persist("poll", path, send, [408, 404, 410]);
      if (reply === undefined || reply.status === 408) {
        fast = clock.now() - asked < FAST_POLL_MS ? fast + 1 : 0;
        if (fast > 0) await clock.sleep(FAST_POLL_PAUSES_MS[Math.min(fast, FAST_POLL_PAUSES_MS.length) - 1], this.#abort.signal);
        continue;
      }
      if (reply.status !== 200) return undefined;
      const raw = rawOf(reply, path);
      if ("json" in raw && isTryAgain(raw.json)) {
        await clock.sleep(FAST_POLL_PAUSES_MS[Math.min(fast++, FAST_POLL_PAUSES_MS.length - 1)], this.#abort.signal);
        continue;
      }
      if ("json" in raw) expectSuccess(raw.json, path);
      return raw;
    }
  }

  async #json(method: "GET" | "POST", path: string, body: Body | undefined): Promise<JsonObject> {
    const headers = { "x-idempotency-key": randomUUID() };
    const reply = await this.#persist("submit", path, () => this.#send(method, path, body, headers));
    return jsonOf(reply, path) as JsonObject;
  }

  /**
   * Sends until there is an answer of status 2xx, or one of `final`, or the table says to stop. A poll that found no result in time is
   * told as undefined.
   */
  #persist(step: "submit", path: string, send: () => Promise<HttpReply>): Promise<HttpReply>;
  #persist(step: Step, path: string, send: () => Promise<HttpReply>, final: readonly number[]): Promise<HttpReply | undefined>;
  async #persist(
    step: Step,
    path: string,
    send: () => Promise<HttpReply>,
    final: readonly number[] = [],
  ): Promise<HttpReply | undefined> {
    const { clock, random } = this.options;
    const started = clock.now();
    let last = "";
    for (let tries = 1, code = ""; ; tries++) {
      const { reply, setback, error } = await this.#attempt(send);
      if (reply !== undefined && (reply.status < 400 || final.includes(reply.status))) return reply;
      const said = reply === undefined ? error : new TinkerError(refusal(path, reply), { status: reply.status });
      const name = reply === undefined ? "transport" : `${reply.status}`;
      if (name !== code) tries = 1;
      code = name;
      last = said instanceof Error ? said.message : last;
      const verdict = verdictOn(step, setback, tries, random);
      if (verdict.next !== "again") throw said;
      if ("failure" in setback && setback.failure === "deadline" && step === "poll") return undefined;
      const { patienceMs } = this;
      if (clock.now() - Math.max(started, this.#contact) > patienceMs)
        throw new TinkerError(`${path}: expected a sign of life within ${patienceMs / 1000} s, got: ${last}`, {
          retryable: true,
        });
      await clock.sleep(verdict.waitMs, this.#abort.signal);
    }
  }

  async #attempt(send: () => Promise<HttpReply>): Promise<{ reply?: HttpReply; setback: Setback; error?: unknown }> {
    try {
      const reply = await send();
      // A server in trouble (5xx) gives no sign of life; one that is busy does.
      if (reply.status === 429) this.refusals++;
      if (reply.status < 500) this.#contact = this.options.clock.now();
      return { reply, setback: { status: reply.status, retryAfterMs: retryAfterMs(reply.headers["retry-after"]) } };
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      return { error, setback: { failure: error.failure } };
    }
  }

  #send(
    method: "GET" | "POST" | "DELETE",
    path: string,
    body: Body | undefined,
    headers: Readonly<Record<string, string>> = {},
    deadlineMs = SUBMIT_TIMEOUT_MS,
  ): Promise<HttpReply> {
    return httpCall(`${this.options.url}${API_PREFIX}${path}`, {
      method,
      headers: { ...this.keyHeader, ...(body && { "content-type": MEDIA_TYPES[body.codec] }), ...headers },
      body: body?.content,
      deadlineMs,
      maxBytes: MAX_BODY_BYTES,
      signal: this.#abort.signal,
    });
  }

  /** The header with the key; for the one request that is not made here (an archive). */
  get keyHeader(): Readonly<Record<string, string>> {
    return this.options.key === undefined ? {} : { [KEY_HEADER]: this.options.key };
  }
}

/** A JSON body. */
export function jsonBody(value: JsonObject): Body {
  return { content: JSON.stringify(value), codec: "json" };
}

function isTryAgain(json: unknown): boolean {
  return typeof json === "object" && json !== null && (json as JsonObject).type === "try_again";
}

/** Errors: TinkerError when a future tells a failure. */
function expectSuccess(json: unknown, path: string): void {
  const failure = futureFailure.safeParse(json);
  if (!failure.success) return;
  const { error, category } = failure.data;
  const retryable = category !== "user";
  throw new TinkerError(`${path}: expected a result, got the server's error (${category}): ${error.slice(0, 500)}`, {
    retryable,
  });
}

function rawOf(reply: HttpReply, path: string): RawResult {
  const isProtobuf = (reply.headers["content-type"] ?? "").startsWith(MEDIA_TYPES.protobuf);
  return isProtobuf ? { protobuf: reply.body } : { json: jsonOf(reply, path) };
}

function jsonOf(reply: HttpReply, path: string): unknown {
  if (reply.body.length > MAX_BODY_BYTES) throw new DataError(`${path}: expected at most ${MAX_BODY_BYTES} bytes of answer.`);
  return parseJson(reply.body.toString("utf8"), `answer of ${path}`);
}

function refusal(path: string, { status, body }: HttpReply): string {
  const text = body.subarray(0, 2000).toString("utf8");
  let said: unknown = text;
  try {
    const json = JSON.parse(text) as JsonObject;
    said = json.detail ?? json.error ?? json;
  } catch {
    // Not JSON: a proxy's page, shown as it is.
  }
  return `${path}: expected status 200, got ${status}: ${typeof said === "string" ? said.slice(0, 300) : preview(said)}`;
}
