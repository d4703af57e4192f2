// Is a server that has said nothing for a while still there, and does work wait in its own queue? Sources: vLLM's /metrics (gauges
// vllm:num_requests_running and _waiting), our server's /health; /health is answered by vLLM, SGLang and ours.

import { errorText } from "../../../util/errors.ts";
import type { HttpReply } from "../http.ts";
import { asObject, type ServerClient } from "./client.ts";
import type { Endpoint } from "./endpoint.ts";

/** Failed looks in a row before what is under way is given up. */
const MOST_FAILED = 2;

/** Looks at an endpoint that is up and tells it of its queue. Returns why it is to be given up; undefined while it is not. */
export async function checkHealth(client: ServerClient, endpoint: Endpoint): Promise<string | undefined> {
  const problem = await healthOf(client, endpoint);
  if (problem === undefined) {
    endpoint.failedChecks = 0;
    return undefined;
  }
  return ++endpoint.failedChecks >= MOST_FAILED ? problem : undefined;
}

async function healthOf(client: ServerClient, endpoint: Endpoint): Promise<string | undefined> {
  try {
    const reply = await client.get(endpoint.facts?.dialect === "plain" ? "/v1/models" : "/health");
    if (reply.status >= 500) return `health: HTTP ${reply.status}`;
    const queue = endpoint.facts?.dialect === "vllm" ? ofMetrics(await client.get("/metrics")) : ofHealth(reply);
    if (queue !== undefined) endpoint.queued(queue.running, queue.waiting);
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}

interface QueueState {
  readonly running: number;
  readonly waiting: number;
}

function ofHealth(reply: HttpReply): QueueState | undefined {
  const { running, waiting } = asObject(reply) ?? {};
  return typeof running === "number" && typeof waiting === "number" ? { running, waiting } : undefined;
}

function ofMetrics(reply: HttpReply): QueueState | undefined {
  if (reply.status !== 200) return undefined;
  const text = reply.body.toString("utf8");
  const sum = (name: string) =>
    [...text.matchAll(new RegExp(`^vllm:num_requests_${name}(?:\\{[^\\n]*\\})? (\\d+(?:\\.\\d+)?)$`, "gm"))].reduce(
      (total, [, value]) => total + Number(value),
      0,
    );
  return { running: sum("running"), waiting: sum("waiting") };
}
