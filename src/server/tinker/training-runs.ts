// The part of a Tinker server that is about what was trained: models and their saved weights, listed, described, downloaded, deleted;
// sessions and sampling sessions. Knows HTTP exchanges and the service, no engine.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { parseRequest, weightsInfoRequest } from "../../tinker-wire/messages.ts";
import { MEDIA_TYPES } from "../../tinker-wire/protocol.ts";
import { expectObject, readJsonFile } from "../../util/json.ts";
import { type Exchange, type Route, sendJson } from "../http.ts";
import { Problem } from "../problem.ts";
import { archiveOf } from "./archive.ts";
import { type Checkpoint, type CheckpointRef, parseTinkerPath, tinkerPath } from "./checkpoints.ts";
import { asked } from "./problems.ts";
import { trainedParts } from "./run-operation.ts";
import type { TinkerService } from "./service.ts";
import type { TrainedModel } from "./trained-model.ts";

const LINK_MS = 2 * 3600 * 1000;
const ADAPTER_CONFIG = "adapter_config.json";
const MOST_PAGE = 1000;
const SECRET = randomBytes(32);

/** Routes below the prefix that `at` puts before a path. */
export function trainingRunRoutes(service: TinkerService, at: (path: string) => string): Route[] {
  const get = (path: string, answer: (exchange: Exchange) => object): Route => ({
    method: "GET",
    path: at(path),
    handle: async (exchange) => sendJson(exchange.response, 200, answer(exchange)),
  });
  const runs = at("training_runs/*");
  return [
    get("training_runs", ({ query }) => listRuns(service, query)),
    { method: "GET", path: runs, handle: async (exchange) => getOfRun(service, exchange, at("")) },
    { method: "DELETE", path: runs, handle: async (exchange) => changeOfRun(service, exchange, "DELETE") },
    { method: "POST", path: runs, handle: async (exchange) => changeOfRun(service, exchange, "POST") },
    { method: "PUT", path: runs, handle: async (exchange) => changeOfRun(service, exchange, "PUT") },
    get("models/*", ({ rest }) => {
      const [id, what, ...others] = rest.split("/");
      if (what !== "checkpoints" || others.length > 0) throw notFound(rest);
      return listCheckpoints(service, id);
    }),
    get("checkpoints", () => ({ checkpoints: service.models.flatMap(({ record }) => checkpointsOf(service, record.id)) })),
    { method: "GET", path: at("downloads/*"), open: true, handle: (exchange) => download(service, exchange) },
    get("samplers/*", ({ rest }) => {
      const found = service.samplingSessions.get(rest);
      if (found === undefined) throw new Problem(404, "Sampler not found");
      return { sampler_id: found.id, base_model: service.names[0], model_path: found.modelPath ?? null };
    }),
    get("sessions", () => ({ sessions: service.sessions.all.map(({ id }) => id) })),
    get("sessions/*", ({ rest }) => describeSession(service, rest)),
    {
      method: "POST",
      path: at("weights_info"),
      handle: async (exchange) => {
        const { bytes } = await exchange.body([MEDIA_TYPES.json]);
        const { tinker_path } = asked(() => parseRequest(weightsInfoRequest, bytes));
        const { record } = service.model(service.checkpoints.find(parseTinkerPath(tinker_path)).modelId);
        sendJson(exchange.response, 200, {
          ...{ base_model: record.baseModel, is_lora: record.rank > 0, lora_rank: record.rank > 0 ? record.rank : null },
          ...trainedParts(record),
        });
      },
    },
  ];
}

function listRuns(service: TinkerService, query: URLSearchParams): object {
  const number = (name: string, otherwise: number) => {
    const value = Number(query.get(name) ?? otherwise);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new Problem(422, `${name}: expected a whole number, got ${JSON.stringify(query.get(name))}.`);
  };
  const [offset, limit] = [number("offset", 0), Math.min(number("limit", 20), MOST_PAGE)];
  const all = service.models.reverse();
  const training_runs = all.slice(offset, offset + limit).map((model) => describeRun(service, model));
  return { training_runs, cursor: { offset, limit, total_count: all.length } };
}

/** RUN, RUN/checkpoints, RUN/checkpoints/[KIND/]NAME/archive. */
function getOfRun(service: TinkerService, { rest, response, headers }: Exchange, prefix: string): void {
  const [id, what, ...parts] = rest.split("/");
  const model = service.model(id);
  const last = parts.at(-1);
  if (what === undefined) sendJson(response, 200, describeRun(service, model));
  else if (what === "checkpoints" && last === undefined) sendJson(response, 200, listCheckpoints(service, id));
  else if (what === "checkpoints" && last === "archive")
    sendLink(service.checkpoints.find(refOf(id, parts.slice(0, -1), rest)), response, `http://${headers.host}${prefix}`);
  else throw notFound(rest);
}

function sendLink(checkpoint: Checkpoint, response: Exchange["response"], prefix: string): void {
  if (checkpoint.kind !== "sampler_weights")
    throw new Problem(
      400,
      `archive: expected weights of save_weights_for_sampler, got ${tinkerPath(checkpoint)}, a training state.`,
    );
  const expires = Date.now() + LINK_MS;
  const path = `${checkpoint.modelId}/${checkpoint.name}`;
  const location = `${prefix}downloads/${path}?expires=${expires}&signature=${sign(path, expires)}`;
  response.writeHead(302, { location, expires: new Date(expires).toUTCString(), "content-length": 0 });
  response.end();
}

