// The local engine: models on this machine behind the three faces of an engine. All of them live in one worker thread, share
// one device and its threads, and are served in order. The loss is computed here, on the calling thread, between the two
// halves of a training pass. Knows nothing of kernels.

import { EngineError } from "../../util/errors.ts";
import type {
  AdamWParams,
  Completion,
  Datum,
  Engine,
  ExportOptions,
  LiveOptions,
  LiveSampler,
  LossFn,
  Metrics,
  Progress,
  Prompt,
  SamplingParams,
  SaveOptions,
  Snapshot,
  SnapshotOptions,
  StepStats,
  Tokenizer,
  Trainer,
  TrainerOptions,
} from "../types.ts";
import { LocalLive } from "./live-client.ts";
import { packMicroBatches } from "./packed-batch.ts";
import type { ModelInfo, NumberOptions, WireSequence } from "./protocol.ts";
import { DEFAULT_SCHEDULER } from "./scheduler.ts";
import { type StateSource, StateWriter } from "./state-writer.ts";
import { loadTokenizer } from "./tokenizer.ts";
import { startWorker, type WorkerClient } from "./worker-client.ts";

/** How the local engine uses the machine. Results depend on the number formats alone (micro-batches: beyond the rounding of sums). */
export interface LocalEngineOptions extends Partial<NumberOptions> {
  /** Threads of the kernels; default: all that the process may use. */
  readonly threads?: number;
  /** Tokens in one forward and backward pass; default 8192. */
  readonly maxTokensPerMicroBatch?: number;
  /** Completions that decode together; default 256. */
  readonly slots?: number;
  /** Memory for keys and values while sampling; default 1 GiB. */
  readonly cacheBytes?: number;
}

const DEFAULT_MICRO_BATCH = 8192;
const DEFAULT_REPORT_MS = 20;

/** Starts the engine. Errors: EngineError when the package was not built; a missing compiler shows when a model is opened. */
export function createLocalEngine(options: LocalEngineOptions = {}): Engine {
  const { slots, cacheBytes, prefillRows } = DEFAULT_SCHEDULER;
  const client = startWorker({
    threads: options.threads,
    slots: options.slots ?? slots,
    cacheBytes: options.cacheBytes ?? cacheBytes,
    prefillRows,
    numbers: {
      dtype: options.dtype ?? "auto",
      frozenDtype: options.frozenDtype ?? "same",
      optimizerDtype: options.optimizerDtype ?? "f32",
      recompute: options.recompute ?? "auto",
      lora: options.lora,
    },
  });
  return new LocalEngine(client, options.maxTokensPerMicroBatch ?? DEFAULT_MICRO_BATCH);
}

/** The engine over a started worker. */
export class LocalEngine implements Engine {
  readonly #client: WorkerClient;
  readonly #writer = new StateWriter();
  readonly #maxTokens: number;

  constructor(client: WorkerClient, maxTokensPerMicroBatch: number) {
    this.#client = client;
    this.#maxTokens = maxTokensPerMicroBatch;
  }

