// The dashboard's server: the JSON interface of api.ts, the streams and the page, for this machine alone. It reads runs and changes none.
// Knows HTTP and the parts that answer; what runs hold is theirs.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Exchange, HttpServer, type Route, sendJson } from "../server/http.ts";
import { Problem } from "../server/problem.ts";
import type { Comparison, Runs } from "./api.ts";
import { Assets, SAFE_HEADERS } from "./assets.ts";
import { runsIn } from "./index/scan.ts";
import { DashboardIndex, IndexUnavailable } from "./index-client.ts";
import { comparedRuns, pointCount, questionQuery, required } from "./parameters.ts";
import type { IndexAnswers, IndexQuestion } from "./query/answer.ts";
import { diversityOf, healthOf, matrixOf } from "./run/health.ts";
import { RunView } from "./run/view.ts";
import { streamRun, streamRuns } from "./stream.ts";

export interface DashboardOptions {
  /** Directory of the runs. */
  readonly root: string;
  /** 0 takes any free port. */
  readonly port: number;
}

/** A dashboard that serves. */
export interface Dashboard {
  readonly url: string;
  /** Where its index lies. */
  readonly index: string;
  close(): Promise<void>;
}

const HOST = "127.0.0.1";
const GRACE_MS = 2000;
/** Streams that may be open at once. */
const MOST_STREAMS = 64;

/** Serves the runs of a directory. Errors: ConfigError (port, a program that was not built). */
export async function serveDashboard({ root, port }: DashboardOptions): Promise<Dashboard> {
  const ended = new AbortController();
  const index = new DashboardIndex(root);
  try {
    const site = new Site(root, index, ended.signal);
    const server = await HttpServer.start(site.routes, { host: HOST, port, maxBodyBytes: 0 });
    const close = async () => {
      ended.abort();
      await server.close(GRACE_MS);
      await index.close();
    };
    return { url: server.url, index: index.file, close };
  } catch (error) {
    await index.close();
    throw error;
  }
}

/** Page files beside the compiled server; from the sources (tests) those in dist/. */
function pageDir(): string {
  const here = fileURLToPath(import.meta.url);
  return here.endsWith(".ts") ? join(dirname(here), "..", "..", "dist", "dashboard", "page") : join(dirname(here), "page");
}

class Site {
  readonly #root: string;
  readonly #index: DashboardIndex;
  readonly #ended: AbortSignal;
  readonly #views = new Map<string, RunView>();
  readonly #assets = new Assets(pageDir());
  #streams = 0;

  constructor(root: string, index: DashboardIndex, ended: AbortSignal) {
    this.#root = root;
    this.#index = index;
    this.#ended = ended;
  }

