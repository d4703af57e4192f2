// The files of the page: read once into memory, so that no path of a request ever meets the disk. Sent with a strict policy for what the page
// may load, compressed where the browser takes it, and only when they have changed. Knows files and headers, nothing of runs.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { extname, join, relative, sep } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { Problem } from "../server/problem.ts";
import { sha256 } from "../util/files.ts";

/** Nothing from elsewhere, nothing inline; images may be drawn by the page itself. */
const POLICY =
  "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Headers of every answer to a browser. */
export const SAFE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".webmanifest": "application/manifest+json",
};
const OWN_PLACE = /^\/[\w/-]*$/;
const MOST_BYTES = 32 * 2 ** 20;

interface Asset {
  readonly type: string;
  readonly tag: string;
  readonly plain: Buffer;
  /** Compressed contents, made when they are first asked for. */
  readonly packed: Map<"br" | "gzip", Buffer>;
}

/** See the file header. */
export class Assets {
  readonly #assets = new Map<string, Asset>();

  /** Reads the files below `dir`; none when it is not there. */
  constructor(dir: string) {
    let room = MOST_BYTES;
    for (const file of existsSync(dir) ? filesBelow(dir) : []) {
      const type = TYPES[extname(file)];
      if (type === undefined) continue;
      const plain = readFileSync(file);
      room -= plain.length;
      if (room < 0) throw new Error(`internal: the page has more than ${MOST_BYTES} bytes`);
      const path = `/${relative(dir, file).split(sep).join("/")}`;
      this.#assets.set(path, { type, tag: `"${sha256(plain).slice(0, 24)}"`, plain, packed: new Map() });
    }
  }

  /** Answers with the file of a path; a plain path without an ending is one of the page's own places. Errors: Problem 404. */
  send(asked: IncomingHttpHeaders, response: ServerResponse, path: string): void {
    const asset = this.#assets.get(path) ?? (OWN_PLACE.test(path) ? this.#assets.get("/index.html") : undefined);
    if (asset === undefined) throw new Problem(404, `${path}: expected a file of the page, got none of that name.`);
    const lasting = /^\/assets\/.+-[\w-]{8,}\.\w+$/.test(path);
    const headers = {
      ...SAFE_HEADERS,
      "content-type": asset.type,
      etag: asset.tag,
      vary: "accept-encoding",
      "cache-control": lasting ? "public, max-age=31536000, immutable" : "no-cache",
    };
    if (asked["if-none-match"] === asset.tag) {
      response.writeHead(304, headers).end();
      return;
    }
    const { body, encoding } = contentFor(asset, String(asked["accept-encoding"] ?? ""));
    response.writeHead(200, { ...headers, "content-length": body.length, ...(encoding && { "content-encoding": encoding }) });
    response.end(body);
  }
}

function contentFor(asset: Asset, accepted: string): { body: Buffer; encoding?: string } {
  const encoding = /\bbr\b/.test(accepted) ? "br" : /\bgzip\b/.test(accepted) ? "gzip" : undefined;
  if (encoding === undefined || /^font|png$/.test(asset.type)) return { body: asset.plain };
  const body = asset.packed.get(encoding) ?? pack(asset.plain, encoding);
  asset.packed.set(encoding, body);
  return { body, encoding };
}

function pack(plain: Buffer, encoding: "br" | "gzip"): Buffer {
  if (encoding === "gzip") return gzipSync(plain);
  return brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } });
}

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
  });
}
