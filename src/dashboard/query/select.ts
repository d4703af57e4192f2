// The conditions and the order of a table of questions as SQL, and windows of it: the first rows at once, the whole order once for all
// windows after them. Knows the tables, no lines.

import { LABELS, type QuestionQuery, type SORTS } from "../api-questions.ts";
import { idRange } from "../index/schema.ts";
import type { SqlDatabase, SqlValue } from "../index/sqlite.ts";

interface Selection {
  readonly where: string;
  readonly values: readonly SqlValue[];
  readonly order: string;
}

/** Words of a search that are looked for. */
const MOST_WORDS = 16;
/** Orders that are kept, and for how long they may be older than the index. */
const MOST_ORDERS = 4;
const STALE_MS = 10_000;

const COLUMNS = {
  order: "id",
  share: "share",
  reward: "reward",
  length: "length",
  answers: "answers",
  cluster: "cluster",
  trained: "trained",
} as const satisfies Record<(typeof SORTS)[number], string>;

/** The SQL of a query; the runs' names are numbers already. */
function selectionOf(query: QuestionQuery, runs: readonly number[] | undefined): Selection {
  const parts: string[] = [];
  const values: SqlValue[] = [];
  const add = (sql: string, ...given: readonly SqlValue[]) => {
    parts.push(sql);
    values.push(...given);
  };
  const within = (column: string, list: readonly SqlValue[]) => add(`${column} IN (${list.map(() => "?").join(",")})`, ...list);
  // Ranges of the numbers, so that one run's table never walks over the others.
  if (runs !== undefined)
    add(`(${["0", ...runs.map(() => "(id >= ? AND id < ?)")].join(" OR ")})`, ...runs.flatMap((run) => idRange(run)));
  if (query.iteration?.length) within("iteration", query.iteration);
  if (query.source !== undefined) add("source = ?", query.source === "pool" ? 0 : 1);
  if (query.verdict?.length)
    add(`verdict IN (SELECT verdict FROM verdicts WHERE name IN (${query.verdict.map(() => "?").join(",")}))`, ...query.verdict);
  if (query.label !== undefined) parts.push(["label = 1", "label = 0", "label IS NULL"][LABELS.indexOf(query.label)]);
  if (query.cluster !== undefined) add("cluster = ?", query.cluster);
  if (query.trained !== undefined) parts.push(query.trained ? "trained > 0" : "trained = 0");
  if (query.minShare !== undefined) add("share >= ?", query.minShare - ROUNDING);
  if (query.maxShare !== undefined) add("share <= ?", query.maxShare + ROUNDING);
  const words = matchOf(query.search ?? "");
  if (words !== "") add("id IN (SELECT rowid FROM words WHERE words MATCH ?)", words);
  const column = COLUMNS[query.sort ?? "order"];
  const direction = query.descending ? "DESC" : "ASC";
  const order = column === "id" ? `id ${direction}` : `${column} ${direction} NULLS LAST, id`;
  return { where: parts.length === 0 ? "1" : parts.join(" AND "), values, order };
}

const ROUNDING = 1e-9;

/** Every word must be there, the last one as a beginning, unless a blank follows it. No operator of the search language gets through. */
function matchOf(search: string): string {
  const words = search.match(/[\p{L}\p{N}]+/gu) ?? [];
  const open = /[\p{L}\p{N}]$/u.test(search);
  return words
    .slice(0, MOST_WORDS)
    .map((word, index, all) => `"${word}"${open && index === all.length - 1 ? "*" : ""}`)
    .join(" AND ");
}

/** A query's numbers in its order. */
interface Order {
  readonly ids: Float64Array;
  readonly revision: number;
  readonly made: number;
}

/** Windows of queries, one after the other. */
export class QuestionWindows {
  readonly #database: SqlDatabase;
  readonly #orders = new Map<string, Order>();

  constructor(database: SqlDatabase) {
    this.#database = database;
  }

  /** Numbers of the questions in a window, and how many meet the conditions. `finish` makes the next window of the query faster. */
  window(query: QuestionQuery, runs: readonly number[] | undefined, offset: number, limit: number) {
    const selection = selectionOf(query, runs);
    const key = JSON.stringify(selection);
    const order = this.#fresh(key);
    if (order !== undefined)
      return { ids: Array.from(order.ids.subarray(offset, offset + limit)), total: order.ids.length, finish: () => {} };
    const { where, values, order: by } = selection;
    const sql = `SELECT id FROM questions WHERE ${where} ORDER BY ${by} LIMIT ? OFFSET ?`;
    const rows = this.#database.prepare(sql).all(...values, limit, offset) as { id: number }[];
    const counted = this.#database.prepare(`SELECT count(*) AS n FROM questions WHERE ${where}`).get(...values);
    const total = (counted as { n: number }).n;
    return { ids: rows.map(({ id }) => id), total, finish: () => this.#make(key, selection) };
  }

  #fresh(key: string): Order | undefined {
    const order = this.#orders.get(key);
    if (order === undefined) return undefined;
    if (order.revision === this.#revision() || performance.now() - order.made < STALE_MS) return order;
    this.#orders.delete(key);
    return undefined;
  }

  #make(key: string, { where, values, order }: Selection): void {
    const revision = this.#revision();
    const sql = `SELECT group_concat(id) AS ids, count(*) AS n FROM (SELECT id FROM questions WHERE ${where} ORDER BY ${order})`;
    const { ids, n } = this.#database.prepare(sql).get(...values) as { ids: string | null; n: number };
    this.#orders.delete(key);
    this.#orders.set(key, { ids: numbersOf(ids ?? "", n), revision, made: performance.now() });
    for (const old of [...this.#orders.keys()].slice(0, -MOST_ORDERS)) this.#orders.delete(old);
  }

  /** Changes when another connection has written. */
  #revision(): number {
    return (this.#database.prepare("PRAGMA data_version").get() as { data_version: number }).data_version;
  }
}

/** The numbers of a list `1,22,333`. */
function numbersOf(list: string, count: number): Float64Array {
  const numbers = new Float64Array(count);
  let value = 0;
  let at = 0;
  for (let i = 0; i < list.length; i++) {
    const digit = list.charCodeAt(i) - 0x30;
    if (digit >= 0) value = value * 10 + digit;
    else {
      numbers[at++] = value;
      value = 0;
    }
  }
  if (count > 0) numbers[at] = value;
  return numbers;
}
