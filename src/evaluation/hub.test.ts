// Against a server on this machine that behaves like the Hub: cuts, wrong bytes, refusals, a redirect to a second host.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { fetchFromHub, type HubSettings, hubSettings } from "./hub.ts";

const scratch = mkdtempSync(join(tmpdir(), "rzero-hub-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const WANTED = { dataset: "owner/set", revision: "main", path: "data/test.jsonl" };
const BYTES = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

interface Seen {
  readonly method?: string;
  readonly url?: string;
  readonly range?: string;
  readonly authorization?: string;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const servers: Server[] = [];
let seen: Seen[] = [];

async function serve(answer: Answer): Promise<string> {
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    seen.push({ method, url, range: headers.range, authorization: headers.authorization });
    answer(request, response);
  });
  servers.push(server);
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeEach(() => {
  seen = [];
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});

function settings(endpoint: string, more: Partial<HubSettings> = {}): HubSettings {
  const cacheDir = mkdtempSync(join(scratch, "cache-"));
  return { ...hubSettings({}), endpoint, cacheDir, attempts: 3, retryDelayMs: 1, stallMs: 2000, ...more };
}

const headers = (etag = sha256(BYTES), size = BYTES.length) => ({
  "x-repo-commit": COMMIT,
  "x-linked-etag": `"${etag}"`,
  "x-linked-size": String(size),
});

/** Answers a range request with the rest of the bytes. */
function sendRest(request: IncomingMessage, response: ServerResponse, bytes = BYTES): void {
  const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const range = { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
  response.writeHead(from > 0 ? 206 : 200, { "content-length": bytes.length - from, ...(from > 0 && range) });
  response.end(request.method === "HEAD" ? undefined : bytes.subarray(from));
}

const repoDir = ({ cacheDir }: HubSettings) => join(cacheDir, "datasets--owner--set");

describe("fetchFromHub", () => {
  it("fetches into the cache layout of huggingface_hub, once, with progress", async () => {
    const endpoint = await serve((request, response) => {
      if (request.method === "HEAD") response.writeHead(200, headers()).end();
      else sendRest(request, response);
    });
    const use = settings(endpoint, { token: "secret" });
    const told: number[] = [];
    const { file, commit } = await fetchFromHub(WANTED, use, (_, done, total) => told.push(done / total));
    expect(readFileSync(file).equals(BYTES)).toBe(true);
    expect(commit).toBe(COMMIT);
    expect(file).toBe(join(repoDir(use), "snapshots", COMMIT, "data", "test.jsonl"));
    expect(readlinkSync(file)).toBe(join("..", "..", "..", "blobs", sha256(BYTES)));
    expect(readFileSync(join(repoDir(use), "refs", "main"), "utf8")).toBe(COMMIT);
    expect(readdirSync(join(repoDir(use), "blobs"))).toEqual([sha256(BYTES)]);
    expect(told[0]).toBe(0);
    expect(told.at(-1)).toBe(1);
    expect(seen[0]).toMatchObject({ method: "HEAD", url: "/datasets/owner/set/resolve/main/data/test.jsonl" });
    expect(seen.map(({ authorization }) => authorization)).toEqual(["Bearer secret", "Bearer secret"]);
    await fetchFromHub(WANTED, use);
    expect(seen.map(({ method }) => method)).toEqual(["HEAD", "GET", "HEAD"]);
  });

  it("goes on where a cut left off, in this process and from what an earlier one left", async () => {
    let cuts = 0;
    const endpoint = await serve((request, response) => {
      if (request.method === "HEAD") return response.writeHead(200, headers()).end();
      if (cuts++ > 0) return sendRest(request, response);
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
      response.writeHead(206, { "content-range": `bytes ${from}-${BYTES.length - 1}/${BYTES.length}` });
      response.write(BYTES.subarray(from, 150_000), () => setTimeout(() => response.destroy(), 20));
    });
    const use = settings(endpoint);
    const partial = join(repoDir(use), "blobs", `${sha256(BYTES)}.incomplete`);
    writeFileSync(mkdirFor(partial), BYTES.subarray(0, 70_000));
    const { file } = await fetchFromHub(WANTED, use);
    expect(readFileSync(file).equals(BYTES)).toBe(true);
    expect(existsSync(partial)).toBe(false);
    expect(seen.map(({ range }) => range)).toEqual([undefined, "bytes=70000-", "bytes=150000-"]);
  });

  it("starts over when the server ignores the range", async () => {
    const endpoint = await serve((request, response) => {
      if (request.method === "HEAD") response.writeHead(200, headers()).end();
      else response.writeHead(200).end(BYTES);
    });
    const use = settings(endpoint);
    writeFileSync(mkdirFor(join(repoDir(use), "blobs", `${sha256(BYTES)}.incomplete`)), Buffer.alloc(1000, 1));
    expect(readFileSync((await fetchFromHub(WANTED, use)).file).equals(BYTES)).toBe(true);
  });

  it("throws away bytes with a wrong checksum, then fetches them anew", async () => {
    let wrong = true;
    const endpoint = await serve((request, response) => {
      if (request.method === "HEAD") response.writeHead(200, headers()).end();
      else sendRest(request, response, wrong ? Buffer.alloc(BYTES.length) : BYTES);
    });
    const use = settings(endpoint);
    await expect(fetchFromHub(WANTED, use)).rejects.toThrow(`expected checksum ${sha256(BYTES)}, got`);
    expect(readdirSync(join(repoDir(use), "blobs"))).toEqual([]);
    wrong = false;
    expect(readFileSync((await fetchFromHub(WANTED, use)).file).equals(BYTES)).toBe(true);
  });

  it("checks small files against git's checksum", async () => {
    const small = Buffer.from('{"question":"1+1","answer":"2"}\n');
    const gitSha = createHash("sha1").update(`blob ${small.length}\0`).update(small).digest("hex");
    let body = small;
    const endpoint = await serve((request, response) => {
      const named = { "x-repo-commit": COMMIT, etag: `W/"${gitSha}"`, "content-length": small.length };
      if (request.method === "HEAD") response.writeHead(200, named).end();
      else response.writeHead(200, named).end(body);
    });
    expect(readFileSync((await fetchFromHub(WANTED, settings(endpoint))).file).equals(small)).toBe(true);
    body = Buffer.from(small.toString().replace("2", "3"));
    await expect(fetchFromHub(WANTED, settings(endpoint))).rejects.toThrow("expected checksum");
  });

  it("follows a redirect to another host without the token", async () => {
    const elsewhere = await serve((request, response) => sendRest(request, response));
    const endpoint = await serve((request, response) => {
      if (request.url?.startsWith("/datasets/owner/set/")) response.writeHead(307, { location: "/datasets/new/name" }).end();
      else response.writeHead(302, { location: `${elsewhere}/blob?signature=private`, ...headers() }).end();
    });
    const { file } = await fetchFromHub(WANTED, settings(endpoint, { token: "secret" }));
    expect(readFileSync(file).equals(BYTES)).toBe(true);
    const away = seen.filter(({ url }) => url?.startsWith("/blob"));
    expect(away).toEqual([{ method: "GET", url: "/blob?signature=private", range: undefined, authorization: undefined }]);
    expect(seen.filter(({ authorization }) => authorization === "Bearer secret")).toHaveLength(4);
  });

  it.each([
    [401, undefined, "HTTP 401. Set HF_TOKEN to a token that may read it."],
    [403, "secret", "HTTP 403. HF_TOKEN may not read it"],
    [404, undefined, "HTTP 404. The data set was moved or renamed; take its file with --bench-dir."],
    [503, undefined, "HTTP 503. Try again later"],
  ])("tells HTTP %i, and never the token", async (status, token, message) => {
    const endpoint = await serve((_, response) => response.writeHead(status).end("refused"));
    const error = await fetchFromHub(WANTED, settings(endpoint, { token })).catch((thrown: Error) => thrown);
    expect(String(error)).toContain(message);
    expect(String(error)).not.toContain("secret");
    expect(seen).toHaveLength(status === 503 ? 3 : 1);
  });

  it("refuses a file that is too large, longer than announced, silent, or no Hub's", async () => {
    const endpoint = await serve((request, response) => {
      if (request.method === "HEAD") response.writeHead(200, headers(sha256(BYTES), 1000)).end();
      else sendRest(request, response);
    });
    await expect(fetchFromHub(WANTED, settings(endpoint, { maxBytes: 999 }))).rejects.toThrow(
      "expected at most 999 bytes, got 1000",
    );
    await expect(fetchFromHub(WANTED, settings(endpoint, { attempts: 1 }))).rejects.toThrow("expected 1000 bytes, got more");
    const silent = await serve((request, response) => {
      if (request.method === "HEAD") response.writeHead(200, headers()).end();
      else response.writeHead(200).write("x");
    });
    await expect(fetchFromHub(WANTED, settings(silent, { stallMs: 50, attempts: 1 }))).rejects.toThrow("nothing for 50 ms");
    const plain = await serve((_, response) => response.writeHead(200).end("hello"));
    await expect(fetchFromHub(WANTED, settings(plain))).rejects.toThrow("Is it a Hub?");
  });

  it("takes the cached file offline and without a connection, and says when there is none", async () => {
    const endpoint = await serve((request, response) => {
      if (request.method === "HEAD") response.writeHead(200, headers()).end();
      else sendRest(request, response);
    });
    const use = settings(endpoint);
    await expect(fetchFromHub(WANTED, { ...use, offline: true })).rejects.toThrow("HF_HUB_OFFLINE is set");
    const { file } = await fetchFromHub(WANTED, use);
    seen = [];
    expect(await fetchFromHub(WANTED, { ...use, offline: true })).toEqual({ file, commit: COMMIT });
    expect(seen).toEqual([]);
    expect((await fetchFromHub(WANTED, { ...use, endpoint: "http://127.0.0.1:9" })).file).toBe(file);
  });

  it("keeps names inside the cache", async () => {
    for (const bad of [{ path: "../x" }, { dataset: "../../etc" }, { revision: "a/../.." }, { path: "" }])
      await expect(fetchFromHub({ ...WANTED, ...bad }, settings("http://127.0.0.1:9"))).rejects.toThrow(
        "Hub: expected plain names",
      );
  });
});

it("settings come from the environment as huggingface_hub reads it", () => {
  expect(hubSettings({ HF_HOME: "/h" })).toMatchObject({
    cacheDir: "/h/hub",
    offline: false,
    endpoint: "https://huggingface.co",
  });
  expect(hubSettings({ HF_HUB_CACHE: "/c", HF_HOME: "/h", HF_HUB_OFFLINE: "1", HF_ENDPOINT: "http://mirror/" })).toMatchObject({
    cacheDir: "/c",
    offline: true,
    endpoint: "http://mirror",
  });
  expect(hubSettings({ XDG_CACHE_HOME: "/x" }).cacheDir).toBe("/x/huggingface/hub");
  expect(() => hubSettings({ HF_ENDPOINT: "mirror" })).toThrow("HF_ENDPOINT");
});

function mkdirFor(file: string): string {
  mkdirSync(dirname(file), { recursive: true });
  return file;
}
