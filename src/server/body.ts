// Reads the body of a request within a limit, as bytes or as JSON. Knows node:http's request and nothing of routes.

import type { IncomingMessage } from "node:http";
import { errorText } from "../util/errors.ts";
import { formatBytes } from "../util/format.ts";
import { parseJson } from "../util/json.ts";
import { badRequest, Problem } from "./problem.ts";

/** A body and the media type it was declared with. */
export interface Body {
  readonly type: string;
  readonly bytes: Buffer;
}

/** What is taken: media types in lower case, and the largest size in bytes. */
export interface BodyLimits {
  readonly types: readonly string[];
  readonly limit: number;
}

/**
 * The body. A declared length over the limit is refused before anything is read; `go` is called when reading begins.
 * Errors: Problem 400 (cut off), 413 (too large), 415 (another type, or compressed).
 */
export async function readBody(request: IncomingMessage, { types, limit }: BodyLimits, go: () => void): Promise<Body> {
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > limit) throw tooLarge(limit, declared);
  // A page in a browser can send other types to this machine without asking; JSON it cannot.
  const type = (request.headers["content-type"] ?? "").split(";", 1)[0].trim().toLowerCase();
  if (!types.includes(type) && !type.endsWith("+json"))
    throw new Problem(415, `content-type: expected ${types.join(" or ")}, got ${type === "" ? "none" : `"${type}"`}.`);
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") throw new Problem(415, `content-encoding: expected none, got "${encoding}".`);
  go();
  return { type, bytes: await readBytes(request, limit) };
}

function readBytes(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    const take = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > limit) {
        request.off("data", take);
        reject(tooLarge(limit, bytes));
      } else chunks.push(chunk);
    };
    const cutOff = (error?: Error) =>
      reject(
        badRequest(
          `body: expected all of it, got ${bytes} bytes and then ${error === undefined ? "its end" : errorText(error)}.`,
        ),
      );
    request.on("data", take);
    request.once("end", () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, bytes)));
    request.once("error", cutOff);
    request.once("close", () => cutOff());
  });
}

function tooLarge(limit: number, got: number): Problem {
  const message = `body: expected at most ${formatBytes(limit)}, got ${got > limit ? "at least " : ""}${formatBytes(got)}.`;
  return new Problem(413, message, { code: "request_too_large", close: true });
}

/** Bytes as JSON. Errors: Problem 400 (not UTF-8, not JSON). */
export function parseJsonBody(bytes: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw badRequest("body: expected UTF-8, got other bytes.");
  }
  try {
    return parseJson(text, "body");
  } catch (error) {
    throw badRequest(errorText(error));
  }
}
