// What stands where data does not: loading, nothing there, or an error with a way to try again.

import type { ComponentChildren } from "preact";
import { isWaiting, type Loaded } from "../client.ts";

/** A line for what is being read. It appears after a moment (styles), so that a quick answer does not flicker. */
export function Loading({ what }: { readonly what: string }) {
  return (
    <p class="state state-loading" role="status">
      Reading {what} …
    </p>
  );
}

/** Says what is not there, and why or how it comes to be. */
export function Empty({ children }: { readonly children: ComponentChildren }) {
  return <p class="state">{children}</p>;
}

/** An error in the server's words. */
export function Failure({ error, retry }: { readonly error: Error; readonly retry?: () => void }) {
  if (isWaiting(error))
    return (
      <p class="state" role="status">
        {error.message} This page asks again by itself.
      </p>
    );
  return (
    <div class="state state-error" role="alert">
      <p>{error.message}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** The value of a load, or what stands in its place. A value that is being read again stays. */
export function Show<T>({
  load,
  what,
  children,
}: {
  readonly load: Loaded<T>;
  readonly what: string;
  readonly children: (value: T) => ComponentChildren;
}) {
  if (load.value !== undefined) return <>{children(load.value)}</>;
  return load.error ? <Failure error={load.error} retry={load.reload} /> : <Loading what={what} />;
}
