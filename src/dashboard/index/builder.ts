// Brings the index to what the runs' files say: reads what is new, reads anew what was replaced, removes what is gone. Every file is its
// own small transaction's matter, so a killed builder goes on from where it was. Knows no thread.

import { rmSync } from "node:fs";
import { LineFiles } from "../../store/lines.ts";
import { type IndexedFile, Ingest, NO_TRUTHS, readTruths } from "./ingest.ts";
import { type FoundFile, phaseDirOf, RunScan, runsIn } from "./scan.ts";
import { INDEX_FORMAT, idRange, MOST_RUNS, TABLES } from "./schema.ts";
import { isDamage, openDatabase, type SqlDatabase } from "./sqlite.ts";

/** A row of `files`. */
interface KnownFile extends IndexedFile {
  readonly stamp: string;
  readonly read: number;
  readonly lines: number;
  readonly tail: string;
}

/** How far one `update` is, in bytes of files to be read. */
export type BuildProgress = (done: number, total: number) => void;

const BYTES_PER_TRANSACTION = 64 * 2 ** 20;
/** Bytes before the place where a file was left, by which it is known again. */
const TAIL_BYTES = 64;

/** Opens the index, or a new one in the place of one that is damaged or of another format. Errors: those of the file system. */
export function openIndex(file: string): SqlDatabase {
  try {
    return prepared(file);
  } catch (error) {
    if (!isDamage(error)) throw error;
    removeIndex(file);
    return prepared(file);
  }
}

/** Removes the index's files. */
export function removeIndex(file: string): void {
  for (const end of ["", "-wal", "-shm", "-journal"]) rmSync(`${file}${end}`, { force: true });
}

