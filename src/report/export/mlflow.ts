// A run on an MLflow tracking server while it goes: parameters once, measures as events are written. What was sent is remembered by the
// position in events.jsonl, so nothing is lost to a server that is away, and a resumed run goes on in the same MLflow run. The server
// never stops the work: its failures are told, once each time they begin. Reads the store only.
// Source: MLflow's REST API 2.0 (experiments, runs/create, runs/log-batch with at most 1,000 metrics and 100 parameters, runs/update).

import { existsSync } from "node:fs";
import { expectObject, type JsonObject, readJson } from "../../store/jsonl.ts";
import { forEachLineFrom } from "../../store/lines.ts";
import type { RunStore, StoredEvent } from "../../store/run-store.ts";
import { errorText, RunError } from "../../util/errors.ts";
import { keepSecret } from "../../util/secrets.ts";
import { type Point, SeriesReader } from "./series.ts";

/** Where runs are tracked. */
export interface MlflowSettings {
  /** Address of the server, as MLFLOW_TRACKING_URI. */
  readonly url: string;
  readonly experiment: string;
  /** The value of the authorization header. */
  readonly authorization?: string;
}

/** How a run ended, in MLflow's words. */
export type MlflowStatus = "FINISHED" | "FAILED" | "KILLED";

const MAX_METRICS = 1000;
const MAX_PARAMS = 100;
const MAX_PARAM_LENGTH = 500;
/** Events between two times that the position is remembered. */
const EVENTS_AT_ONCE = 500;
const TIMEOUT_MS = 10_000;
/** A run does not wait longer than this for its last measures to be taken. */
const CLOSE_MS = 10_000;

/** Settings from the address and MLflow's own variables (token, or user and password). */
export function mlflowSettings(url: string, experiment: string, env: NodeJS.ProcessEnv): MlflowSettings {
  const { MLFLOW_TRACKING_TOKEN: token, MLFLOW_TRACKING_USERNAME: user, MLFLOW_TRACKING_PASSWORD: password } = env;
  for (const secret of [token, password]) keepSecret(secret);
  const basic = user === undefined ? undefined : `Basic ${Buffer.from(`${user}:${password ?? ""}`).toString("base64")}`;
  keepSecret(basic);
  return { url: url.replace(/\/+$/, ""), experiment, authorization: token === undefined ? basic : `Bearer ${token}` };
}

/** What is remembered between processes. */
interface Position {
  readonly url: string;
  readonly runId: string;
  /** Bytes of events.jsonl that the server has. */
  readonly sent: number;
}

/** See the file header. */
export class MlflowTracker {
  readonly #store: RunStore;
  readonly #settings: MlflowSettings;
  readonly #warn: (text: string) => void;
  #series = new SeriesReader();
  #position: Position | undefined;
  #work: Promise<void> = Promise.resolve();
  #queued = false;
  #failing = false;

  constructor(store: RunStore, settings: MlflowSettings, warn: (text: string) => void) {
    this.#store = store;
    this.#settings = settings;
    this.#warn = warn;
  }

  /** Events were written; sends them in the background. */
  notify(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#work = this.#work.then(() => this.#send());
  }

