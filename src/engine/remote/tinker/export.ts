// Brings a model from a Tinker server to this machine: its archive, fetched to a file, extracted, and written anew as a model directory.
// What the archive holds is seen in it: a PEFT adapter or a whole model. Knows no training.

import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { API_PREFIX } from "../../../tinker-wire/protocol.ts";
import { asDiskError, DataError, errorText } from "../../../util/errors.ts";
import { writeFileAtomic } from "../../../util/files.ts";
import { expectObject, parseJson } from "../../../util/json.ts";
import { writeAdapterAlone, writeWholeModel } from "../../adapters.ts";
import type { ExportOptions } from "../../types.ts";
import type { Connection } from "./connection.ts";
import { TinkerError, verdictOn } from "./retry.ts";
import { extractTar } from "./tar.ts";

/** Where a model goes, and its base on this machine. */
export interface ArchiveTarget extends Required<ExportOptions> {
  readonly dir: string;
  readonly base: string;
}

const ADAPTER_CONFIG = "adapter_config.json";
const TRIES = 8;
const MOST_REDIRECTS = 5;
/** Without a byte for so long, a download is given up and begun again. */
const IDLE_MS = 60_000;

/**
 * Writes the sampler weights at `path` (tinker://MODEL/…/NAME) as a model directory, and drops them on the server.
 * Errors: TinkerError, DataError (an archive that is none of a model), DiskError.
 */
export async function exportArchive(connection: Connection, path: string, target: ArchiveTarget): Promise<void> {
  const [, model, name] = /^tinker:\/\/([^/]+)\/(?:.*\/)?([^/]+)$/.exec(path) ?? [];
  if (model === undefined) throw new DataError(`export: expected a path tinker://MODEL/NAME, got ${JSON.stringify(path)}.`);
  mkdirSync(dirname(resolve(target.dir)), { recursive: true });
  const scratch = mkdtempSync(join(dirname(resolve(target.dir)), ".archive-"));
  const checkpoint = `/training_runs/${encodeURIComponent(model)}/checkpoints`;
  try {
    const file = join(scratch, "archive.tar");
    await download(connection, `${checkpoint}/${encodeURIComponent(name)}/archive`, file);
    const files = join(scratch, "files");
    mkdirSync(files);
    await extractTar(file, files);
    writeModel(modelFolder(files), target);
  } catch (error) {
    throw asDiskError(error);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  await connection.delete(`${checkpoint}/sampler_weights/${encodeURIComponent(name)}`);
}

/** The one folder with a model's configuration. */
function modelFolder(dir: string): string {
  const found = [dir, ...foldersIn(dir)].filter((folder) =>
    [ADAPTER_CONFIG, "config.json"].some((name) => existsSync(join(folder, name))),
  );
  if (found.length > 0) return found[0];
  throw new DataError(`archive: expected ${ADAPTER_CONFIG} or config.json, got ${readdirSync(dir).slice(0, 10).join(", ")}.`);
}

function foldersIn(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(dir, name))
    .flatMap((folder) => [folder, ...foldersIn(folder)]);
}

function writeModel(from: string, { dir, dtype, merged, base }: ArchiveTarget): void {
  const config = join(from, ADAPTER_CONFIG);
  if (!existsSync(config)) {
    writeWholeModel({ from, to: dir, dtype });
    return;
  }
  // The adapter names its base as the server knows it; here it is the run's.
  const adapter = expectObject(parseJson(readFileSync(config, "utf8"), config), config);
  writeFileAtomic(config, JSON.stringify({ ...adapter, base_model_name_or_path: resolve(base) }));
  if (merged) writeWholeModel({ from, to: dir, dtype });
  else writeAdapterAlone({ from, to: dir, dtype });
}

/** Fetches into a file; begun again where it breaks. */
async function download(connection: Connection, path: string, file: string): Promise<void> {
  const { clock, random, url } = connection.options;
  for (let tries = 1; ; tries++) {
    let status: number | undefined;
    let got = "";
    try {
      status = await fetchFile(new URL(`${url}${API_PREFIX}${path}`), connection.keyHeader, file);
      if (status === 200) return;
      got = `status ${status}: ${readFileSync(file, "utf8").slice(0, 200)}`;
    } catch (error) {
      if (asDiskError(error) !== error) throw error;
      got = errorText(error);
    }
    const verdict = verdictOn("submit", status === undefined ? { failure: "cut" } : { status }, tries, random);
    if (verdict.next !== "again" || tries >= TRIES) throw new TinkerError(`${path}: expected an archive, got ${got}`, { status });
    await clock.sleep(verdict.waitMs);
  }
}

/** One GET into a file, redirects followed; the key goes to the server's own origin alone. The status of the last answer. */
async function fetchFile(address: URL, keyHeader: Readonly<Record<string, string>>, file: string): Promise<number> {
  let url = address;
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    const headers = { "user-agent": "rzero", ...(url.origin === address.origin ? keyHeader : {}) };
    const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
      const send = url.protocol === "https:" ? httpsRequest : httpRequest;
      const request = send(url, { headers, timeout: IDLE_MS }, resolve);
      request.on("timeout", () => request.destroy(new Error(`nothing within ${IDLE_MS / 1000} s`)));
      request.on("error", reject);
      request.end();
    });
    const status = response.statusCode ?? 0;
    if (status >= 300 && status < 400 && response.headers.location !== undefined) {
      response.resume();
      url = new URL(response.headers.location, url);
      if (url.protocol !== "http:" && url.protocol !== "https:")
        throw new DataError(`archive: expected http, got ${url.protocol}`);
      continue;
    }
    await pipeline(response, createWriteStream(file));
    const expected = Number(response.headers["content-length"] ?? Number.NaN);
    if (status === 200 && expected !== statSync(file).size && !Number.isNaN(expected)) throw new Error("a cut connection");
    return status;
  }
  throw new DataError("archive: expected a file, got redirects without end.");
}
