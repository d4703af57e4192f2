// Answers to the page's questions about questions, from the index and the files behind it. Knows one connection, no thread and no HTTP.

import { LineFiles } from "../../store/lines.ts";
import type { QuestionDetail, QuestionQuery, QuestionRow, RolloutGroup } from "../api-questions.ts";
import type { StoredMap } from "../index/map.ts";
import { idOf, type Place, parsePlace } from "../index/schema.ts";
import type { SqlDatabase } from "../index/sqlite.ts";
import { nearestEarlier } from "./nearest.ts";
import { answersOf, groupsOf, readGroup, readQuestions } from "./rows.ts";
import { QuestionWindows } from "./select.ts";

/** What can be asked, and what is answered; null: there is none. */
export type IndexQuestion =
  | { readonly ask: "questions"; readonly query: QuestionQuery; readonly offset: number; readonly limit: number }
  | { readonly ask: "question"; readonly id: string }
  | { readonly ask: "group"; readonly id: string }
  | { readonly ask: "map"; readonly run: string };

export interface IndexAnswers {
  readonly questions: { readonly total: number; readonly rows: readonly QuestionRow[] };
  readonly question: QuestionDetail | null;
  readonly group: RolloutGroup | null;
  readonly map: StoredMap | null;
}

const NEIGHBOURS = 10;

/** See the file header. */
export class IndexReader {
  readonly #database: SqlDatabase;
  readonly #windows: QuestionWindows;

  constructor(database: SqlDatabase) {
    this.#database = database;
    this.#windows = new QuestionWindows(database);
  }

  /** The answer, and work to be done when it was sent. Errors: SQLite. */
  answer(question: IndexQuestion): { readonly answer: IndexAnswers[IndexQuestion["ask"]]; readonly after?: () => void } {
    const files = new LineFiles();
    try {
      switch (question.ask) {
        case "questions":
          return this.#questions(question, files);
        case "question":
          return { answer: this.#question(question.id, files) };
        case "group":
          return { answer: this.#group(question.id, files) };
        case "map":
          return { answer: this.#map(question.run) };
      }
    } finally {
      files.close();
    }
  }

  #questions({ query, offset, limit }: IndexQuestion & { ask: "questions" }, files: LineFiles) {
    const names = query.run?.length ? query.run : undefined;
    const runs = names?.flatMap((name) => this.#runNumber(name) ?? []);
    const { ids, total, finish } = this.#windows.window(query, runs, offset, limit);
    const rows = readQuestions(this.#database, files, ids).map(({ row }) => row);
    return { answer: { total, rows }, after: finish };
  }

  #question(name: string, files: LineFiles): QuestionDetail | null {
    const found = this.#place(name);
    if (found === undefined || found.place.kind === "solver") return null;
    const { id, place, run } = found;
    const [read] = readQuestions(this.#database, files, [id]);
    if (read === undefined) return null;
    const { row, json } = read;
    const nearest = nearestEarlier(this.#database, files, { text: row.question, place }, NEIGHBOURS);
    return { question: row, answers: answersOf(json), groups: groupsOf(this.#database, run, id), nearest };
  }

  #group(name: string, files: LineFiles): RolloutGroup | null {
    const found = this.#place(name);
    if (found === undefined || found.place.kind === "pool") return null;
    return readGroup(this.#database, files, found.run, found.place, found.id) ?? null;
  }

  #map(run: string): StoredMap | null {
    const row = this.#database.prepare("SELECT map FROM maps JOIN runs USING (run) WHERE name = ?").get(run);
    return row === undefined ? null : (JSON.parse((row as { map: string }).map) as StoredMap);
  }

  #place(name: string): { readonly id: number; readonly place: Place; readonly run: string } | undefined {
    const parsed = parsePlace(name);
    const number = parsed && this.#runNumber(parsed.run);
    if (parsed === undefined || number === undefined) return undefined;
    const place = { ...parsed, run: number };
    const id = idOf(place);
    return id === undefined ? undefined : { id, place, run: parsed.run };
  }

  #runNumber(name: string): number | undefined {
    const row = this.#database.prepare("SELECT run FROM runs WHERE name = ?").get(name);
    return (row as { run: number } | undefined)?.run;
  }
}
