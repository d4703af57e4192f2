// Tests of the server's plumbing over raw sockets: key, limits, garbage, slow and vanished clients, shutdown. Every hostile client
// is followed by a good one that must get its answer.

import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEngine } from "../engine/create.ts";
import type { Engine, LiveSampler, Tokenizer } from "../engine/types.ts";
import { ConfigError } from "../util/errors.ts";
import { type HttpServer, isLoopback } from "./http.ts";
import { type OpenAIServerOptions, serveOpenAI } from "./openai.ts";

const dir = fileURLToPath(new URL("../../test/golden/tiny-qwen3/", import.meta.url));
const KEY = "key-1";
const MAX_BODY = 64 * 1024;

let engine: Engine;
let live: LiveSampler;
let tokenizer: Tokenizer;
let server: HttpServer;

const start = (options: OpenAIServerOptions = {}, maxQueue = 4) =>
  serveOpenAI({ live, tokenizer, names: ["tiny"], maxQueue }, { port: 0, maxBodyBytes: MAX_BODY, ...options });

beforeAll(async () => {
  engine = createEngine({ kind: "local", threads: 1, slots: 16 });
  tokenizer = await engine.openTokenizer(dir);
  live = await (await engine.openSnapshot(dir)).openLive!({ reportMs: 1 });
  server = await start();
});
afterAll(async () => {
  await server.close(0);
  await engine.dispose();
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const HELLO = JSON.stringify({ prompt: "Hello", max_tokens: 4, seed: 1 });
const LONG = JSON.stringify({ prompt: "Hello", max_tokens: 200, n: 500, ignore_eos: true, stream: true });

function ask(body: BodyInit, headers: Record<string, string> = {}, to: HttpServer = server): Promise<Response> {
  return fetch(`${to.url}/v1/completions`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body });
}

/** Sends raw bytes; the answer until the server closes or `ms` pass. */
function raw(bytes: string | Buffer, ms = 3000): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(server.port, "127.0.0.1");
    let got = "";
    const end = () => {
      socket.destroy();
      resolve(got);
    };
    const timer = setTimeout(end, ms);
    socket.on("data", (data) => {
      got += data;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      end();
    });
    socket.write(bytes);
  });
}

