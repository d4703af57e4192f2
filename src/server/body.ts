// Reads the JSON body of a request within a limit. Knows node:http's request and nothing of routes.

import type { IncomingMessage } from "node:http";
import { errorText } from "../util/errors.ts";
import { formatBytes } from "../util/format.ts";
import { parseJson } from "../util/json.ts";
import { badRequest, Problem } from "./problem.ts";

/**
 * The parsed body. A declared length over the limit is refused before anything is read; `go` is called when reading begins.
 * Errors: Problem 400 (not UTF-8, not JSON, cut off), 413 (too large), 415 (not declared as JSON).
 */
export async function readJsonBody(request: IncomingMessage, limit: number, go: () => void): Promise<unknown> {
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > limit) throw tooLarge(limit, declared);
  // A page in a browser can send other types to this machine without asking; JSON it cannot.
  const type = (request.headers["content-type"] ?? "").split(";", 1)[0].trim().toLowerCase();
  if (type !== "application/json" && !type.endsWith("+json"))
    throw new Problem(415, `content-type: expected application/json, got ${type === "" ? "none" : `"${type}"`}.`);
  go();
  return parse(await readBytes(request, limit));
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

function parse(bytes: Buffer): unknown {
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
