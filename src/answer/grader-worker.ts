// The worker of grader-pool.ts: compares one pair at a time until it is ended. Knows no deadline.

import { parentPort } from "node:worker_threads";
import type { GradingOptions, Verdict } from "./equivalent.ts";
import { type GradeRequest, gradePair } from "./grader-protocol.ts";

/** One pair sent to the worker. */
export interface WorkerTask {
  readonly id: number;
  readonly request: GradeRequest;
  readonly options: GradingOptions;
}

/** Its verdict. */
export interface WorkerResult {
  readonly id: number;
  readonly verdict: Verdict;
}

parentPort?.on("message", ({ id, request, options }: WorkerTask) => {
  const result: WorkerResult = { id, verdict: gradePair(request, options) };
  parentPort?.postMessage(result);
});
parentPort?.postMessage("ready");
