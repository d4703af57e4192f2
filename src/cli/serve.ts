// `rzero serve`: a model behind a standard protocol, until Ctrl-C.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Command } from "commander";
import { baseDirectory } from "../engine/adapters.ts";
import { createEngine } from "../engine/create.ts";
import type { Engine } from "../engine/types.ts";
import type { ModelSource } from "../server/models.ts";
import { type OpenAIServerOptions, SERVER_DEFAULTS, serveOpenAI } from "../server/openai.ts";
import { serveTinker, TINKER_DEFAULTS } from "../server/tinker.ts";
import { acquireLock } from "../store/lock.ts";
import { ConfigError, errorText } from "../util/errors.ts";
import { makeDirectory } from "../util/files.ts";
import { keepSecret } from "../util/secrets.ts";
import { engineConfig } from "./engine.ts";
import { type ModelRef, resolveModel } from "./model-ref.ts";
import { type DTypeOption, FROZEN_DTYPE_HELP, frozenDType, oneOf, threadCount, wholeNumber } from "./options.ts";
import { printJsonLine, say } from "./output.ts";
import { onInterrupt } from "./signals.ts";

interface ServeOptions extends OpenAIServerOptions {
  model: string;
  protocol: "openai" | "tinker";
  host: string;
  port: number;
  name?: string;
  apiKeyEnv: string;
  maxQueue?: number;
  maxBody?: number;
  maxModels?: number;
  state?: string;
  slots?: number;
  cacheBytes?: number;
  threads?: number | "auto";
  dtype?: DTypeOption;
  runs?: string;
  weightsDir?: string;
  json?: boolean;
}

/** How long requests in progress may go on after the first signal. */
const GRACE_MS = 30_000;

