// An engine that trains as another one does and lets servers answer for its frozen snapshots. A snapshot of a policy in training reaches
// them through a directory that they see too; where servers keep their own weights, such snapshots stay with the engine that trains.
// Knows no roles.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { systemClock } from "../../../util/clock.ts";
import { ConfigError, EngineError, errorText } from "../../../util/errors.ts";
import { sha256 } from "../../../util/files.ts";
import { keepSecret } from "../../../util/secrets.ts";
import type { Spend } from "../../metered.ts";
import type { Engine, Snapshot, SnapshotOptions, Tokenizer, Trainer } from "../../types.ts";
import { Endpoint, type EndpointReport, type EndpointTarget } from "./endpoint.ts";
import { EndpointPool, type PoolOptions } from "./pool.ts";
import { type ProbeNeeds, probe } from "./probe.ts";
import { PoolSampler } from "./sampler.ts";
import { adapterWeights, modelWeights, ownWeights, type Weights } from "./weights.ts";

/** The sampler part of a configuration; see config/sampler.ts for defaults and ranges. */
export interface SamplerConfig {
  readonly kind: string;
  readonly endpoints: readonly { readonly url: string; readonly apiKeyEnv?: string; readonly model?: string }[];
  readonly update: "none" | "vllm-lora" | "sglang-disk";
  readonly directory?: string;
  readonly dtype: "float32" | "bfloat16";
  readonly tokens: "ids" | "retokenise";
  readonly samplesPerRequest: number;
  readonly concurrency: { readonly first: number; readonly most: number };
  readonly timeoutSeconds: number;
  readonly patienceSeconds: number;
  readonly healthSeconds: number;
}

/** What the engine needs beside the configuration. */
export interface SampledEngineOptions {
  /** The base model, whose tokenizer all share and whose weights servers have at first. */
  readonly baseDir: string;
  /** Longest sequence that the frozen roles will ask for. */
  readonly context: number;
  /** Of the model; a server's token ids are below it. */
  readonly vocabSize: number;
  readonly env: NodeJS.ProcessEnv;
  /** One line for people: an endpoint goes or comes back. */
  readonly say: (line: string) => void;
  /** Told of the tokens that servers read and sample. */
  readonly spend?: Spend;
}

/** Snapshots in the shared directory that servers may still be asked for. */
const KEPT_SNAPSHOTS = 2;

/**
 * Connects to the endpoints and puts them before `engine`, which it owns from then on.
 * Errors: ConfigError (a wrong key, model, context or server), EngineError (none can be reached).
 */
export async function sampleElsewhere(
  engine: Engine,
  config: SamplerConfig,
  options: SampledEngineOptions,
): Promise<SampledEngine> {
  const tokenizer = await engine.openTokenizer(options.baseDir);
  const pool = await connect(config, tokenizer, options);
  return new SampledEngine(engine, pool, config, options);
}

async function connect(config: SamplerConfig, tokenizer: Tokenizer, options: SampledEngineOptions): Promise<EndpointPool> {
  const targets = config.endpoints.map((endpoint, index) => targetOf(endpoint, index, options.env));
  const needs: ProbeNeeds = { tokenizer, vocabSize: options.vocabSize, context: options.context, tokens: config.tokens };
  const endpoints = await Promise.all(
    targets.map(async (target) => {
      const endpoint = new Endpoint(target, config.concurrency, systemClock);
      try {
        endpoint.cameUp(await probe(target, needs));
      } catch (error) {
        if (!(error instanceof EngineError && error.retryable)) throw error;
        endpoint.failed(errorText(error));
        options.say(`${target.url}: out for now: ${errorText(error)}`);
      }
      return endpoint;
    }),
  );
  if (endpoints.every(({ state }) => state !== "up"))
    throw new EngineError(
      `sampler.endpoints: expected at least one that answers, got none of ${endpoints.length}. ` +
        endpoints.map(({ target, reason }) => `${target.url}: ${reason}`).join(" · "),
      { retryable: true },
    );
  const poolOptions: PoolOptions = {
    needs,
    clock: systemClock,
    requestMs: 1000 * config.timeoutSeconds,
    patienceMs: 1000 * config.patienceSeconds,
    healthMs: 1000 * config.healthSeconds,
    say: options.say,
  };
  return new EndpointPool(endpoints, poolOptions);
}

function targetOf(
  { url, apiKeyEnv, model }: SamplerConfig["endpoints"][number],
  index: number,
  env: NodeJS.ProcessEnv,
): EndpointTarget {
  const apiKey = apiKeyEnv === undefined ? undefined : env[apiKeyEnv];
  if (apiKeyEnv !== undefined && !apiKey)
    throw new ConfigError(`sampler.endpoints.${index}.apiKeyEnv: expected the variable ${apiKeyEnv} to hold a key, got none.`);
  keepSecret(apiKey);
  return { url: url.replace(/\/+$/, "").replace(/\/v1$/, ""), apiKey, apiKeyEnv, model };
}

/** See the file header. */
export class SampledEngine implements Engine {
  readonly #engine: Engine;
  readonly #pool: EndpointPool;
  readonly #config: SamplerConfig;
  readonly #options: SampledEngineOptions;
  /** Published snapshots, the newest last. */
  readonly #published: { readonly dir: string; readonly weights: Weights }[] = [];
  #partials = 0;

  constructor(engine: Engine, pool: EndpointPool, config: SamplerConfig, options: SampledEngineOptions) {
    this.#engine = engine;
    this.#pool = pool;
    this.#config = config;
    this.#options = options;
  }

