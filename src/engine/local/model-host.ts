// The models of one worker: opened, named by handles, all on one device with one thread pool. Carries out the calls of the
// protocol; knows nothing of messages or threads. Long sampling pauses now and then, so that its thread can listen.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ConfigError, EngineError } from "../../util/errors.ts";
import type { Completion, SnapshotOptions, TrainerOptions } from "../types.ts";
import type { StateCopy } from "./checkpoint.ts";
import { bestFormat, createCpuDevice } from "./device/cpu/device.ts";
import type { Device, WeightFormat } from "./device/types.ts";
import { LiveBatch } from "./live-sampler.ts";
import { LiveSessions } from "./live-sessions.ts";
import { LORA_TARGETS } from "./lora.ts";
import { type MemoryUse, withMemoryHint } from "./memory-hints.ts";
import { readModelDirectory } from "./model-directory.ts";
import { type LoraOptions, openFrozen } from "./open-model.ts";
import type { CallHandlers, EngineCalls, LiveInfo, LiveMessage, ModelInfo, ProgressReport, WorkerOptions } from "./protocol.ts";
import { BatchSampler } from "./scheduler.ts";
import { type LocalTokenizer, loadTokenizer } from "./tokenizer.ts";
import { TrainerCore } from "./trainer-core.ts";
import type { Transformer } from "./transformer.ts";
import { WeightStore } from "./weight-store.ts";

const PAUSE_EVERY_MS = 50;

interface HostedModel {
  readonly model: Transformer;
  /** Present when it trains; then `model` belongs to it. */
  readonly trainer?: TrainerCore;
  readonly dir: string;
}

/** See the file header. Calls must not overlap. */
export class ModelHost {
  /** Set to give up a sampling call in progress. */
  stopping = false;
  readonly calls: CallHandlers;
  readonly #options: WorkerOptions;
  readonly #live: LiveSessions;
  readonly #models = new Map<number, HostedModel>();
  readonly #tokenizers = new Map<string, LocalTokenizer | undefined>();
  #device: Device | undefined;
  #store: WeightStore | undefined;
  #nextHandle = 1;
  /** Host memory of the last copied state. */
  #stateMemory: SharedArrayBuffer | undefined;

