// The entry of the thread that writes copied training states to the disk, so that training does not wait for hashes and fsync.
// Knows files only.

import { parentPort } from "node:worker_threads";
import { type StateCopy, writeStateCopy } from "./checkpoint.ts";
import { toWireError, type WireError } from "./protocol.ts";

/** What the thread is asked to write. */
export interface WriteRequest {
  readonly dir: string;
  readonly copy: StateCopy;
  readonly scratch?: boolean;
}

/** Its answer: the error, if there was one. */
export interface WriteAnswer {
  readonly error?: WireError;
}

if (parentPort === null) throw new Error("internal: state-writer-worker.ts runs in a worker thread only");
const port = parentPort;
port.on("message", ({ dir, copy, scratch }: WriteRequest) => {
  let answer: WriteAnswer = {};
  try {
    writeStateCopy(dir, copy, scratch);
  } catch (error) {
    answer = { error: toWireError(error) };
  }
  port.postMessage(answer);
});
