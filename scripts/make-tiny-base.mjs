// Makes the embedded base model anew: corpus and tokenizer from the seeded generator, weights by `rzero sft`, everything
// into assets/tiny-base/. Needs a built dist/. Same seed, same machine: same bytes.
//   node scripts/make-tiny-base.mjs [--files-only] [--documents N] [--steps N] [--seed N] [--threads N] [--out DIR] [--corpus FILE]

import { spawnSync } from "node:child_process";
import { closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { corpusDocument } from "../dist/tiny-world/corpus.js";
import { tinyBaseFiles } from "../dist/tiny-world/files.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    "files-only": { type: "boolean", default: false },
    documents: { type: "string", default: "800000" },
    seed: { type: "string", default: "7" },
    steps: { type: "string", default: "9500" },
    threads: { type: "string", default: "auto" },
    out: { type: "string", default: join(root, "assets", "tiny-base") },
    corpus: { type: "string" },
  },
});

function writeFiles(dir) {
  mkdirSync(dir, { recursive: true });
  for (const [name, content] of Object.entries(tinyBaseFiles())) writeFileSync(join(dir, name), content);
}

function writeCorpus(file, documents, seed) {
  const handle = openSync(file, "w");
  for (let start = 0; start < documents; start += 10_000) {
    let chunk = "";
    for (let index = start; index < Math.min(documents, start + 10_000); index++)
      chunk += `${JSON.stringify(corpusDocument(seed, index))}\n`;
    writeSync(handle, chunk);
  }
  closeSync(handle);
}

/** One pass over the corpus and no more: 800,000 documents of 24.6 tokens fill about 9,600 steps of 2,048. */
function pretrain(scratch, input) {
  const steps = Number(values.steps);
  const options = {
    "init-config": join(scratch, "files", "config.json"),
    tokenizer: join(scratch, "files"),
    input,
    out: join(scratch, "model"),
    threads: values.threads,
    steps,
    "batch-tokens": 2048,
    normalise: "constant",
    "prompt-weight": 0.1,
    lr: 3e-3,
    beta2: 0.95,
    "weight-decay": 0.01,
    warmup: Math.min(100, Math.floor(steps / 10)),
    "decay-steps": Math.round(0.4 * steps),
    "decay-to": 0.02,
    // Not auto: the same bytes on every CPU.
    dtype: "f32",
    "export-dtype": "bfloat16",
  };
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const made = spawnSync(process.execPath, [join(root, "dist", "cli", "main.js"), "sft", ...flags], { stdio: "inherit" });
  if (made.status !== 0) throw new Error(`make-tiny-base: rzero sft ended with ${made.status ?? made.signal}`);
}

const documents = Number(values.documents);
writeFiles(values.out);
if (!values["files-only"]) {
  const scratch = mkdtempSync(join(tmpdir(), "tiny-base-"));
  try {
    const corpus = values.corpus ?? join(scratch, "corpus.jsonl");
    writeFiles(join(scratch, "files"));
    writeCorpus(corpus, documents, Number(values.seed));
    pretrain(scratch, corpus);
    copyFileSync(join(scratch, "model", "model.safetensors"), join(values.out, "model.safetensors"));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
