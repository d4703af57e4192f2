// SQLite as the index needs it: Node's own where it has one (from 22.5 on), else libsql, which has the same synchronous calls.
// Knows no table.

import { createRequire } from "node:module";

/** A value that is stored. */
export type SqlValue = number | string | null;

export interface SqlStatement {
  run(...values: SqlValue[]): unknown;
  get(...values: SqlValue[]): unknown;
  all(...values: SqlValue[]): unknown[];
}

export interface SqlDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): SqlStatement;
  close(): unknown;
}

type SqlClass = new (file: string) => SqlDatabase;

const BUSY_MS = 10_000;
const CACHE_KIB = 32 * 1024;

/** Opens a database in WAL mode. Errors: whatever SQLite throws; see `isDamage`. */
export function openDatabase(file: string): SqlDatabase {
  const Sqlite = sqliteClass();
  const database = new Sqlite(file);
  try {
    database.exec(
      `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY`,
    );
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** Whether an error says that the file is no database, or a broken one. */
export function isDamage(error: unknown): boolean {
  return /malformed|not a database|corrupt|disk I\/O error|no such (table|column)|file is encrypted/i.test(String(error));
}

function sqliteClass(): SqlClass {
  const own = ownSqlite();
  return own ?? (createRequire(import.meta.url)("libsql") as SqlClass);
}

/** Node's class, without its notice that it is new. */
function ownSqlite(): SqlClass | undefined {
  const { getBuiltinModule } = process as { getBuiltinModule?: (name: string) => unknown };
  const warn = process.emitWarning;
  try {
    process.emitWarning = () => {};
    return (getBuiltinModule?.("node:sqlite") as { DatabaseSync?: SqlClass } | undefined)?.DatabaseSync;
  } catch {
    return undefined;
  } finally {
    process.emitWarning = warn;
  }
}

/** Inserts many rows with few calls. */
export class BulkInsert {
  readonly #one: SqlStatement;
  readonly #many: SqlStatement;
  readonly #width: number;
  #waiting: SqlValue[] = [];

  /** `into`: the table with its columns, `t(a, b)`. */
  constructor(database: SqlDatabase, into: string, width: number) {
    const row = `(${Array(width).fill("?").join(",")})`;
    this.#width = width;
    this.#one = database.prepare(`INSERT OR REPLACE INTO ${into} VALUES ${row}`);
    this.#many = database.prepare(`INSERT OR REPLACE INTO ${into} VALUES ${Array(BATCH).fill(row).join(",")}`);
  }

  add(...values: SqlValue[]): void {
    this.#waiting.push(...values);
    if (this.#waiting.length < this.#width * BATCH) return;
    this.#many.run(...this.#waiting);
    this.#waiting = [];
  }

  /** Inserts what waits. */
  flush(): void {
    for (let at = 0; at < this.#waiting.length; at += this.#width) this.#one.run(...this.#waiting.slice(at, at + this.#width));
    this.#waiting = [];
  }
}

const BATCH = 64;
