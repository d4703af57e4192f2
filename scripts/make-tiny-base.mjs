// Makes the embedded base model anew: tokenizer and corpora from the seeded generator, weights by `rzero sft` in two stages
// (pretraining, mid-training), everything into assets/tiny-base/. Needs a built dist/. Same seeds, same machine: same bytes.
//   node scripts/make-tiny-base.mjs [--files-only] [--threads N] [--out DIR] [--steps PRETRAINING,MIDTRAINING]

import { spawnSync } from "node:child_process";
import { closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { corpusDocument } from "../dist/tiny-world/corpus.js";
import { tinyBaseFiles } from "../dist/tiny-world/files.js";
import { MIDTRAINING_MIX, PRETRAINING_MIX } from "../dist/tiny-world/mixes.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values } = parseArgs({
  options: {
    "files-only": { type: "boolean", default: false },
    steps: { type: "string", default: "9500,2400" },
    threads: { type: "string", default: "auto" },
    out: { type: "string", default: join(root, "assets", "tiny-base") },
  },
});

function writeFiles(dir) {
  mkdirSync(dir, { recursive: true });
  for (const [name, content] of Object.entries(tinyBaseFiles())) writeFileSync(join(dir, name), content);
}

function writeCorpus(file, { documents, seed, mix }) {
  const handle = openSync(file, "w");
  for (let start = 0; start < documents; start += 10_000) {
    let chunk = "";
    for (let index = start; index < Math.min(documents, start + 10_000); index++)
      chunk += `${JSON.stringify(corpusDocument(seed, index, mix))}\n`;
    writeSync(handle, chunk);
  }
  closeSync(handle);
}

/** One stage: at most one pass over its corpus, warm-up, a constant rate, and a linear decay at the end. */
function train(scratch, { name, start, corpus, steps, rate, warmup, decay }) {
  const input = join(scratch, `${name}.jsonl`);
  writeCorpus(input, corpus);
  const out = join(scratch, name);
  const options = {
    ...start,
    input,
    out,
    threads: values.threads,
    steps,
    "batch-tokens": 2048,
    normalise: "constant",
    "prompt-weight": 0.1,
    lr: rate,
    beta2: 0.95,
    "weight-decay": 0.01,
    warmup: Math.min(warmup, Math.floor(steps / 10)),
    "decay-steps": Math.round(decay * steps),
    "decay-to": 0.02,
    // Not auto: the same bytes on every CPU.
    dtype: "f32",
    "export-dtype": "bfloat16",
  };
  const flags = Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const made = spawnSync(process.execPath, [join(root, "dist", "cli", "main.js"), "sft", ...flags], { stdio: "inherit" });
  if (made.status !== 0) throw new Error(`make-tiny-base: rzero sft ended with ${made.status ?? made.signal}`);
  return out;
}

writeFiles(values.out);
if (!values["files-only"]) {
  const [pretrainingSteps, midtrainingSteps] = values.steps.split(",").map(Number);
  const scratch = mkdtempSync(join(tmpdir(), "tiny-base-"));
  try {
    const files = join(scratch, "files");
    writeFiles(files);
    const pretrained = train(scratch, {
      name: "pretrained",
      start: { "init-config": join(files, "config.json"), tokenizer: files },
      // 800,000 documents of 24.6 tokens fill about 9,600 steps of 2,048.
      corpus: { documents: 800_000, seed: 7, mix: PRETRAINING_MIX },
      steps: pretrainingSteps,
      rate: 3e-3,
      warmup: 100,
      decay: 0.4,
    });
    const trained = train(scratch, {
      name: "midtrained",
      start: { model: pretrained },
      corpus: { documents: 80 * midtrainingSteps, seed: 11, mix: MIDTRAINING_MIX },
      steps: midtrainingSteps,
      rate: 2e-3,
      warmup: 50,
      decay: 0.6,
    });
    copyFileSync(join(trained, "model.safetensors"), join(values.out, "model.safetensors"));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