  get routes(): Route[] {
    const get = (path: string, handle: (exchange: Exchange, query: URLSearchParams) => unknown): Route => ({
      method: "GET",
      path,
      handle: async (exchange) => handle(exchange, exchange.query) as Promise<void>,
    });
    const json = (path: string, answer: (query: URLSearchParams, rest: string) => unknown): Route =>
      get(path, async ({ response, rest }, query) => sendJson(response, 200, await answer(query, rest), JSON_HEADERS));
    return [
      json("/api/runs", () => this.#runs()),
      get("/api/events", (exchange) => this.#stream(() => streamRuns(exchange, () => this.#runs(), this.#ended))),
      json("/api/compare", (query) => this.#compare(query)),
      json("/api/questions", (query) => this.#questions(query)),
      json("/api/question", (query) => this.#one({ ask: "question", id: required(query, "id") })),
      json("/api/group", (query) => this.#one({ ask: "group", id: required(query, "id") })),
      get("/api/runs/*", (exchange, query) => this.#run(exchange, query)),
      get("/api/*", ({ rest }) => {
        throw new Problem(404, `/api/${rest}: expected a path of this server, got one that it does not have.`);
      }),
      get("/*", ({ headers, response, rest }) => this.#assets.send(headers, response, `/${rest}`)),
    ];
  }

  #runs(): Runs {
    const names = runsIn(this.#root);
    for (const name of this.#views.keys()) if (!names.includes(name)) this.#views.delete(name);
    const rows = names.map((name) => this.#viewOf(name).row());
    rows.sort((a, b) => (b.created ?? "").localeCompare(a.created ?? "") || a.name.localeCompare(b.name));
    return { root: this.#root, runs: rows, index: this.#index.state };
  }

  #viewOf(name: string): RunView {
    const view = this.#views.get(name) ?? new RunView(this.#root, name);
    this.#views.set(name, view);
    return view;
  }

  /** A run that is there, and can be read. Errors: Problem 404; DataError, ConfigError of a damaged one. */
  #known(name: string): RunView {
    if (!runsIn(this.#root).includes(name))
      throw new Problem(404, `run: expected one of ${this.#root}, got ${JSON.stringify(name.slice(0, 100))}.`);
    return this.#viewOf(name);
  }

  async #run(exchange: Exchange, query: URLSearchParams): Promise<void> {
    const { response, headers, rest } = exchange;
    const [name, part, ...more] = rest.split("/");
    const view = this.#known(name);
    if (more.length > 0)
      throw new Problem(404, `/api/runs/${rest}: expected a path of this server, got one that it does not have.`);
    if (part === "events") {
      const after = query.get("after") ?? headers["last-event-id"];
      await this.#stream(() => streamRun(exchange, view, after === undefined ? undefined : String(after), this.#ended));
      return;
    }
    sendJson(response, 200, await this.#partOf(view, part, query), JSON_HEADERS);
  }

  async #partOf(view: RunView, part: string | undefined, query: URLSearchParams): Promise<unknown> {
    switch (part) {
      case undefined:
        return view.detail();
      case "curves":
        return view.history.curves(pointCount(query));
      case "scores":
        return view.scores();
      case "matrix":
        return matrixOf(view);
      case "health":
        return healthOf(view);
      case "diversity":
        return diversityOf(view, await this.#ask({ ask: "map", run: view.name }));
      default:
        throw new Problem(404, `${part}: expected a part of a run, got one that there is none of.`);
    }
  }

  #compare(query: URLSearchParams): Comparison {
    const points = pointCount(query);
    const views = comparedRuns(query).map((name) => this.#known(name));
    return { runs: views.map((view) => ({ row: view.row(), curves: view.history.curves(points), scores: view.scores() })) };
  }

  async #questions(search: URLSearchParams) {
    const { offset, limit, ...query } = questionQuery(search);
    const { total, rows } = await this.#ask({ ask: "questions", query, offset, limit });
    return { total, offset, rows, index: this.#index.state };
  }

  async #one(question: IndexQuestion & { readonly ask: "question" | "group" }): Promise<unknown> {
    const found = await this.#ask(question);
    if (found !== null) return found;
    throw new Problem(404, `id: expected a ${question.ask} of the index, got ${JSON.stringify(question.id.slice(0, 150))}.`);
  }

  async #ask<Q extends IndexQuestion>(question: Q): Promise<IndexAnswers[Q["ask"]]> {
    try {
      return await this.#index.ask(question);
    } catch (error) {
      if (!(error instanceof IndexUnavailable)) throw error;
      throw new Problem(503, `index: ${error.message}.`, { headers: { "retry-after": "1" } });
    }
  }

  async #stream(run: () => Promise<void>): Promise<void> {
    if (this.#streams >= MOST_STREAMS) throw new Problem(503, `streams: expected at most ${MOST_STREAMS} at once, got one more.`);
    this.#streams++;
    try {
      await run();
    } finally {
      this.#streams--;
    }
  }
}

const JSON_HEADERS = { ...SAFE_HEADERS, "cache-control": "no-store" };
