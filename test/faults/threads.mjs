// Loaded before the program (`node --import`): ends one of its threads in the middle of its work. CRASH_THREAD: start of the thread's file
// name; CRASH_AT: which message to it (from 1); CRASH_DELAY: milliseconds after that. Tells on stderr that it did. Later threads live.

import { syncBuiltinESMExports } from "node:module";
import { basename } from "node:path";
import threads from "node:worker_threads";

const { CRASH_THREAD = "", CRASH_AT = "1", CRASH_DELAY = "0" } = process.env;
let messages = 0;

class MortalWorker extends threads.Worker {
  #file;

  constructor(file, options) {
    super(file, options);
    this.#file = basename(String(file));
  }

  postMessage(...message) {
    super.postMessage(...message);
    if (!this.#file.startsWith(CRASH_THREAD) || ++messages !== Number(CRASH_AT)) return;
    setTimeout(() => {
      process.stderr.write(`ended ${this.#file}\n`);
      void this.terminate();
    }, Number(CRASH_DELAY));
  }
}

if (threads.isMainThread) {
  threads.Worker = MortalWorker;
  syncBuiltinESMExports();
}
