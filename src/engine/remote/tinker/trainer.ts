// A Trainer whose model is on a Tinker server. Losses are computed here, between a forward and a forward_backward that applies their
// gradient; see passes.ts. Saved states are small files that name the server's. Knows no roles.

import { join } from "node:path";
import { parseValue, savedResult } from "../../../tinker-wire/messages.ts";
import { APPLIED_METRIC, type Codec, GRAD_NORM_METRIC } from "../../../tinker-wire/protocol.ts";
import { parseMetrics, type WireDatum } from "../../../tinker-wire/training.ts";
import { EngineError } from "../../../util/errors.ts";
import { packMicroBatches } from "../../local/packed-batch.ts";
import type {
  AdamWParams,
  Datum,
  ExportOptions,
  LossFn,
  Metrics,
  SaveOptions,
  Snapshot,
  StepStats,
  Trainer,
} from "../../types.ts";
import { jsonBody } from "./connection.ts";
import type { EngineParts } from "./engine.ts";
import { exportArchive } from "./export.ts";
import { decodePass, jsonResult, type MakeBody, type ModelBase, type RemoteModel } from "./model.ts";
import { forwardDatum, type GradientForm, gradientData } from "./passes.ts";
import { allOf, type Change, type History, Policy } from "./policy.ts";
import { RequestJournal } from "./request-journal.ts";
import { fillLogprobs, optimBody, passRequest } from "./requests.ts";
import { readSavedState, writeSavedState } from "./saved-state.ts";
import type { Server } from "./server.ts";
import { TinkerSnapshot } from "./snapshot.ts";

/** Bytes of a token in the body of a request, at most. */
const BYTES_PER_TOKEN: Readonly<Record<Codec, number>> = { json: 64, protobuf: 24 };

/** See the file header. */
export class TinkerTrainer implements Trainer {
  readonly #parts: EngineParts;
  readonly #policy: Policy;
  /** Calls wait for the one before: numbers of requests must rise. */
  #last: Promise<unknown> = Promise.resolve();
  /** Passes whose gradients are all 0: sent only when an update wants them. */
  #idle: Change[] = [];
  #disposed = false;

  constructor(parts: EngineParts, server: Server, base: ModelBase) {
    this.#parts = parts;
    this.#policy = new Policy(server, parts.journal, parts.lora, { base, changes: [] });
    server.policies++;
  }

