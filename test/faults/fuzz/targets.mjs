// What is fuzzed: every parser of files from outside, with sound files to damage and the way to read them, as the program does.
// `read` may throw only the program's own errors. Runs the compiled program.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parquetWriteBuffer } from "hyparquet-writer";
import { loadConfigFile } from "../../../dist/config/load.js";
import { readModelConfig } from "../../../dist/engine/local/hf-config.js";
import { openModelTensors } from "../../../dist/engine/local/model-files.js";
import { parameterSpecs } from "../../../dist/engine/local/parameters.js";
import { readSafetensorsHeader, readTensor } from "../../../dist/engine/local/safetensors.js";
import { loadTokenizer } from "../../../dist/engine/local/tokenizer.js";
import { readBench } from "../../../dist/evaluation/benchmarks.js";
import { Journal } from "../../../dist/evaluation/journal.js";
import { loadFile } from "../../../dist/evaluation/load.js";
import { runTables } from "../../../dist/report/run-tables.js";
import { PHASES } from "../../../dist/store/layout.js";
import { lockHolder } from "../../../dist/store/lock.js";
import { listRuns, openRun } from "../../../dist/store/runs.js";
import { mutateBytes, mutateJson, mutateLines, mutateSafetensors, mutateTemplate } from "./mutate.mjs";
import { STATE_TARGETS } from "./state-targets.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const golden = (...path) => join(root, "test", "golden", ...path);
const tiny = (...path) => join(root, "assets", "tiny-base", ...path);
const MESSAGES = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 47+85=? \n\n b" },
];

/** Damage fit for a file by its name. */
function damage(name, bytes, random) {
  if (name.endsWith(".json")) return mutateJson(JSON.parse(bytes.toString("utf8")), random);
  if (name.endsWith(".jsonl")) return mutateLines(bytes, random);
  if (name.endsWith(".safetensors")) return mutateSafetensors(bytes, random);
  if (name.endsWith(".jinja")) return mutateTemplate(bytes, random);
  return mutateBytes(bytes, random);
}

/** A target that damages files of a copied directory; `read` gets the directory. */
function directory(name, share, source, files, read, limitMs = 1000) {
  const original = new Map();
  return {
    name,
    share,
    /** Parquet has a thread with limits of its own, which takes its time to start and to be ended. */
    limitMs,
    prepare(dir) {
      mkdirSync(dir, { recursive: true });
      source(dir);
      for (const file of files(dir)) original.set(file, readFileSync(join(dir, file)));
    },
    async once(dir, random) {
      const file = random.pick([...original.keys()]);
      const bytes = damage(file, original.get(file), random);
      writeFileSync(join(dir, file), bytes);
      try {
        await read(dir);
      } finally {
        writeFileSync(join(dir, file), original.get(file));
      }
    },
  };
}

const all = (dir, below = "") =>
  readdirSync(join(dir, below), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? all(dir, join(below, entry.name)) : [join(below, entry.name)],
  );
const copy = (from, names) => (dir) => {
  for (const name of names) if (existsSync(join(from, name))) cpSync(join(from, name), join(dir, name));
};
const only =
  (...names) =>
  () =>
    names;

function useTokenizer(dir) {
  const tokenizer = loadTokenizer(dir);
  for (const text of ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "What is 47 plus\n\n  85 ?", "\u00e9\u{1f600}<|im_start|>"]) {
    let tokens = [];
    try {
      tokens = tokenizer.encode(text);
    } catch (error) {
      if (error.name !== "DataError") throw error;
    }
    tokenizer.decode(tokens);
  }
  tokenizer.decode([0, 1, 5, 100, 2 ** 20]);
  return tokenizer;
}

function readAllTensors(dir) {
  for (const info of readSafetensorsHeader(join(dir, "model.safetensors")).values())
    if (info.bytes <= 1 << 16 && ["F32", "F16", "BF16"].includes(info.dtype)) readTensor(info);
}

function useModel(dir) {
  const config = readModelConfig(dir);
  const tensors = openModelTensors(dir);
  for (const spec of parameterSpecs(config).slice(0, 40)) tensors(spec);
}

/** A run as `rzero run` leaves one, without its weights. */
function makeRun(dir) {
  cpSync(join(root, "test", "faults", "fuzz", "run"), join(dir, "sound"), { recursive: true });
}

