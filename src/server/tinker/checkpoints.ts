// Saved weights of a Tinker server on the disk: training states and models to sample from, whole or absent, listed from memory.
// Knows directories and tinker:// paths, no model.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { syncDirectory, writeFileAtomic } from "../../util/files.ts";
import { readJsonFile } from "../../util/json.ts";
import { Problem } from "../problem.ts";
import { parseAs } from "./training-journal.ts";

/** Which folder of a model: states to go on training from, or weights to sample from. */
const CHECKPOINT_KINDS = ["weights", "sampler_weights"] as const;
export type CheckpointKind = (typeof CHECKPOINT_KINDS)[number];

const metaSchema = z.object({
  /** ISO 8601. */
  time: z.string(),
  bytes: z.number(),
  public: z.boolean(),
  /** ISO 8601. */
  expiresAt: z.string().optional(),
  /** Made for one sampling session; old ones are dropped. */
  ephemeral: z.boolean(),
});

/** Where saved weights stand. */
export interface CheckpointRef {
  readonly modelId: string;
  readonly kind: CheckpointKind;
  readonly name: string;
}

/** Saved weights. */
export type Checkpoint = CheckpointRef & z.output<typeof metaSchema>;

/** Names of models and checkpoints: they become names of files. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}$/;
const CONTENT = "content";
const META = "checkpoint.json";
/** Ephemeral ones: at most so many, and less bytes than this unless they are few. */
const KEPT_EPHEMERAL = 32;
const LEAST_EPHEMERAL = 6;
const EPHEMERAL_BYTES = 8 * 2 ** 30;
const MOST_META_BYTES = 65_536;

/** Errors: Problem 422 for a name that cannot be one of a file. */
export function checkName(name: string): string {
  if (NAME.test(name)) return name;
  throw new Problem(422, `path: expected letters, digits, "_", "-" and ".", at most 255, got ${JSON.stringify(name)}.`);
}

/** A checkpoint's address. */
export function tinkerPath({ modelId, kind, name }: CheckpointRef): string {
  return `tinker://${modelId}/${kind}/${name}`;
}

/** Reads `tinker://MODEL/weights/NAME`; without a folder it is a sampler's. Errors: Problem 400. */
export function parseTinkerPath(path: string): CheckpointRef {
  const parts = /^tinker:\/\/([^/]+)\/(?:(weights|sampler_weights)\/)?([^/]+)$/.exec(path);
  if (parts === null || !NAME.test(parts[1]) || !NAME.test(parts[3]))
    throw new Problem(400, `path: expected tinker://MODEL/weights/NAME or …/sampler_weights/NAME, got ${JSON.stringify(path)}.`);
  return { modelId: parts[1], kind: (parts[2] ?? "sampler_weights") as CheckpointKind, name: parts[3] };
}

/** See the file header. */
export class CheckpointStore {
  readonly #dir: string;
  readonly #known = new Map<string, Checkpoint>();
  /** Ephemeral ones, the one used last at the end. */
  readonly #ephemeral: string[] = [];

