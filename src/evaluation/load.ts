// Questions of a benchmark, from wherever they lie: a directory with the files as downloaded, the Hub's cache or the Hub itself, or
// the user's own file. Every row is checked; an error names file and row. Knows nothing of models or scores.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, extname, join, resolve } from "node:path";
import type { JsonObject } from "../store/jsonl.ts";
import { ConfigError, DataError } from "../util/errors.ts";
import { type BenchQuestion, parseQuestion } from "./benchmarks.ts";
import { type BenchmarkSource, type ColumnMap, findBenchmark } from "./catalogue.ts";
import { fetchFromHub, type HubProgress, type HubSettings, hubSettings } from "./hub.ts";
import type { WantedColumns } from "./parquet.ts";
import { formatOf, readTable, type TableRow } from "./readers.ts";

/** A benchmark ready to be asked. */
export interface Benchmark {
  readonly name: string;
  readonly questions: readonly BenchQuestion[];
  /** SHA-256 of the questions as they are asked and graded, whatever format held them. */
  readonly sha256: string;
  /** Its entry in the table, when it has one. */
  readonly source?: BenchmarkSource;
  /** Commit of the data set, when it came from the Hub. */
  readonly commit?: string;
}

/** Where to look. */
export interface LoadOptions {
  /** Directory with files as downloaded; nothing is fetched then. */
  readonly dir?: string;
  /** Default: from the environment. */
  readonly hub?: HubSettings;
  readonly on?: HubProgress;
}

/** Reads or fetches a benchmark of the table. Errors: ConfigError, DataError, EngineError as of hub.ts. */
export async function loadBenchmark(source: BenchmarkSource, options: LoadOptions = {}): Promise<Benchmark> {
  const { files, commit } = options.dir === undefined ? await fetchAll(source, options) : localFiles(source, options.dir);
  const rows = (await Promise.all(files.map((file) => readTable(file, source.format, wanted(source.columns))))).flat();
  const questions = rows.map((row) => toQuestion(row, source));
  return { ...benchmarkOf(source.name, questions, files[0]), source, commit };
}

/** Reads the user's own file: JSON Lines, CSV or Parquet with columns question and answer. Errors: DataError, ConfigError. */
export async function loadFile(file: string): Promise<Benchmark> {
  const rows = await readTable(file, formatOf(file), {
    required: ["question", "answer"],
    optional: ["id", "choices", "category", "kind", "level"],
  });
  const name = file === "-" ? "standard input" : basename(file).replace(/\.[^.]+$/, "");
  return benchmarkOf(
    name,
    rows.map(({ row, where }) => parseQuestion(dropEmpty(row), where)),
    file,
  );
}

/** A benchmark by its name in the table, or by a file. Errors: ConfigError when it is neither. */
export async function loadNamed(name: string, options: LoadOptions = {}): Promise<Benchmark> {
  if (existsSync(name)) return loadFile(name);
  const source = findBenchmark(name);
  if (source) return loadBenchmark(source, options);
  throw new ConfigError(`benchmark: expected a name of the table (rzero eval --help) or a file, got "${name}".`);
}

/** The first `count` questions, with the hash of what is left. */
export function firstQuestions(bench: Benchmark, count: number): Benchmark {
  const questions = bench.questions.slice(0, count);
  return { ...bench, questions, sha256: hashQuestions(questions) };
}

/** Wraps checked questions. Errors: DataError when there are none. */
export function benchmarkOf(name: string, questions: readonly BenchQuestion[], file: string): Benchmark {
  if (questions.length === 0) throw new DataError(`${file}: expected at least one question, got none.`);
  return { name, questions, sha256: hashQuestions(questions) };
}

function hashQuestions(questions: readonly BenchQuestion[]): string {
  const hash = createHash("sha256");
  for (const { id, question, answer, choices, category } of questions)
    hash.update(`${JSON.stringify([id ?? null, question, answer, choices ?? null, category ?? null])}\n`);
  return hash.digest("hex");
}

function wanted({ question, answer, choices, category, id, level }: ColumnMap): WantedColumns {
  const given = (columns: (string | undefined)[]) => columns.filter((column) => column !== undefined);
  return { required: given([question, answer, choices]), optional: given([category, id, level]) };
}

/** A row of a source as a question. */
function toQuestion({ row, where }: TableRow, { columns, grading }: BenchmarkSource): BenchQuestion {
  const cell = (column: string | undefined) => (column === undefined ? undefined : (row[column] ?? undefined));
  const category = cell(columns.category);
  const question = parseQuestion(
    {
      question: cell(columns.question),
      answer: answerOf(cell(columns.answer), columns.answerForm),
      choices: cell(columns.choices),
      category: typeof category === "number" ? String(category) : category,
      id: cell(columns.id),
      level: cell(columns.level),
    },
    where,
  );
  if (grading === "letter") expectLetter(question, where);
  return question;
}

/** What cannot be brought into form is left as it is, so that the check of the row names it. */
function answerOf(cell: unknown, form: ColumnMap["answerForm"]): unknown {
  if (form === "list" && Array.isArray(cell))
    return cell.map((part) => (typeof part === "object" ? JSON.stringify(part) : String(part))).join(", ");
  if (form !== "after-hashes" || typeof cell !== "string") return cell;
  const at = cell.lastIndexOf("####");
  return at < 0
    ? undefined
    : cell
        .slice(at + 4)
        .trim()
        .replace(/(\d),(?=\d{3})/g, "$1");
}

function expectLetter({ answer, choices }: BenchQuestion, where: string): void {
  const index = answer.length === 1 ? answer.charCodeAt(0) - "A".charCodeAt(0) : -1;
  if (choices !== undefined && index >= 0 && index < choices.length) return;
  throw new DataError(
    `${where}: expected the answer to be the letter of one of ${choices?.length ?? 0} choices, got "${answer}".`,
  );
}

/** A text table has no absent values: an empty cell of an optional column is none. */
function dropEmpty(row: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== "" && value !== null));
}

/**
 * A file as downloaded: in a folder of the benchmark's or the data set's name, or under the benchmark's own name. A bare test.jsonl
 * could belong to any benchmark, so it counts only when the directory itself has such a name.
 */
function localFiles({ name, dataset, files }: BenchmarkSource, dir: string): { files: string[]; commit?: string } {
  const names = [name, basename(dataset), dataset.replace("/", "--")];
  const folders = [...names, dataset].map((folder) => join(dir, folder));
  if (names.some((own) => own.toLowerCase() === basename(resolve(dir)).toLowerCase())) folders.push(dir);
  const find = (file: string) => {
    const places = [join(dir, `${name}${extname(file)}`), ...folders.map((folder) => join(folder, file))];
    const found = places.find((place) => existsSync(place));
    if (found !== undefined) return found;
    throw new DataError(
      `${dir}: expected ${file} of ${dataset}, got none. Put it at ${join(dir, name, file)}, or leave --bench-dir out to fetch it.`,
    );
  };
  return { files: files.map(find) };
}

async function fetchAll(source: BenchmarkSource, options: LoadOptions): Promise<{ files: string[]; commit?: string }> {
  const settings = options.hub ?? hubSettings(process.env);
  const fetched = [];
  for (const path of source.files)
    fetched.push(await fetchFromHub({ dataset: source.dataset, revision: source.revision, path }, settings, options.on));
  return { files: fetched.map(({ file }) => file), commit: fetched[0]?.commit };
}