/** A link that was handed out is its own key: clients fetch it without theirs. */
async function download(service: TinkerService, { rest, query, response }: Exchange): Promise<void> {
  const [id, name, ...others] = rest.split("/");
  const expires = Number(query.get("expires"));
  const right = Buffer.from(sign(`${id}/${name}`, expires));
  const given = Buffer.from(query.get("signature") ?? "");
  if (others.length > 0 || given.length !== right.length || !timingSafeEqual(given, right))
    throw new Problem(403, "download: expected a link of this server, got another. Ask for the archive again.");
  if (!(expires > Date.now())) throw new Problem(403, "download: this link has expired. Ask for the archive again.");
  const checkpoint = service.checkpoints.find({ modelId: id, kind: "sampler_weights", name });
  const dir = service.checkpoints.contentDir(checkpoint);
  response.writeHead(200, {
    "content-type": "application/gzip",
    "content-disposition": `attachment; filename="${id}_${name}.tar.gz"`,
  });
  try {
    await pipeline(archiveOf(dir, portable(service, dir)), response);
  } catch {
    // A client that has gone, or weights that were deleted meanwhile: the answer is cut off, which a client can see.
    response.destroy();
  }
}

/** An adapter names its base as clients know it, not where it lies on this machine. */
function portable(service: TinkerService, dir: string): Record<string, Buffer> {
  const file = join(dir, ADAPTER_CONFIG);
  if (!existsSync(file)) return {};
  const config = { ...expectObject(readJsonFile(file, 1 << 20), file), base_model_name_or_path: service.names[0] };
  return { [ADAPTER_CONFIG]: Buffer.from(`${JSON.stringify(config, null, 2)}\n`) };
}

/** DELETE RUN/checkpoints/KIND/NAME; POST and DELETE …/publish; PUT …/ttl. */
async function changeOfRun(service: TinkerService, exchange: Exchange, method: "DELETE" | "POST" | "PUT"): Promise<void> {
  const [id, what, ...parts] = exchange.rest.split("/");
  const last = parts.at(-1);
  if (what !== "checkpoints") throw notFound(exchange.rest);
  if (last === "publish" && parts.length > 1 && method !== "PUT")
    service.checkpoints.change(refOf(id, parts.slice(0, -1), exchange.rest), { public: method === "POST" });
  else if (last === "ttl" && parts.length > 1 && method === "PUT") {
    const ttlSeconds = ttlOf(await exchange.json());
    service.checkpoints.change(refOf(id, parts.slice(0, -1), exchange.rest), { ttlSeconds });
  } else if (method === "DELETE") {
    if (parts.length !== 2) throw new Problem(400, "checkpoint: expected weights/NAME or sampler_weights/NAME, got neither.");
    const gone = service.checkpoints.remove(refOf(id, parts, exchange.rest));
    await service.samplers.drop(service.checkpoints.contentDir(gone));
  } else throw notFound(exchange.rest);
  exchange.response.writeHead(204).end();
}

function ttlOf(body: unknown): number | null {
  const { ttl_seconds = null } = asked(() => expectObject(body, "body"));
  if (ttl_seconds === null || (typeof ttl_seconds === "number" && ttl_seconds >= 0)) return ttl_seconds;
  throw new Problem(422, `body.ttl_seconds: expected a number of seconds or null, got ${JSON.stringify(ttl_seconds)}.`);
}

/** [KIND/]NAME; a bare name is a sampler's. Errors: Problem 400, 404. */
function refOf(modelId: string, parts: readonly string[], path: string): CheckpointRef {
  if (parts.length === 1) return parseTinkerPath(`tinker://${modelId}/sampler_weights/${parts[0]}`);
  if (parts.length === 2) return parseTinkerPath(`tinker://${modelId}/${parts[0]}/${parts[1]}`);
  throw notFound(path);
}

function listCheckpoints(service: TinkerService, id: string): object {
  service.model(id);
  return { checkpoints: checkpointsOf(service, id) };
}

function checkpointsOf(service: TinkerService, id: string): object[] {
  return service.checkpoints.list(id).map(describeCheckpoint);
}

function describeCheckpoint(checkpoint: Checkpoint): object {
  return {
    checkpoint_id: checkpoint.name,
    checkpoint_type: checkpoint.kind === "weights" ? "training" : "sampler",
    time: checkpoint.time,
    tinker_path: tinkerPath(checkpoint),
    size_bytes: checkpoint.bytes,
    public: checkpoint.public,
    expires_at: checkpoint.expiresAt ?? null,
  };
}

function describeRun(service: TinkerService, { record, lastRequest }: TrainedModel): object {
  const list = service.checkpoints.list(record.id);
  const last = (kind: string) => {
    const found = list.findLast((checkpoint) => checkpoint.kind === kind);
    return found === undefined ? null : describeCheckpoint(found);
  };
  return {
    training_run_id: record.id,
    base_model: record.baseModel,
    model_owner: "default",
    is_lora: record.rank > 0,
    corrupted: false,
    lora_rank: record.rank > 0 ? record.rank : null,
    last_request_time: lastRequest,
    last_checkpoint: last("weights"),
    last_sampler_checkpoint: last("sampler_weights"),
    user_metadata: record.userMetadata ?? null,
  };
}

function describeSession(service: TinkerService, id: string): object {
  const found = service.sessions.all.find((session) => session.id === id);
  if (found === undefined) throw new Problem(404, "Session not found");
  const of = (session: string) => session === id;
  return {
    training_run_ids: service.models.filter(({ record }) => of(record.session)).map(({ record }) => record.id),
    sampler_ids: service.samplingSessions.all.filter(({ session }) => of(session)).map((sampler) => sampler.id),
  };
}

function sign(path: string, expires: number): string {
  return createHmac("sha256", SECRET).update(`${path}\n${expires}`).digest("hex");
}

function notFound(path: string): Problem {
  return new Problem(404, `${path}: expected a path of this server, got one that it does not have.`);
}
