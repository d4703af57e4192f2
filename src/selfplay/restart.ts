// Ways in which the loop starts over from what is on the disk, inside one process: a damaged state, a rollback, a worker lost for memory.

import { EngineError } from "../util/errors.ts";

/** Thrown inside the loop: close the models, open them again, go on from the disk. Never leaves runSelfPlay. */
export class Restart extends Error {
  override name = "Restart";
}

/** Marks of a lack of memory in an engine's error: its own refusal, V8's, the system's, or a worker that ended without a word. */
const MEMORY =
  /device memory: expected|expected scratch memory|ERR_WORKER_OUT_OF_MEMORY|out of memory|ENOMEM|the worker (crashed|ended)/i;

/** Whether an error says, or lets one fear, that the engine ran out of memory. */
export function isOutOfMemory(error: unknown): error is Error {
  return error instanceof EngineError && (MEMORY.test(error.message) || isMemoryCode(error.cause));
}

function isMemoryCode(cause: unknown): boolean {
  return cause instanceof Error && (cause as NodeJS.ErrnoException).code === "ERR_WORKER_OUT_OF_MEMORY";
}
