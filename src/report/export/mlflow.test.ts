// Tracking against a server of the test's own that speaks the endpoints used: everything arrives once, whatever the server does.

import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig, parseOverride } from "../../config/load.ts";
import type { RunStore } from "../../store/run-store.ts";
import { createRun } from "../../store/runs.ts";
import { MlflowTracker, mlflowSettings } from "./mlflow.ts";

interface Metric {
  key: string;
  value: number;
  step: number;
}

/** The part of a tracking server that is used. */
class Tracking {
  readonly metrics: Metric[] = [];
  readonly params = new Map<string, string>();
  readonly statuses: string[] = [];
  readonly authorizations = new Set<string | undefined>();
  runs = 0;
  /** Answers 500 to so many requests. */
  failures = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      this.authorizations.add(request.headers.authorization);
      const [status, reply] = this.#answer(request.url ?? "", Buffer.concat(parts).toString());
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(reply));
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #answer(url: string, text: string): [number, object] {
    if (this.failures-- > 0) return [500, { error_code: "INTERNAL_ERROR" }];
    const path = url.replace("/api/2.0/mlflow/", "").split("?")[0];
    const body = text === "" ? {} : JSON.parse(text);
    if (path === "experiments/get-by-name") return [404, { error_code: "RESOURCE_DOES_NOT_EXIST" }];
    if (path === "experiments/create") return [200, { experiment_id: "7" }];
    if (path === "runs/create") return [200, { run: { info: { run_id: `run-${++this.runs}` } } }];
    if (path === "runs/update") this.statuses.push(body.status);
    else if (path === "runs/log-batch") this.#log(body);
    else return [404, {}];
    return [200, {}];
  }

  #log({ metrics = [], params = [] }: { metrics?: Metric[]; params?: { key: string; value: string }[] }): void {
    if (metrics.length > 1000 || params.length > 100) throw new Error("a batch too large");
    this.metrics.push(...metrics);
    for (const { key, value } of params) this.params.set(key, value);
  }
}

let root: string;
let tracking: Tracking;
let url: string;
let store: RunStore;
let said: string[];

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "rzero-mlflow-"));
  tracking = new Tracking();
  url = await tracking.listen();
  store = createRun({ root, config: loadConfig({ recipe: "tiny", overrides: [parseOverride("--seed=9")] }), version: "1" });
  store.lock();
  said = [];
});
afterEach(() => {
  tracking.close();
  store.unlock();
  rmSync(root, { recursive: true, force: true });
});

const tracker = (env: NodeJS.ProcessEnv = {}) =>
  new MlflowTracker(store, mlflowSettings(`${url}/`, "mine", env), (text) => said.push(text));

function step(iteration: number, number: number): void {
  store.appendEvent({
    event: "solver-step",
    iteration,
    step: number,
    steps: 2,
    seconds: 1,
    metrics: { reward: number / 10, tokens: 5 },
  });
}

const rewards = () => tracking.metrics.filter(({ key }) => key === "solver/reward").map(({ step: at, value }) => [at, value]);

describe("MlflowTracker", () => {
  it("sends parameters once and every measure once, over a resume", async () => {
    step(1, 1);
    const first = tracker({ MLFLOW_TRACKING_TOKEN: "secret-token" });
    first.notify();
    step(1, 2);
    await first.close("KILLED");
    const second = tracker();
    step(2, 1);
    await second.close("FINISHED");
    expect(rewards()).toEqual([
      [1, 0.1],
      [2, 0.2],
      [3, 0.1],
    ]);
    expect(tracking.runs).toBe(1);
    expect(tracking.params.get("seed")).toBe("9");
    expect(tracking.params.get("curriculum.band")).toMatch(/^\[/);
    expect(tracking.statuses).toEqual(["KILLED", "RUNNING", "FINISHED"]);
    expect(tracking.authorizations.has("Bearer secret-token")).toBe(true);
    expect(said).toEqual([]);
  });

  it("says once that the server fails, and sends what was missing when it answers", async () => {
    tracking.failures = 1;
    const tracked = tracker();
    for (let number = 1; number <= 4; number++) {
      step(1, number);
      tracked.notify();
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await tracked.close("FINISHED");
    expect(rewards().map(([at]) => at)).toEqual([1, 2, 3, 4]);
    expect(said).toHaveLength(2);
    expect(said[0]).toMatch(/^MLflow: GET http.*get-by-name: expected 200, got 500/);
    expect(said[1]).toContain("answers again");
  });

  it("lets a run end when there is no server", async () => {
    tracking.close();
    step(1, 1);
    await tracker().close("FINISHED");
    expect(said).toEqual([expect.stringContaining("expected an MLflow server")]);
  });

  it("sends long logs whole, with lines longer than it reads at once", async () => {
    store.appendEvent({ event: "warning", message: "x".repeat(3 << 20) });
    for (let number = 1; number <= 700; number++) step(1, number);
    await tracker().close("FINISHED");
    expect(rewards()).toHaveLength(700);
  });
});
