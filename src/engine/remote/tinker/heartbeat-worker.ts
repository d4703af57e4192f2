// Runs in a worker thread: tells a server that the session's client is alive, however busy the main thread is. Failures are ignored: the
// requests of the main thread find out by themselves. Knows one address and one body.

import { workerData } from "node:worker_threads";
import { httpCall } from "../http.ts";

/** What the thread is started with. */
export interface HeartbeatData {
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly everyMs: number;
}

const { address, headers, body, everyMs } = workerData as HeartbeatData;
const beat = () => {
  httpCall(address, { method: "POST", headers, body, deadlineMs: everyMs, maxBytes: 1 << 20 }).catch(() => {});
};
setInterval(beat, everyMs);
