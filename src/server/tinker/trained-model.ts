// One model that a Tinker server trains: requests run in the order they came, each kept on the disk before it is acknowledged. The model in
// memory is only a copy of what the journal says (the saved state, and the requests after it run again), so it may be dropped at any
// time: when its session is silent, when a request failed half-way, when the server ends. Knows no HTTP.

import type { Datum, Engine, Snapshot, Trainer } from "../../engine/types.ts";
import { APPLIED_METRIC, type Codec, GRAD_NORM_METRIC, LORA_ALPHA } from "../../tinker-wire/protocol.ts";
import { metricsJson } from "../../tinker-wire/training.ts";
import { CheckpointError, ConfigError, DataError, EngineError, errorText } from "../../util/errors.ts";
import { sha256 } from "../../util/files.ts";
import { Problem } from "../problem.ts";
import { type CheckpointStore, checkName, parseTinkerPath, tinkerPath } from "./checkpoints.ts";
import { type FutureResult, type FutureStore, failure } from "./futures.ts";
import { type LossOutput, tinkerLoss } from "./losses.ts";
import { type Asked, type Operation, readAsked } from "./operations.ts";
import type { ModelRecord } from "./records.ts";
import type { SamplerPool } from "./samplers.ts";
import { type DataLimits, passResult, type TrainingPass } from "./training-data.ts";
import { type JournalEntry, TrainingJournal, type TrainingKind } from "./training-journal.ts";

/** What the models of one server share. */
export interface ModelHost {
  readonly engine: Engine;
  /** Directory of the base model. */
  readonly baseDir: string;
  readonly limits: DataLimits;
  readonly futures: FutureStore;
  readonly checkpoints: CheckpointStore;
  readonly samplers: SamplerPool;
  /** Runs one piece of training at a time, in the order of asking; models take turns by it. */
  turn<T>(work: () => Promise<T>): Promise<T>;
  /** Whether the server ends: what fails then has not failed. */
  stopping(): boolean;
  /** Opens a sampling session over saved weights; returns its id. */
  openSession(sessionId: string, seq: number | undefined, modelPath: string): string;
  log(line: string): void;
}

interface Waiting {
  readonly entry: JournalEntry;
  readonly operation: Operation;
}

/** Saving may take this share of the time that training takes. */
const SAVING_SHARE = 0.1;
const MOST_BODY_BYTES = 256 * 2 ** 20;

/** See the file header. */
export class TrainedModel {
  readonly record: ModelRecord;
  lastRequest: string;
  readonly #host: ModelHost;
  readonly #journal: TrainingJournal;
  readonly #queue: Waiting[] = [];
  /** The newest run in memory, with the order of the last request that it contains. */
  #trainer: Promise<Trainer> | undefined;
  #frozen: Snapshot | undefined;
  #running = false;
  #unloaded: boolean;
  #lastSaveMs = 0;
  #workMs = 0;

