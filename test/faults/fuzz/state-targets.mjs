// What is fuzzed of a run's own state and of what clients send: training states, positions, journals, adapters, bodies of requests. Half of
// the damage has its checksum made right again, so that what stands behind the sums is reached. Runs the compiled program.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { openAdapter } from "../../../dist/engine/local/adapter-files.js";
import { readCheckpoint, writeStateCopy } from "../../../dist/engine/local/checkpoint.js";
import { readModelConfig } from "../../../dist/engine/local/hf-config.js";
import { adapterSpecs } from "../../../dist/engine/local/lora.js";
import { readModelDirectory } from "../../../dist/engine/local/model-directory.js";
import { linearShapes } from "../../../dist/engine/local/parameters.js";
import { loadTokenizer } from "../../../dist/engine/local/tokenizer.js";
import { RolloutJournal, verifyJournal } from "../../../dist/rollout/journal.js";
import { parseJsonBody, readBody } from "../../../dist/server/body.js";
import { chatCompletions } from "../../../dist/server/chat.js";
import { completions } from "../../../dist/server/completions.js";
import { ModelTable } from "../../../dist/server/models.js";
import { toProblem } from "../../../dist/server/problem.js";
import { PhaseCheckpoints } from "../../../dist/store/checkpoints.js";
import { sha256 } from "../../../dist/util/files.js";
import { mutateBytes, mutateJson, mutateLines, mutateSafetensors } from "./mutate.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const golden = (...path) => join(root, "test", "golden", ...path);
const target = (name, prepare, once) => ({ name, share: 3, limitMs: 1000, prepare, once });
const json = (file) => JSON.parse(readFileSync(file, "utf8"));

const SPECS = [
  { name: "a", shape: [2, 3] },
  { name: "b", shape: [4] },
];
const stateOf = () => {
  const tensors = [];
  for (const part of ["weights", "m", "v"])
    for (const { name, shape } of SPECS) {
      const begin = tensors.reduce((sum, { length }) => sum + length, 0);
      tensors.push({ part, name, shape, begin, length: shape.reduce((a, b) => a * b) });
    }
  return { step: 3, memory: new SharedArrayBuffer(120), tensors };
};
let sound;
function prepareState(dir) {
  writeStateCopy(dir, stateOf());
  sound = json(join(dir, "state.json"));
}
/** Reads as the trainer does, on a device that checks what it is given. */
function readState(dir) {
  const upload = ({ length }, data) => {
    if (!(data instanceof Float32Array) || data.length !== length) throw new TypeError("wrong upload");
  };
  const part = (_, name) => ({ length: name === "a" ? 6 : 4 });
  readCheckpoint(dir, { device: { upload }, weights: { specs: SPECS, part, values: {} }, m: {}, v: {} });
}
function onceState(dir, random) {
  const part = random.pick(["state", "weights", "m", "v"]);
  const named = part === "state" ? "state.json" : sound.files[part].file;
  const file = join(dir, named);
  const before = readFileSync(file);
  const stateFile = join(dir, "state.json");
  const state = readFileSync(stateFile);
  const bytes = part === "state" ? mutateJson(sound, random) : mutateSafetensors(before, random);
  writeFileSync(file, bytes);
  if (part !== "state" && random.chance(0.6)) {
    const entry = { file: named, bytes: bytes.length, sha256: sha256(bytes) };
    writeFileSync(stateFile, JSON.stringify({ ...sound, files: { ...sound.files, [part]: entry } }));
  }
  try {
    readState(dir);
  } finally {
    writeFileSync(file, before);
    writeFileSync(stateFile, state);
  }
}

const POSITION = { step: 2, ordinal: 4, logs: [10, 20], sampled: 3 };
function oncePosition(dir, random) {
  const text = JSON.stringify(POSITION);
  const file = join(dir, "checkpoints", "00000004", "position.json");
  mkdirSync(dirname(file), { recursive: true });
  const inner = mutateJson(POSITION, random).toString("utf8");
  const whole = JSON.stringify({ sha256: sha256(inner), position: inner });
  writeFileSync(file, random.chance(0.5) ? whole : mutateJson({ sha256: sha256(text), position: text }, random));
  const store = new PhaseCheckpoints({ dir, checkpoints: join(dir, "checkpoints"), state: join(dir, "state") });
  for (const ref of store.list()) store.position(ref);
}

