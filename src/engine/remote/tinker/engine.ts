// The engine over Tinker servers: policies train and sample on machines that others run, and everything else stays as it is. Meets its
// servers at the first need of them, finds out what they do (probe.ts), and spreads policies over them. Knows no roles.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { createSamplingSessionReply, parseValue } from "../../../tinker-wire/messages.ts";
import { type Clock, systemClock } from "../../../util/clock.ts";
import { CheckpointError, ConfigError } from "../../../util/errors.ts";
import { writeFileAtomic } from "../../../util/files.ts";
import { keepSecret } from "../../../util/secrets.ts";
import { type LocalTokenizer, loadTokenizer } from "../../local/tokenizer.ts";
import type { Engine, Snapshot, Tokenizer, Trainer, TrainerOptions } from "../../types.ts";
import type { LoraConfig } from "./model.ts";
import { describeFindings, type Findings, type ProbeWishes, probeServer } from "./probe.ts";
import { RequestJournal } from "./request-journal.ts";
import { isLost } from "./retry.ts";
import { SavedWeights } from "./saved-weights.ts";
import { Server } from "./server.ts";
import { TinkerSnapshot } from "./snapshot.ts";
import { TinkerTrainer } from "./trainer.ts";

/** How to reach Tinker servers and what to train there; see config/engine.ts for defaults and ranges. */
export interface TinkerEngineOptions extends ProbeWishes {
  /** Addresses; policies are spread over them. */
  readonly urls: readonly string[];
  /** Variable of the environment with the key. */
  readonly apiKeyEnv: string;
  readonly model?: string;
  /** Directory with the tokenizer; default: the base model's. */
  readonly tokenizer?: string;
  readonly lora: LoraConfig & { readonly seed: number };
  readonly maxTokensPerMicroBatch: number;
  readonly concurrency: number;
  readonly pollSeconds: number;
  readonly deadlineSeconds: number;
  readonly patienceSeconds: number;
  /** The run's directory, where requests are journalled; absent: nowhere. */
  readonly runDir?: string;
  /** New tokens of the run's longest completion. */
  readonly longest?: number;
  /** Told once what was found out about each server. */
  readonly report?: (line: string) => void;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** What trainers and snapshots share. */
export interface EngineParts {
  readonly journal: RequestJournal;
  readonly saved: SavedWeights;
  readonly lora: LoraConfig;
  readonly maxTokensPerMicroBatch: number;
  /** The base model's directory on this machine. */
  readonly baseDir: string;
  readonly tokenizer: LocalTokenizer;
  /** The server of an address that a state file names. Errors: CheckpointError. */
  serverOf(url: string, where: string): Promise<Server>;
  /** Errors: CheckpointError when the server does not have saved weights (any more). */
  expectSaved(server: Server, path: string, where: string): Promise<void>;
}

/** A server and what it does. */
interface Met {
  readonly server: Server;
  readonly findings: Findings;
}

/** Folder of the run's directory for what this engine keeps. */
const FOLDER = "tinker";

/** Makes the engine; servers are met at the first call that needs one. Errors: ConfigError. */
export function createTinkerEngine(options: TinkerEngineOptions): Engine {
  return new TinkerEngine(options);
}

class TinkerEngine implements Engine {
  readonly #options: TinkerEngineOptions;
  readonly #journal: RequestJournal;
  readonly #saved: SavedWeights;
  #met: Promise<readonly Met[]> | undefined;
  #trainers = 0;

  constructor(options: TinkerEngineOptions) {
    this.#options = options;
    const { runDir } = options;
    this.#journal = new RequestJournal(runDir && join(runDir, FOLDER, "requests.jsonl"));
    this.#saved = new SavedWeights(runDir);
  }

