// `rzero serve`: a model behind a standard protocol, until Ctrl-C.

import { basename } from "node:path";
import { Command } from "commander";
import { createEngine } from "../engine/create.ts";
import { type OpenAIServerOptions, SERVER_DEFAULTS, serveOpenAI } from "../server/openai.ts";
import { ConfigError } from "../util/errors.ts";
import { keepSecret } from "../util/secrets.ts";
import { engineConfig } from "./engine.ts";
import { type ModelRef, resolveModel } from "./model-ref.ts";
import { type DTypeOption, FROZEN_DTYPE_HELP, frozenDType, oneOf, threadCount, wholeNumber } from "./options.ts";
import { printJsonLine, say } from "./output.ts";
import { onInterrupt } from "./signals.ts";

interface ServeOptions extends OpenAIServerOptions {
  model: string;
  protocol: "openai";
  host: string;
  port: number;
  name?: string;
  maxQueue: number;
  maxBody: number;
  slots?: number;
  cacheBytes?: number;
  threads?: number | "auto";
  dtype?: DTypeOption;
  runs?: string;
  json?: boolean;
}

/** How long requests in progress may go on after the first signal. */
const GRACE_MS = 30_000;

export function serveCommand(): Command {
  return new Command("serve")
    .description("serve a model over HTTP as OpenAI's interface (completions, chat, streaming)")
    .requiredOption("--model <model>", "model directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option("--protocol <name>", "openai", oneOf("openai"), "openai")
    .option("--host <address>", "address to listen on; all but this machine's own need an API key", SERVER_DEFAULTS.host)
    .option("--port <number>", "port; 0 takes any free one", wholeNumber(0), SERVER_DEFAULTS.port)
    .option("--api-key <key>", "clients must send it as a bearer token; better set RZERO_API_KEY, which no process list shows")
    .option("--name <name>", "name of the model in requests; default: as given in --model")
    .option(
      "--max-queue <count>",
      "requests that may run or wait at once; more get 429",
      wholeNumber(1),
      SERVER_DEFAULTS.maxQueue,
    )
    .option("--max-body <bytes>", "largest request; more gets 413", wholeNumber(1), SERVER_DEFAULTS.maxBodyBytes)
    .option("--slots <count>", "completions that decode together", wholeNumber(1))
    .option("--cache-bytes <bytes>", "memory for keys and values", wholeNumber(1))
    .option("--threads <count>", "threads, or auto", threadCount)
    .option("--dtype <format>", FROZEN_DTYPE_HELP, frozenDType)
    .option("--runs <dir>", "where runs live")
    .option("--json", 'print {"url", "model", "context"} when ready')
    .addHelpText(
      "after",
      "\nExample:\n  rzero serve --model tiny-base --port 8000\n" +
        '  curl http://127.0.0.1:8000/v1/completions -H "Content-Type: application/json" -d \'{"prompt": "47+85=", "max_tokens": 8}\'',
    )
    .action(serve);
}

async function serve(options: ServeOptions): Promise<void> {
  const apiKey = options.apiKey ?? process.env.RZERO_API_KEY;
  keepSecret(apiKey);
  if (options.port > 65535) throw new ConfigError(`port: expected at most 65535, got ${options.port}.`);
  const model = resolveModel(options.model, options.runs);
  const label = labelOf(model);
  const signal = onInterrupt("stopping: requests in progress may finish");
  const config = engineConfig(options);
  const engine = await createEngine({ ...config, slots: options.slots ?? config.slots });
  try {
    const tokenizer = await engine.openTokenizer(model.dir);
    const snapshot = await engine.openSnapshot(model.dir, { precision: "frozen" });
    if (snapshot.openLive === undefined)
      throw new ConfigError("serve: expected an engine that samples live, got one that does not.");
    const live = await snapshot.openLive({ cacheBytes: options.cacheBytes });
    const names = [...new Set([options.name ?? label, label, options.model])];
    const { host, port, maxBody, maxQueue } = options;
    const server = await serveOpenAI({ live, tokenizer, names, maxQueue }, { host, port, apiKey, maxBodyBytes: maxBody });
    if (options.json) printJsonLine({ url: server.url, model: names[0], context: live.context });
    say(`${names[0]} (context ${live.context}) at ${server.url}/v1${apiKey === undefined ? "" : ", with an API key"}`);
    const failure = await Promise.race([live.ended, interrupted(signal)]);
    await server.close(failure === undefined ? GRACE_MS : 0);
    if (failure !== undefined) throw failure;
  } finally {
    await engine.dispose();
  }
}

/** Run references and tiny-base as they are, a directory by its last part. */
function labelOf({ name, dir, run }: ModelRef): string {
  return run === undefined && name !== "tiny-base" ? basename(dir) : name;
}

function interrupted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
