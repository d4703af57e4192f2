// The dashboard's server over real HTTP: what it answers, whom it refuses, streams that go on where they were, and an index that mends.

import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get, type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Comparison, type CurveSet, ROUTES, type RunDetail, type Runs } from "../../src/dashboard/api.ts";
import { type QuestionPage, questionSearch } from "../../src/dashboard/api-questions.ts";
import { type Dashboard, serveDashboard } from "../../src/dashboard/server.ts";
import { packageRoot } from "../../src/util/package-root.ts";
import { expected, trueQuestions, writeSmallRun } from "./fixture.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-dashboard-"));
let dashboard: Dashboard;
let dir: string;

async function json<T>(path: string, of = dashboard): Promise<T> {
  const response = await fetch(`${of.url}${path}`);
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

async function status(path: string, options: RequestInit = {}): Promise<number> {
  const response = await fetch(`${dashboard.url}${path}`, options);
  await response.arrayBuffer();
  return response.status;
}

/** As the bytes stand: fetch would tidy the path, and set Host itself. */
function raw(path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const { port } = new URL(dashboard.url);
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, headers }, resolve).on("error", reject).end();
  });
}

async function untilReady(of: Dashboard): Promise<void> {
  for (let look = 0; look < 300; look++) {
    const { index } = await json<Runs>(ROUTES.runs, of);
    if (index.state === "ready") return;
    await wait(100);
  }
  throw new Error("the index was not ready in 30 s");
}

beforeAll(async () => {
  dir = writeSmallRun(root, "one", 1);
  writeSmallRun(root, "two", 2);
  dashboard = await serveDashboard({ root, port: 0 });
  await untilReady(dashboard);
});

afterAll(async () => {
  await dashboard.close();
  rmSync(root, { recursive: true, force: true });
});

