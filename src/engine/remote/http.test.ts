// One request against servers that behave and servers that do not.

import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { keepSecret } from "../../util/secrets.ts";
import { httpCall, type TransportError } from "./http.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const failure = (call: Promise<unknown>): Promise<TransportError> =>
  call.then(
    () => expect.fail("expected an error"),
    (error: TransportError) => error,
  );

describe("one HTTP request", () => {
  it("gives status, headers and body, whatever the status", async () => {
    const url = await serve((request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        response.writeHead(429, { "Retry-After": "3" });
        response.end(`${request.method} ${request.url} ${request.headers.authorization} ${body}`);
      });
    });
    const reply = await httpCall(`${url}/x?y=1`, {
      method: "POST",
      body: "äb",
      headers: { authorization: "Bearer k" },
      deadlineMs: 5000,
    });
    expect(reply.status).toBe(429);
    expect(reply.headers["retry-after"]).toBe("3");
    expect(reply.body.toString()).toBe("POST /x?y=1 Bearer k äb");
  });

  it("tells no connection, a cut one, a late answer and one that is too large apart", async () => {
    const gone = await serve(() => {});
    await new Promise((resolve) => servers[0].close(resolve));
    expect((await failure(httpCall(gone, { deadlineMs: 5000 }))).failure).toBe("connect");

    const cut = await serve((_, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    });
    expect(await failure(httpCall(cut, { deadlineMs: 5000 }))).toMatchObject({ failure: "cut", retryable: true });

    const dropped = await serve((request) => request.socket.destroy());
    expect((await failure(httpCall(dropped, { deadlineMs: 5000 }))).failure).toBe("cut");

    const silent = await serve(() => {});
    expect((await failure(httpCall(silent, { deadlineMs: 30 }))).failure).toBe("deadline");

    const large = await serve((_, response) => response.end("x".repeat(2000)));
    const tooLarge = await failure(httpCall(large, { deadlineMs: 5000, maxBytes: 1000 }));
    expect(tooLarge).toMatchObject({ failure: "too-large", retryable: false });
  });

  it("gives up when told to, also before it began", async () => {
    const url = await serve(() => {});
    const stop = new AbortController();
    const call = failure(httpCall(url, { deadlineMs: 5000, signal: stop.signal }));
    stop.abort();
    expect((await call).failure).toBe("aborted");
    expect((await failure(httpCall(url, { deadlineMs: 5000, signal: stop.signal }))).failure).toBe("aborted");
  });

  it("never has a key or a query in an error", async () => {
    keepSecret("sekret-in-path");
    const error = await failure(
      httpCall("http://127.0.0.1:1/sekret-in-path?token=hidden-token", {
        headers: { authorization: "Bearer hidden-key" },
        deadlineMs: 5000,
      }),
    );
    expect(error.message).toMatch(/^GET http:\/\/127\.0\.0\.1:1\/\[secret\]: expected an answer, got no connection \(E/);
    expect(JSON.stringify([error, error.message, error.stack])).not.toMatch(/hidden|sekret/);
  });
});
