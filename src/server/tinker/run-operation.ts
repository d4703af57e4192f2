// What each request of a model does, and its answer. Knows the model's copy in memory and the server's stores, no queue and no HTTP.

import type { Datum } from "../../engine/types.ts";
import { APPLIED_METRIC, GRAD_NORM_METRIC, LORA_ALPHA } from "../../tinker-wire/protocol.ts";
import { metricsJson } from "../../tinker-wire/training.ts";
import { parseTinkerPath, tinkerPath } from "./checkpoints.ts";
import { type FutureResult, failure } from "./futures.ts";
import type { ModelHost } from "./host.ts";
import { type LossOutput, tinkerLoss } from "./losses.ts";
import { forwardBackward, type ModelCopy } from "./model-copy.ts";
import type { Operation } from "./operations.ts";
import type { ModelRecord } from "./records.ts";
import { passResult, type TrainingPass } from "./training-data.ts";
import type { JournalEntry } from "./training-journal.ts";

/** The model that a request is about. */
export interface Ground {
  readonly host: ModelHost;
  readonly record: ModelRecord;
  readonly copy: ModelCopy;
}

/** Runs a request. Errors: those of the engine, DiskError, Problem. */
export async function runOperation(ground: Ground, entry: JournalEntry, operation: Operation): Promise<FutureResult> {
  const { record, copy } = ground;
  switch (operation.kind) {
    case "create_model":
      await copy.before(entry);
      return other({ ...describeModel(record), type: "create_model" });
    case "forward":
      return forward(copy, entry, operation);
    case "forward_backward": {
      const outputs = new Map<Datum, LossOutput>();
      const loss = await forwardBackward(await copy.before(entry), operation, outputs);
      return passResult(operation.data, outputs, loss);
    }
    case "optim_step":
      return step(copy, entry, operation);
    case "save_weights":
      return saveWeights(ground, entry, operation);
    case "save_weights_for_sampler":
      return saveForSampler(ground, entry, operation);
    case "load_weights":
      return load(ground, entry, operation);
    case "unload_model":
      return other({ model_id: record.id, status: "unloaded", type: "unload_model" });
  }
}

/** The answer to load_weights. */
export const LOADED: FutureResult = other({ type: "load_weights" });

/** A model as create_model's result shows it. */
export function describeModel({ id, baseModel, rank, seed, targets }: ModelRecord): object {
  const lora_config = { rank, alpha: LORA_ALPHA, seed, ...trainedParts({ targets }) };
  return { model_id: id, base_model: baseModel, lora_config };
}

/** Which parts of a model have adapters, as the protocol names them. */
export function trainedParts({ targets }: Pick<ModelRecord, "targets">): object {
  return { train_attn: targets.includes("q_proj"), train_mlp: targets.includes("gate_proj"), train_unembed: false };
}

async function forward(copy: ModelCopy, entry: JournalEntry, pass: TrainingPass): Promise<FutureResult> {
  const logprobs = await (await copy.frozenBefore(entry)).logprobs(pass.data);
  const outputs = new Map<Datum, LossOutput>();
  const loss = tinkerLoss(pass.loss, pass.bounds, outputs);
  const total = pass.data.reduce((sum, datum, i) => sum + loss(logprobs[i], datum).loss, 0);
  return passResult(pass.data, outputs, total);
}

async function step(
  copy: ModelCopy,
  entry: JournalEntry,
  { params, mayBeSkipped }: Operation & { kind: "optim_step" },
): Promise<FutureResult> {
  const { gradNorm, applied } = await (await copy.before(entry)).optimStep(params);
  await copy.changed();
  if (!applied && !mayBeSkipped)
    return failure(`optim_step: expected a finite gradient norm, got ${gradNorm}. The gradient was dropped.`, "user");
  const metrics = { [GRAD_NORM_METRIC]: gradNorm, [APPLIED_METRIC]: applied ? 1 : 0, learning_rate: params.learningRate };
  return { kind: "other", json: `{"metrics":${metricsJson(metrics)},"type":"optim_step"}` };
}

async function saveWeights(
  { host, record, copy }: Ground,
  entry: JournalEntry,
  operation: Operation & { kind: "save_weights" },
): Promise<FutureResult> {
  const trainer = await copy.before(entry);
  const ref = { modelId: record.id, kind: "weights" as const, name: operation.name ?? nameOf(entry) };
  await host.checkpoints.save(ref, operation, (dir) => trainer.saveState(dir));
  return other({ path: tinkerPath(ref), type: "save_weights" });
}

async function saveForSampler(
  { host, record, copy }: Ground,
  entry: JournalEntry,
  { name, ttlSeconds, sessionSeq }: Operation & { kind: "save_weights_for_sampler" },
): Promise<FutureResult> {
  const { checkpoints, samplers } = host;
  const trainer = await copy.before(entry);
  const ephemeral = name === undefined && sessionSeq !== undefined;
  const named = name ?? (ephemeral ? `ss${sessionSeq}_seq${entry.seq ?? entry.order}` : nameOf(entry));
  const ref = { modelId: record.id, kind: "sampler_weights" as const, name: named };
  const old = await checkpoints.save(ref, { ttlSeconds, ephemeral }, (dir) => trainer.exportModel(dir));
  for (const gone of old) await samplers.drop(checkpoints.contentDir(gone));
  samplers.adopt(checkpoints.contentDir(ref), await trainer.snapshot());
  const sampling_session_id = ephemeral ? host.openSession(record.session, sessionSeq, tinkerPath(ref)) : null;
  return other({ path: ephemeral ? null : tinkerPath(ref), type: "save_weights_for_sampler", sampling_session_id });
}

/** What was loaded is saved at once: its source may be gone when the model is brought back. */
async function load(
  { host, copy }: Ground,
  entry: JournalEntry,
  { path, optimizer }: Operation & { kind: "load_weights" },
): Promise<FutureResult> {
  const trainer = await copy.before(entry);
  const ref = parseTinkerPath(path);
  host.checkpoints.find(ref);
  await trainer.loadState(host.checkpoints.contentDir(ref));
  if (!optimizer) await trainer.resetOptimizer();
  await copy.changed();
  await copy.save(entry.order);
  return LOADED;
}

function other(value: object): FutureResult {
  return { kind: "other", json: JSON.stringify(value) };
}

function nameOf({ seq, order }: JournalEntry): string {
  return `${seq ?? order}`.padStart(6, "0");
}