  /** Opens the model whose journal is in `dir`; requests that have no result yet are run. Errors: DataError, DiskError. */
  constructor(host: ModelHost, record: ModelRecord, dir: string) {
    this.#host = host;
    this.record = record;
    this.lastRequest = record.created;
    this.#journal = new TrainingJournal(dir);
    this.#unloaded = this.#journal.entries.some(({ kind }) => kind === "unload_model");
    for (const entry of this.#journal.entries) this.#recall(entry);
    const [first] = this.#journal.entries;
    if (first?.kind === "create_model" && this.#journal.result(first.future)?.kind === "error") this.#unloaded = true;
    void this.#work();
  }

  get isUnloaded(): boolean {
    return this.#unloaded;
  }

  /** Whether requests wait or run. */
  get isBusy(): boolean {
    return this.#running;
  }

  /** Takes a request in; it is on the disk when this returns. The same request again gives the same future. Errors: Problem, DataError, DiskError. */
  submit(kind: TrainingKind, asked: Asked, body: Uint8Array, codec: Codec): string {
    const digest = sha256(Buffer.concat([Buffer.from(`${kind}\n`), body]));
    const claim = asked.seq === undefined ? undefined : { key: `${this.record.id}/${asked.seq}`, digest };
    const before = claim && this.#host.futures.claimed(claim.key, digest);
    if (before !== undefined) return before;
    if (this.#unloaded) throw new Problem(404, `Model ${this.record.id} not loaded`);
    const last = this.#journal.entries.findLast(({ seq }) => seq !== undefined)?.seq ?? 0;
    if (asked.seq !== undefined && asked.seq <= last)
      throw new Problem(409, `seq_id: expected more than ${last}, the last one of this model, got ${asked.seq}.`);
    const operation = asked.operation(this.#host.limits);
    this.#checkTarget(operation);
    this.#host.futures.checkRoom();
    const future = this.#host.futures.nextId;
    const entry = this.#journal.append({ kind: kindOf(kind, operation), seq: asked.seq, digest, future, codec }, body);
    this.#host.futures.create(claim, () => this.#journal.result(future));
    this.lastRequest = new Date().toISOString();
    if (kind === "unload_model") this.#unloaded = true;
    this.#queue.push({ entry, operation });
    void this.#work();
    return future;
  }

  /** Drops the model from memory; the next request brings it back. */
  async release(): Promise<void> {
    await this.#host.turn(() => this.#drop());
  }

  /** A request from before this start: with its result, or to be run. */
  #recall(entry: JournalEntry): void {
    const { futures } = this.#host;
    const { future: id, kind, codec, seq, digest } = entry;
    const claim = seq === undefined ? undefined : { key: `${this.record.id}/${seq}`, digest };
    const future = futures.adopt({ id, reread: () => this.#journal.result(id) }, claim);
    const result = this.#journal.result(id);
    if (result !== undefined) futures.settle(future, result);
    else if (entry.order <= this.#journal.stateOrder) this.#finish(entry, { kind: "other", json: LOADED });
    else {
      try {
        const operation = readAsked(kind, this.#journal.body(entry), codec).operation(this.#host.limits);
        this.#queue.push({ entry, operation });
      } catch (error) {
        this.#finish(entry, failure(errorText(error), "server"));
      }
    }
  }

  async #work(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    // Who asked first goes first, also among models.
    for (let next = this.#queue.shift(); next !== undefined && !this.#host.stopping(); next = this.#queue.shift()) {
      const waiting = next;
      await this.#host
        .turn(() => this.#runOne(waiting))
        .catch((error) => this.#host.log(`${this.record.id}: ${errorText(error)}`));
    }
    this.#running = false;
  }

  async #runOne({ entry, operation }: Waiting): Promise<void> {
    const began = performance.now();
    let result: FutureResult;
    try {
      result = await this.#run(entry, operation);
    } catch (error) {
      // An engine that ends makes calls fail before anybody hears of it.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#host.stopping()) return;
      this.#host.log(`${this.record.id} ${entry.kind}: ${errorText(error)}`);
      result = failure(errorText(error), isUserError(error) ? "user" : "server");
      // What it left half done must not stay.
      await this.#drop();
    }
    this.#workMs += performance.now() - began;
    this.#finish(entry, result);
    if (operation.kind === "optim_step") await this.#saveStateIfDue(entry);
    if (entry.kind === "unload_model" || (entry.kind === "create_model" && result.kind === "error")) await this.#unload();
  }

  #finish(entry: JournalEntry, result: FutureResult): void {
    try {
      this.#journal.putResult(entry, result);
    } catch (error) {
      this.#host.log(`${this.record.id}: a result could not be kept: ${errorText(error)}`);
    }
    this.#host.futures.settle({ id: entry.future }, result);
  }

  async #run(entry: JournalEntry, operation: Operation): Promise<FutureResult> {
    switch (operation.kind) {
      case "create_model":
        await this.#open(entry);
        return { kind: "other", json: JSON.stringify({ ...describeModel(this.record), type: "create_model" }) };
      case "forward":
        return this.#forward(entry, operation);
      case "forward_backward": {
        const outputs = new Map<Datum, LossOutput>();
        const loss = await forwardBackward(await this.#open(entry), operation, outputs);
        return passResult(operation.data, outputs, loss);
      }
      case "optim_step":
        return this.#step(entry, operation);
      case "save_weights":
        return this.#saveWeights(entry, operation);
      case "save_weights_for_sampler":
        return this.#saveForSampler(entry, operation);
      case "load_weights":
        return this.#load(entry, operation);
      case "unload_model":
        return { kind: "other", json: JSON.stringify({ model_id: this.record.id, status: "unloaded", type: "unload_model" }) };
    }
  }

  /** The model as it stands before `entry`. */
  #open(entry: JournalEntry): Promise<Trainer> {
    this.#trainer ??= this.#bringBack(entry);
    return this.#trainer;
  }

  async #bringBack({ order }: JournalEntry): Promise<Trainer> {
    const { rank, seed, targets } = this.record;
    const adapter = rank === 0 ? ("none" as const) : { rank, seed, targets, alpha: LORA_ALPHA };
    const trainer = await this.#host.engine.openTrainer(this.#host.baseDir, { adapter });
    try {
      const state = this.#journal.stateDir;
      if (state !== undefined) await trainer.loadState(state);
      for (const entry of this.#journal.entries)
        if (entry.order > this.#journal.stateOrder && entry.order < order) await this.#runAgain(trainer, entry);
      return trainer;
    } catch (error) {
      await trainer.dispose();
      throw error;
    }
  }

  /** Repeats what a request did to the model. */
  async #runAgain(trainer: Trainer, entry: JournalEntry): Promise<void> {
    if (entry.kind !== "forward_backward" && entry.kind !== "optim_step") return;
    const result = this.#journal.result(entry.future);
    // An optimizer step that was the caller's fault has dropped the gradient; all else that failed has changed nothing.
    const failed = result?.kind === "error";
    if (failed && (entry.kind === "forward_backward" || result.json.includes('"category":"server"'))) return;
    const asked = readAsked(entry.kind, this.#journal.body(entry), entry.codec);
    const operation = asked.operation(this.#host.limits);
    if (operation.kind === "optim_step") await trainer.optimStep(operation.params);
    else if (operation.kind === "forward_backward") await forwardBackward(trainer, operation, new Map());
  }

  async #drop(): Promise<void> {
    const trainer = this.#trainer;
    this.#trainer = undefined;
    await this.#thaw();
    await (await trainer?.catch(() => undefined))?.dispose();
  }

  async #thaw(): Promise<void> {
    const frozen = this.#frozen;
    this.#frozen = undefined;
    await frozen?.dispose();
  }

  async #forward(entry: JournalEntry, pass: TrainingPass): Promise<FutureResult> {
    const trainer = await this.#open(entry);
    this.#frozen ??= await trainer.snapshot();
    const logprobs = await this.#frozen.logprobs(pass.data);
    const outputs = new Map<Datum, LossOutput>();
    const loss = tinkerLoss(pass.loss, pass.bounds, outputs);
    const total = pass.data.reduce((sum, datum, i) => sum + loss(logprobs[i], datum).loss, 0);
    return passResult(pass.data, outputs, total);
  }

  async #step(entry: JournalEntry, { params, mayBeSkipped }: Operation & { kind: "optim_step" }): Promise<FutureResult> {
    const trainer = await this.#open(entry);
    const { gradNorm, applied } = await trainer.optimStep(params);
    await this.#thaw();
    if (!applied && !mayBeSkipped)
      return failure(`optim_step: expected a finite gradient norm, got ${gradNorm}. The gradient was dropped.`, "user");
    const metrics = { [GRAD_NORM_METRIC]: gradNorm, [APPLIED_METRIC]: applied ? 1 : 0, learning_rate: params.learningRate };
    return { kind: "other", json: `{"metrics":${metricsJson(metrics)},"type":"optim_step"}` };
  }

  async #saveWeights(entry: JournalEntry, operation: Operation & { kind: "save_weights" }): Promise<FutureResult> {
    const trainer = await this.#open(entry);
    const ref = { modelId: this.record.id, kind: "weights" as const, name: operation.name ?? nameOf(entry) };
    await this.#host.checkpoints.save(ref, operation, (dir) => trainer.saveState(dir));
    return { kind: "other", json: JSON.stringify({ path: tinkerPath(ref), type: "save_weights" }) };
  }

  async #saveForSampler(
    entry: JournalEntry,
    { name, ttlSeconds, sessionSeq }: Operation & { kind: "save_weights_for_sampler" },
  ): Promise<FutureResult> {
    const { checkpoints, samplers } = this.#host;
    const trainer = await this.#open(entry);
    const ephemeral = name === undefined && sessionSeq !== undefined;
    const named = name ?? (ephemeral ? `ss${sessionSeq}_seq${entry.seq ?? entry.order}` : nameOf(entry));
    const ref = { modelId: this.record.id, kind: "sampler_weights" as const, name: named };
    const old = await checkpoints.save(ref, { ttlSeconds, ephemeral }, (dir) => trainer.exportModel(dir));
    for (const gone of old) await samplers.drop(checkpoints.contentDir(gone));
    samplers.adopt(checkpoints.contentDir(ref), await trainer.snapshot());
    const sampling_session_id = ephemeral ? this.#host.openSession(this.record.session, sessionSeq, tinkerPath(ref)) : null;
    const path = ephemeral ? null : tinkerPath(ref);
    return { kind: "other", json: JSON.stringify({ path, type: "save_weights_for_sampler", sampling_session_id }) };
  }

  /** What was loaded is saved at once: its source may be gone when the model is brought back. */
  async #load(entry: JournalEntry, { path, optimizer }: Operation & { kind: "load_weights" }): Promise<FutureResult> {
    const trainer = await this.#open(entry);
    const ref = parseTinkerPath(path);
    this.#host.checkpoints.find(ref);
    await trainer.loadState(this.#host.checkpoints.contentDir(ref));
    if (!optimizer) await trainer.resetOptimizer();
    await this.#thaw();
    await this.#journal.saveState(entry.order, (dir) => trainer.saveState(dir));
    return { kind: "other", json: LOADED };
  }

  /** Saves the state when that costs little beside the training since the last one; the journal has the rest. */
  async #saveStateIfDue({ order }: JournalEntry): Promise<void> {
    if (this.#trainer === undefined) return;
    const due = this.#workMs * SAVING_SHARE >= this.#lastSaveMs || this.#journal.bodyBytes > MOST_BODY_BYTES;
    if (!due) return;
    const trainer = await this.#trainer;
    const began = performance.now();
    try {
      await this.#journal.saveState(order, (dir) => trainer.saveState(dir));
    } catch (error) {
      if (!this.#host.stopping()) this.#host.log(`${this.record.id}: its state could not be saved: ${errorText(error)}`);
    }
    this.#lastSaveMs = performance.now() - began;
    this.#workMs = 0;
  }

  async #unload(): Promise<void> {
    this.#unloaded = true;
    await this.#drop();
    this.#journal.forgetModel();
  }

  /** What can be known to fail before the request is taken in. */
  #checkTarget(operation: Operation): void {
    const { checkpoints } = this.#host;
    if (operation.kind === "load_weights") {
      const ref = parseTinkerPath(operation.path);
      if (ref.kind !== "weights")
        throw new Problem(400, `path: expected tinker://MODEL/weights/NAME, which save_weights gave, got ${operation.path}.`);
      const isComing = this.#queue.some((waiting) => waiting.operation.kind === "save_weights");
      if (!isComing) checkpoints.find(ref);
    }
    if (operation.kind !== "save_weights" && operation.kind !== "save_weights_for_sampler") return;
    if (operation.name === undefined) return;
    const kind = operation.kind === "save_weights" ? ("weights" as const) : ("sampler_weights" as const);
    const ref = { modelId: this.record.id, kind, name: checkName(operation.name) };
    const overwrite = operation.kind === "save_weights" && operation.overwrite;
    const isWaiting = this.#queue.some(
      ({ operation: other }) => other.kind === operation.kind && "name" in other && other.name === operation.name,
    );
    if (!overwrite && (isWaiting || checkpoints.has(ref)))
      throw new Problem(409, `Checkpoint already exists: ${tinkerPath(ref)}`);
  }
}

