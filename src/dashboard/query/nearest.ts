// Earlier questions of a run whose wording is nearest to a question's. Candidates share its rarest words, or all its words that are no
// numbers; they are compared by their n-grams. Knows the tables.

import type { LineFiles } from "../../store/lines.ts";
import type { Neighbour } from "../api-questions.ts";
import { idOf, type Place } from "../index/schema.ts";
import type { SqlDatabase } from "../index/sqlite.ts";
import { readQuestions } from "./rows.ts";

const CANDIDATES = 200;
const RAREST = 3;
const MOST_WORDS = 64;
const LONGEST_GRAM = 3;

/** The nearest questions of pools before `place`'s iteration, at most `count`. */
export function nearestEarlier(
  database: SqlDatabase,
  files: LineFiles,
  { text, place }: { readonly text: string; readonly place: Place },
  count: number,
): Neighbour[] {
  const [from, to] = [
    idOf({ ...place, iteration: 0, kind: "pool", step: 0, line: 0 }) ?? 0,
    idOf({ ...place, kind: "pool", step: 0, line: 0 }) ?? 0,
  ];
  const find = database.prepare("SELECT rowid AS id FROM words WHERE words MATCH ? AND rowid >= ? AND rowid < ? LIMIT ?");
  const ids = new Set<number>();
  for (const match of matches(database, text))
    for (const { id } of find.all(match, from, to, CANDIDATES) as { id: number }[]) ids.add(id);
  const own = gramsOf(text);
  const rows = readQuestions(database, files, [...ids]).map(({ row }) => row);
  const near = rows
    .filter(({ source }) => source === "pool")
    .map(({ id, question, iteration }) => ({ id, question, iteration, similarity: dice(own, gramsOf(question)) }));
  return near.sort((a, b) => b.similarity - a.similarity || a.id.localeCompare(b.id)).slice(0, count);
}

/** Searches for candidates. */
function matches(database: SqlDatabase, text: string): string[] {
  const words = [...new Set(wordsOf(text))].slice(0, MOST_WORDS);
  if (words.length === 0) return [];
  const count = database.prepare("SELECT count(*) AS n FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT 20000)");
  const quoted = words.map((word) => `"${word}"`);
  const rare = quoted
    .map((word) => ({ word, n: (count.get(word) as { n: number }).n }))
    .sort((a, b) => a.n - b.n)
    .slice(0, RAREST)
    .map(({ word }) => word);
  const plain = quoted.filter((word) => !/\d/.test(word));
  return [quoted.join(" AND "), ...(plain.length > 0 ? [plain.join(" AND ")] : []), ...rare];
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

function gramsOf(text: string): Set<string> {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? [];
  const grams = new Set<string>();
  for (let length = 1; length <= LONGEST_GRAM; length++)
    for (let at = 0; at + length <= words.length; at++) grams.add(words.slice(at, at + length).join(" "));
  return grams;
}

function dice(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let both = 0;
  for (const gram of a) if (b.has(gram)) both++;
  return a.size + b.size === 0 ? 0 : (2 * both) / (a.size + b.size);
}
