// The local engine behind the Tinker training protocol, so that Tinker programs run on this machine. Only puts the parts together.

import { mkdirSync } from "node:fs";
import type { Engine } from "../engine/types.ts";
import { KEY_HEADER, MAX_BODY_BYTES } from "../tinker-wire/protocol.ts";
import { ConfigError } from "../util/errors.ts";
import { HttpServer } from "./http.ts";
import { problemBody } from "./tinker/problems.ts";
import { tinkerRoutes } from "./tinker/routes.ts";
import { TinkerService } from "./tinker/service.ts";
import type { DataLimits } from "./tinker/training-data.ts";

/** What to serve and how. */
export interface TinkerServerOptions {
  readonly engine: Engine;
  /** Directory of a whole model: what adapters are trained over, and what is trained whole. */
  readonly baseDir: string;
  /** What clients may call it; the first is told. */
  readonly names: readonly string[];
  /** Directory of all that outlives a restart; one server at a time. */
  readonly stateDir: string;
  /** Default 127.0.0.1; another machine can only be let in with an API key. */
  readonly host?: string;
  /** Default 8000; 0 takes any free port. */
  readonly port?: number;
  /** Clients must send it as X-API-Key, or as a bearer token. */
  readonly apiKey?: string;
  /** Largest request body. */
  readonly maxBodyBytes?: number;
  /** Requests without a result; more are answered 429. */
  readonly maxPending?: number;
  /** Models in training at once. */
  readonly maxModels?: number;
  /** Memory of keys and values of each set of weights that is sampled from. */
  readonly cacheBytes?: number;
  /** How long a request for a result waits for it before it is told to try again. */
  readonly pollMs?: number;
  /** Silence after which a session's models leave memory; the next request brings them back. */
  readonly sessionMs?: number;
  /** Between two looks for silent sessions and expired checkpoints. */
  readonly sweepMs?: number;
  /** Takes what went wrong, a line each. */
  log?(line: string): void;
}

/** Defaults of `TinkerServerOptions`. */
export const TINKER_DEFAULTS = {
  host: "127.0.0.1",
  port: 8000,
  maxBodyBytes: MAX_BODY_BYTES,
  maxPending: 1024,
  maxModels: 16,
  pollMs: 30_000,
  sessionMs: 300_000,
  sweepMs: 10_000,
} as const;

const PROBE_CACHE_BYTES = 1 << 20;

/** A running server. */
export interface TinkerServer {
  /** What clients take for the service's base URL. */
  readonly url: string;
  readonly context: number;
  /** Fulfilled with the reason when the engine has ended. */
  readonly ended: Promise<Error>;
  /** Takes no more requests and ends; what was accepted and not finished waits in the state directory. */
  close(): Promise<void>;
}

/** Serves until the result is closed. Errors: ConfigError (address, port, key), DataError (a damaged state directory), EngineError, DiskError. */
export async function serveTinker(options: TinkerServerOptions): Promise<TinkerServer> {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as TinkerServerOptions;
  const all = { ...TINKER_DEFAULTS, log: () => {}, ...given };
  const { limits, ended } = await probe(all);
  mkdirSync(all.stateDir, { recursive: true });
  const service = new TinkerService({ ...all, limits });
  const http = await HttpServer.start(tinkerRoutes(service, all), { ...all, keyHeader: KEY_HEADER, problemBody });
  const sweeping = setInterval(() => void service.sweep().catch((error) => all.log(`sweep: ${error}`)), all.sweepMs);
  sweeping.unref();
  void ended.then(() => service.stop());
  return {
    url: http.url,
    context: limits.context,
    ended,
    close: async () => {
      clearInterval(sweeping);
      service.stop();
      await http.close(1000);
    },
  };
}

/** The model's limits, and the engine's end, which a live sampler tells. */
async function probe({
  engine,
  baseDir,
  cacheBytes,
}: TinkerServerOptions): Promise<{ limits: DataLimits; ended: Promise<Error> }> {
  const snapshot = await engine.openSnapshot(baseDir);
  if (snapshot.openLive === undefined)
    throw new ConfigError("serve: expected an engine that samples live, got one that does not.");
  const like = await snapshot.openLive({ cacheBytes });
  const { vocabSize, context } = like;
  await like.dispose();
  const { ended } = await snapshot.openLive({ cacheBytes: PROBE_CACHE_BYTES });
  return { limits: { vocabSize, context }, ended };
}
