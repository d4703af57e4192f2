// What a server answers when it cannot do what was asked: a status and OpenAI's error object. Knows no route and no socket.
// Source: OpenAI API reference, "Error codes"; vLLM's ErrorResponse has the same form.

import { ConfigError, DataError, EngineError, errorText } from "../util/errors.ts";

/** Details of a problem that not every one has. */
export interface ProblemDetails {
  /** The field at fault. */
  readonly param?: string;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The rest of the request is not worth reading: close the connection. */
  readonly close?: boolean;
}

/** An answer other than 200, thrown by whoever finds the reason. */
export class Problem extends Error {
  override name = "Problem";
  readonly status: number;
  readonly details: ProblemDetails;

  constructor(status: number, message: string, details: ProblemDetails = {}) {
    super(message);
    this.status = status;
    this.details = details;
  }

  /** The body of the answer. */
  get body(): { error: { message: string; type: string; param: string | null; code: string | null } } {
    const { param = null, code = null } = this.details;
    return { error: { message: this.message, type: typeOf(this.status), param, code } };
  }
}

/** 400: `param: expected X, got Y.` */
export function badRequest(message: string, param?: string, code?: string): Problem {
  return new Problem(400, message, { param, code });
}

/** Any error as a problem: bad input is the caller's (400), an engine that failed is ours (503), the rest is a bug (500). */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ConfigError || error instanceof DataError) return badRequest(error.message);
  if (error instanceof EngineError) return new Problem(503, error.message, { code: "engine_unavailable" });
  return new Problem(500, `internal: ${errorText(error)}`);
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 404) return "not_found_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
