// Reads the server's JSON: one hook that loads an address, keeps the old value while it is read again, and tells errors in the server's
// words. Knows no view.

import { useCallback, useEffect, useState } from "preact/hooks";

/** A load: at most one of value and error is new; `value` may be an older one while it is read again. */
export interface Loaded<T> {
  readonly value?: T;
  readonly error?: Error;
  readonly reload: () => void;
}

/** A refusal, with its HTTP status. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** True for what comes by itself in a moment: the server is not ready yet. */
export function isWaiting(error: Error): boolean {
  return error instanceof ApiError && error.status === 503;
}

/** True when it makes sense to ask again unasked: not ready, or gone for now. */
export function isPassing(error: Error): boolean {
  return !(error instanceof ApiError) || error.status === 503;
}

/** The JSON at a path. Errors: ApiError in the server's words; Error when it cannot be reached. */
export async function read<T>(path: string, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The server of this page cannot be reached. Is rzero ui still running?");
  }
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new ApiError(response.status, `The server answered ${response.status} without JSON.`);
  }
  if (response.ok) return body as T;
  const message = (body as { error?: { message?: string } }).error?.message;
  throw new ApiError(response.status, message ?? `The server answered ${response.status}.`);
}

const RETRY_MS = 1000;

/** Loads `path`; a new `version` of the same path reads it again and keeps the value meanwhile. Undefined loads nothing. */
export function useLoad<T>(path: string | undefined, version: unknown = 0): Loaded<T> {
  const [state, setState] = useState<{ path?: string; value?: T; error?: Error }>({});
  const [again, setAgain] = useState(0);
  useEffect(() => {
    if (path === undefined) return undefined;
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    read<T>(path, abort.signal).then(
      (value) => setState({ path, value }),
      (error: Error) => {
        if (abort.signal.aborted) return;
        setState((before) => ({ path, value: before.path === path ? before.value : undefined, error }));
        // 503: the index is being built. A server that is gone comes back, too.
        if (!(error instanceof ApiError) || error.status === 503)
          timer = setTimeout(() => setAgain((count) => count + 1), RETRY_MS);
      },
    );
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path, version, again]);
  const reload = useCallback(() => setAgain((count) => count + 1), []);
  return state.path === path ? { value: state.value, error: state.error, reload } : { reload };
}
