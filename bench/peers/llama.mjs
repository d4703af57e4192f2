// Batched decoding with llama.cpp through node-llama-cpp: `batch` sequences, prompts of `prompt` tokens, always `new` tokens, the
// likeliest one each time (drawing from a large vocabulary would cost it more than the model does). node-llama-cpp is found from LLAMA_DIR, a folder in which it was installed (see README.md). One line of JSON.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    batch: { type: "string", default: "8" },
    prompt: { type: "string", default: "16" },
    new: { type: "string", default: "32" },
    threads: { type: "string", default: "2" },
    dtype: { type: "string", default: "bf16" },
    repeats: { type: "string", default: "5" },
    flash: { type: "boolean", default: false },
  },
});
const [batch, prompt, fresh, threads, repeats] = [values.batch, values.prompt, values.new, values.threads, values.repeats].map(
  Number,
);
const require = createRequire(join(process.env.LLAMA_DIR ?? process.cwd(), "index.js"));
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(require.resolve("node-llama-cpp")).href);

const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: values.model, gpuLayers: 0, useMmap: true });
const context = await model.createContext({
  sequences: batch,
  contextSize: prompt + fresh + 8,
  batchSize: Math.max(512, batch * prompt),
  flashAttention: values.flash,
  threads: { ideal: threads, min: threads },
});
const vocabulary = model.fileInfo.metadata.qwen3?.vocab_size ?? 100;
const sequences = Array.from({ length: batch }, () => context.getSequence());

const greedy = { generateNext: { token: true, options: { temperature: 0 } } };

/** All sequences one token further, in one batch; `evaluate` would take them one after another. */
async function advance(inputs) {
  const results = await Promise.all(sequences.map((sequence, index) => sequence.controlledEvaluate(inputs[index])));
  return results.map((outputs) => [[outputs.at(-1).next.token, greedy]]);
}

async function once() {
  await Promise.all(sequences.map((sequence) => sequence.clearHistory()));
  let inputs = sequences.map((_, index) =>
    Array.from({ length: prompt }, (_, t) => {
      const token = (index * 31 + t * 7 + 3) % vocabulary;
      return t + 1 < prompt ? token : [token, greedy];
    }),
  );
  for (let step = 0; step < fresh; step++) inputs = await advance(inputs);
}

await once();
const all = [];
for (let call = 0; call < repeats; call++) {
  const started = performance.now();
  await once();
  all.push((performance.now() - started) / 1000);
}
const seconds = [...all].sort((a, b) => a - b)[all.length >> 1];
console.log(
  JSON.stringify({ name: `llama.cpp ${values.dtype} ${threads}t`, seconds, tokensPerSecond: (batch * fresh) / seconds, all }),
);
await llama.dispose();