function useRun(dir) {
  listRuns(dir);
  const run = openRun(dir, "sound");
  run.state();
  run.lastDone();
  try {
    run.events();
  } catch (error) {
    if (error.name !== "DataError") throw error;
  }
  run.readSummary();
  for (const iteration of run.iterations())
    for (const phase of PHASES) if (run.phaseDone(iteration, phase)) run.readDone(iteration, phase);
  runTables(run);
}

function journal(dir) {
  const read = new Journal(join(dir, "journal.jsonl"), "print");
  read.completions(0, 0);
  read.close();
}

const ROWS = [
  { question: "What is 1, 2?", answer: "3", id: "a", category: "sum" },
  { question: 'He said "four"\nand left', answer: "4", id: "b", category: "say" },
];

function writeParquet(codec) {
  return (dir) => {
    const columns = ["question", "answer", "id", "category"].map((name) => ({
      name,
      data: ROWS.map((row) => row[name]),
      type: "STRING",
    }));
    writeFileSync(join(dir, "t.parquet"), Buffer.from(parquetWriteBuffer({ columnData: columns, codec })));
  };
}

const tokenizerFiles = [
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "config.json",
  "generation_config.json",
];

/** Targets with their share of the cases. */
export const TARGETS = [
  ...STATE_TARGETS,
  directory("safetensors", 30, copy(golden("tiny-qwen3"), ["model.safetensors"]), only("model.safetensors"), readAllTensors),
  directory(
    "shards",
    3,
    copy(golden("tiny-qwen2"), readdirSync(golden("tiny-qwen2"))),
    only("model.safetensors.index.json"),
    useModel,
  ),
  directory(
    "model-config",
    20,
    copy(golden("tiny-llama3"), ["config.json", "generation_config.json"]),
    only("config.json", "generation_config.json"),
    readModelConfig,
  ),
  directory("tokenizer-words", 2, copy(tiny(), tokenizerFiles), only("tokenizer.json", "tokenizer_config.json"), useTokenizer),
  directory(
    "tokenizer-bytes",
    1.5,
    copy(golden("tiny-qwen3"), tokenizerFiles),
    only("tokenizer.json", "tokenizer_config.json"),
    useTokenizer,
  ),
  directory("chat-template", 0.3, copy(golden("tiny-qwen3"), tokenizerFiles), only("chat_template.jinja"), (dir) =>
    loadTokenizer(dir).renderChat(MESSAGES),
  ),
  directory(
    "config",
    3,
    (dir) => cpSync(join(root, "recipes", "tiny.yaml"), join(dir, "c.yaml")),
    only("c.yaml"),
    (dir) => loadConfigFile(join(dir, "c.yaml")),
  ),
  directory(
    "jsonl",
    22,
    (dir) =>
      writeFileSync(
        join(dir, "q.jsonl"),
        ROWS.map((row) => `${JSON.stringify(row)}\n`)
          .join("")
          .repeat(3),
      ),
    only("q.jsonl"),
    (dir) => readBench(join(dir, "q.jsonl")),
  ),
  directory(
    "csv",
    14,
    (dir) => writeFileSync(join(dir, "t.csv"), 'question,answer,id\n"a, ""b""",1,x\nc,2,y\n'),
    only("t.csv"),
    (dir) => loadFile(join(dir, "t.csv")),
  ),
  directory("parquet", 0.12, writeParquet("SNAPPY"), only("t.parquet"), (dir) => loadFile(join(dir, "t.parquet")), 4000),
  directory(
    "parquet-plain",
    0.08,
    writeParquet("UNCOMPRESSED"),
    only("t.parquet"),
    (dir) => loadFile(join(dir, "t.parquet")),
    4000,
  ),
  directory("run", 3, makeRun, (dir) => all(dir), useRun),
  directory(
    "journal",
    1,
    (dir) =>
      writeFileSync(
        join(dir, "journal.jsonl"),
        '{"fingerprint":"print"}\n{"bench":0,"question":0,"completions":[{"text":"a","stopReason":"stop"}]}\n{"judged":"x","verdict":true}\n',
      ),
    only("journal.jsonl"),
    journal,
  ),
  directory(
    "lock",
    5,
    (dir) =>
      writeFileSync(
        join(dir, "l.json"),
        '{"format":1,"pid":1,"host":"h","born":"1","boot":"b","space":"s","since":"2026","token":"abc"}',
      ),
    only("l.json"),
    (dir) => lockHolder(join(dir, "l.json")),
  ),
];