  /** A loss that throws, or a request that fails, leaves the gradient as it was before the call. */
  forwardBackward(data: readonly Datum[], loss: LossFn): Promise<Metrics> {
    return this.#inOrder(async () => {
      const batches = this.#batches(data);
      const { totals, changes, isZero } = await this.#policy.run(async (model) => {
        const logprobs = await this.#forward(model, data, batches);
        const totals: Metrics = { loss: 0 };
        let isZero = true;
        const changes = batches.flatMap((indices): Change[] => {
          const gradients = indices.map((i) => addLoss(totals, loss(logprobs[i], data[i])));
          isZero &&= gradients.every((gradient) => gradient.every((value) => value === 0));
          const sent = indices.map((i, at) => ({ i, at })).filter(({ i }) => isTrained(data[i]));
          if (sent.length === 0) return [];
          const { form } = this.#policy.server;
          const wire = gradientData(
            sent.map(({ i }) => data[i]),
            sent.map(({ i }) => logprobs[i]),
            sent.map(({ at }) => gradients[at]),
            form,
          );
          return [{ ...this.#pass(wire, form, false), settles: false }];
        });
        if (!isZero) await this.#askAll(model, changes);
        return { totals, changes, isZero };
      });
      if (isZero) this.#idle.push(...changes);
      else this.#policy.advance(changes);
      return totals;
    });
  }

  optimStep(params: AdamWParams): Promise<StepStats> {
    return this.#inOrder(async () => {
      const { skipAbove } = params;
      const exact = this.#policy.server.extensions.has("skip_above");
      const idle = this.#idle;
      this.#idle = [];
      if (skipAbove === -1 && !this.#policy.hasGradient) return { gradNorm: 0, applied: false };
      if (skipAbove === -1 && !exact) {
        await this.#policy.dropGradient();
        return { gradNorm: 0, applied: false };
      }
      await this.#policy.run((model) => this.#askAll(model, idle));
      this.#policy.advance(idle);
      const change: Change = { path: "/optim_step", make: optimBody(params, exact), settles: true };
      let stats: StepStats;
      try {
        stats = await this.#policy.run(async (model) => {
          const raw = await (await model.ask(change.path, change.make)).result();
          return statsOf(parseMetrics(jsonResult(raw, change.path).metrics ?? {}, "/optim_step metrics"));
        });
      } catch (error) {
        // Whatever the server did with it: the gradient is gone, all else as it was.
        await this.#policy.dropGradient();
        throw error;
      }
      if (skipAbove !== undefined && stats.applied && !(stats.gradNorm <= skipAbove && Number.isFinite(stats.gradNorm))) {
        // The server has no way to hold an update back: the weights before it are made again.
        await this.#policy.dropGradient();
        return { ...stats, applied: false };
      }
      this.#policy.advance([change]);
      return stats;
    });
  }

  resetOptimizer(): Promise<void> {
    return this.#inOrder(async () => {
      const { base, changes } = this.#policy.history;
      if (changes.length === 0 && (base.kind === "fresh" || !base.optimizer)) return;
      const path = changes.length === 0 && base.kind === "saved" ? base.path : await this.#save();
      await this.#policy.replace({ kind: "saved", path, optimizer: false });
    });
  }

  snapshot(): Promise<Snapshot> {
    return this.#inOrder(async () => {
      const { server, history } = this.#policy;
      const session = await this.#policy.run(saveForSampler);
      return new TinkerSnapshot(this.#parts, server, session, () => this.#sampleAgain(server, history));
    });
  }

  /** `dir` gets a file that names the server's saved state, which counts from when the promise is fulfilled. */
  saveState(dir: string, { scratch = false }: SaveOptions = {}): Promise<void> {
    return this.#inOrder(async () => {
      const path = await this.#save();
      const { server } = this.#policy;
      writeSavedState(dir, { server: server.connection.options.url, model: server.model, path, lora: this.#parts.lora }, scratch);
      this.#parts.saved.note(server, path);
    });
  }

  /** Errors: CheckpointError, also when the server does not have the state any more. */
  loadState(dir: string): Promise<void> {
    return this.#inOrder(async () => {
      const state = readSavedState(dir, this.#parts.lora);
      const server = await this.#parts.serverOf(state.server, join(dir, "state.json"));
      await this.#parts.expectSaved(server, state.path, dir);
      this.#idle = [];
      await this.#policy.replace({ kind: "saved", path: state.path, optimizer: true }, server);
    });
  }

  exportModel(dir: string, { dtype = "float32", merged = false }: ExportOptions = {}): Promise<void> {
    return this.#inOrder(async () => {
      const { server } = this.#policy;
      const path = await this.#policy.run(async (model) => {
        const make: MakeBody = (model_id, seq_id) =>
          jsonBody({ model_id, path: `export-${seq_id}`, seq_id, type: "save_weights_for_sampler" });
        const raw = await (await model.ask("/save_weights_for_sampler", make)).result();
        return pathOf(jsonResult(raw, "/save_weights_for_sampler"));
      });
      await exportArchive(server.connection, path, { dir, dtype, merged, base: this.#parts.baseDir });
    });
  }

  dispose(): Promise<void> {
    return this.#inOrder(async () => {
      if (this.#disposed) return;
      this.#disposed = true;
      this.#policy.server.policies--;
      await this.#policy.release();
    });
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  /** Indices of the sequences of each request: as the embedded engine packs them, and within the server's limits. */
  #batches(data: readonly Datum[]): number[][] {
    const { sequences, bytes } = this.#policy.server.limits;
    const perToken = BYTES_PER_TOKEN[this.#policy.server.codec];
    return packMicroBatches(data, this.#parts.maxTokensPerMicroBatch).flatMap((batch) => {
      const out: number[][] = [];
      let size = 0;
      for (const i of batch) {
        const own = data[i].tokens.length * perToken;
        if (out.length === 0 || size + own > bytes || out[out.length - 1].length >= sequences) {
          out.push([]);
          size = 0;
        }
        out[out.length - 1].push(i);
        size += own;
      }
      return out;
    });
  }

  /** Logprobs of all data, 0 where the weight is 0. */
  async #forward(model: RemoteModel, data: readonly Datum[], batches: readonly number[][]): Promise<Float32Array[]> {
    const { form } = this.#policy.server;
    const out = data.map(({ weights }) => new Float32Array(weights.length));
    const sent = batches.map((indices) => indices.filter((i) => isTrained(data[i]))).filter((indices) => indices.length > 0);
    const requests = sent.map((indices) =>
      this.#pass(
        indices.map((i) => forwardDatum(data[i], form.mask)),
        form,
        true,
      ),
    );
    const results = await this.#askAll(model, requests);
    results.forEach((raw, request) => {
      const { outputs } = decodePass(raw);
      if (outputs.length !== sent[request].length)
        throw new EngineError(`/forward: expected logprobs of ${sent[request].length} sequences, got ${outputs.length}.`);
      sent[request].forEach((i, at) => {
        fillLogprobs(out[i], outputs[at].logprobs?.data, data[i].weights);
      });
    });
    return out;
  }

  async #askAll(model: RemoteModel, requests: readonly Omit<Change, "settles">[]) {
    const results = [];
    for (const { path, make } of requests) results.push((await model.ask(path, make)).result);
    return allOf(results);
  }

  #pass(data: readonly WireDatum[], { loss }: GradientForm, forwardOnly: boolean): Omit<Change, "settles"> {
    const { codec } = this.#policy.server;
    return passRequest(codec, data, forwardOnly ? "cross_entropy" : loss, forwardOnly);
  }

  /** Saves the state on the server; the weights are then known by its path. */
  async #save(): Promise<string> {
    const { base, changes } = this.#policy.history;
    // Nothing has changed since: what was saved before is the same.
    if (base.kind === "saved" && base.optimizer && changes.length === 0) return base.path;
    const path = await this.#policy.run(async (model) => {
      const make: MakeBody = (model_id, seq_id) => jsonBody({ model_id, path: `state-${seq_id}`, seq_id, type: "save_weights" });
      return pathOf(jsonResult(await (await model.ask("/save_weights", make)).result(), "/save_weights"));
    });
    // A gathered gradient is not part of what was saved.
    if (!this.#policy.hasGradient) this.#policy.rebase({ kind: "saved", path, optimizer: true });
    return path;
  }

  /** A sampling session of weights that were lost with their server: from a model that is made for it. */
  async #sampleAgain(server: Server, history: History): Promise<string> {
    await server.renew();
    const policy = new Policy(server, new RequestJournal(), this.#parts.lora, history);
    try {
      return await policy.run(saveForSampler);
    } finally {
      await policy.release();
    }
  }
}

