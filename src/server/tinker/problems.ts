// How a Tinker server tells what is wrong with a request. Knows no route.

import { DataError } from "../../util/errors.ts";
import { Problem } from "../problem.ts";

/** Runs what reads a request: a body that is not what it should be is a 422. */
export function asked<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DataError) throw new Problem(422, error.message);
    throw error;
  }
}

/** The body of a problem as the protocol's servers tell it. */
export function problemBody({ status, message }: Problem): object {
  if (status !== 422) return { detail: message };
  const where =
    /^([\w.[\]]+):/
      .exec(message)?.[1]
      .split(/[.[\]]+/)
      .filter((part) => part !== "" && part !== "body") ?? [];
  return { detail: [{ type: "value_error", loc: ["body", ...where], msg: message, input: null }] };
}
