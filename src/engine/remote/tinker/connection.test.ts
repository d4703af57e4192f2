// Requests and futures against a server of the test's making, without waiting: pauses are counted, not slept. And the heartbeat's thread.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterEach, expect, it } from "vitest";
import { Connection, jsonBody } from "./connection.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

interface Asked {
  path: string;
  body: { request_id?: string };
  headers: Record<string, unknown>;
}

/** A server that answers in turn, and a connection to it whose pauses are noted. */
async function connect(answers: ((asked: Asked) => [status: number, body: unknown])[], changes: { deadlineMs?: number } = {}) {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      const one = { path: request.url ?? "", body: text === "" ? {} : JSON.parse(text), headers: request.headers };
      asked.push(one);
      const [status, body] = answers[Math.min(asked.length, answers.length) - 1](one);
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(server);
  let now = 0;
  const slept: number[] = [];
  const clock = {
    now: () => now,
    sleep: async (ms: number) => {
      slept.push(ms);
      now += ms;
    },
  };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const times = { pollMs: 1000, deadlineMs: 60_000, patienceMs: 30_000, ...changes };
  return { url, asked, slept, connection: new Connection({ url, key: "tml-key", clock, random: () => 0, ...times }) };
}

const taken =
  (id: string): (() => [number, unknown]) =>
  () => [200, { request_id: id }];
const status =
  (code: number): (() => [number, unknown]) =>
  () => [code, { detail: "trouble" }];

it("tries a request again under the same idempotency key, with the account's key in its header", async () => {
  const { connection, asked, slept } = await connect([status(500), status(429), status(408), () => [200, { fine: 1 }]]);
  expect(await connection.post("/create_session", { a: 1 })).toEqual({ fine: 1 });
  expect(slept).toEqual([500, 1000, 500]);
  expect(new Set(asked.map(({ headers }) => headers["x-idempotency-key"])).size).toBe(1);
  expect(asked[0].headers["x-api-key"]).toBe("tml-key");
  expect(connection.refusals).toBe(1);
});

it("makes the original request again when a promise is broken, under a key of its own", async () => {
  const { connection, asked } = await connect([taken("1"), status(408), status(410), taken("2"), () => [200, { type: "done" }]]);
  const pending = await connection.submit("/optim_step", jsonBody({ x: 1 }));
  expect(await pending.result()).toEqual({ json: { type: "done" } });
  expect(asked.map(({ path, body }) => [path.slice(8), body.request_id])).toEqual([
    ["optim_step", undefined],
    ["retrieve_future", "1"],
    ["retrieve_future", "1"],
    ["optim_step", undefined],
    ["retrieve_future", "2"],
  ]);
  expect(asked[0].headers["x-idempotency-key"]).not.toBe(asked[3].headers["x-idempotency-key"]);
});

it("ends at the deadline with a server that says try again for ever", async () => {
  const again = () => [200, { type: "try_again", queue_state: "active" }] as [number, unknown];
  const { connection } = await connect([taken("1"), again], { deadlineMs: 5000 });
  await expect((await connection.submit("/forward", jsonBody({}))).result()).rejects.toThrow("expected a result within 5 s");
});

it("ends when there was no sign of life for too long, and says what there was", async () => {
  const { connection } = await connect([status(503)]);
  await expect(connection.get("/healthz")).rejects.toThrow(/sign of life within 30 s, got: .*503: trouble/);
});

it("gives a future's failure as an error, with no key in it", async () => {
  const { connection } = await connect([taken("1"), () => [200, { error: "no memory for you", category: "server" }]]);
  const failed = (await connection.submit("/forward", jsonBody({}))).result();
  await expect(failed).rejects.toThrow("/forward: expected a result, got the server's error (server): no memory for you");
});

it("the heartbeat's thread tells the session's name again and again", async () => {
  let seen = 0;
  let enough = () => {};
  const done = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const { url, asked } = await connect([
    () => {
      if (++seen === 3) enough();
      return [200, {}];
    },
  ]);
  const file = fileURLToPath(new URL("../../../../dist/engine/remote/tinker/heartbeat-worker.js", import.meta.url));
  const data = {
    address: `${url}/api/v1/session_heartbeat`,
    headers: { "x-api-key": "k" },
    body: '{"session_id":"s"}',
    everyMs: 10,
  };
  const worker = new Worker(file, { workerData: data });
  await done;
  await worker.terminate();
  expect(asked[2]).toMatchObject({ path: "/api/v1/session_heartbeat", body: { session_id: "s" }, headers: { "x-api-key": "k" } });
});
