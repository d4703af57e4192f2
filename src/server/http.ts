// A small HTTP server for JSON interfaces over node:http: routes, key, limits, errors as JSON, an end that lets requests finish.
// Whatever a client sends (garbage, too much, nothing for long) costs that client its answer and no other.
// Knows nothing of models or of what the routes do.

import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { ConfigError } from "../util/errors.ts";
import { type Body, parseJsonBody, readBody } from "./body.ts";
import { Problem, toProblem } from "./problem.ts";

/** One request and its answer. */
export interface Exchange {
  readonly response: ServerResponse;
  /** What stands behind the last `/` of a route that ends in `/*`, decoded. */
  readonly rest: string;
  /** Aborts when the client has gone before its answer was complete. */
  readonly gone: AbortSignal;
  readonly headers: IncomingHttpHeaders;
  readonly query: URLSearchParams;
  /** Reads and parses the body. Errors: Problem 400, 413, 415. */
  json(): Promise<unknown>;
  /** Reads the body, which must be of one of these media types. Errors: Problem 400, 413, 415. */
  body(types: readonly string[]): Promise<Body>;
}

/** What answers to a method and a path; a path may end in `/*`. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  /** Needs no key. */
  readonly open?: boolean;
  handle(exchange: Exchange): Promise<void>;
}

export interface HttpOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Clients must send `Authorization: Bearer KEY`, or the key in `keyHeader`. */
  readonly apiKey?: string;
  /** In lower case. */
  readonly keyHeader?: string;
  /** The body of an answer that tells a problem; default: OpenAI's. */
  readonly problemBody?: (problem: Problem) => object;
  readonly maxBodyBytes: number;
}

const JSON_TYPE = "application/json";
const HEADERS_MS = 15_000;
const REQUEST_MS = 60_000;
const KEEP_ALIVE_MS = 65_000;
const MOST_CONNECTIONS = 2048;
const DISCARD_MS = 500;
const TAKE_MS = 60_000;

/** Whether only this machine can reach `host`. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** See the file header. */
export class HttpServer {
  readonly #server: Server;
  readonly #routes: readonly Route[];
  readonly #options: HttpOptions;
  readonly #keyDigest: Buffer | undefined;
  #port = 0;
  #closing = false;
  #active = 0;
  #quiet: () => void = () => {};

  /** Starts to listen. Errors: ConfigError (a wide address without a key, an address that cannot be had). */
  static async start(routes: readonly Route[], options: HttpOptions): Promise<HttpServer> {
    if (options.apiKey === "") throw new ConfigError("api-key: expected a key that is not empty.");
    if (!isLoopback(options.host) && options.apiKey === undefined)
      throw new ConfigError(
        `host: expected an address of this machine alone (127.0.0.1) without an API key, got ${options.host}. Set --api-key or RZERO_API_KEY.`,
      );
    const server = new HttpServer(routes, options);
    await server.#listen();
    return server;
  }

