// What one model was asked and what came of it, on the disk: requests in order with their bodies, written before they are acknowledged;
// results; and the last saved training state. A model is its state plus the requests after it, run again. Knows no trainer.
//   requests.jsonl  bodies/ORDER  results/FUTURE  state.json (which state-ORDER/ counts)

import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { MEDIA_TYPES } from "../../tinker-wire/protocol.ts";
import { DataError } from "../../util/errors.ts";
import { appendLine, cutTornTail, readBytes, readText, writeFileAtomic } from "../../util/files.ts";
import { parseJson, readJsonFile } from "../../util/json.ts";
import type { FutureResult } from "./futures.ts";

/** What a model can be asked. */
const TRAINING_KINDS = [
  "create_model",
  "forward",
  "forward_backward",
  "optim_step",
  "save_weights",
  "save_weights_for_sampler",
  "load_weights",
  "unload_model",
] as const;
export type TrainingKind = (typeof TRAINING_KINDS)[number];

const entrySchema = z.object({
  /** Place among all requests of the model, from 0. */
  order: z.int().min(0),
  kind: z.enum(TRAINING_KINDS),
  seq: z.int().optional(),
  /** SHA-256 of kind and body. */
  digest: z.string(),
  future: z.string(),
  codec: z.enum(Object.keys(MEDIA_TYPES) as [keyof typeof MEDIA_TYPES]),
});

/** One request of a model. */
export type JournalEntry = z.output<typeof entrySchema>;

const stateSchema = z.object({ order: z.int().min(0) });
const resultKind = z.enum(["training", "sample", "other", "error"]);

const MOST_ENTRIES = 8192;
const KEPT_ENTRIES = 4096;
const KEPT_RESULTS = 512;
const MOST_LOG_BYTES = 64 * 2 ** 20;
const MOST_FILE_BYTES = 512 * 2 ** 20;

/** See the file header. */
export class TrainingJournal {
  /** In order; old ones are forgotten. */
  entries: JournalEntry[] = [];
  /** Order of the last request that the saved state contains, -1 without one. */
  stateOrder = -1;
  /** Bytes of the bodies since then. */
  bodyBytes = 0;
  readonly #dir: string;

  /** Opens what is in `dir`; what was left half done is removed. Errors: DataError (damaged), DiskError. */
  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true });
    const log = this.#path("requests.jsonl");
    if (cutTornTail(log) > 0)
      this.entries = readText(log, MOST_LOG_BYTES)
        .split("\n")
        .filter((line) => line !== "")
        .map((line, i) => parseAs(entrySchema, parseJson(line, log), `${log} line ${i + 1}`));
    const state = this.#path("state.json");
    if (existsSync(state)) this.stateOrder = parseAs(stateSchema, readJsonFile(state, 4096), state).order;
    this.#dropOldStates();
  }

  /** Keeps a request; it is on the disk when this returns. Errors: DiskError. */
  append(entry: Omit<JournalEntry, "order">, body: Uint8Array): JournalEntry {
    const kept = { ...entry, order: (this.entries.at(-1)?.order ?? -1) + 1 };
    writeFileAtomic(this.#path("bodies", `${kept.order}`), body);
    appendLine(this.#path("requests.jsonl"), JSON.stringify(kept), { sync: true });
    this.entries.push(kept);
    this.bodyBytes += body.length;
    if (this.entries.length > MOST_ENTRIES) this.#forgetEntries();
    return kept;
  }

  /** The body of a request that is not yet in the saved state. Errors: DataError. */
  body({ order }: JournalEntry): Uint8Array {
    return readBytes(this.#path("bodies", `${order}`), MOST_FILE_BYTES);
  }

  /** Keeps a result; that of a request long before is dropped. Errors: DiskError. */
  putResult({ future }: JournalEntry, { kind, json }: FutureResult): void {
    writeFileAtomic(this.#path("results", future), `${kind}\n${json}`);
    const old = this.entries.at(-1 - KEPT_RESULTS);
    if (old !== undefined && old.order <= this.stateOrder) rmSync(this.#path("results", old.future), { force: true });
  }

  /** The result of a request, where it is still kept. */
  result(future: string): FutureResult | undefined {
    const file = this.#path("results", future);
    if (!existsSync(file)) return undefined;
    const text = readText(file, MOST_FILE_BYTES);
    const end = text.indexOf("\n");
    return { kind: parseAs(resultKind, text.slice(0, end), file), json: text.slice(end + 1) };
  }

  /** Directory of the saved state, where there is one. */
  get stateDir(): string | undefined {
    return this.stateOrder < 0 ? undefined : this.#path(`state-${this.stateOrder}`);
  }

  /** Replaces the saved state by one that contains all requests up to `order`. Errors: those of `save`, DiskError. */
  async saveState(order: number, save: (dir: string) => Promise<void>): Promise<void> {
    const dir = this.#path(`state-${order}`);
    rmSync(dir, { recursive: true, force: true });
    await save(dir);
    writeFileAtomic(this.#path("state.json"), JSON.stringify({ order }));
    this.stateOrder = order;
    this.bodyBytes = 0;
    this.#dropOldStates();
    this.#dropBodies();
  }

  /** Drops what only a model that lives needs. */
  forgetModel(): void {
    for (const name of readdirSync(this.#dir))
      if (name.startsWith("state") || name === "bodies") rmSync(this.#path(name), { recursive: true, force: true });
  }

  #path(...parts: string[]): string {
    return join(this.#dir, ...parts);
  }

  #dropOldStates(): void {
    for (const name of readdirSync(this.#dir))
      if (name.startsWith("state-") && name !== `state-${this.stateOrder}`)
        rmSync(this.#path(name), { recursive: true, force: true });
  }

  #dropBodies(): void {
    for (const name of existsSync(this.#path("bodies")) ? readdirSync(this.#path("bodies")) : [])
      if (!(Number(name) > this.stateOrder)) rmSync(this.#path("bodies", name), { force: true });
  }

  /** Only requests that the state contains; their bodies are gone already. */
  #forgetEntries(): void {
    const from = Math.min(
      this.entries.length - KEPT_ENTRIES,
      this.entries.findIndex(({ order }) => order > this.stateOrder),
    );
    if (from <= 0) return;
    this.entries = this.entries.slice(from);
    writeFileAtomic(this.#path("requests.jsonl"), this.entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  }
}

/** A record of ours from the disk. Errors: DataError. */
export function parseAs<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new DataError(`${where}: expected a record of rzero serve, got: ${parsed.error.issues[0].message}. It is damaged.`);
}
