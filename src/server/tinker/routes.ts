// The addresses of a Tinker server and the shapes of its short answers. Knows HTTP exchanges and the service, no engine.
// Source: the public `tinker` SDK 0.25.0 and SkyRL's open server (mid-2026).

import { modelRequest, parseRequest, retrieveFutureRequest } from "../../tinker-wire/messages.ts";
import { API_PREFIX, type Codec, EXTENSIONS, MAX_DATA, MEDIA_TYPES } from "../../tinker-wire/protocol.ts";
import { decodeSampleResult } from "../../tinker-wire/sampling.ts";
import { encodeSampleResultProto } from "../../tinker-wire/sampling-protobuf.ts";
import { decodeForwardBackwardResult } from "../../tinker-wire/training.ts";
import { encodeForwardBackwardResultProto } from "../../tinker-wire/training-protobuf.ts";
import { type Exchange, type Route, sendJson } from "../http.ts";
import type { FutureResult } from "./futures.ts";
import { LOSSES } from "./losses.ts";
import { asked } from "./problems.ts";
import { describeModel } from "./run-operation.ts";
import type { TinkerService } from "./service.ts";
import { trainingRunRoutes } from "./training-runs.ts";

/** Times of the interface. */
export interface RouteOptions {
  /** How long a request for a result waits for it. */
  readonly pollMs: number;
}

const JSON_ONLY = [MEDIA_TYPES.json];
const BOTH = [MEDIA_TYPES.json, MEDIA_TYPES.protobuf];

/** All routes. */
export function tinkerRoutes(service: TinkerService, options: RouteOptions): Route[] {
  const at = (path: string) => `${API_PREFIX}/${path}`;
  const healthy = async ({ response }: Exchange) => sendJson(response, 200, { status: "ok", pending: service.futures.pending });
  return [
    { method: "GET", path: "/healthz", open: true, handle: healthy },
    { method: "GET", path: at("healthz"), open: true, handle: healthy },
    {
      method: "GET",
      path: at("get_server_capabilities"),
      handle: async ({ response }) => sendJson(response, 200, capabilities(service)),
    },
    ...[
      post(at("client/config"), () => CLIENT_CONFIG),
      post(at("client/dynamic_config"), () => ({ refresh_interval_sec: 3600 })),
      post(at("telemetry"), () => ({ status: "accepted" })),
      post(at("create_session"), (body) => sessionReply(service.createSession(body).id)),
      post(at("session_heartbeat"), (body) => {
        service.heartbeat(body);
        return { type: "session_heartbeat" };
      }),
      post(at("create_model"), (body) => createModel(service, body)),
      post(at("get_info"), (body) => modelInfo(service, parseRequest(modelRequest, body).model_id)),
      post(at("create_sampling_session"), (body) => ({
        type: "create_sampling_session",
        sampling_session_id: service.createSamplingSession(body),
      })),
      post(at("asample"), (body) => pending(service.sample(body))),
      post(at("unload_model"), (body) => {
        const { future, modelId } = service.train("unload_model", body, "json");
        return { request_id: future, model_id: modelId };
      }),
    ],
    ...(["forward", "forward_backward", "optim_step", "save_weights", "save_weights_for_sampler", "load_weights"] as const).map(
      (kind): Route => ({
        method: "POST",
        path: at(kind),
        handle: async (exchange) => {
          const { type, bytes } = await exchange.body(kind === "forward_backward" ? BOTH : JSON_ONLY);
          const codec: Codec = type === MEDIA_TYPES.protobuf ? "protobuf" : "json";
          const { future } = asked(() => service.train(kind, bytes, codec));
          sendJson(exchange.response, 200, pending(future));
        },
      }),
    ),
    { method: "POST", path: at("retrieve_future"), handle: (exchange) => retrieve(service, exchange, options) },
    ...trainingRunRoutes(service, at),
  ];
}

function post(path: string, answer: (body: Uint8Array) => object): Route {
  return {
    method: "POST",
    path,
    handle: async (exchange) => {
      const { bytes } = await exchange.body(JSON_ONLY);
      sendJson(
        exchange.response,
        200,
        asked(() => answer(bytes)),
      );
    },
  };
}

const CLIENT_CONFIG = {
  pjwt_auth_enabled: false,
  fwdbwd_max_chunk_len: MAX_DATA,
  fwdbwd_max_chunk_bytes_count: 32 * 2 ** 20,
  parallel_fwdbwd_chunks: false,
  proto_write_fwdbwd: true,
  // Node 20 has no zstd.
  proto_compress_fwdbwd: false,
  sample_max_concurrent_requests: 512,
  rzero_extensions: EXTENSIONS,
};

function capabilities({ names, limits }: TinkerService): object {
  const supported_models = names.map((model_name) => ({ model_name, max_context_length: limits.context }));
  return { supported_models, supported_loss_fns: [...LOSSES].sort() };
}

function sessionReply(session_id: string): object {
  return { type: "create_session", info_message: null, warning_message: null, error_message: null, session_id };
}

function createModel(service: TinkerService, body: Uint8Array): object {
  const record = service.createModel(body);
  return { ...describeModel(record), status: "created", request_id: record.future };
}

function modelInfo(service: TinkerService, id: string): object {
  const { record, isUnloaded } = service.model(id);
  const model_data = {
    base_model: record.baseModel,
    lora_config: { rank: record.rank, seed: record.seed },
    model_name: record.baseModel,
    // transformers loads a tokenizer from a directory as it does from a name.
    tokenizer_id: service.baseDir,
  };
  return {
    type: "get_info",
    ...{ model_id: id, status: isUnloaded ? "unloaded" : "created", model_data },
    ...{ is_lora: record.rank > 0, lora_rank: record.rank, model_name: record.baseModel },
  };
}

function pending(id: string): object {
  return { future_id: id, status: "pending", request_id: id };
}

async function retrieve(service: TinkerService, exchange: Exchange, { pollMs }: RouteOptions): Promise<void> {
  const { bytes } = await exchange.body(JSON_ONLY);
  const { request_id } = asked(() => parseRequest(retrieveFutureRequest, bytes));
  const result = await service.futures.wait(request_id, pollMs, exchange.gone);
  if (exchange.gone.aborted) return;
  if (result === undefined)
    sendJson(exchange.response, 408, { type: "try_again", request_id, queue_state: "active", queue_state_reason: null });
  else sendResult(exchange, result);
}

function sendResult({ headers, response }: Exchange, { kind, json }: FutureResult): void {
  const wantsProtobuf = (headers.accept ?? "").includes(MEDIA_TYPES.protobuf);
  const isProtobuf = wantsProtobuf && (kind === "training" || kind === "sample");
  const body = isProtobuf ? protobufOf(kind, json) : Buffer.from(json);
  const type = isProtobuf ? MEDIA_TYPES.protobuf : MEDIA_TYPES.json;
  response.writeHead(200, { "content-type": type, "content-length": body.length });
  response.end(body);
}

function protobufOf(kind: "training" | "sample", json: string): Uint8Array {
  const value: unknown = JSON.parse(json);
  if (kind === "sample") return encodeSampleResultProto(decodeSampleResult(value, "result"));
  return encodeForwardBackwardResultProto(decodeForwardBackwardResult(value, "result"));
}