  /** `tell` takes the news of live sessions. */
  constructor(options: WorkerOptions, tell: (message: LiveMessage) => void) {
    this.#options = options;
    this.#live = new LiveSessions(tell);
    this.calls = {
      openSnapshot: ({ dir, precision }) => {
        const device = this.#openDevice();
        const open = () => openFrozen(device, dir, this.#format(precision), this.#frozen(device));
        return this.#host({ model: this.#within("frozen weights", open), dir });
      },
      openTrainer: ({ dir, adapter }) => this.#openTrainer(dir, this.#adapterOf(adapter)),
      sample: (input, report) => this.#sample(input, report),
      score: ({ handle, data }) => this.#within("scoring", () => this.#turnOf(handle).model.logprobs(data)),
      forward: ({ handle, data }) =>
        this.#within("a training pass", () => {
          this.#turnOf(handle);
          return this.#trainer(handle).forward(data);
        }),
      backward: ({ handle, dLogprobs }) => this.#within("a training pass", () => void this.#trainer(handle).backward(dLogprobs)),
      optimStep: ({ handle, params }) => this.#trainer(handle).optimStep(params),
      resetOptimizer: ({ handle }) => void this.#trainer(handle).resetOptimizer(),
      snapshot: ({ handle, precision }) =>
        this.#host({
          model: this.#within("frozen weights", () => this.#trainer(handle).snapshot(this.#format(precision))),
          dir: this.#find(handle).dir,
        }),
      saveState: ({ handle, dir, scratch }) => void this.#trainer(handle).saveState(dir, scratch),
      copyState: ({ handle, maxBytes }) => this.#copyState(handle, maxBytes),
      loadState: ({ handle, dir }) => void this.#trainer(handle).loadState(dir),
      exportModel: ({ handle, dir, ...options }) => void this.#trainer(handle).exportModel(dir, options),
      openLive: (input) => this.#openLive(input),
      liveAdd: ({ session, id, request }) => void this.#live.add(session, id, request),
      liveCancel: ({ session, id }) => void this.#live.cancel(session, id),
      liveStats: ({ session }) => this.#live.stats(session),
      closeLive: ({ session }) => void this.#live.close(session),
      close: ({ handle }) => void this.#close(handle),
      shutdown: () => void this.dispose(),
    };
  }

  /** Frees all models, the device and its threads. */
  dispose(): void {
    this.#live.closeAll();
    for (const handle of [...this.#models.keys()]) this.#close(handle);
    this.#device?.dispose();
    this.#device = undefined;
  }

  /** Opened late, so that a missing compiler is an answer to a call. */
  #openDevice(): Device {
    this.#device ??= createCpuDevice({ threads: this.#options.threads });
    return this.#device;
  }

  #frozen(device: Device): WeightStore {
    this.#store ??= new WeightStore(device);
    return this.#store;
  }

  #adapterOf(asked: TrainerOptions["adapter"]): LoraOptions | undefined {
    if (asked === undefined) return this.#options.numbers.lora;
    if (asked === "none") return undefined;
    const unknown = asked.targets.find((target) => !LORA_TARGETS.some((known) => known === target));
    if (unknown !== undefined || asked.targets.length === 0)
      throw new ConfigError(`adapter.targets: expected some of ${LORA_TARGETS.join(", ")}, got ${unknown ?? "none"}.`);
    return { ...asked, targets: LORA_TARGETS.filter((known) => asked.targets.includes(known)) };
  }

  #openTrainer(dir: string, lora: LoraOptions | undefined): ModelInfo {
    const device = this.#openDevice();
    const { recompute, optimizerDtype } = this.#options.numbers;
    const options = { format: this.#format(), recompute, optimizerDtype, lora, store: this.#frozen(device) };
    const trainer = this.#within("weights to train", () => TrainerCore.open(device, dir, options));
    return this.#host({ model: trainer.model, trainer, dir });
  }

  #within<T>(use: MemoryUse, work: () => T): T {
    return withMemoryHint(use, this.#options.numbers, work);
  }

  #format(precision: SnapshotOptions["precision"] = "training"): WeightFormat {
    const { dtype, frozenDtype } = this.#options.numbers;
    if (precision === "frozen" && frozenDtype !== "same") return frozenDtype;
    return dtype === "auto" ? bestFormat() : dtype;
  }

  #host(hosted: HostedModel): ModelInfo {
    const handle = this.#nextHandle++;
    this.#models.set(handle, hosted);
    const { vocabSize, maxPositions, passRows } = hosted.model;
    return { handle, vocabSize, maxPositions, passRows };
  }

  #find(handle: number): HostedModel {
    const hosted = this.#models.get(handle);
    if (hosted === undefined) throw new EngineError(`engine: expected an open model, got one that was disposed (${handle}).`);
    return hosted;
  }

  /** A model that is about to work; large scratch memory of the others is given back before. */
  #turnOf(handle: number): HostedModel {
    for (const [other, { model }] of this.#models) if (other !== handle) model.trim();
    return this.#find(handle);
  }

  #trainer(handle: number): TrainerCore {
    const { trainer } = this.#find(handle);
    if (trainer === undefined) throw new EngineError(`internal: model ${handle} does not train`);
    return trainer;
  }

  #copyState(handle: number, maxBytes: number): StateCopy | undefined {
    const copy = this.#trainer(handle).copyState(maxBytes, this.#stateMemory);
    this.#stateMemory = copy?.memory ?? this.#stateMemory;
    return copy;
  }

  #close(handle: number): void {
    const hosted = this.#models.get(handle);
    this.#models.delete(handle);
    (hosted?.trainer ?? hosted?.model)?.dispose();
  }

  /** The tokenizer beside a model; without one, completions have no text and stop strings are refused. */
  #tokenizerOf(dir: string): LocalTokenizer | undefined {
    if (!this.#tokenizers.has(dir)) {
      const has = [dir, readModelDirectory(dir).base].some((place) => existsSync(join(place, "tokenizer.json")));
      this.#tokenizers.set(dir, has ? loadTokenizer(dir) : undefined);
    }
    return this.#tokenizers.get(dir);
  }

  #openLive({ handle, reportMs, cacheBytes = this.#options.cacheBytes }: EngineCalls["openLive"]["input"]): LiveInfo {
    const { model, dir } = this.#find(handle);
    const batch = new LiveBatch(this.#openDevice(), model, this.#tokenizerOf(dir), { ...this.#options, cacheBytes });
    return { session: this.#live.open(batch, reportMs), context: batch.context, vocabSize: model.vocabSize };
  }

  async #sample(
    { handle, prompts, params }: EngineCalls["sample"]["input"],
    report: (progress: ProgressReport) => void,
  ): Promise<Completion[][]> {
    const { model, dir } = this.#turnOf(handle);
    const asked = prompts.map((tokens) => ({ tokens }));
    const device = this.#openDevice();
    const tokenizer = this.#tokenizerOf(dir);
    const open = () => new BatchSampler(device, model, tokenizer, asked, params, this.#options);
    const sampler = this.#within("sampling", open);
    const tell = () => report([sampler.queue.done, sampler.queue.total, sampler.drawn]);
    try {
      let last = performance.now();
      while (this.#within("sampling", () => sampler.step())) {
        if (performance.now() - last < PAUSE_EVERY_MS) continue;
        tell();
        await setImmediate();
        if (this.stopping) throw new EngineError("sample: given up because the engine was disposed.");
        last = performance.now();
      }
      tell();
      return sampler.results();
    } finally {
      sampler.dispose();
    }
  }
}