  private constructor(routes: readonly Route[], options: HttpOptions) {
    this.#routes = routes;
    this.#options = options;
    this.#keyDigest = options.apiKey === undefined ? undefined : digest(options.apiKey);
    this.#server = createServer(
      {
        headersTimeout: HEADERS_MS,
        requestTimeout: REQUEST_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
        connectionsCheckingInterval: 5000,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = MOST_CONNECTIONS;
    // Without `writeContinue` a client that asks first never sends a body that is refused.
    this.#server.on("checkContinue", (request, response) => void this.#answer(request, response, () => response.writeContinue()));
    this.#server.on("clientError", refuseGarbage);
  }

  /** The port that it has, or had. */
  get port(): number {
    return this.#port;
  }

  /** Where it listens, for people. */
  get url(): string {
    const { host } = this.#options;
    return `http://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${this.port}`;
  }

  /** Takes no more requests, waits until those in progress are answered or `graceMs` are over, then drops the rest. */
  async close(graceMs: number): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeIdleConnections();
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#quiet = resolve;
      timer = setTimeout(resolve, graceMs);
      if (this.#active === 0) resolve();
    });
    clearTimeout(timer);
    // A last answer may still be on its way out.
    if (graceMs > 0) await new Promise((resolve) => setImmediate(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  #listen(): Promise<void> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.on("error", (error: NodeJS.ErrnoException) =>
        reject(new ConfigError(`port: expected one that is free on ${host}, got ${port} (${error.code ?? error.message}).`)),
      );
      this.#server.listen(port, host.replace(/^\[|\]$/g, ""), () => {
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse, go: () => void = () => {}): Promise<void> {
    const controller = new AbortController();
    this.#active++;
    response.on("close", () => {
      if (!response.writableFinished) controller.abort();
      if (--this.#active === 0) this.#quiet();
    });
    response.on("error", () => {});
    request.on("error", () => {});
    try {
      const { route, rest } = this.#find(request);
      this.#checkCaller(request, route);
      const body = (types: readonly string[]) => readBody(request, { types, limit: this.#options.maxBodyBytes }, go);
      await route.handle({
        response,
        rest,
        gone: controller.signal,
        headers: request.headers,
        query: new URLSearchParams((request.url ?? "").split("?", 2)[1]),
        json: async () => parseJsonBody((await body([JSON_TYPE])).bytes),
        body,
      });
    } catch (error) {
      if (!controller.signal.aborted) sendProblem(request, response, toProblem(error), this.#options.problemBody);
    }
    if (!response.closed) dropIfStalled(response);
  }

  #find(request: IncomingMessage): { route: Route; rest: string } {
    const path = (request.url ?? "/").split("?", 1)[0];
    const fits = (route: Route) =>
      route.path.endsWith("/*") ? path.startsWith(route.path.slice(0, -1)) : path === route.path || path === `${route.path}/`;
    const found = this.#routes.filter(fits);
    const route = found.find(({ method }) => method === request.method || (method === "GET" && request.method === "HEAD"));
    if (route !== undefined) return { route, rest: decoded(path.slice(route.path.length - 1)) };
    if (found.length === 0) throw new Problem(404, `${path}: expected a path of this server, got one that it does not have.`);
    const allow = found.map(({ method }) => method).join(", ");
    throw new Problem(405, `${path}: expected ${allow}, got ${request.method}.`, { headers: { allow } });
  }

  #checkCaller({ headers }: IncomingMessage, route: Route): void {
    if (this.#closing) throw new Problem(503, "server: it is shutting down.", { close: true, headers: { "retry-after": "5" } });
    if (route.open) return;
    if (this.#keyDigest === undefined) {
      // A web page that points its own name at this machine (DNS rebinding) still sends that name.
      const name = (headers.host ?? "").replace(/:\d*$/, "");
      if (!isLoopback(name))
        throw new Problem(403, `host: expected a name of this machine, got "${name}". Other names need an API key.`);
      return;
    }
    const { keyHeader } = this.#options;
    const own = keyHeader === undefined ? undefined : headers[keyHeader];
    const [scheme, key = ""] = typeof own === "string" ? ["bearer", own] : (headers.authorization ?? "").split(" ", 2);
    const right = timingSafeEqual(digest(key), this.#keyDigest);
    if (right && scheme.toLowerCase() === "bearer") return;
    const expected = keyHeader === undefined ? "authorization: expected Bearer with" : `${keyHeader}: expected`;
    throw new Problem(401, `${expected} this server's API key.`, {
      code: "invalid_api_key",
      headers: { "www-authenticate": "Bearer" },
    });
  }
}

/** Sends one JSON document. */
export function sendJson(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(status, { "content-type": "application/json", "content-length": body.length, ...headers });
  response.end(body);
}

/** The answer is complete; a client that does not take it is dropped. */
function dropIfStalled(response: ServerResponse): void {
  const timer = setTimeout(() => response.destroy(), TAKE_MS);
  response.once("close", () => clearTimeout(timer));
}

function sendProblem(
  request: IncomingMessage,
  response: ServerResponse,
  problem: Problem,
  bodyOf: (problem: Problem) => object = ({ body }) => body,
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { headers, close } = problem.details;
  sendJson(response, problem.status, bodyOf(problem), { ...headers, ...(close && { connection: "close" }) });
  if (!close) return;
  // The client may read the answer only after it has written; what it writes is thrown away for a moment.
  request.resume();
  const timer = setTimeout(() => request.socket.destroy(), DISCARD_MS);
  request.socket.once("close", () => clearTimeout(timer));
}

/** What is not HTTP gets one line and is cut off. */
function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const status =
    { HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large", ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout" }[
      error.code ?? ""
    ] ?? "400 Bad Request";
  const body = JSON.stringify(new Problem(Number(status.slice(0, 3)), `http: ${status.slice(4)}.`).body);
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
