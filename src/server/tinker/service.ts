// What a Tinker server holds: sessions, models in training, sampling sessions, saved weights, promised results; and what happens to them
// with time. Everything that a client may rely on after a restart is on the disk before it is told. Knows no HTTP.

import { randomBytes, randomInt } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Engine } from "../../engine/types.ts";
import {
  createModelRequest,
  createSamplingSessionRequest,
  createSessionRequest,
  heartbeatRequest,
  parseRequest,
} from "../../tinker-wire/messages.ts";
import type { Codec } from "../../tinker-wire/protocol.ts";
import { decodeSample, type SampleTarget } from "../../tinker-wire/sampling.ts";
import { ConfigError, DataError, errorText } from "../../util/errors.ts";
import { sha256 } from "../../util/files.ts";
import { Problem } from "../problem.ts";
import { CheckpointStore, parseTinkerPath } from "./checkpoints.ts";
import { FutureStore, failure } from "./futures.ts";
import type { ModelHost } from "./host.ts";
import { type ModelAddress, readAsked } from "./operations.ts";
import { type ModelRecord, RecordFolder, type SamplerRecord, type SessionRecord } from "./records.ts";
import { SamplerPool } from "./samplers.ts";
import { liveRequest, sampleResult } from "./sampling.ts";
import { nextEpoch } from "./state-directory.ts";
import { TrainedModel } from "./trained-model.ts";
import type { DataLimits } from "./training-data.ts";
import type { TrainingKind } from "./training-journal.ts";

/** The model that is served, and within which bounds. */
export interface TinkerOptions {
  readonly engine: Engine;
  /** Directory of a whole model. */
  readonly baseDir: string;
  /** What clients may call it; the first is told. */
  readonly names: readonly string[];
  readonly limits: DataLimits;
  /** Directory of all that outlives a restart. */
  readonly stateDir: string;
  /** Requests without a result; more are answered 429. */
  readonly maxPending: number;
  /** Models in training at once. */
  readonly maxModels: number;
  /** Memory of keys and values of each set of weights that is sampled from; default: the engine's. */
  readonly cacheBytes?: number;
  /** Silence after which a session's models leave memory. */
  readonly sessionMs: number;
  log(line: string): void;
}

const MAX_RESULT_BYTES = 256 * 2 ** 20;
const MAX_OPEN_SAMPLERS = 8;
const MOST_SESSIONS = 4096;
const MOST_SAMPLERS = 16_384;
const MOST_MODEL_RECORDS = 65_536;
const KEPT_MODELS = 256;
const MOST_METADATA = 65_536;
/** Heartbeats come every 10 s. */
const SILENT_MS = 30_000;
const LORA_PARTS = { attn: ["q_proj", "k_proj", "v_proj", "o_proj"], mlp: ["gate_proj", "up_proj", "down_proj"] };
const LARGEST_RANK = 1024;
const LARGEST_SEED = 2 ** 31 - 1;

/** See the file header. */
export class TinkerService implements ModelHost {
  readonly names: readonly string[];
  readonly engine: Engine;
  readonly baseDir: string;
  readonly limits: DataLimits;
  readonly futures: FutureStore;
  readonly checkpoints: CheckpointStore;
  readonly samplers: SamplerPool;
  readonly sessions: RecordFolder<"sessions", SessionRecord>;
  readonly samplingSessions: RecordFolder<"samplers", SamplerRecord>;
  readonly #options: TinkerOptions;
  readonly #records: RecordFolder<"models", ModelRecord>;
  readonly #models = new Map<string, TrainedModel>();
  readonly #lastSeen = new Map<string, number>();
  #last: Promise<unknown> = Promise.resolve();
  #stopping = false;