/** A client that asks for a long stream and then does not read. */
async function stubborn(to: HttpServer = server): Promise<Socket> {
  const socket = connect(to.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.pause();
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${LONG.length}\r\n\r\n${LONG}`,
  );
  while ((await live.stats()).requests === 0) await pause(5);
  return socket;
}

async function drained(): Promise<void> {
  for (let tries = 0; (await live.stats()).requests > 0; tries++) {
    if (tries > 400) throw new Error("requests are left");
    await pause(5);
  }
}

async function serves(): Promise<void> {
  const response = await ask(HELLO);
  expect(response.status).toBe(200);
  expect(((await response.json()) as { usage: object }).usage).toMatchObject({ completion_tokens: 4 });
}

describe("who may ask", () => {
  it("listens widely only with a key, and needs a key that is not empty", async () => {
    for (const host of ["0.0.0.0", "::", "192.168.0.7"]) await expect(start({ host })).rejects.toThrow(ConfigError);
    await expect(start({ apiKey: "" })).rejects.toThrow(ConfigError);
    await expect(start({ port: server.port })).rejects.toThrow(/EADDRINUSE/);
    const wide = await start({ host: "0.0.0.0", apiKey: "k" });
    expect((await fetch(`http://127.0.0.1:${wide.port}/v1/models`, { headers: { authorization: "Bearer k" } })).status).toBe(200);
    await wide.close(0);
    expect(["127.0.0.1", "127.1.2.3", "localhost", "::1"].map(isLoopback)).toEqual([true, true, true, true]);
    expect(["127.evil.com", "0.0.0.0", "localhost.evil.com", ""].map(isLoopback)).toEqual([false, false, false, false]);
  });

  it("wants the key on every route but /health", async () => {
    const closed = await start({ apiKey: KEY });
    const status = async (path: string, headers: Record<string, string>) => (await fetch(closed.url + path, { headers })).status;
    expect(await status("/v1/models", {})).toBe(401);
    for (const wrong of ["Bearer", "Bearer x", `Bearer ${KEY}x`, `Basic ${KEY}`, KEY])
      expect(await status("/v1/models", { authorization: wrong })).toBe(401);
    expect((await ask(HELLO, {}, closed)).status).toBe(401);
    expect(await status("/health", {})).toBe(200);
    expect((await ask(HELLO, { authorization: `bearer ${KEY}` }, closed)).status).toBe(200);
    await closed.close(0);
  });

  it("without a key answers to names of this machine alone, and to JSON alone", async () => {
    const named = (host: string) => raw(`GET /v1/models HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    expect(await named("evil.example:80")).toMatch(/^HTTP\/1.1 403/);
    expect(await named("localhost:1")).toMatch(/^HTTP\/1.1 200/);
    expect(await named("[::1]:1")).toMatch(/^HTTP\/1.1 200/);
    expect((await ask(HELLO, { "content-type": "text/plain" })).status).toBe(415);
  });

  it("knows its paths and methods", async () => {
    expect((await fetch(`${server.url}/v1/nothing`)).status).toBe(404);
    const wrong = await fetch(`${server.url}/v1/completions`);
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
  });
});

describe("limits", () => {
  it("refuses 100 MB at once, declared or not", async () => {
    for (const declared of [true, false]) {
      const { status, sent } = await new Promise<{ status: number; sent: number }>((resolve) => {
        const headers = { "content-type": "application/json", ...(declared && { "content-length": 100 * 2 ** 20 }) };
        const request = httpRequest({ port: server.port, host: "127.0.0.1", method: "POST", path: "/v1/completions", headers });
        let sent = 0;
        let status = 0;
        const chunk = Buffer.alloc(2 ** 16, 32);
        const write = () => {
          while (status === 0 && sent < 100 * 2 ** 20) {
            sent += chunk.length;
            if (!request.write(chunk)) break;
          }
        };
        request.on("drain", write);
        request.on("error", () => {});
        request.on("close", () => resolve({ status, sent }));
        request.on("response", (response) => {
          status = response.statusCode ?? 0;
          response.resume();
        });
        write();
      });
      expect(status).toBe(413);
      expect(sent).toBeLessThan(30 * 2 ** 20);
      await serves();
    }
  });

  it("refuses before the body when the client asks first", async () => {
    const head = (length: number) =>
      `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`;
    expect(await raw(head(MAX_BODY + 1))).toMatch(/^HTTP\/1.1 413/);
    expect(await raw(head(HELLO.length), 100)).toMatch(/^HTTP\/1.1 100 Continue/);
  });

  it("answers 429 with Retry-After when the queue is full, and serves again after", async () => {
    const sockets = [await stubborn(), await stubborn(), await stubborn(), await stubborn()];
    while ((await live.stats()).requests < 4) await pause(5);
    const refused = await ask(HELLO);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    expect(((await refused.json()) as { error: object }).error).toMatchObject({ type: "rate_limit_error", code: "queue_full" });
    for (const socket of sockets) socket.destroy();
    await drained();
    await serves();
  });
});

describe("garbage", () => {
  const post = (body: string | Buffer, more = "") =>
    Buffer.concat([
      Buffer.from(
        `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
      ),
      Buffer.from(body),
    ]);
  const cases: [name: string, bytes: string | Buffer, status: number][] = [
    ["bytes that are not HTTP", Buffer.from([0, 255, 1, 254, 13, 10, 13, 10]), 400],
    ["TLS", Buffer.from("1603010200010001fc0303", "hex"), 400],
    ["a huge header", `GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(40_000)}\r\n\r\n`, 431],
    ["two lengths", "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400],
    [
      "a bad chunk",
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      400,
    ],
    ["no JSON", post("{"), 400],
    ["nothing", post(""), 400],
    ["no UTF-8", post(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])), 400],
    ["deep nesting", post("[".repeat(30_000)), 400],
    ["a deep field", post(`{"prompt":"a","metadata":${"[".repeat(15_000)}${"]".repeat(15_000)},"max_tokens":1}`), 400],
    ["a prototype", post('{"__proto__":{"prompt":"a"}}'), 400],
    ["a compressed body", post(Buffer.from("1f8b0800", "hex"), "Content-Encoding: gzip\r\n"), 415],
    ["a strange path", "GET /v1/models/%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404],
  ];
  it.each(cases)("%s harms nobody", async (_, bytes, status) => {
    const answer = await raw(bytes);
    expect(answer.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    await serves();
  });

  it("a body that never comes and one that is cut off harm nobody", async () => {
    const head =
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n";
    expect(await raw(head, 50)).toBe("");
    expect(await raw(`${head}{"prompt": "abc`, 50)).toBe("");
    await serves();
  });
});

describe("clients that do not read, and the end", () => {
  it("a slow reader gets all of its stream later and holds no slot", async () => {
    const socket = await stubborn();
    await drained();
    await serves();
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.resume();
    while (!text.includes("[DONE]")) await pause(5);
    expect(text.match(/"finish_reason":"length"/g)?.length).toBe(500);
    socket.destroy();
  });

  it("finishes what is in progress when it closes, refuses the rest, and drops what takes too long", async () => {
    const own = await start();
    const inProgress = ask(JSON.stringify({ prompt: "a", max_tokens: 200, n: 20, ignore_eos: true }), {}, own);
    while ((await live.stats()).requests === 0) await pause(1);
    const closed = own.close(5000);
    expect((await inProgress).status).toBe(200);
    await closed;
    await expect(ask(HELLO, {}, own)).rejects.toThrow();

    const other = await start();
    const socket = await stubborn(other);
    const begun = performance.now();
    await other.close(50);
    expect(performance.now() - begun).toBeLessThan(2000);
    await drained();
    socket.destroy();
  });
});
