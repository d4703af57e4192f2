// What was asked of which model, on the disk before it is asked: line by line in the run's directory. A resumed run finds the models that
// still stand where it goes on from, and asks the same again under the same numbers, for which servers give the results they have.
// Knows no server. Holds addresses, names and hashes; never a key or a body.

import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { appendLine, cutTornTail, readText, writeFileAtomic } from "../../../util/files.ts";

const line = z.discriminatedUnion("what", [
  /** A model that stands at a base after request `seq`. */
  z.strictObject({
    what: z.literal("stands"),
    server: z.string(),
    session: z.string(),
    model: z.string(),
    modelSeq: z.int(),
    base: z.string(),
    seq: z.int(),
  }),
  /** A request, before it is sent. */
  z.strictObject({ what: z.literal("request"), model: z.string(), seq: z.int(), sha256: z.string() }),
]);

type Line = z.output<typeof line>;

/** A model of an earlier process that once stood at a base. */
export interface FormerModel {
  readonly session: string;
  readonly model: string;
  readonly modelSeq: number;
  /** The last request before it stood there. */
  readonly seq: number;
  /** SHA-256 of the bodies of later requests, by their numbers. */
  readonly requests: ReadonlyMap<number, string>;
}

/** A session of an earlier process. */
export interface FormerSession {
  readonly id: string;
  readonly lastModel: number;
}

const MAX_BYTES = 64 * 2 ** 20;
/** Lines of former processes that are kept. */
const MOST_LINES = 20_000;

/** See the file header. Without a file nothing is kept. */
export class RequestJournal {
  readonly #file: string | undefined;
  readonly #former: readonly Line[];

  /** Reads what an earlier process left; what is damaged counts as not there. Errors: DiskError. */
  constructor(file?: string) {
    this.#file = file;
    this.#former = file === undefined ? [] : readFormer(file);
    if (file === undefined) return;
    mkdirSync(dirname(file), { recursive: true });
    if (this.#former.length >= MOST_LINES) writeFileAtomic(file, this.#former.map((one) => `${JSON.stringify(one)}\n`).join(""));
  }

  append(entry: Line): void {
    if (this.#file !== undefined) appendLine(this.#file, JSON.stringify(entry));
  }

  /** The session of the last model of earlier processes on `server`, and the last number of a model in it. */
  lastSession(server: string): FormerSession | undefined {
    const stands = this.#former.flatMap((entry) => (entry.what === "stands" && entry.server === server ? [entry] : []));
    const id = stands.at(-1)?.session;
    if (id === undefined) return undefined;
    const own = stands.filter(({ session }) => session === id);
    return { id, lastModel: Math.max(...own.map(({ modelSeq }) => modelSeq)) };
  }

  /** Models of earlier processes that stood at `base` on `server`, the last first. */
  former(server: string, base: string): FormerModel[] {
    return this.#former
      .flatMap((entry) => (entry.what === "stands" && entry.server === server && entry.base === base ? [entry] : []))
      .reverse()
      .map(({ session, model, modelSeq, seq }) => ({ session, model, modelSeq, seq, requests: this.#requestsOf(model) }));
  }

  #requestsOf(model: string): Map<number, string> {
    return new Map(
      this.#former.flatMap((entry): [number, string][] =>
        entry.what === "request" && entry.model === model ? [[entry.seq, entry.sha256]] : [],
      ),
    );
  }
}

function readFormer(file: string): Line[] {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? MAX_BYTES) >= MAX_BYTES) return [];
  cutTornTail(file);
  return readText(file, MAX_BYTES)
    .split("\n")
    .slice(-MOST_LINES - 1)
    .flatMap((text): Line[] => {
      try {
        return [line.parse(JSON.parse(text))];
      } catch {
        return [];
      }
    });
}
