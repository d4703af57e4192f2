// Talks to one server of completions: what it is, whether it lives, one draw, new weights. Every outcome is told apart by who is at fault.
// Knows nothing of the other endpoints.

import { retryAfterMs } from "../../../util/clock.ts";
import { ConfigError, EngineError, errorText } from "../../../util/errors.ts";
import { expectObject, type JsonObject, parseJson } from "../../../util/json.ts";
import { redact } from "../../../util/secrets.ts";
import type { Completion } from "../../types.ts";
import { type HttpReply, httpCall, TransportError } from "../http.ts";
import type { EndpointTarget } from "./endpoint.ts";
import { type ReplyContext, readReply } from "./reply.ts";
import { type Draw, type DrawShape, requestOf } from "./wire.ts";

/** What became of a draw. */
export type Outcome =
  | { readonly kind: "done"; readonly completions: Completion[] }
  /** The server has too much to do; `pauseMs` is what it asked for. */
  | { readonly kind: "busy"; readonly pauseMs: number | undefined }
  /** `failed`: no answer, or the server's own fault. `garbage`: an answer that is none. `lost`: it does not have the model. */
  /** `refused`: it does not like the request. `locked`: it does not like the key. */
  | { readonly kind: "failed" | "garbage" | "lost" | "refused" | "locked"; readonly reason: string };

const SHORT_MS = 15_000;
const LOAD_MS = 1_200_000;
const SMALL_BYTES = 4 * 2 ** 20;
const LONGEST_WORDS = 300;

/** See the file header. */
export class ServerClient {
  readonly target: EndpointTarget;

  constructor(target: EndpointTarget) {
    this.target = target;
  }

  /** A small request; any status. Errors: TransportError. */
  get(path: string): Promise<HttpReply> {
    return httpCall(this.target.url + path, { headers: this.#headers(), deadlineMs: SHORT_MS, maxBytes: SMALL_BYTES });
  }

  /** Draws completions. Never throws for what a server does. */
  async draw(
    draw: Draw,
    shape: DrawShape,
    context: ReplyContext,
    options: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<Outcome> {
    const { path, body } = requestOf(context.facts, context.model, draw, shape);
    let reply: HttpReply;
    try {
      reply = await this.#post(path, body, options);
    } catch (error) {
      if (error instanceof TransportError) return { kind: "failed", reason: error.message };
      throw error;
    }
    if (reply.status !== 200) return outcomeOf(reply);
    try {
      return { kind: "done", completions: readReply(parseJson(reply.body.toString("utf8"), "answer"), draw, shape, context) };
    } catch (error) {
      return { kind: "garbage", reason: redact(errorText(error)).slice(0, LONGEST_WORDS) };
    }
  }

  /** Asks for other weights. Errors: TransportError, EngineError when the server refuses. */
  async load(path: string, body: Readonly<Record<string, unknown>>): Promise<JsonObject> {
    const reply = await this.#post(path, body, { deadlineMs: LOAD_MS });
    const words = wordsOf(reply);
    const fields = asObject(reply);
    if (reply.status === 200 && fields?.success !== false) return fields ?? {};
    throw new EngineError(`${this.target.url}${path}: expected the weights to be loaded, got HTTP ${reply.status}: ${words}`, {
      retryable: reply.status >= 500,
    });
  }

  #post(path: string, body: unknown, options: { deadlineMs: number; signal?: AbortSignal }): Promise<HttpReply> {
    const headers = { ...this.#headers(), "content-type": "application/json" };
    return httpCall(this.target.url + path, { method: "POST", headers, body: JSON.stringify(body), ...options });
  }

  #headers(): Record<string, string> {
    const { apiKey } = this.target;
    return apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  }
}

/** Who is at fault for an answer other than 200. */
function outcomeOf(reply: HttpReply): Outcome {
  const { status, headers } = reply;
  const reason = `HTTP ${status}: ${wordsOf(reply)}`;
  if (status === 429 || (status === 503 && headers["retry-after"] !== undefined))
    return { kind: "busy", pauseMs: retryAfterMs(headers["retry-after"]) };
  if (status === 401 || status === 403) return { kind: "locked", reason };
  if (status === 404) return { kind: "lost", reason };
  return { kind: status >= 500 || status < 400 || status === 408 ? "failed" : "refused", reason };
}

/** What a server says of itself when it refuses, short and without keys. */
export function wordsOf({ body }: HttpReply): string {
  const text = body.toString("utf8");
  let words = text;
  try {
    const { error, message, detail } = JSON.parse(text) as { error?: unknown; message?: unknown; detail?: unknown };
    const inner = typeof error === "object" && error !== null ? (error as { message?: unknown }).message : error;
    words = String(inner ?? message ?? detail ?? text);
  } catch {
    // not JSON: shown as it is
  }
  return redact(words.replace(/\s+/g, " ").trim()).slice(0, LONGEST_WORDS) || "no words";
}

/** The body as an object; undefined when it is none. */
export function asObject({ body }: HttpReply): JsonObject | undefined {
  try {
    return expectObject(parseJson(body.toString("utf8"), "answer"), "answer");
  } catch {
    return undefined;
  }
}

/** A wrong key, told once and before any work. */
export function wrongKey({ url, apiKeyEnv }: EndpointTarget, status: number): ConfigError {
  const hint = apiKeyEnv === undefined ? "Name the variable that holds its key: apiKeyEnv." : `Set ${apiKeyEnv} to its key.`;
  return new ConfigError(`${url}: expected to be let in, got HTTP ${status}. ${hint}`);
}
