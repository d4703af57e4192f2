// The calling side of a live session: requests with their listeners, and when each is done. Knows the protocol, no model.

import { EngineError } from "../../util/errors.ts";
import type { LiveCall, LiveRequest, LiveSampler, LiveStats, LiveUpdate } from "../types.ts";
import { fromWireError, type LiveInfo, type LiveMessage } from "./protocol.ts";
import type { WorkerClient } from "./worker-client.ts";

interface OpenRequest {
  readonly on: (update: LiveUpdate) => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  /** Completions that have not ended, and prompt tokens without a logprob. */
  completionsLeft: number;
  scoresLeft: number;
}

/** See the file header. */
export class LocalLive implements LiveSampler {
  readonly context: number;
  readonly vocabSize: number;
  readonly ended: Promise<Error>;
  readonly #client: WorkerClient;
  readonly #session: number;
  readonly #open = new Map<number, OpenRequest>();
  #nextId = 1;
  #failure: Error | undefined;
  #endedWith: (error: Error) => void = () => {};

  constructor(client: WorkerClient, info: LiveInfo) {
    this.#client = client;
    this.#session = info.session;
    this.context = info.context;
    this.vocabSize = info.vocabSize;
    this.ended = new Promise((resolve) => {
      this.#endedWith = resolve;
    });
    client.listen(info.session, { news: (message) => this.#hear(message), ended: (error) => this.#fail(error) });
  }

  submit(request: LiveRequest, on: (update: LiveUpdate) => void): LiveCall {
    const id = this.#nextId++;
    const done = new Promise<void>((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      const { params, tokens } = request;
      const completionsLeft = params.maxTokens > 0 ? params.n : 0;
      const scoresLeft = request.promptLogprobs === undefined ? 0 : tokens.length - 1;
      this.#open.set(id, { on, resolve, reject, completionsLeft, scoresLeft });
      this.#client.hold(1);
      if (params.maxTokens === 0 && scoresLeft === 0 && tokens.length === 1 && request.promptLogprobs !== undefined)
        this.#finishIfDone(id);
      else this.#client.cast("liveAdd", { session: this.#session, id, request: { ...request, tokens: tokens.slice() } });
    });
    return { done, cancel: () => this.#cancel(id) };
  }

  stats(): Promise<LiveStats> {
    return this.#client.call("liveStats", { session: this.#session });
  }

  async dispose(): Promise<void> {
    if (this.#failure !== undefined) return;
    this.#client.unlisten(this.#session);
    this.#fail(new EngineError("engine: the live sampler was disposed."));
    await this.#client.call("closeLive", { session: this.#session }).catch((error) => {
      if (!(error instanceof EngineError)) throw error;
    });
  }

  #cancel(id: number): void {
    const open = this.#take(id);
    if (open === undefined) return;
    this.#client.cast("liveCancel", { session: this.#session, id });
    open.resolve();
  }

  #hear({ reports, refused, error }: LiveMessage): void {
    for (const { id, update } of reports) {
      const open = this.#open.get(id);
      if (open === undefined) continue;
      if (update.sample < 0) open.scoresLeft -= update.tokens.length;
      else if (update.stopReason !== undefined) open.completionsLeft--;
      open.on(update);
      this.#finishIfDone(id);
    }
    if (refused !== undefined) this.#take(refused.id)?.reject(fromWireError(refused.error));
    if (error !== undefined) this.#fail(fromWireError(error));
  }

  #finishIfDone(id: number): void {
    const open = this.#open.get(id);
    if (open !== undefined && open.completionsLeft === 0 && open.scoresLeft === 0) this.#take(id)?.resolve();
  }

  #take(id: number): OpenRequest | undefined {
    const open = this.#open.get(id);
    if (open !== undefined) {
      this.#open.delete(id);
      this.#client.hold(-1);
    }
    return open;
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const id of [...this.#open.keys()]) this.#take(id)?.reject(error);
    this.#endedWith(this.#failure);
  }
}
