// Work that runs under rules from a file (a regular expression, a template) and may therefore never end: it gets a limit of time.
// Knows nothing of what the work is. Works inside backtracking of a regular expression too, since the virtual machine is interrupted.

import { createContext, Script } from "node:vm";
import { DataError } from "./errors.ts";

/**
 * Limits of the attempts in milliseconds, without what is added for long input. A process that was stopped or starved overruns
 * without fault; work that never ends overruns each time.
 */
const LIMITS_MS = [100, 150, 300];

const box: { work?: () => unknown } = createContext({ work: undefined });
const script = new Script("work()");

/**
 * The value of `work`, which must have no effect besides: it is run again when it overruns. `what` opens the error; `extraMs`
 * is what a large input may take besides. Costs about 0.1 ms. Errors: those of the work; DataError when it does not end in time.
 */
export function withinTime<T>(what: string, extraMs: number, work: () => T): T {
  if (box.work !== undefined) return work(); // inside another guard, which limits this too
  for (const limitMs of LIMITS_MS) {
    const timeout = Math.ceil(limitMs + extraMs);
    box.work = work;
    try {
      return script.runInContext(box, { timeout }) as T;
    } catch (error) {
      if ((error as NodeJS.ErrnoException)?.code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    } finally {
      box.work = undefined;
    }
  }
  throw new DataError(`${what}: expected to be done in ${LIMITS_MS[2]} ms, got no end of it. The file asks for endless work.`);
}
