// The process of verifier-pool.ts: one question and answer at a time, by a user's module or by a program in the sandbox. Knows no deadline.

import { pathToFileURL } from "node:url";
import { closeRealm, runProgram } from "./verifier-sandbox.ts";
import type { Verify } from "./verifier-types.ts";

/** What a process is started with, as JSON in its first argument. */
export type VerifierProcessData =
  | { readonly kind: "module"; readonly path: string }
  | { readonly kind: "program"; readonly timeoutMs: number };

/** One task; `program` for the sandbox. */
export interface VerifierTask {
  readonly question: string;
  readonly answer: string;
  readonly program?: string;
}

/** What a process says: it is ready, it cannot be, or its verdict. */
export type VerifierMessage =
  | { readonly state: "ready" }
  | { readonly state: "failed"; readonly reason: string }
  | { readonly state: "verdict"; readonly right?: boolean };

/** A missing verdict is left out of the JSON between the processes. */
const say = (message: VerifierMessage) => process.send?.(message);

async function loadModule(path: string): Promise<Verify> {
  const loaded = (await import(pathToFileURL(path).href)) as { verify?: unknown; default?: unknown };
  const verify = loaded.verify ?? loaded.default;
  if (typeof verify !== "function") throw new Error("expected an export verify(question, answer)");
  return verify as Verify;
}

async function judge(verify: Verify, { question, answer }: VerifierTask): Promise<boolean | undefined> {
  try {
    const right: unknown = await verify(question, answer);
    return right === true || right === false ? right : undefined;
  } catch {
    return undefined;
  }
}

async function start(data: VerifierProcessData): Promise<void> {
  if (data.kind === "module") {
    const verify = await loadModule(data.path);
    process.on("message", async (task: VerifierTask) => say({ state: "verdict", right: await judge(verify, task) }));
  } else {
    closeRealm();
    const { timeoutMs } = data;
    process.on("message", ({ program = "", question, answer }: VerifierTask) =>
      say({ state: "verdict", right: runProgram(program, question, answer, timeoutMs) }),
    );
  }
  say({ state: "ready" });
}

// Ctrl-C is for the run, which ends this process when it has saved; a run that is gone takes this process with it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
process.on("disconnect", () => process.exit());

start(JSON.parse(process.argv[2]) as VerifierProcessData).catch((error: unknown) =>
  say({ state: "failed", reason: String(error) }),
);
