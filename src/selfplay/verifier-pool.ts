// Asks a verifier in a process of its own, one pair at a time, each with a deadline after which the process is ended and another one started.
// A verifier that hangs, throws, or runs out of memory gives no verdict and does no harm: a thread would not do, because V8 ends the
// whole process when a thread's heap is full. Knows neither votes nor journals.

import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError, EngineError } from "../util/errors.ts";
import type { VerifierMessage, VerifierProcessData, VerifierTask } from "./verifier-process.ts";

/** How a process is started and how long it may take. */
export interface VerifierPoolOptions {
  readonly data: VerifierProcessData;
  /** Time for one pair. */
  readonly deadlineMs: number;
  /** Memory of the process's heap. */
  readonly memoryMb: number;
}

const START_PATIENCE_MS = 30_000;

/** See the file header. */
export class VerifierPool {
  readonly #options: VerifierPoolOptions;
  #process: ChildProcess | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: VerifierPoolOptions) {
    this.#options = options;
  }

  /** The verdict; undefined: none. Errors: ConfigError when a module cannot be loaded, EngineError when the package was not built. */
  verify(task: VerifierTask): Promise<boolean | undefined> {
    const turn = this.#last.then(() => this.#verify(task));
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Ends the process. */
  async close(): Promise<void> {
    await this.#last;
    this.#end();
  }

  async #verify(task: VerifierTask): Promise<boolean | undefined> {
    this.#process ??= await this.#start();
    const child = this.#process;
    const answered = nextMessage(child, this.#options.deadlineMs);
    child.send(task, () => {}); // a process that is gone says so by its end
    const message = await answered;
    if (message?.state === "verdict") return message.right;
    this.#end();
    return undefined;
  }

  async #start(): Promise<ChildProcess> {
    const { data, memoryMb } = this.#options;
    const isProgram = data.kind === "program";
    const child = fork(compiledProcess(), [JSON.stringify(data)], {
      execArgv: [`--max-old-space-size=${memoryMb}`, ...(isProgram ? CLOSED : [])],
      env: isProgram ? {} : process.env,
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    child.on("error", () => {}); // an error ends the process, which is all that matters here
    // An idle verifier does not keep the program alive.
    child.unref();
    child.channel?.unref();
    const message = await nextMessage(child, START_PATIENCE_MS);
    if (message?.state === "ready") return child;
    child.kill("SIGKILL");
    const reason = message?.state === "failed" ? message.reason : "it ended";
    const what = data.kind === "module" ? data.path : "the sandbox";
    throw new ConfigError(`domain.verifier: expected ${what} to load in a process, got: ${reason}`);
  }

  #end(): void {
    this.#process?.kill("SIGKILL");
    this.#process = undefined;
  }
}

/** No code from texts; no writing of files, no processes, no threads. */
const CLOSED = [
  "--disallow-code-generation-from-strings",
  Number(process.versions.node.split(".")[0]) >= 24 ? "--permission" : "--experimental-permission",
  "--allow-fs-read=*",
];

/** The next message of a process; undefined when it ends or the time is over before one comes. Keeps the program alive meanwhile. */
function nextMessage(child: ChildProcess, ms: number): Promise<VerifierMessage | undefined> {
  return new Promise((resolve) => {
    const finish = (message?: unknown) => {
      clearTimeout(timer);
      child.off("message", finish);
      child.off("exit", ended);
      child.off("error", ended);
      resolve(message as VerifierMessage | undefined);
    };
    const ended = () => finish();
    const timer = setTimeout(ended, ms);
    child.on("message", finish);
    child.on("exit", ended);
    child.on("error", ended);
    if (child.exitCode !== null || child.signalCode !== null) ended();
  });
}

/** The process's program beside this file; from the sources (tests) it is the one in dist/. */
function compiledProcess(): string {
  const here = fileURLToPath(import.meta.url);
  const file = here.endsWith(".ts")
    ? join(dirname(here), "..", "..", "dist", "selfplay", "verifier-process.js")
    : join(dirname(here), "verifier-process.js");
  if (!existsSync(file)) throw new EngineError(`${file}: expected the compiled verifier process, got none. Run npm run build.`);
  return file;
}
