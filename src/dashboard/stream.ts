// The two streams of events: a run's log with its progress and state, and the table of runs. Both look at the disk several times a second, which
// works on every file system; a log goes on from the place that the browser names. Knows EventStream, no route.

import { setTimeout as wait } from "node:timers/promises";
import type { Exchange } from "../server/http.ts";
import { EventStream } from "../server/sse.ts";
import { readProgress } from "../store/progress.ts";
import type { Runs } from "./api.ts";
import { LogReader, LogReplaced } from "./run/log.ts";
import type { RunView } from "./run/view.ts";

const LOOK_MS = 200;
/** Looks between two of the run's state, and of the table of runs. */
const STATE_LOOKS = 5;
/** Looks after which a silent stream says that it lives. */
const PING_LOOKS = 75;

/** Streams a run's events until the browser has gone or `ended`. */
export async function streamRun(
  { response, gone }: Exchange,
  view: RunView,
  after: string | undefined,
  ended: AbortSignal,
): Promise<void> {
  const stream = new EventStream(response);
  const run = view.name;
  let log = openLog(view, after, stream);
  let [state, progress] = ["", ""];
  await eachLook(stream, AbortSignal.any([gone, ended]), (look) => {
    try {
      log.read(({ id, event }) => stream.add({ run, event }, { event: "event", id }));
    } catch (error) {
      if (!(error instanceof LogReplaced)) throw error;
      log = openLog(view, "", stream);
    }
    progress = addChanged(stream, "progress", readProgress(view.layout.progress), progress);
    if (look % STATE_LOOKS === 0) state = addChanged(stream, "state", view.row(), state);
  });
}

/** A log from its place on; where there is no such place the browser is told to load anew, and gets what is to come. */
function openLog(view: RunView, after: string | undefined, stream: EventStream): LogReader {
  try {
    const log = new LogReader(view.layout.events, after);
    if (after === undefined) log.skip();
    return log;
  } catch (error) {
    if (!(error instanceof LogReplaced)) throw error;
    const log = new LogReader(view.layout.events);
    log.skip();
    stream.add({ run: view.name }, { event: "reset", id: log.place });
    return log;
  }
}

/** Streams the table of runs. */
export async function streamRuns({ response, gone }: Exchange, runs: () => Runs, ended: AbortSignal): Promise<void> {
  const stream = new EventStream(response);
  let last = "";
  await eachLook(stream, AbortSignal.any([gone, ended]), (look) => {
    if (look % STATE_LOOKS === 0) last = addChanged(stream, "runs", runs(), last);
  });
}

async function eachLook(stream: EventStream, over: AbortSignal, visit: (look: number) => void): Promise<void> {
  // The answer begins at once, so that the browser knows that it is connected.
  stream.add({}, { event: "ping" });
  for (let look = 0; !over.aborted; look++) {
    visit(look);
    if (look % PING_LOOKS === PING_LOOKS - 1) stream.add({}, { event: "ping" });
    await stream.flush();
    await wait(LOOK_MS, undefined, { signal: over }).catch(() => {});
  }
  stream.end("");
}

function addChanged(stream: EventStream, event: string, value: unknown, last: string): string {
  const text = JSON.stringify(value) ?? "";
  if (text !== last && value !== undefined) stream.add(value, { event });
  return text;
}
