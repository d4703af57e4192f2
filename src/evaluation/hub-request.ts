// One request to the Hub: redirects followed by hand so that the token never leaves the endpoint's host, silence counted as a cut,
// and every refusal turned into a sentence. Knows neither the cache nor checksums.

import { ConfigError, DataError, EngineError, errorText } from "../util/errors.ts";
import type { HubSettings } from "./hub.ts";

/** What to ask for. */
export interface HubRequest {
  readonly method?: "GET" | "HEAD";
  readonly settings: HubSettings;
  /** Name of the file in messages. */
  readonly what: string;
  /** First byte wanted. */
  readonly from?: number;
}

/** An answer of 200 or 206; a HEAD request stops at a redirect to another host, whose headers are the ones that count. */
export interface HubResponse {
  readonly status: number;
  readonly headers: Headers;
  /** The bytes. Errors: EngineError (retryable) when the connection is cut or silent. */
  readonly body: AsyncIterable<Uint8Array>;
}

const MAX_REDIRECTS = 10;

/** Sends the request. Errors: ConfigError (401, 403), DataError (404 and other refusals), EngineError (no connection, 429, 5xx). */
export async function hubRequest(address: string, request: HubRequest): Promise<HubResponse> {
  const { settings, what, method = "GET", from = 0 } = request;
  const home = new URL(settings.endpoint).origin;
  let url = new URL(address);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const headers: Record<string, string> = { "user-agent": "rzero", "accept-encoding": "identity" };
    if (from > 0) headers.range = `bytes=${from}-`;
    if (settings.token !== undefined && url.origin === home) headers.authorization = `Bearer ${settings.token}`;
    const silence = new Silence(settings.stallMs);
    const response = await send(url, { method, headers, redirect: "manual", signal: silence.signal }, what, silence);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) {
      if (method === "HEAD") silence.end();
      if (response.status === 200 || response.status === 206)
        return { status: response.status, headers: response.headers, body: chunks(response, what, silence) };
      silence.end();
      await response.body?.cancel().catch(() => undefined);
      throw refusal(response.status, what, settings);
    }
    silence.end();
    await response.body?.cancel().catch(() => undefined);
    const next = new URL(location, url);
    if (method === "HEAD" && next.origin !== url.origin) return { status: 200, headers: response.headers, body: none() };
    if (url.protocol === "https:" && next.protocol !== "https:")
      throw new DataError(`${what}: expected a redirect to https, got one to ${next.protocol}//${next.host}.`);
    url = next;
  }
  throw new DataError(`${what}: expected at most ${MAX_REDIRECTS} redirects, got more.`);
}

async function send(url: URL, init: RequestInit, what: string, silence: Silence): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    silence.end();
    throw new EngineError(`${what}: expected an answer from ${url.host}, got none (${reasonOf(error)}). Check the connection.`, {
      retryable: true,
      cause: error,
    });
  }
}

function refusal(status: number, what: string, { token, endpoint }: HubSettings): Error {
  const got = `${what}: expected the file from ${endpoint}, got HTTP ${status}.`;
  if (status === 401 || status === 403)
    return new ConfigError(
      `${got} ${token === undefined ? "Set HF_TOKEN to a token that may read it." : "HF_TOKEN may not read it: accept its terms on the Hub, or use another token."}`,
    );
  if (status === 404) return new DataError(`${got} The data set was moved or renamed; take its file with --bench-dir.`);
  if (status === 408 || status === 429 || status >= 500)
    return new EngineError(`${got} Try again later; what is there is kept.`, { retryable: true });
  return new DataError(got);
}

async function* chunks(response: Response, what: string, silence: Silence): AsyncGenerator<Uint8Array> {
  if (response.body === null) return silence.end();
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      silence.heard();
      yield value;
    }
  } catch (error) {
    throw new EngineError(`${what}: expected the rest of the file, got a cut connection (${reasonOf(error)}).`, {
      retryable: true,
      cause: error,
    });
  } finally {
    silence.end();
    await reader.cancel().catch(() => undefined);
  }
}

async function* none(): AsyncGenerator<Uint8Array> {}

/** Aborts a request that says nothing for too long. */
class Silence {
  readonly #controller = new AbortController();
  readonly #limitMs: number;
  #timer: NodeJS.Timeout;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
    this.#timer = this.#start();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #start(): NodeJS.Timeout {
    const abort = () => this.#controller.abort(new Error(`nothing for ${this.#limitMs} ms`));
    return setTimeout(abort, this.#limitMs).unref();
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return errorText(cause).slice(0, 200);
}
