// A proxy that stands between a client and a Tinker server and breaks what passes: answers of trouble in place of the real ones, before
// or after the server has done the work, cut connections, slow and torn replies. Which request is broken, and how, follows from a seed.

import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { rngFrom } from "../../src/util/rng.ts";

type Kind = (typeof FaultyProxy.KINDS)[number];

/** See the file header. */
export class FaultyProxy {
  static readonly KINDS = ["408", "409", "410", "429", "500", "dropped before", "dropped after", "torn", "slow"] as const;
  readonly url: string;
  /** How often each fault was injected. */
  readonly injected = new Map<Kind, number>();
  /** How often each path was asked for. */
  readonly requests = new Map<string, number>();
  readonly #server: Server;
  readonly #target: string;
  readonly #every: number;
  readonly #seed: number;
  #count = 0;

  /** One request in `every` is broken. */
  static async start(target: string, { every, seed }: { every: number; seed: number }): Promise<FaultyProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new FaultyProxy(server, target, every, seed);
  }

  private constructor(server: Server, target: string, every: number, seed: number) {
    this.#server = server;
    this.#target = target;
    this.#every = every;
    this.#seed = seed;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    // A server that is gone is a cut connection to its client.
    server.on("request", (incoming, outgoing) => this.#handle(incoming, outgoing).catch(() => outgoing.destroy()));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const path = incoming.url?.split("/").at(-1) ?? "";
    this.requests.set(path, (this.requests.get(path) ?? 0) + 1);
    const rng = rngFrom(this.#seed, this.#count++);
    const isPoll = incoming.url?.endsWith("/retrieve_future") ?? false;
    const kinds = FaultyProxy.KINDS.filter((kind) => isPoll || kind !== "408").filter((kind) => !isPoll || kind !== "409");
    const fault = rng.int(this.#every) === 0 ? rng.pick(kinds) : undefined;
    if (fault !== undefined) this.injected.set(fault, (this.injected.get(fault) ?? 0) + 1);
    if (fault === "dropped before") return void outgoing.destroy();
    // A server in trouble has done the work or not.
    const reply =
      fault === undefined || fault.startsWith("dropped") || rng.int(2) === 0 ? await this.#ask(incoming, body) : undefined;
    if (fault === "dropped after") return void outgoing.destroy();
    if (fault === "slow") await new Promise((resolve) => setTimeout(resolve, 200));
    if (fault !== undefined && /^\d+$/.test(fault)) {
      outgoing.writeHead(Number(fault), { "content-type": "application/json" });
      outgoing.end(JSON.stringify({ detail: "injected", type: "try_again" }));
      return;
    }
    const real = reply ?? (await this.#ask(incoming, body));
    outgoing.writeHead(real.status, real.headers);
    if (fault !== "torn") return void outgoing.end(real.body);
    outgoing.write(real.body.subarray(0, Math.floor(real.body.length / 2)), () => outgoing.destroy());
  }

  #ask(incoming: IncomingMessage, body: Buffer): Promise<{ status: number; headers: Record<string, string>; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const headers = { ...incoming.headers, host: new URL(this.#target).host };
      const onward = request(`${this.#target}${incoming.url}`, { method: incoming.method, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const { "content-type": type, location } = response.headers;
          const kept = { ...(type && { "content-type": type }), ...(location && { location }) };
          const whole = Buffer.concat(chunks);
          resolve({ status: response.statusCode ?? 0, headers: { ...kept, "content-length": `${whole.length}` }, body: whole });
        });
      });
      onward.on("error", reject);
      onward.end(body);
    });
  }
}