const LOADED = JSON.stringify({ type: "load_weights" });

/** A model as create_model's result shows it. */
export function describeModel({ id, baseModel, rank, seed, targets }: ModelRecord): object {
  return {
    model_id: id,
    base_model: baseModel,
    lora_config: { rank, alpha: LORA_ALPHA, seed, ...trainedParts({ targets }) },
  };
}

/** Which parts of a model have adapters, as the protocol names them. */
export function trainedParts({ targets }: Pick<ModelRecord, "targets">): object {
  return { train_attn: targets.includes("q_proj"), train_mlp: targets.includes("gate_proj"), train_unembed: false };
}

async function forwardBackward(
  trainer: Trainer,
  { data, loss, bounds }: TrainingPass,
  outputs: Map<Datum, LossOutput>,
): Promise<number> {
  return (await trainer.forwardBackward(data, tinkerLoss(loss, bounds, outputs))).loss;
}

/** The protobuf of forward_backward tells in its body that it is forward only. */
function kindOf(kind: TrainingKind, operation: Operation): TrainingKind {
  return kind === "forward_backward" ? (operation.kind as TrainingKind) : kind;
}

function nameOf({ seq, order }: JournalEntry): string {
  return `${seq ?? order}`.padStart(6, "0");
}

function isUserError(error: unknown): boolean {
  if (error instanceof Problem) return error.status < 500;
  if (error instanceof EngineError) return false;
  return error instanceof DataError || error instanceof ConfigError || error instanceof CheckpointError;
}