  async openSnapshot(dir: string, { precision }: SnapshotOptions = {}): Promise<Snapshot> {
    return new LocalSnapshot(this.#client, await this.#client.call("openSnapshot", { dir, precision }), this.#maxTokens);
  }

  async openTrainer(dir: string, { adapter }: TrainerOptions = {}): Promise<Trainer> {
    const info = await this.#client.call("openTrainer", { dir, adapter });
    return new LocalTrainer(this.#client, this.#writer, info, this.#maxTokens);
  }

  async openTokenizer(dir: string): Promise<Tokenizer> {
    return loadTokenizer(dir);
  }

  async dispose(): Promise<void> {
    await this.#writer.close();
    await this.#client.close();
  }
}

/** A view is copied, because sending it would send the whole memory it looks at. */
function compact<A extends Int32Array | Float32Array>(array: A): A {
  return (array.byteLength === array.buffer.byteLength ? array : array.slice()) as A;
}

function toWire({ tokens, weights }: Pick<Datum, "tokens" | "weights">): WireSequence {
  return { tokens: compact(tokens), weights: compact(weights) };
}

/** Frees a model; after the engine itself has ended there is nothing left to free. */
async function close(client: WorkerClient, handle: number): Promise<void> {
  await client.call("close", { handle }).catch((error) => {
    if (!(error instanceof EngineError)) throw error;
  });
}

class LocalSnapshot implements Snapshot {
  readonly #client: WorkerClient;
  readonly #handle: number;
  readonly #maxTokens: number;

  constructor(client: WorkerClient, info: ModelInfo, maxTokens: number) {
    this.#client = client;
    this.#handle = info.handle;
    this.#maxTokens = Math.min(maxTokens, info.passRows);
  }

  sample(prompts: readonly Prompt[], params: SamplingParams, on?: Progress): Promise<Completion[][]> {
    const tokens = prompts.map((prompt) => compact(prompt.tokens));
    return this.#client.call("sample", { handle: this.#handle, prompts: tokens, params }, on && ((report) => on(...report)));
  }

  async logprobs(data: readonly Pick<Datum, "tokens" | "weights">[]): Promise<Float32Array[]> {
    const out: Float32Array[] = new Array(data.length);
    for (const indices of packMicroBatches(data, this.#maxTokens)) {
      const batch = indices.map((i) => toWire(data[i]));
      const logprobs = await this.#client.call("score", { handle: this.#handle, data: batch });
      indices.forEach((i, at) => {
        out[i] = logprobs[at];
      });
    }
    return out;
  }

  async openLive({ reportMs = DEFAULT_REPORT_MS, cacheBytes }: LiveOptions = {}): Promise<LiveSampler> {
    const info = await this.#client.call("openLive", { handle: this.#handle, reportMs, cacheBytes });
    return new LocalLive(this.#client, info);
  }

  dispose(): Promise<void> {
    return close(this.#client, this.#handle);
  }
}

class LocalTrainer implements Trainer {
  readonly #client: WorkerClient;
  readonly #writer: StateWriter;
  readonly #handle: number;
  readonly #maxTokens: number;
  /** Calls wait for the one before: a forward and its backward must not be parted. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(client: WorkerClient, writer: StateWriter, info: ModelInfo, maxTokens: number) {
    this.#client = client;
    this.#writer = writer;
    this.#handle = info.handle;
    this.#maxTokens = Math.min(maxTokens, info.passRows);
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  /** A loss that throws leaves the gradient of the micro-batches before it; `loadState` drops it. */
  forwardBackward(data: readonly Datum[], loss: LossFn): Promise<Metrics> {
    return this.#inOrder(async () => {
      const totals: Metrics = { loss: 0 };
      for (const indices of packMicroBatches(data, this.#maxTokens)) {
        const batch = indices.map((i) => data[i]);
        const logprobs = await this.#client.call("forward", { handle: this.#handle, data: batch.map(toWire) });
        const dLogprobs = batch.map((datum, i) => addLoss(totals, loss(logprobs[i], datum)));
        await this.#client.call("backward", { handle: this.#handle, dLogprobs });
      }
      return totals;
    });
  }

  optimStep(params: AdamWParams): Promise<StepStats> {
    return this.#inOrder(() => this.#client.call("optimStep", { handle: this.#handle, params }));
  }

  async resetOptimizer(): Promise<void> {
    await this.#inOrder(() => this.#client.call("resetOptimizer", { handle: this.#handle }));
  }

  async snapshot({ precision }: SnapshotOptions = {}): Promise<Snapshot> {
    const info = await this.#inOrder(() => this.#client.call("snapshot", { handle: this.#handle, precision }));
    return new LocalSnapshot(this.#client, info, this.#maxTokens);
  }

  /** Later calls go on as soon as the state is copied; the files are whole when the promise is fulfilled. */
  async saveState(dir: string, options: SaveOptions = {}): Promise<void> {
    const handle = this.#handle;
    const source: StateSource = {
      copy: (maxBytes) => this.#client.call("copyState", { handle, maxBytes }),
      direct: () => this.#client.call("saveState", { handle, dir, ...options }),
    };
    const { written } = await this.#inOrder(() => this.#writer.save(dir, source, options));
    await written;
  }

  async loadState(dir: string): Promise<void> {
    await this.#inOrder(() => this.#client.call("loadState", { handle: this.#handle, dir }));
  }

  async exportModel(dir: string, { dtype, merged }: ExportOptions = {}): Promise<void> {
    await this.#inOrder(() => this.#client.call("exportModel", { handle: this.#handle, dir, dtype, merged }));
  }

  dispose(): Promise<void> {
    return this.#inOrder(() => close(this.#client, this.#handle));
  }
}

/** Adds a datum's loss and metrics to the totals, in data order, and hands its gradient on. */
function addLoss(totals: Metrics, { loss, dLogprobs, metrics }: ReturnType<LossFn>): Float32Array {
  totals.loss += loss;
  for (const [name, value] of Object.entries(metrics)) totals[name] = (totals[name] ?? 0) + value;
  return compact(dLogprobs);
}
