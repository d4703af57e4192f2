// Every source of the table in its own format, with rows written for this test; none is from the benchmark itself.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, describe, expect, it } from "vitest";
import { BENCHMARKS, findBenchmark } from "./catalogue.ts";
import { firstQuestions, loadBenchmark, loadFile, loadNamed } from "./load.ts";

const scratch = mkdtempSync(join(tmpdir(), "rzero-bench-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

type Row = Record<string, unknown>;

/** Rows as each source has them, columns that nothing reads included. */
const ROWS: Record<string, Row[]> = {
  "math-500": [
    { problem: "Find $2+2$.", solution: "…", answer: "4", subject: "Algebra", level: 1, unique_id: "test/algebra/1.json" },
    { problem: "Find $|{-3}|$.", solution: "…", answer: "3", subject: "Prealgebra", level: 2, unique_id: "test/pre/2.json" },
  ],
  gsm8k: [{ question: "Ann has 1,000 pens and buys 200. How many?", answer: "1000+200=<<1000+200=1200>>1200\n#### 1,200" }],
  amc23: [{ id: 7, question: "What is $3^2$?", answer: 9, url: "https://example.org" }],
  minerva: [{ question: "A mass of 2 kg falls …", answer: "19.6" }],
  olympiadbench: [
    { id: 1606, subfield: "Algebra", question: "Solve $x^2=4$.", solution: ["…"], final_answer: ["$2$", "$-2$"], unit: null },
  ],
  aime24: [{ id: 60, problem: "Find the remainder …", solution: "…", answer: "033", url: "https://example.org", year: "2024" }],
  aime25: [{ problem: "Find the sum …", answer: "70", id: "0" }],
  "mmlu-pro": [
    {
      question_id: 70,
      question: "Which is a metal?",
      options: ["Neon", "Iron", "Argon"],
      answer: "B",
      answer_index: 1,
      cot_content: "",
      category: "chemistry",
      src: "own",
    },
  ],
  supergpqa: [
    {
      uuid: "u-1",
      question: "Which is prime?",
      options: ["4", "6", "7", "9"],
      answer: "7",
      answer_letter: "C",
      discipline: "Science",
      field: "Mathematics",
      subfield: "Number theory",
      difficulty: "easy",
      is_calculation: false,
    },
  ],
  bbeh: [{ task: "bbeh word sorting", question: "Sort: b a", answer: "a b" }],
};

function write(file: string, rows: readonly Row[]): void {
  mkdirSync(dirname(file), { recursive: true });
  if (!file.endsWith(".parquet")) {
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    return;
  }
  const columnData = Object.keys(rows[0]).map((name) => ({
    name,
    data: rows.map((row) => (typeof row[name] === "number" ? BigInt(row[name]) : row[name])),
  }));
  // hyparquet-writer cannot infer lists: they get an explicit schema, as the Hub's files have one.
  const lists = columnData.filter(({ data }) => Array.isArray(data[0])).map(({ name }) => name);
  writeFileSync(
    file,
    Buffer.from(parquetWriteBuffer(lists.length === 0 ? { columnData } : { columnData, schema: schemaOf(rows[0]) })),
  );
}

function schemaOf(row: Row) {
  const leaf = (name: string, value: unknown) =>
    typeof value === "number"
      ? ({ name, type: "INT64", repetition_type: "OPTIONAL" } as const)
      : ({ name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" } as const);
  const columns = Object.entries(row).flatMap(([name, value]) =>
    Array.isArray(value)
      ? [
          { name, repetition_type: "OPTIONAL", num_children: 1, converted_type: "LIST" } as const,
          { name: "list", repetition_type: "REPEATED", num_children: 1 } as const,
          leaf("element", ""),
        ]
      : [leaf(name, value)],
  );
  return [{ name: "root", num_children: Object.keys(row).length }, ...columns];
}

function writeSource(dir: string, name: string, rows: readonly Row[] = ROWS[name]): string {
  const source = findBenchmark(name);
  if (!source) throw new Error(name);
  for (const file of source.files) write(join(dir, name, file), rows);
  return dir;
}

async function load(name: string, dir: string) {
  const source = findBenchmark(name);
  if (!source) throw new Error(name);
  return loadBenchmark(source, { dir });
}

describe("the table", () => {
  it("has the paper's ten, with mean@32 for AMC and AIME only", () => {
    expect(BENCHMARKS.map(({ name }) => name)).toEqual(Object.keys(ROWS));
    expect(BENCHMARKS.filter(({ paperSamples }) => paperSamples === 32).map(({ name }) => name)).toEqual([
      "amc23",
      "aime24",
      "aime25",
    ]);
    expect(findBenchmark("MATH500")?.name).toBe("math-500");
    expect(findBenchmark("mmlu_pro")?.grading).toBe("letter");
    expect(findBenchmark("none")).toBeUndefined();
  });

  it("reads every source as downloaded", async () => {
    const dir = join(scratch, "all");
    const loaded = new Map<string, unknown>();
    for (const { name } of BENCHMARKS) loaded.set(name, (await load(name, writeSource(dir, name))).questions);
    const strip = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown;
    expect(strip(Object.fromEntries(loaded))).toEqual({
      "math-500": [
        { question: "Find $2+2$.", answer: "4", id: "test/algebra/1.json", category: "Algebra", level: 1 },
        { question: "Find $|{-3}|$.", answer: "3", id: "test/pre/2.json", category: "Prealgebra", level: 2 },
      ],
      gsm8k: [{ question: "Ann has 1,000 pens and buys 200. How many?", answer: "1200" }],
      amc23: [{ question: "What is $3^2$?", answer: "9", id: "7" }],
      minerva: [{ question: "A mass of 2 kg falls …", answer: "19.6" }],
      olympiadbench: [{ question: "Solve $x^2=4$.", answer: "$2$, $-2$", id: "1606", category: "Algebra" }],
      aime24: [{ question: "Find the remainder …", answer: "033", id: "60" }],
      aime25: [{ question: "Find the sum …", answer: "70", id: "0" }],
      "mmlu-pro": [
        { question: "Which is a metal?", answer: "B", choices: ["Neon", "Iron", "Argon"], category: "chemistry", id: "70" },
      ],
      supergpqa: [{ question: "Which is prime?", answer: "C", choices: ["4", "6", "7", "9"], category: "Science", id: "u-1" }],
      bbeh: [{ question: "Sort: b a", answer: "a b", category: "bbeh word sorting" }],
    });
  });
});

describe("a bad source", () => {
  it.each([
    ["math-500", [{ ...ROWS["math-500"][0], answer: "" }], 'test.jsonl:1: expected "answer" to be a non-empty string, got ""'],
    ["gsm8k", [{ question: "q", answer: "no hashes" }], '.parquet:1: expected "answer" to be a non-empty string, got nothing'],
    ["gsm8k", [{ question: "q", reply: "#### 1" }], 'expected a column "answer", got question, reply'],
    [
      "supergpqa",
      [{ ...ROWS.supergpqa[0], answer_letter: "E" }],
      "SuperGPQA-all.jsonl:1: expected the answer to be the letter of one of 4",
    ],
    [
      "mmlu-pro",
      [{ ...ROWS["mmlu-pro"][0], options: ["one"] }],
      '.parquet:1: expected "choices" to be a list of 2 to 26 strings',
    ],
  ])("%s names file and row", async (name, rows, message) => {
    const dir = mkdtempSync(join(scratch, "bad-"));
    await expect(load(name, writeSource(dir, name, rows))).rejects.toThrow(message);
  });
  it("a damaged Parquet file and a missing one are told", async () => {
    const dir = mkdtempSync(join(scratch, "cut-"));
    mkdirSync(join(dir, "gsm8k", "main"), { recursive: true });
    writeFileSync(join(dir, "gsm8k", "main", "test-00000-of-00001.parquet"), gzipSync("not parquet"));
    await expect(load("gsm8k", dir)).rejects.toThrow("expected a whole Parquet file");
    await expect(load("bbeh", dir)).rejects.toThrow(`Put it at ${join(dir, "bbeh", "train.jsonl")}`);
  });
  it("a bare test.jsonl belongs to no benchmark unless its directory says which", async () => {
    const dir = mkdtempSync(join(scratch, "bare-"));
    write(join(dir, "test.jsonl"), ROWS["math-500"]);
    await expect(load("math-500", dir)).rejects.toThrow("got none");
    write(join(dir, "MATH-500", "test.jsonl"), ROWS["math-500"]);
    expect((await load("math-500", join(dir, "MATH-500"))).questions).toHaveLength(2);
  });
});

describe("own files", () => {
  it("read alike from JSON Lines, CSV and Parquet: one hash", async () => {
    const rows = [
      { question: "1+1?", answer: "2", category: "add", id: "a" },
      { question: 'say "x, y"', answer: "x", category: "text", id: "b" },
    ];
    const places = ["own.jsonl", "own.csv", "own.parquet"].map((name) => join(scratch, "own", name));
    write(places[0], rows);
    writeFileSync(places[1], 'id,question,answer,category\na,1+1?,2,add\nb,"say ""x, y""",x,text\n');
    write(places[2], rows);
    const loaded = await Promise.all(places.map((place) => loadFile(place)));
    expect(loaded[1].questions).toEqual(loaded[0].questions);
    expect(new Set(loaded.map(({ sha256 }) => sha256)).size).toBe(1);
    expect(loaded[0].name).toBe("own");
    expect(firstQuestions(loaded[0], 1).sha256).not.toBe(loaded[0].sha256);
  });
  it("read a Parquet file whose pages are compressed with gzip", async () => {
    const file = join(scratch, "gzip.parquet");
    const columnData = ["question", "answer"].map((name) => ({ name, data: new Array(500).fill(`${name} 1`) }));
    const compressors = { GZIP: (bytes: Uint8Array) => gzipSync(bytes) };
    writeFileSync(file, Buffer.from(parquetWriteBuffer({ columnData, codec: "GZIP", compressors })));
    const { questions } = await loadFile(file);
    expect([questions.length, questions[499].question]).toEqual([500, "question 1"]);
  });
  it("a wrong ending and an unknown name are told", async () => {
    await expect(loadFile("x.xlsx")).rejects.toThrow(
      'x.xlsx: expected a name that ends in .jsonl, .ndjson, .csv or .parquet, got ".xlsx"',
    );
    await expect(loadNamed("no-such")).rejects.toThrow('or a file, got "no-such"');
  });
});
