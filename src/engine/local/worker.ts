// The entry of the engine's worker thread: reads requests, runs them one after another on a ModelHost, answers.
// Knows the protocol and nothing of what the calls do.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { ModelHost } from "./model-host.ts";
import {
  type LiveMessage,
  type ProgressReport,
  type RequestMessage,
  type ResponseMessage,
  toWireError,
  type WorkerOptions,
} from "./protocol.ts";

function serve(port: MessagePort, host: ModelHost): void {
  const answer = (message: ResponseMessage) => port.postMessage(message);
  const run = async ({ id, call, input }: RequestMessage): Promise<void> => {
    const report = (progress: ProgressReport) => answer({ id, kind: "progress", progress });
    try {
      // The caller typed the input by the call's name; here the pair is one again.
      const handler = host.calls[call] as (input: unknown, report: (progress: ProgressReport) => void) => unknown;
      const output = await handler(input, report);
      if (id !== 0) answer({ id, kind: "result", output });
    } catch (error) {
      answer({ id, kind: "error", error: toWireError(error) });
    }
    if (call === "shutdown") port.close();
  };
  let last: Promise<void> = Promise.resolve();
  port.on("message", (request: RequestMessage) => {
    if (request.call === "shutdown") host.stopping = true;
    last = last.then(() => run(request));
  });
}

if (parentPort === null) throw new Error("internal: worker.ts runs in a worker thread only");
const port = parentPort;
serve(port, new ModelHost(workerData as WorkerOptions, (news: LiveMessage) => port.postMessage(news)));
