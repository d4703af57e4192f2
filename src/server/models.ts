// The models that a server has: one it was started with, whose weights may be replaced, and adapters that come and go beside it.
// Weights are loaded only from one folder that the server was told of. Knows requests by their model's name, nothing of their form.
// Sources: vLLM's /v1/load_lora_adapter and /v1/unload_lora_adapter; SGLang's /update_weights_from_disk and /get_model_info.

import { realpathSync } from "node:fs";
import { isAbsolute, relative } from "node:path";
import type { LiveSampler } from "../engine/types.ts";
import { Fields, preview, wrong } from "./fields.ts";
import { type Exchange, sendJson } from "./http.ts";
import { badRequest, Problem } from "./problem.ts";
import { type ServedModel, Service } from "./service.ts";

/** A model that was opened while the server runs. */
export interface OpenedModel {
  readonly live: LiveSampler;
  dispose(): Promise<void>;
}

/** Where models may be loaded from while the server runs. */
export interface ModelSource {
  /** Paths outside of this folder are refused … */
  readonly root: string;
  /** … but for the model that the server was started with. */
  readonly base: string;
  /** Opens a model directory or a PEFT adapter. Errors: ConfigError, DataError, EngineError. */
  open(dir: string): Promise<OpenedModel>;
}

interface Entry {
  readonly service: Service;
  readonly dir: string;
  readonly dispose: () => Promise<void>;
}

/** Adapters at once: each has a key/value cache of its own. */
const MOST_ADAPTERS = 8;

/** See the file header. */
export class ModelTable {
  readonly #source: ModelSource | undefined;
  readonly #maxQueue: number;
  readonly #adapters = new Map<string, Entry>();
  #base: Entry;
  #version = "default";
  #requests = 0;
  /** Loads wait for the one before. */
  #last: Promise<unknown> = Promise.resolve();

  /** `model` stays its owner's, who disposes it. */
  constructor(model: ServedModel, source?: ModelSource) {
    this.#source = source;
    this.#maxQueue = model.maxQueue;
    this.#base = { service: new Service(model), dir: "", dispose: async () => {} };
  }

  /** The model that the server was started with. */
  get base(): Service {
    return this.#base.service;
  }

  /** Lets a request in and calls `work`. Errors: Problem 429 when the queue is full. */
  async admit(work: () => Promise<void>): Promise<void> {
    if (this.#requests >= this.#maxQueue)
      throw new Problem(429, `queue: expected at most ${this.#maxQueue} requests at once. Try again shortly.`, {
        code: "queue_full",
        headers: { "retry-after": "1" },
      });
    this.#requests++;
    try {
      await work();
    } finally {
      this.#requests--;
    }
  }

  /** The model of a request; absent is the first. Errors: Problem 404. */
  find(name: string | undefined): Service {
    const { names } = this.base.model;
    if (name === undefined || names.includes(name)) return this.base;
    const adapter = this.#adapters.get(name);
    if (adapter !== undefined) return adapter.service;
    throw new Problem(404, `model: expected "${[names[0], ...this.#adapters.keys()].join('" or "')}", got ${preview(name)}.`, {
      param: "model",
      code: "model_not_found",
    });
  }

  /** Entries of GET /v1/models, the first model first. */
  list(): object[] {
    return [this.base, ...[...this.#adapters.values()].map(({ service }) => service)].map(describeModel);
  }

  /** POST /v1/load_lora_adapter {lora_name, lora_path}. */
  async loadAdapter({ response, json }: Exchange): Promise<void> {
    const fields = new Fields(await json());
    const name = required(fields, "lora_name");
    const path = required(fields, "lora_path");
    fields.end();
    await this.#inOrder(async () => {
      if (this.base.model.names.includes(name) || this.#adapters.has(name))
        throw badRequest(`lora_name: expected a name that is not taken, got ${preview(name)}.`, "lora_name");
      if (this.#adapters.size >= MOST_ADAPTERS)
        throw badRequest(`lora_name: expected at most ${MOST_ADAPTERS} adapters at once. Unload one.`, "lora_name");
      this.#adapters.set(name, await this.#open(path, [name], "lora_path"));
    });
    sendJson(response, 200, { success: true, message: `adapter ${name} is loaded` });
  }

  /** POST /v1/unload_lora_adapter {lora_name}. What is under way with it may finish. */
  async unloadAdapter({ response, json }: Exchange): Promise<void> {
    const fields = new Fields(await json());
    const name = required(fields, "lora_name");
    fields.end();
    await this.#inOrder(async () => {
      const entry = this.#adapters.get(name);
      if (entry === undefined)
        throw new Problem(404, `lora_name: expected a loaded adapter, got ${preview(name)}.`, { param: "lora_name" });
      this.#adapters.delete(name);
      void retire(entry);
    });
    sendJson(response, 200, { success: true, message: `adapter ${name} is unloaded` });
  }

  /** POST /update_weights_from_disk {model_path, weight_version?}. What is under way keeps the weights that it began with. */
  async replaceWeights({ response, json }: Exchange): Promise<void> {
    const fields = new Fields(await json());
    const path = required(fields, "model_path");
    const version = fields.string("weight_version") ?? "default";
    fields.ignore("flush_cache", "load_format", "abort_all_requests", "is_async", "torch_empty_cache", "keep_pause");
    fields.end();
    await this.#inOrder(async () => {
      const opened = await this.#open(path, this.base.model.names, "model_path");
      const before = this.#base;
      this.#base = opened;
      this.#version = version;
      void retire(before);
    });
    sendJson(response, 200, { success: true, message: "weights are updated", num_paused_requests: 0 });
  }

  /** GET /get_model_info. */
  async info({ response }: Exchange): Promise<void> {
    const { names } = this.base.model;
    sendJson(response, 200, { model_path: this.#base.dir || names[0], is_generation: true, weight_version: this.#version });
  }

  async #open(path: string, names: readonly string[], param: string): Promise<Entry> {
    const source = this.#source;
    if (source === undefined)
      throw new Problem(403, `${param}: expected a server that loads weights, got one without. Start it with --weights-dir.`);
    const dir = allowed(source, path, param);
    const { live, dispose } = await source.open(dir);
    const { tokenizer, maxQueue } = this.base.model;
    return { service: new Service({ live, tokenizer, names, maxQueue }), dir, dispose };
  }

  async #inOrder(work: () => Promise<void>): Promise<void> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    await result;
  }
}

/** One entry of GET /v1/models. */
export function describeModel({ model, created }: Service): object {
  return { id: model.names[0], object: "model", created, owned_by: "rzero", max_model_len: model.live.context };
}

async function retire({ service, dispose }: Entry): Promise<void> {
  await service.idle();
  await dispose().catch(() => undefined);
}

/** The real path of `path`, when it may be loaded. Errors: Problem 400. */
function allowed({ root, base }: ModelSource, path: string, param: string): string {
  const refuse = () => badRequest(`${param}: expected a folder inside the server's --weights-dir, got ${preview(path)}.`, param);
  try {
    const real = realpathSync(path);
    const inside = relative(realpathSync(root), real);
    if (isAbsolute(path) && inside !== "" && !inside.startsWith("..") && !isAbsolute(inside)) return real;
    if (real === realpathSync(base)) return real;
  } catch {
    throw refuse();
  }
  throw refuse();
}

function required(fields: Fields, name: string): string {
  const value = fields.string(name);
  if (value === undefined || value === "" || value.length > 4096) throw wrong(name, "a text", value);
  return value;
}
