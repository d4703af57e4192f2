// The journal of an evaluation: JSON Lines beside its result, one line per finished question, so that a killed evaluation goes on
// where it stopped; a finished one is renamed and never gone on with, so that asking again measures again. Its first line holds the fingerprint of everything the numbers depend on; a journal with another is not used.
// Holds completions, not verdicts: they are graded again on the way out, by the grader of the day.

import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { expectObject, type JsonObject, preview, readJsonl } from "../store/jsonl.ts";
import { acquireLock, releaseLock } from "../store/lock.ts";
import { DataError } from "../util/errors.ts";
import { cutTornTail } from "../util/files.ts";
import type { AnswerText } from "./grading.ts";
import type { JudgeVerdict } from "./judge.ts";

/** One question's completions, or one verdict of a judge. */
export type JournalRow =
  | { readonly bench: number; readonly question: number; readonly completions: readonly AnswerText[] }
  | { readonly judged: string; readonly verdict: JudgeVerdict };

export class Journal {
  readonly #file: string;
  readonly #lock: string;
  readonly #completions = new Map<string, readonly AnswerText[]>();
  readonly #verdicts = new Map<string, JudgeVerdict>();
  #descriptor: number;
  /** Questions that an earlier process finished. */
  readonly resumed: number;
  /** A journal of other weights, data or settings was there and was dropped. */
  readonly dropped: boolean;

  /** Opens or starts a journal. Errors: ConfigError when another live process writes it. */
  constructor(file: string, fingerprint: string) {
    this.#file = file;
    this.#lock = `${file}.lock`;
    mkdirSync(dirname(file), { recursive: true });
    acquireLock(this.#lock, "evaluation");
    const usable = this.#read(fingerprint);
    this.dropped = !usable && existsSync(file);
    this.resumed = this.#completions.size;
    if (usable) cutTornTail(file);
    this.#descriptor = openSync(file, usable ? "a" : "w");
    if (!usable) this.#write([{ fingerprint }]);
  }

  /** Completions of a question, when it is finished. */
  completions(bench: number, question: number): readonly AnswerText[] | undefined {
    return this.#completions.get(`${bench}/${question}`);
  }

  /** A judge's verdict on a pair, when it gave one. */
  verdict(pair: string): JudgeVerdict | undefined {
    return this.#verdicts.get(pair);
  }

  /** Adds rows; they are on the disk when this returns. */
  append(rows: readonly JournalRow[]): void {
    for (const row of rows) this.#keep(row);
    this.#write(rows);
  }

  /** Closes the file; it stays for a later process to go on. */
  close(): void {
    closeSync(this.#descriptor);
    releaseLock(this.#lock);
  }

  /** Closes the file and gives it the name of a finished record, which nothing goes on with. */
  finish(name: string): void {
    closeSync(this.#descriptor);
    renameSync(this.#file, name);
    releaseLock(this.#lock);
  }

  #write(rows: readonly unknown[]): void {
    const bytes = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#descriptor, bytes, at);
    fsyncSync(this.#descriptor);
  }

  #keep(row: JournalRow): void {
    if ("completions" in row) this.#completions.set(`${row.bench}/${row.question}`, row.completions);
    else this.#verdicts.set(row.judged, row.verdict);
  }

  /** Reads what is there; false when there is nothing of this fingerprint. */
  #read(fingerprint: string): boolean {
    if (!existsSync(this.#file)) return false;
    try {
      const [first, ...rows] = readJsonl(this.#file, (value, where) => ({ row: expectObject(value, where), where }), {
        growing: true,
      });
      if (first?.row.fingerprint !== fingerprint) return false;
      for (const row of rows.map(({ row, where }) => parseRow(row, where))) this.#keep(row);
      return true;
    } catch (error) {
      if (error instanceof DataError) return false; // damaged: nothing of it can be trusted
      throw error;
    }
  }
}

function parseRow(row: JsonObject, where: string): JournalRow {
  const { bench, question, completions, judged, verdict } = row;
  if (typeof judged === "string" && (typeof verdict === "boolean" || verdict === "failed")) return { judged, verdict };
  if (typeof bench === "number" && typeof question === "number" && Array.isArray(completions) && completions.every(isAnswerText))
    return { bench, question, completions };
  throw new DataError(`${where}: expected completions of a question or a verdict, got ${preview(row)}.`);
}

function isAnswerText(value: unknown): value is AnswerText {
  const { text, stopReason } = (value ?? {}) as Partial<AnswerText>;
  return typeof text === "string" && (stopReason === "stop" || stopReason === "length");
}