  async openSnapshot(dir: string, options: SnapshotOptions = {}): Promise<Snapshot> {
    if (options.precision !== "frozen" || resolve(dir) !== resolve(this.#options.baseDir))
      return this.#engine.openSnapshot(dir, options);
    const replaces = this.#config.update === "sglang-disk";
    return this.#snapshot(
      dir,
      replaces ? modelWeights(`rzero-base-${sha256(resolve(dir)).slice(0, 16)}`, resolve(dir)) : ownWeights,
    );
  }

  async openTrainer(dir: string): Promise<Trainer> {
    const trainer = await this.#engine.openTrainer(dir);
    if (this.#config.update === "none") return trainer;
    return {
      ...forwarded(trainer),
      snapshot: async (options: SnapshotOptions = {}) =>
        options.precision === "frozen" ? this.#publish(trainer) : trainer.snapshot(options),
    };
  }

  openTokenizer(dir: string): Promise<Tokenizer> {
    return this.#engine.openTokenizer(dir);
  }

  /** What each endpoint has done. */
  reports(): EndpointReport[] {
    return this.#pool.endpoints.map((endpoint) => endpoint.report());
  }

  async dispose(): Promise<void> {
    const { completions, otherLength } = this.#pool.retokenised;
    this.#options.say(describeAll(this.reports()));
    if (completions > 0)
      this.#options.say(
        `${completions} completions came as text and were tokenised here; ${otherLength} of them have another number of tokens than their server counted`,
      );
    this.#pool.close();
    for (const snapshot of this.#published.splice(0)) await this.#retract(snapshot);
    await this.#engine.dispose();
  }

  /** Writes a policy where the servers see it. The directory's name says what is in it, so that the same weights go over once. */
  async #publish(trainer: Trainer): Promise<Snapshot> {
    const { directory = "", update, dtype } = this.#config;
    await mkdir(directory, { recursive: true });
    const partial = join(resolve(directory), `.partial-${process.pid}-${this.#partials++}`);
    const merged = update === "sglang-disk";
    try {
      await trainer.exportModel(partial, { dtype: merged ? dtype : "float32", merged });
      const name = `rzero-${await sumWeights(partial)}`;
      const dir = join(resolve(directory), name);
      const known = this.#published.findIndex((one) => one.dir === dir);
      if (known >= 0) this.#published.push(...this.#published.splice(known, 1));
      else {
        await rm(dir, { recursive: true, force: true });
        await rename(partial, dir);
        this.#published.push({ dir, weights: merged ? modelWeights(name, dir) : adapterWeights(name, dir) });
      }
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
    while (this.#published.length > KEPT_SNAPSHOTS) {
      const [oldest] = this.#published.splice(0, 1);
      await this.#retract(oldest);
    }
    const { dir, weights } = this.#published[this.#published.length - 1];
    return this.#snapshot(dir, weights);
  }

  async #retract({ dir, weights }: { readonly dir: string; readonly weights: Weights }): Promise<void> {
    await this.#pool.forget(weights);
    await rm(dir, { recursive: true, force: true });
  }

  /** Answers from the pool; scores, which only the guard wants, from the engine that trains. */
  #snapshot(dir: string, weights: Weights): Snapshot {
    const sampler = new PoolSampler(this.#pool, weights, this.#config.samplesPerRequest, this.#options.spend);
    let scorer: Promise<Snapshot> | undefined;
    let disposed = false;
    const expectOpen = () => {
      if (disposed) throw new EngineError("snapshot: expected an open one, got one that was disposed.");
    };
    return {
      overlap: sampler.overlap,
      sample: async (prompts, params, on) => {
        expectOpen();
        return sampler.sample(prompts, params, on);
      },
      logprobs: async (data) => {
        expectOpen();
        scorer ??= this.#engine.openSnapshot(dir, { precision: "frozen" });
        return (await scorer).logprobs(data);
      },
      dispose: async () => {
        disposed = true;
        await (await scorer)?.dispose();
      },
    };
  }
}

/** A trainer's methods, bound to it. */
function forwarded(trainer: Trainer): Omit<Trainer, "snapshot"> {
  return {
    forwardBackward: (data, loss) => trainer.forwardBackward(data, loss),
    optimStep: (params) => trainer.optimStep(params),
    resetOptimizer: () => trainer.resetOptimizer(),
    saveState: (dir, options) => trainer.saveState(dir, options),
    loadState: (dir) => trainer.loadState(dir),
    exportModel: (dir, options) => trainer.exportModel(dir, options),
    dispose: () => trainer.dispose(),
  };
}

/** One line about all endpoints. */
function describeAll(reports: readonly EndpointReport[]): string {
  const total = (pick: (report: EndpointReport) => number) => reports.reduce((sum, report) => sum + pick(report), 0);
  const up = reports.filter(({ state }) => state === "up").length;
  return (
    `${up} of ${reports.length} endpoints up, ${total((one) => one.completions)} completions, ${total((one) => one.tokens)} tokens, ` +
    `${total((one) => one.requests)} requests: ${total((one) => one.throttled)} put off, ${total((one) => one.failures)} failed, ` +
    `${total((one) => one.garbage)} garbage`
  );
}

/** Sum of a directory's weight files. */
async function sumWeights(dir: string): Promise<string> {
  const hash = createHash("sha256");
  for (const file of (await readdir(dir)).filter((name) => name.endsWith(".safetensors")).sort())
    for await (const piece of createReadStream(join(dir, file), { highWaterMark: 1 << 20 })) hash.update(piece as Buffer);
  return hash.digest("hex").slice(0, 16);
}
