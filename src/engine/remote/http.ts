// One HTTP request with a deadline and a bounded answer, over node:http: `fetch` of Node 20 gives up on an answer whose head takes
// more than five minutes, which a long completion does. Errors name the address, never a header, so that no key can be in them.
// Knows no protocol above HTTP and tries nothing twice.

import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { EngineError, errorText } from "../../util/errors.ts";
import { formatBytes } from "../../util/format.ts";
import { redact } from "../../util/secrets.ts";

/** What to send. */
export interface HttpCall {
  readonly method?: "GET" | "POST" | "DELETE" | "PUT";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** From the call to the last byte of the answer. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** Largest answer; default 64 MiB. */
  readonly maxBytes?: number;
}

/** An answer of any status. Redirects are not followed. */
export interface HttpReply {
  readonly status: number;
  /** Names in lower case; of a header that came twice, all values. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Why there is no answer: no connection, cut before the end, too late, given up by the caller, or too large to be one. */
export type TransportFailure = "connect" | "cut" | "deadline" | "aborted" | "too-large";

/** There is no answer. Retryable but for an answer that is too large. */
export class TransportError extends EngineError {
  override name = "TransportError";
  readonly failure: TransportFailure;
  constructor(message: string, failure: TransportFailure, cause?: unknown) {
    super(message, { retryable: failure !== "too-large", cause });
    this.failure = failure;
  }
}

const MAX_BYTES = 64 * 2 ** 20;
// Unlimited: whoever calls bounds how many requests are under way.
const AGENTS = { "http:": new HttpAgent({ keepAlive: true }), "https:": new HttpsAgent({ keepAlive: true }) };

/** Sends one request. Errors: TransportError. */
export function httpCall(address: string, call: HttpCall): Promise<HttpReply> {
  const url = new URL(address);
  const where = `${call.method ?? "GET"} ${url.origin}${url.pathname}`;
  return new Promise((resolve, reject) => {
    let connected = false;
    let settled = false;
    const finish = (act: () => void) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      call.signal?.removeEventListener("abort", abort);
      act();
    };
    const fail = (failure: TransportFailure, got: string, cause?: unknown) =>
      finish(() => {
        request.destroy();
        reject(new TransportError(redact(`${where}: expected an answer, got ${got}.`), failure, cause));
      });
    const broken = (error?: Error) =>
      connected
        ? fail("cut", `a cut connection${error === undefined ? "" : ` (${reasonOf(error)})`}`, error)
        : fail("connect", `no connection${error === undefined ? "" : ` (${reasonOf(error)})`}`, error);
    const abort = () => fail("aborted", "told to give up");
    const timer = setTimeout(() => fail("deadline", `none within ${call.deadlineMs / 1000} s`), call.deadlineMs);
    const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, optionsOf(url, call), (response) => {
      connected = true;
      gather(response, call.maxBytes ?? MAX_BYTES, {
        whole: (body) => finish(() => resolve({ status: response.statusCode ?? 0, headers: headersOf(response), body })),
        tooLarge: (limit) => fail("too-large", `more than ${formatBytes(limit)}`),
        broken,
      });
    });
    request.on("socket", (socket) => {
      connected = !socket.connecting;
      if (socket.connecting)
        socket.once("connect", () => {
          connected = true;
        });
    });
    request.on("error", broken);
    call.signal?.addEventListener("abort", abort, { once: true });
    if (call.signal?.aborted) abort();
    else request.end(call.body);
  });
}

function optionsOf(url: URL, { method = "GET", headers, body }: HttpCall): RequestOptions {
  const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
  return {
    method,
    agent: AGENTS[url.protocol === "https:" ? "https:" : "http:"],
    headers: { "user-agent": "rzero", accept: "*/*", "accept-encoding": "identity", ...length, ...headers },
  };
}

/** Where the body's end is reported. */
interface Ends {
  whole(body: Buffer): void;
  tooLarge(limit: number): void;
  broken(error?: Error): void;
}

function gather(response: IncomingMessage, limit: number, ends: Ends): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  if (Number(response.headers["content-length"] ?? 0) > limit) {
    ends.tooLarge(limit);
    return;
  }
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > limit) ends.tooLarge(limit);
    else chunks.push(chunk);
  });
  response.on("end", () => (response.complete ? ends.whole(Buffer.concat(chunks, bytes)) : ends.broken()));
  response.on("error", (error) => ends.broken(error));
  response.on("close", () => {
    if (!response.complete) ends.broken();
  });
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(", ") : value]],
    ),
  );
}

function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ?? errorText(error).slice(0, 200);
}
