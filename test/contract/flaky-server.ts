// A server of completions in front of a real one, that can be told to misbehave: to die, to be silent, to send garbage of every kind.
// What it passes on is the real server's word for word.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { httpCall } from "../../src/engine/remote/http.ts";

/** A completion's answer, as far as the faults change it. */
export interface AnswerBody {
  model: string;
  choices: {
    index: number;
    token_ids: number[];
    logprobs: { token_logprobs: number[] };
    finish_reason: string;
    prompt_token_ids?: number[];
  }[];
}

/** What it does with the next requests. An answer is changed before it is sent on, or replaced by other bytes. */
export type Behaviour =
  | { readonly kind: "honest" }
  | { readonly kind: "silent" }
  | { readonly kind: "cut" }
  | { readonly kind: "status"; readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | { readonly kind: "changed"; readonly change: (answer: AnswerBody) => unknown };

/** See the file header. */
export class FlakyServer {
  readonly upstream: string;
  /** For completions; everything else is passed on. */
  behaviour: Behaviour = { kind: "honest" };
  /** Called with the number of each completion request, before it is answered. */
  onRequest: (count: number) => void = () => {};
  /** Completion requests so far. */
  requests = 0;
  /** Authorization headers that came. */
  readonly keys = new Set<string>();
  #server: Server | undefined;
  #port = 0;
  #ill = false;

  constructor(upstream: string) {
    this.upstream = upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Begins to listen; after `die` on the same port again. */
  async start(): Promise<this> {
    const server = createServer((request, response) => void this.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  /** Says of itself that it cannot. */
  unhealthy(): void {
    this.#ill = true;
  }

  /** Cuts every connection and listens no more. */
  die(): void {
    this.#server?.close();
    this.#server?.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { authorization } = request.headers;
    if (authorization !== undefined) this.keys.add(authorization);
    const isCompletion = request.url === "/v1/completions";
    if (isCompletion) this.onRequest(++this.requests);
    const { behaviour } = this;
    if (this.#ill && request.url === "/health") {
      response.writeHead(500);
      response.end();
      return;
    }
    if (isCompletion && behaviour.kind === "silent") return;
    if (isCompletion && behaviour.kind === "cut") {
      response.writeHead(200, { "content-length": "1000" });
      response.write("{", () => response.destroy());
      return;
    }
    if (isCompletion && behaviour.kind === "status") {
      response.writeHead(behaviour.status, behaviour.headers);
      response.end(behaviour.body ?? JSON.stringify({ error: { message: `no: ${authorization}` } }));
      return;
    }
    const reply = await httpCall(this.upstream + request.url, {
      method: request.method as "GET" | "POST",
      headers: {
        ...(authorization !== undefined && { authorization }),
        ...(request.method === "POST" && { "content-type": "application/json" }),
      },
      body: request.method === "POST" ? Buffer.concat(chunks) : undefined,
      deadlineMs: 60_000,
    });
    const changed =
      isCompletion && behaviour.kind === "changed" && reply.status === 200
        ? behaviour.change(JSON.parse(reply.body.toString()) as AnswerBody)
        : undefined;
    response.writeHead(reply.status, { "content-type": "application/json" });
    response.end(changed === undefined ? reply.body : typeof changed === "string" ? changed : JSON.stringify(changed));
  }
}