export function serveCommand(): Command {
  return new Command("serve")
    .description("serve a model over HTTP: as OpenAI's interface (completions, chat), or as Tinker's (training and sampling)")
    .requiredOption("--model <model>", "model directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option("--protocol <name>", "openai or tinker", oneOf("openai", "tinker"), "openai")
    .option("--host <address>", "address to listen on; all but this machine's own need an API key", SERVER_DEFAULTS.host)
    .option("--port <number>", "port; 0 takes any free one", wholeNumber(0), SERVER_DEFAULTS.port)
    .option("--api-key <key>", "clients must send it as a bearer token; better set RZERO_API_KEY, which no process list shows")
    .option("--api-key-env <name>", "variable that holds the key", "RZERO_API_KEY")
    .option("--name <name>", "name of the model in requests; default: as given in --model")
    .option(
      "--max-queue <count>",
      `requests that may run or wait at once; more get 429 (default ${SERVER_DEFAULTS.maxQueue}, tinker ${TINKER_DEFAULTS.maxPending})`,
      wholeNumber(1),
    )
    .option("--max-body <bytes>", "largest request; more gets 413 (default 8 MiB, tinker 128 MiB)", wholeNumber(1))
    .option("--state <dir>", "tinker: where models and checkpoints outlive the server; default: nowhere")
    .option("--max-models <count>", `tinker: models in training at once (default ${TINKER_DEFAULTS.maxModels})`, wholeNumber(1))
    .option("--slots <count>", "completions that decode together", wholeNumber(1))
    .option("--cache-bytes <bytes>", "memory for keys and values", wholeNumber(1))
    .option("--threads <count>", "threads, or auto", threadCount)
    .option("--dtype <format>", FROZEN_DTYPE_HELP, frozenDType)
    .option("--runs <dir>", "where runs live")
    .option("--weights-dir <dir>", "clients may load adapters and weights from folders in this one")
    .option("--json", 'print {"url", "model", "context"} when ready')
    .addHelpText(
      "after",
      "\nExample:\n  rzero serve --model tiny-base --port 8000\n" +
        '  curl http://127.0.0.1:8000/v1/completions -H "Content-Type: application/json" -d \'{"prompt": "47+85=", "max_tokens": 8}\'\n' +
        "  rzero serve --protocol tinker --model tiny-base --state ./tinker-state   # then TINKER_BASE_URL=http://127.0.0.1:8000",
    )
    .action(serve);
}

async function serve(options: ServeOptions): Promise<void> {
  const apiKey = options.apiKey ?? process.env[options.apiKeyEnv];
  keepSecret(apiKey);
  if (options.port > 65535) throw new ConfigError(`port: expected at most 65535, got ${options.port}.`);
  if (options.protocol === "openai" && options.state !== undefined)
    throw new ConfigError("state: expected --protocol tinker, which keeps one, got openai.");
  if (options.protocol === "tinker" && options.weightsDir !== undefined)
    throw new ConfigError("weights-dir: expected --protocol openai, whose clients load weights, got tinker.");
  const model = resolveModel(options.model, options.runs);
  const engineOf = (dtype: ServeOptions["dtype"]) => {
    const config = engineConfig({ ...options, dtype });
    return createEngine({ ...config, slots: options.slots ?? config.slots });
  };
  if (options.protocol === "tinker") await serveTraining(model, options, engineOf, apiKey);
  else await serveAnswers(model, options, engineOf(options.dtype), apiKey);
}

async function serveAnswers(model: ModelRef, options: ServeOptions, engine: Engine, apiKey: string | undefined): Promise<void> {
  const signal = onInterrupt("stopping: requests in progress may finish");
  try {
    const tokenizer = await engine.openTokenizer(model.dir);
    const snapshot = await engine.openSnapshot(model.dir, { precision: "frozen" });
    if (snapshot.openLive === undefined)
      throw new ConfigError("serve: expected an engine that samples live, got one that does not.");
    const live = await snapshot.openLive({ cacheBytes: options.cacheBytes });
    const names = namesOf(model, options);
    const { host, port, maxBody = SERVER_DEFAULTS.maxBodyBytes, maxQueue = SERVER_DEFAULTS.maxQueue, weightsDir } = options;
    const source = weightsDir === undefined ? undefined : weightsFrom(weightsDir, model.dir, engine, options.cacheBytes);
    const address = { host, port, apiKey, maxBodyBytes: maxBody };
    const server = await serveOpenAI({ live, tokenizer, names, maxQueue }, address, source);
    if (options.json) printJsonLine({ url: server.url, model: names[0], context: live.context });
    say(`${names[0]} (context ${live.context}) at ${server.url}/v1${apiKey === undefined ? "" : ", with an API key"}`);
    const failure = await Promise.race([live.ended, interrupted(signal)]);
    await server.close(failure === undefined ? GRACE_MS : 0);
    if (failure !== undefined) throw failure;
  } finally {
    await engine.dispose();
  }
}

/** Models in training outlive the server where --state names a directory. */
async function serveTraining(
  model: ModelRef,
  options: ServeOptions,
  engineOf: (dtype: ServeOptions["dtype"]) => Engine,
  apiKey: string | undefined,
): Promise<void> {
  if (options.dtype === "int8") throw new ConfigError("dtype: expected auto, f32 or bf16 to train in, got int8.");
  const baseDir = baseDirectory(model.dir);
  if (baseDir !== model.dir)
    throw new ConfigError(`model: expected a whole model to train, got an adapter (${model.dir}). Export it merged first.`);
  const stateDir = options.state ?? mkdtempSync(join(tmpdir(), "rzero-tinker-"));
  try {
    makeDirectory(stateDir);
  } catch (error) {
    throw new ConfigError(`--state: expected a directory that can be written, got ${stateDir}: ${errorText(error)}`);
  }
  const lock = acquireLock(join(stateDir, "lock"), `the state directory ${stateDir}`);
  const signal = onInterrupt("stopping: what was accepted is kept");
  const engine = engineOf(options.dtype);
  try {
    const names = namesOf(model, options);
    const { host, port, maxBody: maxBodyBytes, maxQueue: maxPending, maxModels, cacheBytes } = options;
    const server = await serveTinker({
      ...{ engine, baseDir, names, stateDir, host, port, apiKey, maxBodyBytes, maxPending, maxModels, cacheBytes },
      log: say,
    });
    if (options.json) printJsonLine({ url: server.url, model: names[0], context: server.context });
    say(
      `${names[0]} (context ${server.context}) for Tinker programs: TINKER_BASE_URL=${server.url}${apiKey === undefined ? "" : ", with an API key"}`,
    );
    const failure = await Promise.race([server.ended, interrupted(signal)]);
    await server.close();
    if (failure !== undefined) throw failure;
  } finally {
    await engine.dispose();
    lock.release();
    if (options.state === undefined) rmSync(stateDir, { recursive: true, force: true });
  }
}

function namesOf(model: ModelRef, options: ServeOptions): string[] {
  const label = labelOf(model);
  return [...new Set([options.name ?? label, label, options.model])];
}

/** Opens weights of one folder while the server runs. */
function weightsFrom(root: string, base: string, engine: Engine, cacheBytes: number | undefined): ModelSource {
  return {
    root,
    base,
    open: async (dir) => {
      const snapshot = await engine.openSnapshot(dir, { precision: "frozen" });
      const live = await snapshot.openLive?.({ cacheBytes });
      if (live === undefined) throw new ConfigError("serve: expected an engine that samples live, got one that does not.");
      return {
        live,
        dispose: async () => {
          await live.dispose();
          await snapshot.dispose();
        },
      };
    },
  };
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