/** The norm is 0 where a server tells none. */
function statsOf(metrics: Metrics): StepStats {
  const name = GRAD_NORM_METRIC in metrics ? GRAD_NORM_METRIC : Object.keys(metrics).find((key) => /grad_norm$/.test(key));
  return { gradNorm: name === undefined ? 0 : metrics[name], applied: metrics[APPLIED_METRIC] !== 0 };
}

async function saveForSampler(model: RemoteModel): Promise<string> {
  const { samplingSeq } = model;
  const make: MakeBody = (model_id, seq_id) =>
    jsonBody({ model_id, seq_id, sampling_session_seq_id: samplingSeq, type: "save_weights_for_sampler" });
  const raw = await (await model.ask("/save_weights_for_sampler", make)).result();
  const { sampling_session_id } = parseValue(savedResult, jsonResult(raw, "/save_weights_for_sampler"), "answer");
  if (sampling_session_id !== undefined) return sampling_session_id;
  throw new EngineError("/save_weights_for_sampler: expected a sampling session, got none.");
}

function pathOf(result: unknown): string {
  const { path } = parseValue(savedResult, result, "answer");
  if (path !== undefined) return path;
  throw new EngineError("save_weights: expected a path, got none.");
}

function isTrained({ weights }: Datum): boolean {
  return weights.some((weight) => weight !== 0);
}

/** Adds a datum's loss and metrics to the totals, in data order, and hands its gradient on. */
function addLoss(totals: Metrics, { loss, dLogprobs, metrics }: ReturnType<LossFn>): Float32Array {
  totals.loss += loss;
  for (const [name, value] of Object.entries(metrics)) totals[name] = (totals[name] ?? 0) + value;
  return dLogprobs;
}
