// The questions of a run as a data set: one Parquet file and a data card, laid out as the Hugging Face `datasets` library loads it.
// Knows the store's question files; nothing is uploaded.

import { existsSync } from "node:fs";
import { parquetWriteBuffer } from "hyparquet-writer";
import { stringify } from "yaml";
import { expectObject, type JsonObject } from "../../store/jsonl.ts";
import type { RunStore } from "../../store/run-store.ts";

/** A question of the pool as a row of the data set. */
export interface DatasetRow {
  /** `iteration-line`, unique in the run. */
  readonly id: string;
  readonly iteration: number;
  readonly question: string;
  /** The majority answer; null when nobody voted. It is a guess of the model, not a truth. */
  readonly answer: string | null;
  /** p̂ in [0, 1]. */
  readonly voteShare: number;
  /** All answers of the frozen Solver, null where one had none. */
  readonly votes: readonly (string | null)[];
  /** `kept`, or why it was left out of the curriculum. */
  readonly verdict: string;
}

/** The well-formed questions of the given iterations' pools, in order. Errors: DataError. */
export function datasetRows(store: RunStore, iterations: readonly number[]): DatasetRow[] {
  return iterations.flatMap((iteration) => {
    const file = store.phase(iteration, "curriculum").questions;
    if (!existsSync(file)) return [];
    const rows = store.readJsonl<JsonObject>(file, (value, where) => expectObject(value, where));
    return rows.flatMap((row, index) => (row.verdict === "malformed" ? [] : [toRow(row, iteration, index + 1)]));
  });
}

function toRow(row: JsonObject, iteration: number, line: number): DatasetRow {
  return {
    id: `${iteration}-${line}`,
    iteration,
    question: String(row.question),
    answer: typeof row.pseudoLabel === "string" ? row.pseudoLabel : null,
    voteShare: Number(row.voteShare),
    votes: Array.isArray(row.answers) ? row.answers.map((answer) => (typeof answer === "string" ? answer : null)) : [],
    verdict: String(row.verdict),
  };
}

/** The rows as a Parquet file, compressed with Snappy. */
export function datasetParquet(rows: readonly DatasetRow[]): Uint8Array {
  const buffer = parquetWriteBuffer({
    schema: [
      { name: "root", num_children: 7 },
      text("id", "REQUIRED"),
      { name: "iteration", type: "INT32", repetition_type: "REQUIRED" },
      text("question", "REQUIRED"),
      text("answer", "OPTIONAL"),
      { name: "vote_share", type: "DOUBLE", repetition_type: "REQUIRED" },
      { name: "votes", converted_type: "LIST", repetition_type: "REQUIRED", num_children: 1 },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      text("element", "OPTIONAL"),
      text("verdict", "REQUIRED"),
    ],
    columnData: [
      { name: "id", data: rows.map(({ id }) => id) },
      { name: "iteration", data: rows.map(({ iteration }) => iteration) },
      { name: "question", data: rows.map(({ question }) => question) },
      { name: "answer", data: rows.map(({ answer }) => answer) },
      { name: "vote_share", data: rows.map(({ voteShare }) => voteShare) },
      { name: "votes", data: rows.map(({ votes }) => votes) },
      { name: "verdict", data: rows.map(({ verdict }) => verdict) },
    ],
  });
  return new Uint8Array(buffer);
}

function text(name: string, repetition: "REQUIRED" | "OPTIONAL") {
  return { name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: repetition } as const;
}

/** What the card says beside the rows. */
export interface CardFacts {
  readonly store: RunStore;
  readonly rows: readonly DatasetRow[];
  /** Bytes of the Parquet file. */
  readonly bytes: number;
}

/** Where the card says the rows are, relative to it. */
export const DATASET_FILE = "data/train-00000-of-00001.parquet";

/** README.md of the data set, with the metadata that the Hub and `datasets` read. */
export function datasetCard({ store, rows, bytes }: CardFacts): string {
  const { config, info, name } = store;
  const kept = rows.filter(({ verdict }) => verdict === "kept").length;
  const string = (column: string) => ({ name: column, dtype: "string" });
  const header = {
    pretty_name: `Questions of ${name}`,
    tags: ["synthetic", "self-play", "r-zero"],
    task_categories: ["question-answering"],
    size_categories: [sizeCategory(rows.length)],
    configs: [{ config_name: "default", data_files: [{ split: "train", path: DATASET_FILE }] }],
    dataset_info: {
      features: [
        string("id"),
        { name: "iteration", dtype: "int32" },
        string("question"),
        string("answer"),
        { name: "vote_share", dtype: "float64" },
        { name: "votes", sequence: "string" },
        string("verdict"),
      ],
      splits: [{ name: "train", num_bytes: bytes, num_examples: rows.length }],
    },
  };
  return `---
${stringify(header, { lineWidth: 0 })}---

# Questions of ${name}

Posed by a language model that taught itself by self-play (R-Zero, arXiv 2508.05004), written by rzero ${info.rzero} on ${info.created.slice(0, 10)}.
Recipe ${info.recipe}, preset ${config.preset}, seed ${config.seed}. No person wrote or checked a question.

| column | meaning |
|---|---|
| id | iteration and line |
| iteration | round of self-play in which it was posed |
| question | text |
| answer | the answer that most of the model's own attempts agreed on; **a pseudo-label, often wrong**, null when no attempt had an answer |
| vote_share | share of attempts that agree with it, in [0, 1] |
| votes | the attempts' answers, null where one had none |
| verdict | \`kept\`: the model was trained on it; else why not |

${rows.length} well-formed questions, ${kept} of them kept. ${labelAccuracy(store, rows)}
`;
}

/** What is known of the labels, by iteration, from truth (in a world that has it) or from probes. */
function labelAccuracy(store: RunStore, rows: readonly DatasetRow[]): string {
  const known = [...new Set(rows.map(({ iteration }) => iteration))].flatMap((iteration) => {
    if (!store.phaseDone(iteration, "curriculum")) return [];
    const { labelAccuracy: share, audit } = store.readDone(iteration, "curriculum") as {
      labelAccuracy?: number;
      audit?: { mean: number };
    };
    if (typeof share === "number") return [`${(100 * share).toFixed(1)} % in iteration ${iteration}`];
    return audit ? [`about ${(100 * audit.mean).toFixed(1)} % in iteration ${iteration} (estimated)`] : [];
  });
  return known.length > 0
    ? `Right among the kept labels: ${known.join(", ")}.`
    : "How many of the labels are right was not measured; expect fewer with every iteration.";
}

/** The Hub's names of sizes. */
function sizeCategory(rows: number): string {
  const bounds: [number, string][] = [
    [1e3, "n<1K"],
    [1e4, "1K<n<10K"],
    [1e5, "10K<n<100K"],
    [1e6, "100K<n<1M"],
  ];
  return bounds.find(([bound]) => rows < bound)?.[1] ?? "1M<n<10M";
}
