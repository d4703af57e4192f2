// Ways in which the loop starts over from what is on the disk, inside one process: a damaged state, a rollback, a worker lost for memory.

import type { RunEvent } from "../store/events.ts";
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

/** Fewest tokens of a micro-batch that are tried, and halvings in one process. */
const LEAST_TOKENS = 64;
const MOST_HALVINGS = 4;

/** What withLessMemory needs. */
export interface MemoryAttempts<T> {
  /** Tokens of a micro-batch at first. */
  readonly maxTokens: number;
  readonly signal: AbortSignal;
  /** Does the work, or goes on with it, in an engine with such micro-batches. */
  readonly attempt: (maxTokens: number) => Promise<T>;
  /** Told before the next attempt. */
  readonly less: (event: Extract<RunEvent, { event: "restart" }>) => void;
}

/**
 * Does work that a lack of memory may end, again with micro-batches of half the size, which give the same gradients up to the order of
 * sums. Errors: those of the work; when halving does not help, the last one.
 */
export async function withLessMemory<T>({ maxTokens, signal, attempt, less }: MemoryAttempts<T>): Promise<T> {
  let tokens = maxTokens;
  for (let halvings = 0; ; halvings++) {
    try {
      return await attempt(tokens);
    } catch (error) {
      const half = Math.floor(tokens / 2);
      if (!isOutOfMemory(error) || signal.aborted || halvings === MOST_HALVINGS || half < LEAST_TOKENS) throw error;
      tokens = half;
      less({ event: "restart", reason: error.message, maxTokensPerMicroBatch: tokens });
    }
  }
}