  async openSnapshot(dir: string): Promise<Snapshot> {
    const [{ server }] = await this.#servers();
    const open = async () => {
      const session = await server.session();
      const body = {
        session_id: session.id,
        sampling_session_seq_id: server.nextSampler(),
        base_model: server.model,
        type: "create_sampling_session",
      };
      const reply = await server.connection.post("/create_sampling_session", body);
      return parseValue(createSamplingSessionReply, reply, "/create_sampling_session").sampling_session_id;
    };
    const again = async () => {
      await server.renew();
      return open();
    };
    return new TinkerSnapshot(this.#parts(dir), server, await open(), again);
  }

  async openTrainer(dir: string, { adapter }: TrainerOptions = {}): Promise<Trainer> {
    if (adapter !== undefined) throw new ConfigError("engine.lora: expected the adapter of the configuration, got another.");
    const all = await this.#servers();
    const { server } = all.reduce((least, one) => (one.server.policies < least.server.policies ? one : least));
    const { seed } = this.#options.lora;
    return new TinkerTrainer(this.#parts(dir), server, { kind: "fresh", slot: `${this.#trainers++}`, seed });
  }

  async openTokenizer(dir: string): Promise<Tokenizer> {
    return loadTokenizer(this.#options.tokenizer ?? dir);
  }

  async dispose(): Promise<void> {
    const met = await this.#met?.catch(() => []);
    await Promise.all((met ?? []).map(({ server }) => server.close()));
  }

  #servers(): Promise<readonly Met[]> {
    this.#met ??= this.#meet();
    return this.#met;
  }

  async #meet(): Promise<readonly Met[]> {
    const met: Met[] = [];
    try {
      for (const url of this.#options.urls) met.push(await this.#meetOne(url));
    } catch (error) {
      await Promise.all(met.map(({ server }) => server.close()));
      throw error;
    }
    this.#record(met);
    return met;
  }

  async #meetOne(address: string): Promise<Met> {
    const { apiKeyEnv, clock = systemClock, random = Math.random, lora, report } = this.#options;
    const { pollSeconds, deadlineSeconds, patienceSeconds, model, longest, concurrency } = this.#options;
    const key = process.env[apiKeyEnv] || undefined;
    keepSecret(key);
    const url = address.replace(/\/+$/, "").replace(/\/api\/v1$/, "");
    const times = { pollMs: pollSeconds * 1000, deadlineMs: deadlineSeconds * 1000, patienceMs: patienceSeconds * 1000 };
    const wishes = { model, longest, concurrency, keyName: apiKeyEnv };
    const server = await Server.connect({ url, key, clock, random, ...times }, wishes, this.#journal.lastSession(url));
    try {
      const findings = await probeServer(server, lora, this.#options);
      server.form = findings.form;
      report?.(`${url}: ${server.model}, ${describeFindings(findings)}`);
      return { server, findings };
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  /** What was found, for people who read the run's directory. */
  #record(met: readonly Met[]): void {
    const { runDir } = this.#options;
    if (runDir === undefined) return;
    const found = met.map(({ server, findings }) => ({
      url: server.connection.options.url,
      model: server.model,
      context: server.context,
      extensions: [...server.extensions],
      ...findings,
    }));
    writeFileAtomic(join(runDir, FOLDER, "servers.json"), `${JSON.stringify(found, null, 2)}\n`);
  }

  #parts(dir: string): EngineParts {
    if (existsSync(join(dir, "adapter_config.json")))
      throw new ConfigError(
        `${dir}: expected the base model that the server has, got an adapter. Merge it and serve the result.`,
      );
    const { lora, maxTokensPerMicroBatch, tokenizer } = this.#options;
    const { rank, attention, mlp, unembed } = lora;
    return {
      journal: this.#journal,
      saved: this.#saved,
      lora: { rank, attention, mlp, unembed },
      maxTokensPerMicroBatch,
      baseDir: dir,
      tokenizer: loadTokenizer(tokenizer ?? dir),
      serverOf: (url, where) => this.#serverOf(url, where),
      expectSaved,
    };
  }

  /** A single server may have moved; of several, states stay with theirs. */
  async #serverOf(url: string, where: string): Promise<Server> {
    const met = await this.#servers();
    const found = met.length === 1 ? met[0] : met.find(({ server }) => server.connection.options.url === url);
    if (found !== undefined) return found.server;
    throw new CheckpointError(`${where}: expected a state on one of engine.url, got one on ${url}.`);
  }
}

async function expectSaved(server: Server, path: string, where: string): Promise<void> {
  try {
    await server.connection.post("/weights_info", { tinker_path: path });
  } catch (error) {
    if (!isLost(error)) throw error;
    throw new CheckpointError(`${where}: expected ${path} on the server, got: ${error.message}`, { cause: error });
  }
}
