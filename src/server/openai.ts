// A model behind OpenAI's interface: /v1/models, /v1/completions, /v1/chat/completions, /health. Only puts the parts together.

import { chatCompletions } from "./chat.ts";
import { completions } from "./completions.ts";
import { type Exchange, HttpServer, type Route, sendJson } from "./http.ts";
import { Problem } from "./problem.ts";
import { type ServedModel, Service } from "./service.ts";

/** How to serve. */
export interface OpenAIServerOptions {
  /** Default 127.0.0.1; another machine can only be let in with an API key. */
  readonly host?: string;
  /** Default 8000; 0 takes any free port. */
  readonly port?: number;
  readonly apiKey?: string;
  /** Largest request body; default 8 MiB. */
  readonly maxBodyBytes?: number;
}

/** Defaults of `OpenAIServerOptions`, and of how many requests may run or wait at once. */
export const SERVER_DEFAULTS = { host: "127.0.0.1", port: 8000, maxBodyBytes: 8 * 2 ** 20, maxQueue: 256 } as const;

/** Serves `model` until the result is closed. Errors: ConfigError (address, port, key). */
export function serveOpenAI(model: ServedModel, options: OpenAIServerOptions = {}): Promise<HttpServer> {
  const { host = SERVER_DEFAULTS.host, port = SERVER_DEFAULTS.port, maxBodyBytes = SERVER_DEFAULTS.maxBodyBytes } = options;
  return HttpServer.start(openAIRoutes(new Service(model)), { host, port, maxBodyBytes, apiKey: options.apiKey });
}

function openAIRoutes(service: Service): Route[] {
  return [
    { method: "GET", path: "/health", open: true, handle: (exchange) => health(service, exchange) },
    { method: "GET", path: "/v1/models", handle: async ({ response }) => sendJson(response, 200, listModels(service)) },
    {
      method: "GET",
      path: "/v1/models/*",
      handle: async ({ response, rest }) => sendJson(response, 200, findModel(service, rest)),
    },
    {
      method: "POST",
      path: "/v1/completions",
      handle: (exchange) => service.admit(() => completions(service, exchange)),
    },
    {
      method: "POST",
      path: "/v1/chat/completions",
      handle: (exchange) => service.admit(() => chatCompletions(service, exchange)),
    },
  ];
}

/** 200 while the engine answers, 503 after it has ended. */
async function health(service: Service, { response }: Exchange): Promise<void> {
  const { requests, running, waiting } = await service.model.live.stats();
  sendJson(response, 200, { status: "ok", requests, running, waiting });
}

function listModels(service: Service): object {
  return { object: "list", data: [describeModel(service)] };
}

function findModel(service: Service, name: string): object {
  if (service.model.names.includes(name)) return describeModel(service);
  throw new Problem(404, `model: expected "${service.model.names[0]}", got "${name}".`, { code: "model_not_found" });
}

function describeModel({ model, created }: Service): object {
  return { id: model.names[0], object: "model", created, owned_by: "rzero", max_model_len: model.live.context };
}