function prepared(file: string): SqlDatabase {
  const database = openDatabase(file);
  try {
    const { user_version: format } = database.prepare("PRAGMA user_version").get() as { user_version: number };
    const { n: tables } = database.prepare("SELECT count(*) AS n FROM sqlite_master").get() as { n: number };
    if (format !== INDEX_FORMAT && tables > 0) throw new Error("malformed: an index of another format");
    if (tables === 0) database.exec(`BEGIN; ${TABLES}; COMMIT`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** See the file header. */
export class IndexBuilder {
  readonly #root: string;
  readonly #database: SqlDatabase;
  readonly #ingest: Ingest;
  readonly #scans = new Map<string, RunScan>();
  /** By path; and paths by run and directory of the phase, to find what is gone. */
  readonly #known = new Map<string, KnownFile>();
  readonly #dirs = new Map<number, Map<string, Set<string>>>();
  #lastFile = 0;
  readonly #runs = new Map<string, number>();

  constructor(root: string, database: SqlDatabase) {
    this.#root = root;
    this.#database = database;
    this.#ingest = new Ingest(database);
    for (const row of database.prepare("SELECT * FROM files").all()) this.#hold(row as KnownFile);
    for (const row of database.prepare("SELECT * FROM runs").all()) {
      const { run, name } = row as { run: number; name: string };
      this.#runs.set(name, run);
    }
  }

  /** Numbers of the runs by name. */
  get runs(): ReadonlyMap<string, number> {
    return this.#runs;
  }

  /** Reads what has changed since; the numbers of runs that did. Errors: SQLite; files that vanish meanwhile are left for the next time. */
  update(on: BuildProgress = () => {}): Set<number> {
    const changed = new Set<number>();
    const names = runsIn(this.#root).slice(0, MOST_RUNS);
    for (const [name, run] of this.#runs) if (!names.includes(name)) this.#removeRun(name, run, changed);
    const work = names.flatMap((name) => this.#work(name, changed));
    const total = work.reduce((sum, { found }) => sum + found.bytes, 0);
    let done = 0;
    let inTransaction = 0;
    for (const { run, found } of work) {
      if (inTransaction === 0) this.#database.exec("BEGIN");
      this.#readFile(run, found);
      changed.add(run);
      done += found.bytes;
      inTransaction += found.bytes;
      if (inTransaction < BYTES_PER_TRANSACTION) continue;
      this.#commit();
      inTransaction = 0;
      on(done, total);
    }
    if (inTransaction > 0) this.#commit();
    return changed;
  }

  /** Files of a run to be read; those that are gone are removed. */
  #work(name: string, changed: Set<number>): { run: number; found: FoundFile }[] {
    const scan = this.#scans.get(name) ?? new RunScan(this.#root, name);
    this.#scans.set(name, scan);
    const run = this.#runs.get(name) ?? this.#addRun(name);
    const { files, kept } = scan.look();
    const there = new Set(files.map(({ path }) => path));
    const looked = [...(this.#dirs.get(run) ?? [])].filter(([dir]) => !kept.has(dir));
    for (const path of looked.flatMap(([, paths]) => [...paths]).filter((known) => !there.has(known))) {
      this.#transaction(() => this.#removeFile(this.#known.get(path)));
      changed.add(run);
    }
    return files.filter(({ path, stamp }) => this.#known.get(path)?.stamp !== stamp).map((found) => ({ run, found }));
  }

  #readFile(run: number, found: FoundFile): void {
    const { path, kind, iteration, step, stamp } = found;
    let known = this.#known.get(path);
    if (known !== undefined && !this.#goesOn(known, found)) {
      this.#removeFile(known);
      known = undefined;
    }
    const file = known?.file ?? ++this.#lastFile;
    const indexed = { file, run, path, kind, iteration, step };
    try {
      const truths = found.truths === undefined ? NO_TRUTHS : readTruths(found.truths);
      const { read, lines } = this.#ingest.read(indexed, known?.read ?? 0, known?.lines ?? 0, truths);
      this.#remember({ ...indexed, stamp, read, lines, tail: tailOf(path, read) });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      this.#scans.get([...this.#runs].find(([, number]) => number === run)?.[0] ?? "")?.forget();
    }
    if (kind === "pool") {
      this.#ingest.flush();
      this.#recount(run, iteration);
    }
  }

  /** Whether a file only grew: what was read of it is there still. */
  #goesOn(known: KnownFile, found: FoundFile): boolean {
    const sameFile = known.stamp.split(":")[0] === found.stamp.split(":")[0];
    return sameFile && found.bytes > known.read && known.read > 0 && tailOf(found.path, known.read) === known.tail;
  }

  /** A pool that came after the groups on it. */
  #recount(run: number, iteration: number): void {
    this.#database
      .prepare(
        "UPDATE questions SET trained = (SELECT count(*) FROM groups WHERE question = questions.id) WHERE id >= ? AND id < ? AND source = 0",
      )
      .run(...idRange(run, iteration));
  }

  #remember(known: KnownFile): void {
    const { file, run, path, kind, iteration, step, stamp, read, lines, tail } = known;
    this.#database
      .prepare("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .run(file, run, path, kind, iteration, step, stamp, read, lines, tail);
    this.#hold(known);
  }

  #hold(known: KnownFile): void {
    const dirs = this.#dirs.get(known.run) ?? new Map<string, Set<string>>();
    const paths = dirs.get(phaseDirOf(known)) ?? new Set();
    this.#dirs.set(known.run, dirs.set(phaseDirOf(known), paths.add(known.path)));
    this.#known.set(known.path, known);
    this.#lastFile = Math.max(this.#lastFile, known.file);
  }

  #removeFile(known: KnownFile | undefined): void {
    if (known === undefined) return;
    const { file, path, kind, run, iteration } = known;
    this.#ingest.flush();
    const sql = (text: string) => this.#database.prepare(text).run(file);
    if (kind === "solver") {
      sql(
        "UPDATE questions SET trained = trained - (SELECT count(*) FROM groups WHERE question = questions.id AND file = ?1) WHERE id IN (SELECT question FROM groups WHERE file = ?1)",
      );
      sql("DELETE FROM groups WHERE file = ?");
    } else {
      const [from, to] = idRange(run, iteration);
      const where = "SELECT id FROM questions WHERE id >= ? AND id < ? AND file = ?";
      this.#database.prepare(`DELETE FROM words WHERE rowid IN (${where} AND length > 0)`).run(from, to, file);
      this.#database.prepare("DELETE FROM questions WHERE id >= ? AND id < ? AND file = ?").run(from, to, file);
    }
    sql("DELETE FROM files WHERE file = ?");
    this.#known.delete(path);
    this.#dirs.get(run)?.get(phaseDirOf(known))?.delete(path);
  }

  #addRun(name: string): number {
    const used = new Set(this.#runs.values());
    let run = 0;
    while (used.has(run)) run++;
    this.#database.prepare("INSERT INTO runs VALUES (?, ?)").run(run, name);
    this.#runs.set(name, run);
    return run;
  }

  #removeRun(name: string, run: number, changed: Set<number>): void {
    this.#transaction(() => {
      for (const known of [...this.#known.values()].filter((file) => file.run === run)) this.#removeFile(known);
      this.#database.prepare("DELETE FROM maps WHERE run = ?").run(run);
      this.#database.prepare("DELETE FROM runs WHERE run = ?").run(run);
    });
    this.#runs.delete(name);
    this.#scans.delete(name);
    changed.add(run);
  }

  #transaction(work: () => void): void {
    this.#database.exec("BEGIN");
    work();
    this.#commit();
  }

  #commit(): void {
    this.#ingest.flush();
    this.#database.exec("COMMIT");
  }
}

/** The bytes before a place of a file, as text; empty when they cannot be read. */
function tailOf(path: string, end: number): string {
  const files = new LineFiles();
  try {
    const bytes = Math.min(end, TAIL_BYTES);
    return files.read(path, end - bytes, bytes).toString("latin1");
  } finally {
    files.close();
  }
}