  /** Opens what is in `dir`: a folder per model. Errors: DataError, DiskError. */
  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true });
    for (const modelId of readdirSync(dir)) for (const kind of CHECKPOINT_KINDS) this.#read(modelId, kind);
    const byTime = [...this.#known.values()].sort((a, b) => a.time.localeCompare(b.time));
    this.#ephemeral.push(...byTime.filter(({ ephemeral }) => ephemeral).map(tinkerPath));
  }

  /** Those of a model that have not expired, oldest first. */
  list(modelId: string): Checkpoint[] {
    return [...this.#known.values()]
      .filter((checkpoint) => checkpoint.modelId === modelId)
      .sort((a, b) => a.time.localeCompare(b.time));
  }

  has(ref: CheckpointRef): boolean {
    return this.#known.has(tinkerPath(ref));
  }

  /** Errors: Problem 404. */
  find(ref: CheckpointRef): Checkpoint {
    const found = this.#known.get(tinkerPath(ref));
    if (found === undefined) throw new Problem(404, `Checkpoint not found: ${tinkerPath(ref)}`);
    const at = this.#ephemeral.indexOf(tinkerPath(ref));
    if (at >= 0) this.#ephemeral.push(...this.#ephemeral.splice(at, 1));
    return found;
  }

  /** Directory of the saved weights themselves. */
  contentDir(ref: CheckpointRef): string {
    return join(this.#place(ref), CONTENT);
  }

  /** Saves weights that `write` puts into a directory, in the place of any of that name. Returns those that had to go. Errors: those of `write`, DiskError. */
  async save(
    ref: CheckpointRef,
    options: { readonly ttlSeconds?: number; readonly ephemeral?: boolean },
    write: (dir: string) => Promise<void>,
  ): Promise<Checkpoint[]> {
    const { ttlSeconds, ephemeral = false } = options;
    const place = this.#place(ref);
    const beside = `${place}.new~`;
    rmSync(beside, { recursive: true, force: true });
    mkdirSync(beside, { recursive: true });
    await write(join(beside, CONTENT));
    const checkpoint: Checkpoint = {
      ...ref,
      time: new Date().toISOString(),
      bytes: sizeOf(join(beside, CONTENT)),
      public: false,
      expiresAt: expiry(ttlSeconds),
      ephemeral,
    };
    this.#writeMeta(beside, checkpoint);
    rmSync(place, { recursive: true, force: true });
    renameSync(beside, place);
    syncDirectory(join(place, ".."));
    this.#known.set(tinkerPath(ref), checkpoint);
    return ephemeral ? this.#keepFew(tinkerPath(ref)) : [];
  }

  /** Changes who may see it or when it expires (0 or null: never). Errors: Problem 404, DiskError. */
  change(ref: CheckpointRef, change: { readonly public?: boolean; readonly ttlSeconds?: number | null }): void {
    const found = this.find(ref);
    const changed = {
      ...found,
      public: change.public ?? found.public,
      expiresAt: change.ttlSeconds === undefined ? found.expiresAt : expiry(change.ttlSeconds ?? undefined),
    };
    this.#writeMeta(this.#place(ref), changed);
    this.#known.set(tinkerPath(ref), changed);
  }

  /** Errors: Problem 404, DiskError. */
  remove(ref: CheckpointRef): Checkpoint {
    const found = this.find(ref);
    this.#known.delete(tinkerPath(ref));
    const at = this.#ephemeral.indexOf(tinkerPath(ref));
    if (at >= 0) this.#ephemeral.splice(at, 1);
    rmSync(this.#place(ref), { recursive: true, force: true });
    return found;
  }

  /** Removes what has expired, and returns it. */
  sweep(now = Date.now()): Checkpoint[] {
    const old = [...this.#known.values()].filter(({ expiresAt }) => expiresAt !== undefined && Date.parse(expiresAt) <= now);
    return old.map((checkpoint) => this.remove(checkpoint));
  }

  #place({ modelId, kind, name }: CheckpointRef): string {
    return join(this.#dir, modelId, kind, name);
  }

  #writeMeta(dir: string, { modelId: _, kind: __, name: ___, ...meta }: Checkpoint): void {
    writeFileAtomic(join(dir, META), JSON.stringify(meta));
  }

  #keepFew(newest: string): Checkpoint[] {
    const at = this.#ephemeral.indexOf(newest);
    if (at >= 0) this.#ephemeral.splice(at, 1);
    this.#ephemeral.push(newest);
    const sizes = this.#ephemeral.map((path) => this.#known.get(path)?.bytes ?? 0);
    let bytes = sizes.reduce((sum, size) => sum + size, 0);
    let surplus = 0;
    for (let left = sizes.length; left > KEPT_EPHEMERAL || (left > LEAST_EPHEMERAL && bytes > EPHEMERAL_BYTES); left--)
      bytes -= sizes[surplus++];
    return this.#ephemeral.slice(0, surplus).map((path) => this.remove(parseTinkerPath(path)));
  }

  #read(modelId: string, kind: CheckpointKind): void {
    const folder = join(this.#dir, modelId, kind);
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const meta = join(folder, name, META);
      if (name.endsWith("~") || !existsSync(meta)) {
        rmSync(join(folder, name), { recursive: true, force: true });
        continue;
      }
      const ref = { modelId, kind, name };
      this.#known.set(tinkerPath(ref), { ...ref, ...parseAs(metaSchema, readJsonFile(meta, MOST_META_BYTES), meta) });
    }
  }
}

function expiry(ttlSeconds: number | undefined): string | undefined {
  if (ttlSeconds === undefined || ttlSeconds <= 0) return undefined;
  return new Date(Math.min(Date.now() + ttlSeconds * 1000, 8.64e15)).toISOString();
}

function sizeOf(dir: string): number {
  return readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);
}