  /** Sends what is left and says how the run ended; waits a little for a slow server. Never throws. */
  async close(status: MlflowStatus): Promise<void> {
    this.notify();
    const ended = this.#work.then(() => (this.#position === undefined ? undefined : this.#end(this.#position, status)));
    const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_MS).unref());
    await Promise.race([ended.catch(() => {}), late]);
  }

  /** The MLflow run's end; a failure was told when sending failed. */
  async #end({ runId }: Position, status: MlflowStatus): Promise<void> {
    await this.#call("POST", "runs/update", { run_id: runId, status, end_time: Date.now() });
  }

  async #send(): Promise<void> {
    this.#queued = false;
    try {
      this.#position ??= await this.#open();
      const events = readEvents(this.#store.layout.events, this.#position.sent);
      for (let at = 0; at < events.length; at += EVENTS_AT_ONCE) {
        const some = events.slice(at, at + EVENTS_AT_ONCE);
        await this.#log(
          this.#position.runId,
          some.flatMap(({ event }) => this.#series.read(event)),
        );
        this.#position = { ...this.#position, sent: some[some.length - 1].end };
        this.#store.writeJson(this.#store.layout.tracking, this.#position);
      }
      if (this.#failing) this.#warn("MLflow: the server answers again; nothing was lost");
      this.#failing = false;
    } catch (error) {
      // The axes of the points count steps, so what is sent again is read again from the start.
      this.#position = undefined;
      if (!this.#failing)
        this.#warn(`MLflow: ${errorText(error)} The run goes on; what is missing is sent when the server answers.`);
      this.#failing = true;
    }
  }

  /** Goes on in the MLflow run of before, or makes one. */
  async #open(): Promise<Position> {
    this.#series = new SeriesReader();
    const known = readPosition(this.#store.layout.tracking);
    if (known !== undefined && known.url === this.#settings.url) {
      await this.#call("POST", "runs/update", { run_id: known.runId, status: "RUNNING" });
      for (const { event } of readEvents(this.#store.layout.events, 0, known.sent)) this.#series.read(event);
      return known;
    }
    const runId = await this.#create();
    const position = { url: this.#settings.url, runId, sent: 0 };
    this.#store.writeJson(this.#store.layout.tracking, position);
    return position;
  }

  async #create(): Promise<string> {
    const { name, info, config } = this.#store;
    const experiment = await this.#experiment();
    const tags = { "mlflow.runName": name, "rzero.version": info.rzero, "rzero.recipe": info.recipe, "rzero.cpu": info.cpu };
    const { run } = await this.#call("POST", "runs/create", {
      experiment_id: experiment,
      run_name: name,
      start_time: Date.parse(info.created),
      tags: Object.entries(tags).map(([key, value]) => ({ key, value })),
    });
    const runId = expectObject(expectObject(run, "MLflow run").info, "MLflow run.info").run_id;
    if (typeof runId !== "string") throw new RunError("expected a run_id of runs/create, got none.");
    const params = leaves(config).map(([key, value]) => ({ key: key.slice(0, 250), value: value.slice(0, MAX_PARAM_LENGTH) }));
    for (let at = 0; at < params.length; at += MAX_PARAMS)
      await this.#call("POST", "runs/log-batch", { run_id: runId, params: params.slice(at, at + MAX_PARAMS) });
    return runId;
  }

  async #experiment(): Promise<string> {
    const { experiment } = this.#settings;
    const query = `experiments/get-by-name?experiment_name=${encodeURIComponent(experiment)}`;
    const found = await this.#call("GET", query, undefined, [404]);
    const inside = found.experiment === undefined ? undefined : expectObject(found.experiment, "MLflow experiment");
    const reply = inside ?? (await this.#call("POST", "experiments/create", { name: experiment }));
    return String(reply.experiment_id);
  }

  async #log(runId: string, points: readonly Point[]): Promise<void> {
    const metrics = points.map(({ tag, value, time, step }) => ({
      // MLflow takes letters, digits, `_`, `-`, `.`, `/` and spaces.
      key: tag.replace(/[^\w\-./ ]/g, "_"),
      value,
      timestamp: Math.round(time * 1000),
      step,
    }));
    for (let at = 0; at < metrics.length; at += MAX_METRICS)
      await this.#call("POST", "runs/log-batch", { run_id: runId, metrics: metrics.slice(at, at + MAX_METRICS) });
  }

  /** One request. Errors: RunError for a server that is away or refuses; a status in `allowed` gives an empty reply. */
  async #call(method: string, path: string, body?: object, allowed: readonly number[] = []): Promise<JsonObject> {
    const { url, authorization } = this.#settings;
    const where = `${method} ${url}/api/2.0/mlflow/${path.split("?")[0]}`;
    let response: Response;
    try {
      response = await fetch(`${url}/api/2.0/mlflow/${path}`, {
        method,
        redirect: "error",
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers: { "content-type": "application/json", ...(authorization && { authorization }) },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      if (response.ok) return expectObject(JSON.parse(text === "" ? "{}" : text), where);
      if (allowed.includes(response.status)) return {};
      throw new RunError(`${where}: expected 200, got ${response.status} ${text.replace(/\s+/g, " ").slice(0, 200)}.`);
    } catch (error) {
      if (error instanceof RunError) throw error;
      throw new RunError(`${where}: expected an MLflow server, got ${errorText(error).slice(0, 200)}.`);
    }
  }
}

/** Events of a growing log that begin from one byte on and before another, each with the byte where its line ends. */
function readEvents(file: string, from: number, before = Number.POSITIVE_INFINITY): { event: StoredEvent; end: number }[] {
  if (!existsSync(file)) return [];
  const events: { event: StoredEvent; end: number }[] = [];
  forEachLineFrom(file, from, ({ start, buffer, from: first, to }) => {
    if (start >= before) return;
    events.push({ event: JSON.parse(buffer.toString("utf8", first, to)) as StoredEvent, end: start + to - first + 1 });
  });
  return events;
}

function readPosition(file: string): Position | undefined {
  if (!existsSync(file)) return undefined;
  const { url, runId, sent } = expectObject(readJson(file), file);
  if (typeof url !== "string" || typeof runId !== "string" || typeof sent !== "number") return undefined;
  return { url, runId, sent };
}

/** The configuration as `path.to.key`, text. */
function leaves(value: unknown, path: readonly string[] = []): [string, string][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
    return value === undefined ? [] : [[path.join("."), text]];
  }
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]));
}
