// The few error classes of the program. Message form: `where: expected X, got Y. Hint.`
// cli/main.ts turns them into one line and an exit code; anything else is our own bug (`internal:`).

/** Bad usage or configuration; exit code 2. */
export class ConfigError extends Error {
  override name = "ConfigError";
}

/** Bad input data: a file, a line, a model directory; exit code 2. */
export class DataError extends Error {
  override name = "DataError";
}

/** An engine or the machine failed; exit code 1. `retryable` says whether the same call may succeed later. */
export class EngineError extends Error {
  override name = "EngineError";
  readonly retryable: boolean;
  constructor(message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.retryable = options.retryable ?? false;
  }
}

/** Codes of the system for a disk, quota or medium without room; the same write may succeed later. */
const NO_ROOM: readonly string[] = ["ENOSPC", "EDQUOT"];

/** A file could not be written; exit code 1. `code` is the system's (ENOSPC, EIO, …). Retryable when the disk is full. */
export class DiskError extends EngineError {
  override name = "DiskError";
  readonly code: string;
  constructor(message: string, code: string, options: { cause?: unknown } = {}) {
    super(message, { ...options, retryable: NO_ROOM.includes(code) });
    this.code = code;
  }
}

/** Codes of the system for a disk that does not do its work, whatever file it is asked for. */
const DISK_FAILS: readonly string[] = [...NO_ROOM, "EIO", "EROFS"];

/** The system's own error of a disk without room, or that fails, as DiskError; any other error as it is. */
export function asDiskError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof EngineError) return error;
  const { code = "", syscall, path } = error as NodeJS.ErrnoException;
  if (syscall === undefined || !DISK_FAILS.includes(code)) return error;
  const hint = NO_ROOM.includes(code) ? "Make room on the disk." : "Check the disk and its rights.";
  return new DiskError(`${path ?? "disk"}: expected to write it, got ${error.message}. ${hint}`, code, { cause: error });
}

/** Whether a disk without room is the cause of an error; the same write may succeed later. */
export function isDiskFull(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if (NO_ROOM.includes((at as NodeJS.ErrnoException).code ?? "")) return true;
  return false;
}

/** A run cannot go on (for example: the base model poses no question); exit code 1. */
export class RunError extends Error {
  override name = "RunError";
}

/** A checkpoint is missing, damaged or from another run; exit code 1. */
export class CheckpointError extends Error {
  override name = "CheckpointError";
}

/** The user asked to stop; exit code 130 after saving. */
export class InterruptedError extends Error {
  override name = "InterruptedError";
}

/** The message of anything that was thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