  /** Opens the state directory; requests that a former server accepted and did not finish begin to run. Errors: DataError, DiskError. */
  constructor(options: TinkerOptions) {
    const { engine, baseDir, names, limits, stateDir, maxPending, cacheBytes } = options;
    this.#options = options;
    this.engine = engine;
    this.baseDir = baseDir;
    this.names = names;
    this.limits = limits;
    this.futures = new FutureStore(nextEpoch(stateDir, baseDir), { maxPending, maxResultBytes: MAX_RESULT_BYTES });
    this.checkpoints = new CheckpointStore(join(stateDir, "checkpoints"));
    this.samplers = new SamplerPool(engine, { maxOpen: MAX_OPEN_SAMPLERS, cacheBytes });
    this.sessions = new RecordFolder(stateDir, "sessions", MOST_SESSIONS);
    this.samplingSessions = new RecordFolder(stateDir, "samplers", MOST_SAMPLERS);
    this.#records = new RecordFolder(stateDir, "models", MOST_MODEL_RECORDS);
    for (const { id } of this.sessions.all) this.#seen(id);
    for (const record of this.#records.all) this.#models.set(record.id, this.#openModel(record));
    this.#forgetOldModels();
  }

  /** Models, the last made at the end. */
  get models(): TrainedModel[] {
    return [...this.#models.values()];
  }

  /** Errors: Problem 404. */
  model(id: string): TrainedModel {
    const model = this.#models.get(id);
    if (model === undefined) throw new Problem(404, `Model ${id} not found`);
    return model;
  }

  turn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  stopping(): boolean {
    return this.#stopping;
  }

  log(line: string): void {
    this.#options.log(line);
  }

  createSession(body: Uint8Array): SessionRecord {
    const { tags = [] } = parseRequest(createSessionRequest, body);
    const record = this.sessions.put({ id: newId("session"), created: now(), tags });
    this.#seen(record.id);
    return record;
  }

  /** Errors: Problem 404. */
  heartbeat(body: Uint8Array): void {
    this.#session(parseRequest(heartbeatRequest, body).session_id);
  }

  /** Accepts a new model; the same request again gives the same. Errors: Problem, DataError. */
  createModel(body: Uint8Array): ModelRecord {
    const request = parseRequest(createModelRequest, body);
    const { session_id: session, model_seq_id: modelSeq, base_model, lora_config: lora, user_metadata } = request;
    this.#session(session);
    this.#checkBase(base_model);
    const digest = sha256(body);
    const before = this.models.find(({ record }) => record.session === session && record.modelSeq === modelSeq);
    if (before !== undefined) {
      if (before.record.digest === digest) return before.record;
      throw new Problem(409, `model_seq_id: expected a new one for another model, got ${modelSeq} again.`);
    }
    if (lora.rank > LARGEST_RANK)
      throw new DataError(`body.lora_config.rank: expected at most ${LARGEST_RANK}, got ${lora.rank}.`);
    const targets = [...(lora.train_attn ? LORA_PARTS.attn : []), ...(lora.train_mlp ? LORA_PARTS.mlp : [])];
    if (lora.rank > 0 && targets.length === 0)
      throw new DataError(
        "body.lora_config: expected train_attn or train_mlp, got neither (train_unembed alone has no effect here).",
      );
    if (JSON.stringify(user_metadata ?? {}).length > MOST_METADATA)
      throw new DataError(`body.user_metadata: expected at most ${MOST_METADATA} characters, got more.`);
    this.#makeRoom();
    this.#forgetOldModels();
    this.futures.checkRoom();
    const record: ModelRecord = {
      ...{ id: newId("model"), session, modelSeq, digest, future: this.futures.nextId, created: now() },
      ...{ baseModel: this.names[0], rank: lora.rank, targets: lora.rank > 0 ? targets : [], userMetadata: user_metadata },
      seed: lora.seed ?? randomInt(LARGEST_SEED),
    };
    const model = this.#openModel(record);
    model.submit("create_model", readAsked("create_model", body, "json"), body, "json");
    this.#models.set(record.id, model);
    return this.#records.put(record);
  }

  /** Accepts a request of a model; returns its future and the model. Errors: Problem, DataError. */
  train(kind: TrainingKind, body: Uint8Array, codec: Codec): { future: string; modelId: string } {
    const asked = readAsked(kind, body, codec);
    const model = this.#addressed(asked.model);
    if (this.sessions.get(model.record.session) !== undefined) this.#seen(model.record.session);
    return { future: model.submit(kind, asked, body, codec), modelId: model.record.id };
  }

  /** Errors: Problem, DataError. */
  createSamplingSession(body: Uint8Array): string {
    const request = parseRequest(createSamplingSessionRequest, body);
    const { session_id, sampling_session_seq_id, base_model, model_path } = request;
    this.#session(session_id);
    if ((base_model === undefined) === (model_path === undefined))
      throw new Problem(400, "Exactly one of base_model or model_path must be provided");
    if (base_model !== undefined) this.#checkBase(base_model);
    else this.#samplerDir(model_path);
    return this.openSession(session_id, sampling_session_seq_id, model_path);
  }

  openSession(session: string, seq: number | undefined, modelPath: string | undefined): string {
    const known = this.samplingSessions.all.find(
      (one) => seq !== undefined && one.session === session && one.seq === seq && one.modelPath === modelPath,
    );
    return (known ?? this.samplingSessions.put({ id: newId("sampling"), session, seq, created: now(), modelPath })).id;
  }

  /** Accepts a sampling request; returns its future. Errors: Problem, DataError. */
  sample(body: Uint8Array): string {
    const request = decodeSample(body);
    const live = liveRequest(request, this.limits);
    const dir = this.#targetDir(request.target);
    const digest = sha256(body);
    const numbered = "samplingSessionId" in request.target && request.target.seqId !== undefined;
    const claim = { key: `sample/${digest}`, digest };
    const before = numbered ? this.futures.claimed(claim.key, digest) : undefined;
    if (before !== undefined) return before;
    const future = this.futures.create(numbered ? claim : undefined);
    void this.samplers
      .acquire(dir)
      .then(async (held) => {
        try {
          return await sampleResult(held.live, live);
        } finally {
          held.release();
        }
      })
      .catch(async (error) => {
        await new Promise((resolve) => setImmediate(resolve));
        if (!this.#stopping) this.log(`asample: ${errorText(error)}`);
        const user = error instanceof DataError || error instanceof ConfigError;
        return failure(errorText(error), user ? "user" : "server");
      })
      .then((result) => {
        if (!this.#stopping) this.futures.settle(future, result);
      });
    return future.id;
  }

  /** Directory of the weights that a checkpoint holds for sampling. Errors: Problem 400, 404. */
  #samplerDir(path: string | undefined): string {
    if (path === undefined) return this.baseDir;
    const ref = parseTinkerPath(path);
    if (ref.kind !== "sampler_weights")
      throw new Problem(400, `model_path: expected weights of save_weights_for_sampler, got ${path}, a training state.`);
    this.checkpoints.find(ref);
    return this.checkpoints.contentDir(ref);
  }

  /** Time passes: silent sessions give back memory, old checkpoints go. */
  async sweep(at = Date.now()): Promise<void> {
    for (const gone of this.checkpoints.sweep(at)) await this.samplers.drop(this.checkpoints.contentDir(gone));
    for (const [session, seen] of this.#lastSeen) {
      if (at - seen <= this.#options.sessionMs) continue;
      this.#lastSeen.delete(session);
      for (const model of this.models) if (model.record.session === session) await model.release();
    }
  }

  /** Ends: nothing more is taken in or told to have failed; what was accepted is on the disk. */
  stop(): void {
    this.#stopping = true;
    this.futures.close();
  }

  #openModel(record: ModelRecord): TrainedModel {
    return new TrainedModel(this, record, this.#trainingDir(record.id));
  }

  #trainingDir(id: string): string {
    return join(this.#options.stateDir, "training", id);
  }

  #seen(session: string): void {
    this.#lastSeen.set(session, Date.now());
  }

  #session(id: string): void {
    if (this.sessions.get(id) === undefined) throw new Problem(404, "Session not found");
    this.#seen(id);
  }

  #checkBase(name: string): void {
    if (!this.names.includes(name))
      throw new Problem(400, `base_model: expected ${this.names.join(" or ")}, got ${JSON.stringify(name)}.`);
  }

  /** The model whose session has been silent longest gives its place to a new one. */
  #makeRoom(): void {
    const alive = this.models.filter(({ isUnloaded }) => !isUnloaded);
    if (alive.length < this.#options.maxModels) return;
    const silentMs = ({ record }: TrainedModel) => Date.now() - (this.#lastSeen.get(record.session) ?? 0);
    const least = Math.min(SILENT_MS, this.#options.sessionMs);
    const silent = alive.filter((model) => !model.isBusy && silentMs(model) > least).sort((a, b) => silentMs(b) - silentMs(a))[0];
    if (silent === undefined)
      throw new Problem(400, `Maximum number of models (${this.#options.maxModels}) reached; unload one first`);
    const body = Buffer.from(JSON.stringify({ model_id: silent.record.id }));
    silent.submit("unload_model", readAsked("unload_model", body, "json"), body, "json");
  }

  /** Of the models that were unloaded and left no checkpoints, the last ones are remembered. */
  #forgetOldModels(): void {
    const isOver = (model: TrainedModel) =>
      model.isUnloaded && !model.isBusy && this.checkpoints.list(model.record.id).length === 0;
    const surplus = this.#models.size - KEPT_MODELS;
    if (surplus <= 0) return;
    for (const { record } of this.models.filter(isOver).slice(0, surplus)) {
      this.#models.delete(record.id);
      this.#records.remove(record.id);
      rmSync(this.#trainingDir(record.id), { recursive: true, force: true });
    }
  }

  #addressed(address: ModelAddress): TrainedModel {
    if ("modelId" in address) return this.model(address.modelId);
    const { sessionId, modelSeq } = address;
    const found = this.models.find(({ record }) => record.session === sessionId && record.modelSeq === modelSeq);
    if (found === undefined) throw new Problem(404, `Model ${modelSeq} of session ${sessionId} not found`);
    return found;
  }

  #targetDir(target: SampleTarget): string {
    if ("baseModel" in target) {
      this.#checkBase(target.baseModel);
      return this.baseDir;
    }
    if ("modelPath" in target) return this.#samplerDir(target.modelPath);
    const session = this.samplingSessions.get(target.samplingSessionId);
    if (session === undefined) throw new Problem(404, "Sampling session not found");
    if (this.sessions.get(session.session) !== undefined) this.#seen(session.session);
    return this.#samplerDir(session.modelPath);
  }
}

function newId(kind: string): string {
  return `${kind}_${randomBytes(4).toString("hex")}`;
}

function now(): string {
  return new Date().toISOString();
}
