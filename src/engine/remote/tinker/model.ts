// One model in training on a Tinker server: created and, where it goes on from saved weights, loaded; then asked in order, each request
// under the next number. Knows the base it came from, no trainer and no loss.

import { createHash } from "node:crypto";
import { createModelResult, parseValue } from "../../../tinker-wire/messages.ts";
import { decodeForwardBackwardResult, type ForwardBackwardResult } from "../../../tinker-wire/training.ts";
import { decodeForwardBackwardResultProto } from "../../../tinker-wire/training-protobuf.ts";
import { expectObject, type JsonObject } from "../../../util/json.ts";
import { type Body, jsonBody, type Pending, type RawResult } from "./connection.ts";
import type { FormerModel, RequestJournal } from "./request-journal.ts";
import { isLost, TinkerError } from "./retry.ts";
import type { Server } from "./server.ts";
import type { Session } from "./session.ts";

/** Where a model's life begins: as the base model, or from saved weights. */
export type ModelBase =
  | { readonly kind: "fresh"; readonly slot: string; readonly seed: number }
  | { readonly kind: "saved"; readonly path: string; readonly optimizer: boolean };

/** What is trained of a model. */
export interface LoraConfig {
  /** 0: all weights. */
  readonly rank: number;
  readonly attention: boolean;
  readonly mlp: boolean;
  readonly unembed: boolean;
}

/** A request to a model, from its id and the request's number. */
export type MakeBody = (modelId: string, seqId: number) => Body;

/** See the file header. */
export class RemoteModel {
  readonly id: string;
  readonly #server: Server;
  readonly #session: Session;
  readonly #modelSeq: number;
  readonly #journal: RequestJournal;
  readonly #former: ReadonlyMap<number, string>;
  #seq: number;

  /** Creates a model and brings it to its base. Errors: TinkerError; `isLost` when the server lacks the saved weights. */
  static async create(server: Server, journal: RequestJournal, base: ModelBase, lora: LoraConfig): Promise<RemoteModel> {
    const session = await server.session();
    const modelSeq = session.nextModel();
    const id = await createModel(server, session, modelSeq, lora, base.kind === "fresh" ? base.seed : 0);
    const model = new RemoteModel(server, session, journal, { model: id, modelSeq, seq: 0, requests: new Map() });
    if (base.kind === "saved") {
      const { path, optimizer } = base;
      const load = (model_id: string, seq_id: number) => jsonBody({ model_id, path, optimizer, seq_id, type: "load_weights" });
      await (await model.ask("/load_weights", load)).result();
    }
    model.standsAt(base);
    return model;
  }

  /** A model of an earlier process that stood at `base` and that the server still has, where there is one. Errors: TinkerError. */
  static async find(server: Server, journal: RequestJournal, base: ModelBase): Promise<RemoteModel | undefined> {
    for (const former of journal.former(server.connection.options.url, baseKey(base))) {
      const session = await server.session();
      if (former.session !== session.id || !server.claim(former.model)) continue;
      try {
        await server.connection.post("/get_info", { model_id: former.model });
        return new RemoteModel(server, session, journal, former);
      } catch (error) {
        if (!isLost(error)) throw error;
      }
    }
    return undefined;
  }

  private constructor(server: Server, session: Session, journal: RequestJournal, former: Omit<FormerModel, "session">) {
    this.id = former.model;
    this.#server = server;
    this.#session = session;
    this.#journal = journal;
    this.#modelSeq = former.modelSeq;
    this.#former = former.requests;
    this.#seq = former.seq;
    server.claim(this.id);
  }

  /** Notes that the model, as it is now, is what `base` would give. */
  standsAt(base: ModelBase): void {
    const { id: model } = this;
    const server = this.#server.connection.options.url;
    const place = { session: this.#session.id, modelSeq: this.#modelSeq, base: baseKey(base), seq: this.#seq };
    this.#journal.append({ what: "stands", server, model, ...place });
  }

  /** Sends the next request; fulfilled when it was taken on. Errors: TinkerError, of which some are `isLost`. */
  async ask(path: string, make: MakeBody): Promise<Pending> {
    const seq = ++this.#seq;
    const body = make(this.id, seq);
    const sha256 = createHash("sha256").update(path).update(body.content).digest("hex");
    const before = this.#former.get(seq);
    // An earlier process went on in another way: this model is no longer what we think it is.
    if (before !== undefined && before !== sha256)
      throw new TinkerError(`${path}: expected the request that was made before, got another.`, { status: 409 });
    if (before === undefined) this.#journal.append({ what: "request", model: this.id, seq, sha256 });
    return this.#server.connection.submit(path, body);
  }

  /** A number for a sampling session that no other request of the session has. */
  get samplingSeq(): number {
    return (this.#modelSeq % 32_768) * 65_536 + ((this.#seq + 1) % 65_536);
  }

  /** Frees it, as far as the server is there. */
  async unload(): Promise<void> {
    await this.#server.connection.attempt("/unload_model", { model_id: this.id, type: "unload_model" });
  }
}

/** A pass over data: its request to a model. */
export function decodePass(raw: RawResult): ForwardBackwardResult {
  return "json" in raw
    ? decodeForwardBackwardResult(raw.json, "result")
    : decodeForwardBackwardResultProto(raw.protobuf, "result");
}

/** A result that is JSON in every codec. Errors: DataError. */
export function jsonResult(raw: RawResult, path: string): JsonObject {
  return expectObject("json" in raw ? raw.json : undefined, `answer of ${path}`);
}

function baseKey(base: ModelBase): string {
  return base.kind === "fresh" ? `fresh ${base.slot} ${base.seed}` : `${base.optimizer ? "saved" : "weights"} ${base.path}`;
}

/** Some servers tell the model's id at once, some in the result; all need the result to be awaited. */
async function createModel(server: Server, session: Session, modelSeq: number, lora: LoraConfig, seed: number): Promise<string> {
  const { rank, attention, mlp, unembed } = lora;
  const body = {
    session_id: session.id,
    model_seq_id: modelSeq,
    base_model: server.model,
    lora_config: { rank, seed, train_unembed: unembed, train_mlp: mlp, train_attn: attention },
    type: "create_model",
  };
  const pending = await server.connection.submit("/create_model", jsonBody(body));
  const result = jsonResult(await pending.result(), "/create_model");
  server.tellsModelId = pending.accepted.model_id === undefined ? "in the result" : "at once";
  return pending.accepted.model_id ?? parseValue(createModelResult, result, "/create_model").model_id;
}
