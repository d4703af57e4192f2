// Ctrl-C and a polite kill: the first asks the work to save and stop, the second ends the program at once (exit code 130).

import { say } from "./output.ts";

/** A signal that aborts on SIGINT or SIGTERM; `message` tells the user what happens then. */
export function onInterrupt(message: string): AbortSignal {
  const controller = new AbortController();
  const handle = () => {
    if (controller.signal.aborted) process.exit(130);
    say(`\n${message}; once more ends at once`);
    controller.abort();
  };
  process.on("SIGINT", handle);
  process.on("SIGTERM", handle);
  return controller.signal;
}
