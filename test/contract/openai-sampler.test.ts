// The engine contract over servers: frozen snapshots are answered by our own server of the same weights, all else by the local engine.
// Sampling logprobs that came as JSON equal training logprobs to the bit. The engine's worker is the compiled one in dist/.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createEngine, createSampledEngine } from "../../src/engine/create.ts";
import type { Engine } from "../../src/engine/types.ts";
import { serveOpenAI } from "../../src/server/openai.ts";
import { engineContract } from "./engine-contract.ts";

const dir = fileURLToPath(new URL("../golden/tiny-qwen3/", import.meta.url));
const { sequences } = JSON.parse(readFileSync(`${dir}expected.json`, "utf8")) as { sequences: number[][] };
const { vocab_size: vocabSize } = JSON.parse(readFileSync(`${dir}config.json`, "utf8")) as { vocab_size: number };

/** An engine whose snapshots are all frozen, over `count` servers. */
function create(count: number): Engine {
  const local = createEngine({ kind: "local", threads: 2, dtype: "f32", maxTokensPerMicroBatch: 64 });
  const ready = (async () => {
    const snapshot = await local.openSnapshot(dir);
    const live = await snapshot.openLive!({ reportMs: 1 });
    const tokenizer = await local.openTokenizer(dir);
    const model = { live, tokenizer, names: ["tiny"], maxQueue: 64 };
    const servers = await Promise.all(Array.from({ length: count }, () => serveOpenAI(model, { port: 0 })));
    const engine = await createSampledEngine(
      local,
      {
        kind: "openai",
        endpoints: servers.map(({ url }) => ({ url })),
        update: "none",
        dtype: "float32",
        tokens: "ids",
        samplesPerRequest: 2,
        concurrency: { first: 8, most: 16 },
        timeoutSeconds: 60,
        patienceSeconds: 10,
        healthSeconds: 5,
      },
      { baseDir: dir, context: 64, vocabSize, env: {}, say: () => {} },
    );
    return { servers, engine };
  })();
  return {
    openSnapshot: async (path) => (await ready).engine.openSnapshot(path, { precision: "frozen" }),
    openTrainer: async (path) => (await ready).engine.openTrainer(path),
    openTokenizer: async (path) => (await ready).engine.openTokenizer(path),
    dispose: async () => {
      const { servers, engine } = await ready;
      await Promise.all(servers.map((server) => server.close(0)));
      await engine.dispose();
    },
  };
}

engineContract("local, frozen snapshots on two servers", {
  create: () => create(2),
  dir,
  prompts: sequences.map((tokens) => ({ tokens: Int32Array.from(tokens) })),
  stopTokens: Array.from({ length: 60 }, (_, i) => i),
});
