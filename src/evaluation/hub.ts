// Files of data sets from the Hugging Face Hub, into its usual cache (so that other tools find them, and the other way round):
// resumed where a cut left off, checked against the checksum that the Hub names, bounded in size. Knows nothing of what is in them.
// Sources: huggingface_hub's documentation, "Manage the cache-system" (blobs, refs, snapshots) and "Environment variables".

import { createHash, type Hash } from "node:crypto";
import {
  copyFileSync,
  createReadStream,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { acquireLock, releaseLock } from "../store/lock.ts";
import { ConfigError, DataError, EngineError, errorText } from "../util/errors.ts";
import { readText, writeFileAtomic } from "../util/files.ts";
import { hubRequest } from "./hub-request.ts";

/** How to reach the Hub and where its files are kept. */
export interface HubSettings {
  /** No slash at the end. */
  readonly endpoint: string;
  /** Never printed, and sent to the endpoint's own host only. */
  readonly token?: string;
  readonly cacheDir: string;
  readonly offline: boolean;
  /** Largest file that is fetched, in bytes. */
  readonly maxBytes: number;
  /** Tries of one request before giving up. */
  readonly attempts: number;
  /** Wait before the second try; doubles with every further one. */
  readonly retryDelayMs: number;
  /** Silence on the wire that counts as a cut. */
  readonly stallMs: number;
}

/** One file of a data set. */
export interface HubFile {
  readonly dataset: string;
  readonly revision: string;
  readonly path: string;
}

/** Bytes on the disk so far, of how many. */
export type HubProgress = (file: HubFile, done: number, total: number) => void;

/** A file in the cache and the commit it belongs to. */
export interface CachedFile {
  readonly file: string;
  readonly commit: string;
}

/** Settings from HF_ENDPOINT, HF_TOKEN, HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME and HF_HUB_OFFLINE. Errors: ConfigError. */
export function hubSettings(env: NodeJS.ProcessEnv): HubSettings {
  const endpoint = (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
  if (!/^https?:\/\//.test(endpoint))
    throw new ConfigError("HF_ENDPOINT: expected an address that begins with http:// or https://, got another.");
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  return {
    endpoint,
    token: env.HF_TOKEN || undefined,
    cacheDir: env.HF_HUB_CACHE || join(home, "hub"),
    offline: /^(1|true|yes|on)$/i.test(env.HF_HUB_OFFLINE ?? ""),
    maxBytes: 4 * 1024 ** 3,
    attempts: 5,
    retryDelayMs: 500,
    stallMs: 60_000,
  };
}

/**
 * The file from the cache, fetched first where it is missing or the revision has moved on. Without a connection the cached file of
 * the revision is taken. Errors: ConfigError for a refused token; DataError when there is no such file, it is too large or the
 * program is offline without it; EngineError (retryable) when the connection fails or the checksum is wrong.
 */
export async function fetchFromHub(wanted: HubFile, settings: HubSettings, on?: HubProgress): Promise<CachedFile> {
  checkPath(wanted);
  const place = placeOf(wanted, settings);
  const cached = cachedFile(wanted, place);
  if (settings.offline) {
    if (cached) return cached;
    throw new DataError(
      `${wanted.dataset}: expected ${wanted.path} (${wanted.revision}) in ${place.repo}, got none, and HF_HUB_OFFLINE is set.`,
    );
  }
  let remote: RemoteFile;
  try {
    remote = await retrying(settings, () => describe(wanted, settings), cached ? 1 : settings.attempts);
  } catch (error) {
    if (cached && error instanceof EngineError) return cached;
    throw error;
  }
  const target = join(place.snapshots, remote.commit, wanted.path);
  if (!existsSync(target)) {
    const blob = join(place.blobs, remote.etag);
    if (!existsSync(blob)) await download(wanted, remote, blob, settings, on);
    link(blob, target);
  }
  if (remote.commit !== wanted.revision) writeFileAtomic(place.ref, remote.commit);
  return { file: target, commit: remote.commit };
}

/** Names become paths and addresses: nothing that climbs out of the cache. */
function checkPath({ dataset, revision, path }: HubFile): void {
  const bad = [dataset, revision, path].find((part) => part === "" || part.split("/").some((step) => /^\.{0,2}$/.test(step)));
  if (bad !== undefined || !/^[\w.-]+(\/[\w.-]+)?$/.test(dataset))
    throw new ConfigError(`Hub: expected plain names, got "${bad ?? dataset}".`);
}

const MAX_REF_BYTES = 1000;

interface Place {
  readonly repo: string;
  readonly blobs: string;
  readonly snapshots: string;
  readonly ref: string;
}

function placeOf({ dataset, revision }: HubFile, { cacheDir }: HubSettings): Place {
  const repo = join(cacheDir, `datasets--${dataset.replaceAll("/", "--")}`);
  return { repo, blobs: join(repo, "blobs"), snapshots: join(repo, "snapshots"), ref: join(repo, "refs", revision) };
}

function cachedFile({ revision, path }: HubFile, { snapshots, ref }: Place): CachedFile | undefined {
  const commit = existsSync(ref) ? readText(ref, MAX_REF_BYTES).trim() : revision;
  if (!/^[\w.-]+$/.test(commit)) return undefined;
  const file = join(snapshots, commit, path);
  return existsSync(file) ? { file, commit } : undefined;
}

/** What the Hub says of a file: its commit, its checksum (SHA-256 of large files, git's SHA-1 of small ones), its size. */
interface RemoteFile {
  readonly commit: string;
  readonly etag: string;
  readonly size: number;
}

function addressOf({ dataset, revision, path }: HubFile, { endpoint }: HubSettings): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}/datasets/${dataset}/resolve/${encodeURIComponent(revision)}/${encoded}`;
}

async function describe(wanted: HubFile, settings: HubSettings): Promise<RemoteFile> {
  const what = `${wanted.dataset}/${wanted.path}`;
  const { headers } = await hubRequest(addressOf(wanted, settings), { method: "HEAD", settings, what });
  const etag = (headers.get("x-linked-etag") ?? headers.get("etag") ?? "").replace(/^W\//, "").replaceAll('"', "");
  const commit = headers.get("x-repo-commit") ?? "";
  const size = Number(headers.get("x-linked-size") ?? headers.get("content-length") ?? Number.NaN);
  if (!/^([0-9a-f]{64}|[0-9a-f]{40})$/.test(etag) || !/^[\w.-]{1,100}$/.test(commit) || commit.startsWith(".") || !(size >= 0))
    throw new DataError(
      `${what}: expected a checksum, a commit and a size from ${settings.endpoint}, got no such headers. Is it a Hub?`,
    );
  if (size > settings.maxBytes) throw new DataError(`${what}: expected at most ${settings.maxBytes} bytes, got ${size}.`);
  return { commit, etag, size };
}

async function download(
  wanted: HubFile,
  remote: RemoteFile,
  blob: string,
  settings: HubSettings,
  on?: HubProgress,
): Promise<void> {
  const partial = `${blob}.incomplete`;
  const lock = `${blob}.lock`;
  mkdirSync(dirname(blob), { recursive: true });
  acquireLock(lock, `download of ${wanted.path}`);
  try {
    await retrying(settings, () => continueDownload(wanted, remote, partial, settings, on), settings.attempts);
    await verify(wanted, remote, partial);
    renameSync(partial, blob);
  } finally {
    releaseLock(lock);
  }
}

/** Tries again after failures that may pass, waiting longer each time. */
async function retrying<T>({ retryDelayMs }: HubSettings, work: () => Promise<T>, attempts: number): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof EngineError) || !error.retryable || attempt >= attempts) throw error;
      await new Promise((wake) => setTimeout(wake, retryDelayMs * 2 ** (attempt - 1)));
    }
  }
}

/** Appends what is missing. A server that ignores the range starts the file over. */
async function continueDownload(
  wanted: HubFile,
  { size }: RemoteFile,
  partial: string,
  settings: HubSettings,
  on: HubProgress | undefined,
): Promise<void> {
  const what = `${wanted.dataset}/${wanted.path}`;
  let done = existsSync(partial) ? statSync(partial).size : 0;
  if (done > size) {
    done = 0;
    truncateSync(partial, done);
  }
  on?.(wanted, done, size);
  if (done === size && existsSync(partial)) return;
  const { body, status, headers } = await hubRequest(addressOf(wanted, settings), { settings, what, from: done });
  if (status !== 206 || Number(/^bytes (\d+)-/.exec(headers.get("content-range") ?? "")?.[1]) !== done) {
    if (status === 206 || done > 0) rmSync(partial, { force: true });
    if (status === 206) throw new EngineError(`${what}: expected the range from byte ${done}, got another.`, { retryable: true });
    done = 0;
  }
  const handle = await open(partial, "a");
  try {
    for await (const chunk of body) {
      done += chunk.length;
      if (done > size) {
        await handle.truncate(0);
        throw new EngineError(`${what}: expected ${size} bytes, got more.`, { retryable: true });
      }
      await handle.appendFile(chunk);
      on?.(wanted, done, size);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (done < size)
    throw new EngineError(`${what}: expected ${size} bytes, got ${done}: the connection was cut.`, { retryable: true });
}

/** Compares the checksum; a file that differs is thrown away, so that the next try starts afresh. */
async function verify({ dataset, path }: HubFile, { etag, size }: RemoteFile, partial: string): Promise<void> {
  const hash: Hash = etag.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
  for await (const chunk of createReadStream(partial)) hash.update(chunk as Buffer);
  const got = hash.digest("hex");
  if (got === etag) return;
  rmSync(partial, { force: true });
  throw new EngineError(`${dataset}/${path}: expected checksum ${etag}, got ${got}. What came is thrown away; fetch it again.`, {
    retryable: true,
  });
}

function link(blob: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  rmSync(target, { force: true });
  try {
    symlinkSync(relative(dirname(target), blob), target);
  } catch (error) {
    // Some file systems and accounts have no symbolic links; huggingface_hub copies there as well.
    if (!["EPERM", "ENOTSUP", "EACCES", "ENOSYS"].includes((error as NodeJS.ErrnoException).code ?? ""))
      throw new DataError(`${target}: expected to make a link, got ${errorText(error)}.`);
    copyFileSync(blob, target);
  }
}
