// What stands behind an address, found out before any work is spent: is it such a server, does it take the key, has it the model, is
// its context long enough, does it give token ids. Each "no" is one error that says what to change.

import { ConfigError, EngineError } from "../../../util/errors.ts";
import type { JsonObject } from "../../../util/json.ts";
import { redact } from "../../../util/secrets.ts";
import type { Tokenizer } from "../../types.ts";
import { asObject, ServerClient, wordsOf, wrongKey } from "./client.ts";
import type { EndpointTarget } from "./endpoint.ts";
import { type Dialect, type ServerFacts, shapeOf } from "./wire.ts";

/** What the work ahead asks of a server. */
export interface ProbeNeeds {
  readonly tokenizer: Pick<Tokenizer, "encode" | "decode">;
  /** Token ids are below it: of the model, which may have more than its tokenizer. */
  readonly vocabSize: number;
  /** Longest sequence, prompt and completion together. */
  readonly context: number;
  /** `ids`: the server must return token ids. `retokenise`: texts are taken and tokenised here. */
  readonly tokens: "ids" | "retokenise";
}

const TRIAL_MS = 120_000;
const OWNERS: Readonly<Record<string, Dialect>> = { rzero: "rzero", vllm: "vllm", sglang: "sglang" };

/** Looks at a server. Errors: ConfigError (it is the wrong one), EngineError (it cannot be reached or has a fault; retryable). */
export async function probe(target: EndpointTarget, needs: ProbeNeeds): Promise<ServerFacts> {
  const client = new ServerClient(target);
  const entry = await findModel(client, target);
  const model = String(entry.id);
  const context = typeof entry.max_model_len === "number" ? entry.max_model_len : undefined;
  if (context !== undefined && context < needs.context)
    throw new ConfigError(
      `${target.url}: expected a context of at least ${needs.context} tokens, got ${context} of model ${model}. ` +
        "Start the server with a longer one, or lower maxTokens of the roles it answers for.",
    );
  const known = OWNERS[String(entry.owned_by)];
  const attempts: Dialect[] = known === undefined ? ["vllm", "plain"] : known === "rzero" ? ["rzero"] : [known, "plain"];
  const problems: string[] = [];
  for (const dialect of attempts) {
    if (dialect === "plain" && needs.tokens === "ids") break;
    const facts: ServerFacts = { dialect, model, context };
    const problem = await trial(client, facts, needs);
    if (problem === undefined) return facts;
    problems.push(problem);
  }
  throw new ConfigError(
    `${target.url}: expected one token for a prompt of token ids${needs.tokens === "ids" ? ", with its id" : ""}, got ${problems.join("; ")}. ` +
      "Take a server that returns token ids (vLLM, SGLang, rzero serve), or set sampler.tokens: retokenise.",
  );
}

async function findModel(client: ServerClient, target: EndpointTarget): Promise<JsonObject> {
  const reply = await client.get("/v1/models");
  if (reply.status === 401 || reply.status === 403) throw wrongKey(target, reply.status);
  if (reply.status === 429 || reply.status >= 500)
    throw new EngineError(`${target.url}/v1/models: expected a list of models, got HTTP ${reply.status}: ${wordsOf(reply)}`, {
      retryable: true,
    });
  const list = reply.status === 200 ? asObject(reply)?.data : undefined;
  const entries = Array.isArray(list)
    ? (list as unknown[]).filter(
        (entry): entry is JsonObject =>
          typeof entry === "object" && entry !== null && typeof (entry as JsonObject).id === "string",
      )
    : [];
  if (entries.length === 0)
    throw new ConfigError(
      `${target.url}/v1/models: expected an OpenAI-compatible server with a model, got HTTP ${reply.status}: ${wordsOf(reply).slice(0, 80)}`,
    );
  const found = target.model === undefined ? entries[0] : entries.find(({ id }) => id === target.model);
  if (found !== undefined) return found;
  const names = entries.slice(0, 5).map(({ id }) => redact(String(id).slice(0, 100)));
  throw new ConfigError(`${target.url}: expected model ${target.model}, got a server of ${names.join(", ")}.`);
}

/** Draws one token. Undefined when that works, else what is wrong. Errors: ConfigError (key), EngineError (a fault of the server). */
async function trial(
  client: ServerClient,
  facts: ServerFacts,
  { tokenizer, vocabSize }: ProbeNeeds,
): Promise<string | undefined> {
  const prompt = tokenizer.encode("1");
  const params = { n: 1, maxTokens: 1, temperature: 1, topP: 1, topK: 0, stopTokens: [], seed: 0 };
  const draw = { prompt: prompt.length > 0 ? prompt : Int32Array.of(0), first: 0, n: 1, params };
  const shape = shapeOf(draw);
  if (shape === undefined) throw new Error("internal: a trial of no token");
  const context = { facts, model: facts.model, tokenizer, vocabSize, retokenised: () => {} };
  const outcome = await client.draw(draw, shape, context, { deadlineMs: TRIAL_MS, signal: new AbortController().signal });
  if (outcome.kind === "done") return undefined;
  const { url } = client.target;
  if (outcome.kind === "locked") throw wrongKey(client.target, outcome.reason.startsWith("HTTP 403") ? 403 : 401);
  if (outcome.kind === "busy")
    throw new EngineError(`${url}: expected a token, got a server with too much to do.`, { retryable: true });
  if (outcome.kind === "failed") throw new EngineError(`${url}: expected a token, got ${outcome.reason}`, { retryable: true });
  return outcome.reason;
}
