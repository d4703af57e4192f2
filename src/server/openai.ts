// A model behind OpenAI's interface: /v1/models, /v1/completions, /v1/chat/completions, /health, and what loads weights while it runs.
// Only puts the parts together.

import { chatCompletions } from "./chat.ts";
import { completions } from "./completions.ts";
import { type Exchange, HttpServer, type Route, sendJson } from "./http.ts";
import { describeModel, type ModelSource, ModelTable } from "./models.ts";
import type { ServedModel } from "./service.ts";

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

/** Serves `model` until the result is closed; `source` lets clients load weights. Errors: ConfigError (address, port, key). */
export function serveOpenAI(model: ServedModel, options: OpenAIServerOptions = {}, source?: ModelSource): Promise<HttpServer> {
  const { host = SERVER_DEFAULTS.host, port = SERVER_DEFAULTS.port, maxBodyBytes = SERVER_DEFAULTS.maxBodyBytes } = options;
  return HttpServer.start(openAIRoutes(new ModelTable(model, source)), { host, port, maxBodyBytes, apiKey: options.apiKey });
}

function openAIRoutes(models: ModelTable): Route[] {
  const get = (path: string, handle: Route["handle"]): Route => ({ method: "GET", path, handle });
  const post = (path: string, handle: Route["handle"]): Route => ({ method: "POST", path, handle });
  return [
    { ...get("/health", (exchange) => health(models, exchange)), open: true },
    get("/v1/models", async ({ response }) => sendJson(response, 200, { object: "list", data: models.list() })),
    get("/v1/models/*", async ({ response, rest }) => sendJson(response, 200, describeModel(models.find(rest)))),
    post("/v1/completions", (exchange) => models.admit(() => completions(models, exchange))),
    post("/v1/chat/completions", (exchange) => models.admit(() => chatCompletions(models, exchange))),
    post("/v1/load_lora_adapter", (exchange) => models.loadAdapter(exchange)),
    post("/v1/unload_lora_adapter", (exchange) => models.unloadAdapter(exchange)),
    post("/update_weights_from_disk", (exchange) => models.replaceWeights(exchange)),
    get("/get_model_info", (exchange) => models.info(exchange)),
  ];
}

/** 200 while the engine answers, 503 after it has ended. */
async function health(models: ModelTable, { response }: Exchange): Promise<void> {
  const { requests, running, waiting } = await models.base.model.live.stats();
  sendJson(response, 200, { status: "ok", requests, running, waiting });
}