const ROWS = [0, 1].map((prompt) => ({
  prompt,
  first: 0,
  completions: [{ text: "a \u00e9", stopReason: "stop", tokens: new Int32Array([1, 2]), logprobs: new Float32Array([-1, -2]) }],
}));
const summed = (text) => `${sha256(text).slice(0, 16)} ${text}`;
function onceJournal(dir, random) {
  const file = join(dir, "posing.log");
  writeFileSync(file, "");
  new RolloutJournal(file, "print", "tokens").append(ROWS, false);
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  if (random.chance(0.6)) {
    const at = random.below(lines.length);
    lines[at] = summed(mutateJson(JSON.parse(lines[at].slice(17)), random).toString("utf8"));
    writeFileSync(file, `${lines.join("\n")}\n`);
  } else
    writeFileSync(file, random.chance(0.5) ? mutateBytes(readFileSync(file), random) : mutateLines(readFileSync(file), random));
  verifyJournal(file);
  new RolloutJournal(file, "print", "tokens").read(({ prompt, first, completions }) => {
    if (!(prompt >= 0 && first >= 0)) throw new TypeError("wrong row");
    for (const { text, tokens, logprobs } of completions)
      if (typeof text !== "string" || tokens.length !== logprobs.length) throw new TypeError("wrong completion");
  });
}

function prepareAdapter(dir) {
  cpSync(golden("peft"), join(dir, "adapter"), { recursive: true });
  mkdirSync(join(dir, "tiny-qwen3"));
  for (const name of ["config.json", "generation_config.json"]) cpSync(golden("tiny-qwen3", name), join(dir, "tiny-qwen3", name));
}
function onceAdapter(dir, random) {
  const file = join(dir, "adapter", random.pick(["adapter_config.json", "adapter_model.safetensors"]));
  const before = readFileSync(file);
  const change = file.endsWith(".json")
    ? mutateJson(JSON.parse(before.toString("utf8")), random)
    : mutateSafetensors(before, random);
  writeFileSync(file, change);
  try {
    const { base, adapter } = readModelDirectory(join(dir, "adapter"));
    const config = readModelConfig(base);
    const { shape, tensors } = openAdapter(join(dir, "adapter"), adapter, config);
    for (const spec of adapterSpecs(config, shape, linearShapes(config))) tensors(spec);
  } finally {
    writeFileSync(file, before);
  }
}

/** What a request comes to that is taken in. */
class Accepted extends Error {}
let models;
function prepareServer() {
  const submit = () => {
    throw new Accepted();
  };
  const live = { context: 256, vocabSize: 512, ended: new Promise(() => {}), submit };
  models = new ModelTable({ live, tokenizer: loadTokenizer(golden("tiny-qwen3")), names: ["m"], maxQueue: 4 });
}
const SAMPLING = { model: "m", temperature: 0.5, top_p: 0.9, top_k: 5, n: 2, seed: 3, stop: ["a", "b"], stream: false };
const BODIES = [
  {
    ...SAMPLING,
    messages: [{ role: "user", content: [{ type: "text", text: "1+1?" }] }],
    max_tokens: 5,
    logprobs: true,
    top_logprobs: 2,
  },
  { ...SAMPLING, prompt: ["1+1?", "2"], max_tokens: 5, logprobs: 1, echo: true, logit_bias: {} },
  {
    ...SAMPLING,
    prompt: [[1, 2], [3]],
    max_tokens: 0,
    stream: true,
    stream_options: { include_usage: true },
    return_token_ids: true,
  },
];
async function onceRequest(_, random) {
  const at = random.below(BODIES.length);
  const bytes = random.chance(0.85)
    ? mutateJson(BODIES[at], random)
    : mutateBytes(Buffer.from(JSON.stringify(BODIES[at])), random);
  const request = Object.assign(Readable.from([bytes]), { headers: { "content-type": "application/json" } });
  const exchange = {
    gone: new AbortController().signal,
    response: {},
    rest: "",
    json: async () => {
      const { bytes } = await readBody(request, { types: ["application/json"], limit: 8 * 2 ** 20 }, () => {});
      return parseJsonBody(bytes);
    },
  };
  try {
    await (at === 0 ? chatCompletions : completions)(models, exchange);
  } catch (error) {
    if (error instanceof Accepted) return;
    // What is no fault of the client's is ours.
    if (toProblem(error).status >= 500) throw Object.assign(new Error(`status 500: ${error.stack}`), { name: "Error" });
    throw toProblem(error);
  }
}

/** Targets with their share of the cases. */
export const STATE_TARGETS = [
  target("training-state", prepareState, onceState),
  target("position", () => {}, oncePosition),
  target("rollout-journal", () => {}, onceJournal),
  target("adapter", prepareAdapter, onceAdapter),
  target("request-body", prepareServer, onceRequest),
];
