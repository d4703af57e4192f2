// One model that a Tinker server trains: requests run in the order they came, each kept on the disk before it is acknowledged, with their
// results after. Leaves memory when its session is silent or when a request failed half-way. Knows no HTTP and not what requests do.

import type { Codec } from "../../tinker-wire/protocol.ts";
import { CheckpointError, ConfigError, DataError, EngineError, errorText } from "../../util/errors.ts";
import { sha256 } from "../../util/files.ts";
import { Problem } from "../problem.ts";
import { checkName, parseTinkerPath, tinkerPath } from "./checkpoints.ts";
import { type FutureResult, failure } from "./futures.ts";
import type { ModelHost } from "./host.ts";
import { ModelCopy } from "./model-copy.ts";
import { type Asked, type Operation, readAsked } from "./operations.ts";
import type { ModelRecord } from "./records.ts";
import { LOADED, runOperation } from "./run-operation.ts";
import { type JournalEntry, TrainingJournal, type TrainingKind } from "./training-journal.ts";

interface Waiting {
  readonly entry: JournalEntry;
  readonly operation: Operation;
}

/** See the file header. */
export class TrainedModel {
  readonly record: ModelRecord;
  lastRequest: string;
  readonly #host: ModelHost;
  readonly #journal: TrainingJournal;
  readonly #queue: Waiting[] = [];
  readonly #copy: ModelCopy;
  #running = false;
  #unloaded: boolean;

  /** Opens the model whose journal is in `dir`; requests that have no result yet are run. Errors: DataError, DiskError. */
  constructor(host: ModelHost, record: ModelRecord, dir: string) {
    this.#host = host;
    this.record = record;
    this.lastRequest = record.created;
    this.#journal = new TrainingJournal(dir);
    this.#copy = new ModelCopy(host, record, this.#journal);
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
    await this.#host.turn(() => this.#copy.drop());
  }

  /** A request from before this start: with its result, or to be run. */
  #recall(entry: JournalEntry): void {
    const { futures } = this.#host;
    const { future: id, kind, codec, seq, digest } = entry;
    const result = this.#journal.result(id);
    const isInState = entry.order <= this.#journal.stateOrder;
    // Its result is no longer kept.
    if (isInState && result === undefined && kind !== "load_weights") return;
    const claim = seq === undefined ? undefined : { key: `${this.record.id}/${seq}`, digest };
    const future = futures.adopt({ id, reread: () => this.#journal.result(id) }, claim);
    if (result !== undefined) futures.settle(future, result);
    else if (isInState) this.#finish(entry, LOADED);
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
        .catch((error) => this.#host.stopping() || this.#host.log(`${this.record.id}: ${errorText(error)}`));
    }
    this.#running = false;
  }

  async #runOne({ entry, operation }: Waiting): Promise<void> {
    const began = performance.now();
    let result: FutureResult;
    try {
      result = await runOperation({ host: this.#host, record: this.record, copy: this.#copy }, entry, operation);
      this.#copy.contains(entry, performance.now() - began);
    } catch (error) {
      // An engine that ends makes calls fail before anybody hears of it.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#host.stopping()) return;
      this.#host.log(`${this.record.id} ${entry.kind}: ${errorText(error)}`);
      result = failure(errorText(error), isUserError(error) ? "user" : "server");
      // What it left half done must not stay.
      await this.#copy.drop();
    }
    this.#finish(entry, result);
    if (operation.kind === "optim_step") await this.#copy.saveIfDue();
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

  async #unload(): Promise<void> {
    this.#unloaded = true;
    await this.#copy.drop();
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

/** The protobuf of forward_backward tells in its body that it is forward only. */
function kindOf(kind: TrainingKind, operation: Operation): TrainingKind {
  return kind === "forward_backward" ? (operation.kind as TrainingKind) : kind;
}

function isUserError(error: unknown): boolean {
  if (error instanceof Problem) return error.status < 500;
  if (error instanceof EngineError) return false;
  return error instanceof DataError || error instanceof ConfigError || error instanceof CheckpointError;
}
