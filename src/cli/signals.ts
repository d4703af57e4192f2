// Ctrl-C and a polite kill: the first asks the work to save and stop, the second ends the program at once (exit code 130). After
// SIGTERM there may be a deadline, for machines that are taken away.

import { say } from "./output.ts";

/** What happens at a signal. */
export interface InterruptOptions {
  /** Seconds from SIGTERM to the end of the program, whatever it does; absent: no deadline. */
  readonly graceSeconds?: number;
  /** Said when the program ends before the work has stopped: how to go on. */
  readonly farewell?: string;
}

/** A signal that aborts on SIGINT or SIGTERM; `message` tells the user what happens then. */
export function onInterrupt(message: string, { graceSeconds, farewell }: InterruptOptions = {}): AbortSignal {
  const controller = new AbortController();
  const end = (why: string) => {
    if (farewell !== undefined) say(`${why}; ${farewell}`);
    process.exit(130);
  };
  const handle = (signal: NodeJS.Signals) => {
    if (controller.signal.aborted) return end("stopped at once");
    say(`\n${message}; once more ends at once`);
    controller.abort();
    if (signal === "SIGTERM" && graceSeconds !== undefined)
      setTimeout(() => end(`not done within ${graceSeconds} s`), graceSeconds * 1000).unref();
  };
  process.on("SIGINT", handle);
  process.on("SIGTERM", handle);
  return controller.signal;
}
