// One file of a run into the index: from the byte where it was left, or anew where its beginning is not what was read. Lines that cannot
// be understood are passed over. Knows lines and tables, not which files there are.

import { forEachLineFrom, type Line } from "../../store/lines.ts";
import type { JsonObject } from "../../util/json.ts";
import { idOf, type Place } from "./schema.ts";
import { BulkInsert, type SqlDatabase, type SqlStatement, type SqlValue } from "./sqlite.ts";

/** A file of a run that the index reads. */
export interface IndexedFile {
  /** Its number in the index. */
  readonly file: number;
  readonly run: number;
  readonly path: string;
  readonly kind: Place["kind"];
  readonly iteration: number;
  readonly step: number;
}

/** What is known of the truths of a pool, by the line of the question: where it stands, and whether the pseudo-label is right. */
export interface Truths {
  readonly start: readonly number[];
  /** 0 or 1; absent where nobody voted. */
  readonly right: readonly number[];
}

/** Of a file without truths beside it. */
export const NO_TRUTHS: Truths = { start: [], right: [] };

const SAMPLES = Buffer.from(',"samples":[');
const QUESTION_COLUMNS =
  "id, run, iteration, source, verdict, share, reward, length, answers, label, trained, file, start, bytes, truth";

/** Writes the lines of files; one serves a whole index. Call `flush` before the transaction ends. */
export class Ingest {
  readonly #questions: BulkInsert;
  readonly #words: BulkInsert;
  readonly #groups: BulkInsert;
  readonly #addVerdict: SqlStatement;
  readonly #countTrained: SqlStatement;
  readonly #verdicts = new Map<string, number>();
  /** Groups per question since the last flush. */
  readonly #trained = new Map<number, number>();
  rows = 0;

  constructor(database: SqlDatabase) {
    this.#questions = new BulkInsert(database, `questions (${QUESTION_COLUMNS})`, 15);
    this.#words = new BulkInsert(database, "words (rowid, text)", 2);
    this.#groups = new BulkInsert(database, "groups (id, question, samples, reward, file, start, bytes)", 7);
    this.#addVerdict = database.prepare("INSERT INTO verdicts (verdict, name) VALUES (?, ?)");
    this.#countTrained = database.prepare("UPDATE questions SET trained = trained + ? WHERE id = ?");
    for (const row of database.prepare("SELECT verdict, name FROM verdicts").all()) {
      const { verdict, name } = row as { verdict: number; name: string };
      this.#verdicts.set(name, verdict);
    }
  }

  /** Reads a file on from byte `from`, after so many lines. Returns where it ended. Errors: file system, SQLite. */
  read(file: IndexedFile, from: number, lines: number, truths: Truths): { read: number; lines: number } {
    let number = lines;
    const read = forEachLineFrom(file.path, from, (line) => {
      number++;
      const head = headOf(line);
      if (head === undefined) return;
      if (file.kind === "solver") this.#addGroup(file, number, head, line);
      else this.#addQuestion(file, number, head, line, truths);
    });
    return { read, lines: number };
  }

  flush(): void {
    for (const insert of [this.#questions, this.#words, this.#groups]) insert.flush();
    for (const [question, count] of this.#trained) this.#countTrained.run(count, question);
    this.#trained.clear();
  }

  #addQuestion(file: IndexedFile, line: number, head: JsonObject, at: Line, truths: Truths): void {
    const { run, iteration, kind, step } = file;
    const id = idOf({ run, iteration, kind, step, line });
    if (id === undefined) return;
    const text = typeof head.question === "string" ? head.question : "";
    const answers = Array.isArray(head.answers) ? head.answers.length : 0;
    const anchor = head.anchor === true;
    this.#questions.add(
      id,
      run,
      iteration,
      kind === "pool" ? 0 : 1,
      this.#verdict(String(head.verdict)),
      answers > 0 ? numberOr(head.voteShare) : null,
      numberOr((head.reward as JsonObject | undefined)?.total),
      text.length,
      answers,
      anchor ? 1 : (truths.right[line] ?? null),
      0,
      file.file,
      at.start,
      at.to - at.from,
      truths.start[line] ?? null,
    );
    if (text !== "") this.#words.add(id, text);
    this.rows++;
  }

  #addGroup({ run, iteration, kind, step, file }: IndexedFile, line: number, head: JsonObject, at: Line): void {
    const id = idOf({ run, iteration, kind, step, line });
    const [of, its] = [Number(head.iteration), Number(head.line)];
    const isPlace = Number.isSafeInteger(of) && of >= 0 && Number.isSafeInteger(its) && its > 0;
    const question = isPlace ? idOf({ run, iteration: of, kind: "pool", step: 0, line: its }) : undefined;
    if (id === undefined || question === undefined) return;
    this.#groups.add(id, question, numberOr(head.size) ?? 0, numberOr(head.meanReward), file, at.start, at.to - at.from);
    this.#trained.set(question, (this.#trained.get(question) ?? 0) + 1);
    this.rows++;
  }

  #verdict(name: string): number {
    const short = name.slice(0, 100);
    const known = this.#verdicts.get(short);
    if (known !== undefined) return known;
    const verdict = this.#verdicts.size + 1;
    this.#addVerdict.run(verdict, short);
    this.#verdicts.set(short, verdict);
    return verdict;
  }
}

/** A file's truths. Errors: file system. */
export function readTruths(path: string): Truths {
  const [start, right]: [number[], number[]] = [[], []];
  forEachLineFrom(path, 0, (at) => {
    const row = headOf(at);
    const line = Number(row?.line);
    if (row === undefined || !Number.isSafeInteger(line) || line < 1 || line > MOST_LINES) return;
    start[line] = at.start;
    if (typeof row.right === "boolean") right[line] = Number(row.right);
  });
  return { start, right };
}

/** Lines of a pool whose truths are read. */
const MOST_LINES = 2e7;

/** The line's object without its samples, which are not parsed; undefined when it is none. */
function headOf({ buffer, from, to }: Line): JsonObject | undefined {
  const line = buffer.subarray(from, to);
  const cut = line.indexOf(SAMPLES);
  return objectOf(cut < 0 ? line.toString("utf8") : `${line.toString("utf8", 0, cut)}}`);
}

/** The JSON object that a text is; undefined when it is none. */
export function objectOf(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

function numberOr(value: unknown): SqlValue {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