describe("answers", () => {
  it("lists the runs, the newest first, damaged ones with their problem", async () => {
    writeSmallRun(root, "broken", 9);
    writeFileSync(join(root, "broken", "config.yaml"), "iterations: many\n");
    const { runs } = await json<Runs>(ROUTES.runs);
    expect(runs.map(({ name }) => name).sort()).toEqual(["broken", "like", "one", "two"]);
    expect(runs.find(({ name }) => name === "broken")).toMatchObject({
      state: "damaged",
      problem: expect.stringContaining("iterations"),
    });
    expect(runs.find(({ name }) => name === "one")).toMatchObject({ state: "stopped", recipe: "tiny", at: { phase: "solver" } });
    rmSync(join(root, "broken"), { recursive: true });
  });

  it("tells a run's course and curves as its events have them", async () => {
    const { timeline, lastEventId } = await json<RunDetail>(ROUTES.run("one"));
    expect(timeline.find(({ iteration, phase }) => iteration === 2 && phase === "solver")).toMatchObject({
      state: "done",
      step: 8,
      steps: 8,
    });
    expect(lastEventId).toMatch(/^\d+\.[0-9a-f]{8}$/);
    const events = readFileSync(join(dir, "events.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const steps = events.filter(({ event }) => event === "challenger-step");
    const [challenger] = await json<CurveSet[]>(ROUTES.curves("one"));
    expect(challenger.role).toBe("challenger");
    expect(challenger.curves.reward).toEqual(steps.map(({ metrics }) => Number(metrics.reward.toPrecision(6))));
    expect(challenger.curves.truncated?.[0]).toBe(0.01);
    expect(challenger.curves.tokensPerSecond?.[0]).toBe(6000);
    const [few] = await json<CurveSet[]>(`${ROUTES.curves("one")}?points=4`);
    expect(few.x).toEqual([1, 9, 17, 25]);
    const mean = steps.slice(0, 8).reduce((sum, { metrics }) => sum + metrics.reward, 0) / 8;
    expect(few.curves.reward?.[0]).toBeCloseTo(mean, 5);
  });

  it("compares runs, up to six", async () => {
    const { runs } = await json<Comparison>(`${ROUTES.compare}?run=one&run=two`);
    expect(runs.map(({ row }) => row.name)).toEqual(["one", "two"]);
    expect(await status(ROUTES.compare)).toBe(400);
    expect(
      await status(
        `${ROUTES.compare}?${"abcdefg"
          .split("")
          .map((name) => `run=${name}`)
          .join("&")}`,
      ),
    ).toBe(400);
    expect(await status(`${ROUTES.compare}?run=none`)).toBe(404);
  });

  it("gives windows of questions", async () => {
    const query = { run: ["one"], source: "pool" as const, sort: "share" as const, descending: true, search: "how many" };
    const wanted = expected(trueQuestions(dir, "one"), query);
    const page = await json<QuestionPage>(questionSearch({ ...query, offset: 10, limit: 5 }));
    expect(page.total).toBe(wanted.length);
    expect(page.rows.map(({ id }) => id)).toEqual(wanted.slice(10, 15));
  });

  it.each([
    "/api/questions?limit=501",
    "/api/questions?offset=-1",
    "/api/questions?limit=1e99",
    "/api/questions?sort=drop",
    "/api/questions?minShare=x",
    `/api/questions?search=${"a".repeat(501)}`,
    `/api/questions?${"run=a&".repeat(65)}`,
    "/api/question",
    "/api/runs/one/curves?points=0.5",
  ])("refuses %s", async (path) => {
    expect(await status(path)).toBe(400);
  });

  it.each([
    "/api/question?id=one/1/pool/0/9999",
    "/api/group?id=../1/solver/1/1",
    "/api/runs/none",
    "/api/runs/one/none",
    "/api/none",
  ])("has no %s", async (path) => {
    expect(await status(path)).toBe(404);
  });
});

describe("whom it refuses", () => {
  it("another Host, as a page that points its name here sends it", async () => {
    const { port } = new URL(dashboard.url);
    expect((await raw("/api/runs", { host: "evil.example" })).statusCode).toBe(403);
    expect((await raw("/", { host: `evil.example:${port}` })).statusCode).toBe(403);
    expect((await raw("/api/runs", { host: `localhost:${port}` })).statusCode).toBe(200);
  });

  it.each([
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2fetc/passwd",
    "/%2e%2e/%2e%2e/package.json",
    "/assets/../../server.js",
    "/api/runs/..%2f..%2fetc",
    "/api/runs/%2e%2e",
    "/api/runs/one%2f..%2ftwo/config.yaml",
    "//etc/passwd.html",
    "/%00.html",
  ])("%s leads nowhere", async (path) => {
    const response = await raw(path);
    response.resume();
    expect(response.statusCode).toBe(404);
  });

  it("everything that is no GET", async () => {
    for (const method of ["POST", "PUT", "DELETE"]) expect([404, 405]).toContain(await status("/api/runs", { method }));
  });

  it("sends a strict policy, and no page of others may read it", async () => {
    const response = await fetch(`${dashboard.url}/api/runs`);
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'self'");
    expect(policy).not.toContain("unsafe");
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });
});

interface Told {
  readonly event: string;
  readonly id?: string;
  readonly data: { readonly event?: { readonly event: string; readonly step?: number } };
}

/** Listens to a stream until `enough`, and closes it. */
async function listen(path: string, enough: (told: readonly Told[]) => boolean, headers = {}, of = dashboard): Promise<Told[]> {
  const told: Told[] = [];
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${of.url}${path}`, { headers }, resolve).on("error", reject);
  });
  let text = "";
  for await (const piece of response) {
    text += piece;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = Object.fromEntries(
        text
          .slice(0, end)
          .split("\n")
          .map((line) => line.split(/: (.*)/s, 2)),
      );
      text = text.slice(end + 2);
      if (fields.event !== "ping") told.push({ event: fields.event, id: fields.id, data: JSON.parse(fields.data) });
    }
    if (enough(told)) break;
  }
  response.destroy();
  return told;
}

const logged = (told: readonly Told[]) => told.filter(({ event }) => event === "event");
const append = (to: string, event: object) =>
  appendFileSync(join(root, to, "events.jsonl"), `${JSON.stringify({ time: "2026-01-01T00:00:00Z", ...event })}\n`);

describe("streams", () => {
  const lines = () => readFileSync(join(dir, "events.jsonl"), "utf8").trim().split("\n").length;

  it("gives the whole log, and goes on after any of its ids", async () => {
    const all = logged(await listen(`${ROUTES.events("one")}?after=0`, (told) => logged(told).length >= lines()));
    expect(all).toHaveLength(lines());
    const rest = await listen(ROUTES.events("one"), (told) => logged(told).length >= lines() - 10, {
      "last-event-id": all[9].id,
    });
    expect(logged(rest)).toEqual(all.slice(10));
  });

  it("tells a new event within a second, a torn one when it is whole, to a browser that came before", async () => {
    const { lastEventId } = await json<RunDetail>(ROUTES.run("two"));
    let at = 0;
    const heard = listen(`${ROUTES.events("two")}?after=${lastEventId}`, (told) => {
      if (logged(told).length >= 1 && at > 0) at = performance.now() - at;
      return logged(told).length >= 1;
    });
    await wait(500);
    const line = JSON.stringify({
      time: "2026-01-01T00:00:00Z",
      event: "solver-step",
      iteration: 9,
      step: 77,
      steps: 80,
      seconds: 1,
      metrics: {},
    });
    appendFileSync(join(root, "two", "events.jsonl"), line.slice(0, 40));
    await wait(500);
    at = performance.now();
    appendFileSync(join(root, "two", "events.jsonl"), `${line.slice(40)}\n`);
    const told = await heard;
    expect(logged(told)[0].data.event).toMatchObject({ event: "solver-step", step: 77 });
    expect(at).toBeLessThan(5000); // about 0.2 s; a loaded machine is no failure
  });

  it("goes on after the server was started anew, and says when the log is another one", async () => {
    const { lastEventId } = await json<RunDetail>(ROUTES.run("two"));
    await dashboard.close();
    append("two", { event: "warning", iteration: 1, phase: "solver", message: "while nobody looked" });
    dashboard = await serveDashboard({ root, port: 0 });
    const told = await listen(ROUTES.events("two"), (all) => logged(all).length >= 1, { "last-event-id": lastEventId });
    expect(logged(told)[0].data.event).toMatchObject({ event: "warning", message: "while nobody looked" });

    const { notices } = await json<RunDetail>(ROUTES.run("two"));
    expect(notices.at(-1)).toMatchObject({ event: "warning", text: "while nobody looked" });
    writeFileSync(join(root, "two", "events.jsonl"), "");
    append("two", { event: "start", run: "two", recipe: "tiny", seed: 5, iterations: 1, resumed: false });
    const reset = await listen(ROUTES.events("two"), (all) => all.some(({ event }) => event === "reset"), {
      "last-event-id": lastEventId,
    });
    expect(reset.map(({ event }) => event)).toContain("reset");
    const { timeline } = await json<RunDetail>(ROUTES.run("two"));
    expect(timeline.some(({ start }) => start !== undefined)).toBe(false);
  });

  it("tells of new runs, and of runs that are gone", async () => {
    const heard = listen(ROUTES.watch, (told) => told.some(({ data }) => JSON.stringify(data).includes('"three"')));
    await wait(300);
    writeSmallRun(root, "three", 3);
    expect((await heard).at(-1)?.event).toBe("runs");
    rmSync(join(root, "three"), { recursive: true });
  });
});

describe("the index", () => {
  it("is made anew when it was damaged while nobody looked, and told apart from a second dashboard's", async () => {
    await untilReady(dashboard);
    const second = await serveDashboard({ root, port: 0 });
    expect(second.index).not.toBe(dashboard.index);
    await second.close();
    expect(existsSync(second.index)).toBe(false);
    const before = await json<QuestionPage>(questionSearch({ run: ["one"], limit: 3 }));
    await dashboard.close();
    for (const end of ["-wal", "-shm"]) rmSync(`${dashboard.index}${end}`, { force: true });
    writeFileSync(dashboard.index, "damaged ".repeat(5000));
    dashboard = await serveDashboard({ root, port: 0 });
    await untilReady(dashboard);
    const after = await json<QuestionPage>(questionSearch({ run: ["one"], limit: 3 }));
    expect(after.total).toBe(before.total);
    expect(after.rows.map(({ id }) => id)).toEqual(before.rows.map(({ id }) => id));
  });
});

describe("rzero ui", () => {
  const main = join(packageRoot, "dist", "cli", "main.js");
  const start = (...more: string[]) => {
    const child = spawn(process.execPath, [main, "ui", "--runs", root, "--port", "0", "--json", ...more], { stdio: "pipe" });
    const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
    const url = new Promise<string>((resolve) => child.stdout.once("data", (line) => resolve(JSON.parse(String(line)).url)));
    return { child, ended, url };
  };

  it("serves until it is stopped", async () => {
    const { child, ended, url } = start();
    const { runs } = (await (await fetch(`${await url}${ROUTES.runs}`)).json()) as Runs;
    expect(runs.map(({ name }) => name)).toContain("one");
    child.kill("SIGINT");
    expect(await ended).toBe(0);
  });

  it("beside a run, ends with it", async () => {
    const { child, ended, url } = start("--beside");
    expect(await url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    child.stdin.end();
    expect(await ended).toBe(0);
  });

  it("says what is wrong with a port", async () => {
    const { port } = new URL(dashboard.url);
    const child = spawn(process.execPath, [main, "ui", "--runs", root, "--port", port], { stdio: "pipe" });
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
    });
    expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(2);
    expect(said).toContain(`got ${port} (EADDRINUSE)`);
  });
});
