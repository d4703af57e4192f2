// What a Tinker server remembers of its sessions, models and sampling sessions: one small file each. Knows no behaviour.

import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isPartial, writeFileAtomic } from "../../util/files.ts";
import { readJsonFile } from "../../util/json.ts";
import { parseAs } from "./training-journal.ts";

const sessionSchema = z.object({
  id: z.string(),
  /** ISO 8601, here and below. */
  created: z.string(),
  tags: z.array(z.string()),
});
/** A client, from its start to its silence. */
export type SessionRecord = z.output<typeof sessionSchema>;

const modelSchema = z.object({
  id: z.string(),
  session: z.string(),
  modelSeq: z.int(),
  /** SHA-256 of the request that made it. */
  digest: z.string(),
  /** Future of that request. */
  future: z.string(),
  created: z.string(),
  baseModel: z.string(),
  /** 0: all weights are trained. */
  rank: z.int(),
  seed: z.int(),
  /** Which weights get an adapter; none with rank 0. */
  targets: z.array(z.string()),
  userMetadata: z.record(z.string(), z.unknown()).optional(),
});
/** A model in training. */
export type ModelRecord = z.output<typeof modelSchema>;

const samplerSchema = z.object({
  id: z.string(),
  session: z.string(),
  seq: z.int().optional(),
  created: z.string(),
  /** tinker:// path of its weights; absent: the base model. */
  modelPath: z.string().optional(),
});
/** A sampling session: a name for frozen weights. */
export type SamplerRecord = z.output<typeof samplerSchema>;

const SCHEMAS = { sessions: sessionSchema, models: modelSchema, samplers: samplerSchema };

const MOST_BYTES = 1 << 20;

/** Records of one kind by id, in memory and in a folder, the one used last at the end. At most `most`: the longest unused go. */
export class RecordFolder<Name extends keyof typeof SCHEMAS, T extends z.output<(typeof SCHEMAS)[Name]>> {
  readonly #dir: string;
  readonly #most: number;
  readonly #known = new Map<string, T>();

  /** Opens DIR/NAME. Errors: DataError (damaged), DiskError. */
  constructor(dir: string, name: Name, most: number) {
    this.#dir = join(dir, name);
    this.#most = most;
    mkdirSync(this.#dir, { recursive: true });
    const files = readdirSync(this.#dir).filter((file) => file.endsWith(".json") && !isPartial(file));
    const records = files.map((file) => {
      const path = join(this.#dir, file);
      return parseAs(SCHEMAS[name] as unknown as z.ZodType<T>, readJsonFile(path, MOST_BYTES), path);
    });
    for (const record of records.sort((a, b) => a.created.localeCompare(b.created))) this.#known.set(record.id, record);
  }

  get all(): T[] {
    return [...this.#known.values()];
  }

  /** A record, which counts as used. */
  get(id: string): T | undefined {
    const found = this.#known.get(id);
    if (found === undefined) return undefined;
    this.#known.delete(id);
    this.#known.set(id, found);
    return found;
  }

  /** Keeps a record; it is on the disk when this returns. Errors: DiskError. */
  put(record: T): T {
    writeFileAtomic(join(this.#dir, `${record.id}.json`), JSON.stringify(record));
    this.#known.set(record.id, record);
    const [oldest] = this.#known.keys();
    if (this.#known.size > this.#most) this.remove(oldest);
    return record;
  }

  remove(id: string): void {
    this.#known.delete(id);
    rmSync(join(this.#dir, `${id}.json`), { force: true });
  }
}
