// Tests of the local engine through its worker: the engine contract, the golden models, independence of slots and threads,
// statistics of sampling, failures. The worker is the compiled one in dist/.

import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adamW, datumOf, engineContract, nll, samplingParams } from "../../../test/contract/engine-contract.ts";
import { ConfigError, DataError, EngineError } from "../../util/errors.ts";
import { createEngine } from "../create.ts";
import type { Completion, Engine, Prompt, Snapshot } from "../types.ts";
import { createLocalEngine, LocalEngine, type LocalEngineOptions } from "./engine.ts";
import { fromWireError, toWireError } from "./protocol.ts";
import { WorkerClient } from "./worker-client.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../../test/golden/${name}/`, import.meta.url));
const expected = (name: string) => JSON.parse(readFileSync(join(golden(name), "expected.json"), "utf8"));
const promptsOf = (name: string): Prompt[] =>
  expected(name).sequences.map((tokens: number[]) => ({ tokens: Int32Array.from(tokens) }));
const bits = (groups: Completion[][]) =>
  groups.map((group) => group.map((c) => [...c.tokens, ...c.logprobs, c.text, c.stopReason]));

for (const name of ["tiny-qwen3", "tiny-llama3"]) {
  engineContract(`local, ${name}`, {
    create: () => createLocalEngine({ threads: 2, maxTokensPerMicroBatch: 64, dtype: "f32" }),
    dir: golden(name),
    prompts: promptsOf(name),
    stopTokens: Array.from({ length: 60 }, (_, i) => i),
  });
}

const LORA = { rank: 2, alpha: 3, targets: ["q_proj", "v_proj", "down_proj"], seed: 1 } as const;
const VARIANTS: [name: string, dir: string, prompts: string, options: LocalEngineOptions][] = [
  ["bf16", "tiny-qwen3", "tiny-qwen3", { dtype: "bf16", optimizerDtype: "bf16", recompute: true }],
  ["adapters over a base", "tiny-llama3", "tiny-llama3", { dtype: "f32", lora: LORA }],
  ["an adapter's directory, bf16", "peft", "tiny-qwen3", { dtype: "bf16", lora: LORA, recompute: true }],
];
for (const [name, dir, prompts, options] of VARIANTS) {
  engineContract(`local, ${name}`, {
    create: () => createLocalEngine({ threads: 2, maxTokensPerMicroBatch: 64, ...options }),
    dir: golden(dir),
    prompts: promptsOf(prompts),
    stopTokens: Array.from({ length: 60 }, (_, i) => i),
  });
}

/** Runs `work` on a snapshot of an engine of its own, in f32 as the golden values. */
async function withSnapshot<T>(
  options: LocalEngineOptions,
  name: string,
  work: (snapshot: Snapshot, engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = createLocalEngine({ dtype: "f32", ...options });
  try {
    return await work(await engine.openSnapshot(golden(name)), engine);
  } finally {
    await engine.dispose();
  }
}

describe("local engine", () => {
  let engine: Engine;
  let snapshot: Snapshot;
  const prompts = promptsOf("tiny-qwen3");

  beforeAll(async () => {
    engine = createLocalEngine({ threads: 2, dtype: "f32" });
    snapshot = await engine.openSnapshot(golden("tiny-qwen3"));
  });
  afterAll(() => engine.dispose());

  for (const name of ["tiny-qwen3", "tiny-llama3"]) {
    it(`decodes greedily as transformers does: ${name}`, async () => {
      const model = await engine.openSnapshot(golden(name));
      const [[completion]] = await model.sample([promptsOf(name)[0]], samplingParams({ n: 1, temperature: 0, maxTokens: 24 }));
      expect([...completion.tokens]).toEqual(expected(name).greedy_24_from_sequence_0);
      await model.dispose();
    });
  }

  it("gives the same bits for every number of slots, threads, and every cache size", async () => {
    const params = samplingParams({ n: 5, maxTokens: 40, topP: 0.95, stopTokens: [7, 11, 13, 200, 201, 202, 203] });
    const reference = bits(await snapshot.sample(prompts, params));
    const options: LocalEngineOptions[] = [
      { slots: 1, threads: 1 },
      { slots: 3, threads: 2 },
      { slots: 64, threads: 1 },
      { slots: 6, threads: 2, cacheBytes: 100_000 },
    ];
    for (const option of options) {
      const got = await withSnapshot(option, "tiny-qwen3", (model) => model.sample(prompts, params));
      expect(bits(got)).toEqual(reference);
    }
  });

  it("trains to the same bits with one and two threads", async () => {
    const data = prompts.map(({ tokens }) => ({ tokens, weights: new Float32Array(tokens.length - 1).fill(0.01) }));
    const train = (threads: number) =>
      withSnapshot({ threads }, "tiny-qwen3", async (_, own) => {
        const trainer = await own.openTrainer(golden("tiny-qwen3"));
        const losses: number[] = [];
        for (let step = 0; step < 3; step++) {
          losses.push((await trainer.forwardBackward(data, nll)).loss);
          losses.push((await trainer.optimStep(adamW)).gradNorm);
        }
        const logprobs = await (await trainer.snapshot()).logprobs(data);
        return [losses, ...logprobs.map((row) => [...row])];
      });
    expect(await train(2)).toEqual(await train(1));
  });

  it("scores as transformers does, whole and in micro-batches", async () => {
    const data = prompts.map(({ tokens }) => ({ tokens, weights: new Float32Array(tokens.length - 1).fill(1) }));
    const scored = await snapshot.logprobs(data);
    expected("tiny-qwen3").logprobs.forEach((row: number[], i: number) => {
      row.forEach((value, t) => {
        expect(Math.abs(scored[i][t] - value)).toBeLessThan(2e-5);
      });
    });
    const split = await withSnapshot({ maxTokensPerMicroBatch: 10 }, "tiny-qwen3", (model) => model.logprobs(data));
    expect(split.map((row) => [...row])).toEqual(scored.map((row) => [...row]));
  });

  it("stops by length at the end of the context", async () => {
    const long = { tokens: new Int32Array(250).fill(30) };
    const [group] = await snapshot.sample([long], samplingParams({ n: 2, maxTokens: 100 }));
    for (const completion of group) expect([completion.tokens.length, completion.stopReason]).toEqual([6, "length"]);
    const whole = datumOf(long, group[0]);
    expect([...(await snapshot.logprobs([whole]))[0].subarray(249)]).toEqual([...group[0].logprobs]);
  });

  it("stops at strings that cross tokens", async () => {
    const [[free]] = await snapshot.sample([prompts[3]], samplingParams({ n: 1, maxTokens: 60 }));
    const clean = free.text.match(/[\x20-\x7e]{4,}/);
    expect(clean).not.toBeNull();
    const stop = clean![0].slice(0, 4);
    const [[cut]] = await snapshot.sample([prompts[3]], samplingParams({ n: 1, maxTokens: 60, stopStrings: [stop] }));
    expect([cut.text, cut.stopReason]).toEqual([free.text.slice(0, free.text.indexOf(stop)), "stop"]);
  });

  it("draws first tokens with the frequencies of the softmax, whole and cut by top-p and top-k", async () => {
    const n = 6000;
    const prompt = prompts[0];
    const vocab = 512;
    const data = Array.from({ length: vocab }, (_, token) => datumOf(prompt, { tokens: Int32Array.of(token) } as Completion));
    const logprobs = (await snapshot.logprobs(data)).map((row) => row.at(-1)!);
    const order = logprobs.map((_, token) => token).sort((a, b) => logprobs[b] - logprobs[a] || a - b);
    for (const [temperature, topP, topK] of [
      [1, 1, 0],
      [0.8, 0.6, 0],
      [1.2, 1, 30],
    ]) {
      const mass = logprobs.map((logprob) => Math.exp(logprob / temperature));
      const all = mass.reduce((a, b) => a + b, 0);
      let kept = topK > 0 ? order.slice(0, topK) : order;
      if (topP < 1) {
        let sum = 0;
        const nucleus = kept.findIndex((token) => {
          sum += mass[token] / all;
          return sum >= topP;
        });
        kept = kept.slice(0, nucleus + 1);
      }
      const total = kept.reduce((a, token) => a + mass[token], 0);
      const params = samplingParams({ n, maxTokens: 1, temperature, topP, topK });
      const drawn = (await snapshot.sample([prompt], params))[0].map((completion) => completion.tokens[0]);
      expect(drawn.filter((token) => !kept.includes(token))).toEqual([]);
      const cells = 20;
      const [seen, wanted] = [new Float64Array(cells), new Float64Array(cells)];
      for (const token of drawn) seen[kept.indexOf(token) % cells]++;
      kept.forEach((token, i) => {
        wanted[i % cells] += (n * mass[token]) / total;
      });
      const chiSquare = seen.reduce((acc, count, i) => acc + (count - wanted[i]) ** 2 / wanted[i], 0);
      expect(chiSquare).toBeLessThan(43.8); // 99.9 % point of 19 degrees of freedom
    }
  });

  it("keeps a forward and its backward together when calls overlap", async () => {
    const trainer = await engine.openTrainer(golden("tiny-qwen3"));
    const data = prompts.map(({ tokens }) => ({ tokens, weights: new Float32Array(tokens.length - 1).fill(0.01) }));
    const [a, b] = await Promise.all([trainer.forwardBackward(data, nll), trainer.forwardBackward(data, nll)]);
    expect(a).toEqual(b);
    const failing = trainer.forwardBackward(data, () => {
      throw new Error("no loss today");
    });
    await expect(failing).rejects.toThrow("no loss today");
    expect((await trainer.forwardBackward(data, nll)).loss).toBe(a.loss);
    await trainer.dispose();
  });

  it("exports a model that opens with the same logprobs", async () => {
    const trainer = await engine.openTrainer(golden("tiny-qwen3"));
    const dir = join(mkdtempSync(join(tmpdir(), "rzero-export-")), "model");
    await trainer.exportModel(dir);
    const data = prompts.map(({ tokens }) => ({ tokens, weights: new Float32Array(tokens.length - 1).fill(1) }));
    const again = await engine.openSnapshot(dir);
    const [a, b] = await Promise.all([snapshot.logprobs(data), again.logprobs(data)]);
    expect(b.map((row) => [...row])).toEqual(a.map((row) => [...row]));
    expect((await engine.openTokenizer(dir)).encode("If x").length).toBeGreaterThan(0);
    await Promise.all([trainer.dispose(), again.dispose()]);
  });

  it("holds frozen roles in int8 near the weights, and rollouts and references as the trainer", async () => {
    const own = createLocalEngine({ threads: 2, dtype: "f32", frozenDtype: "int8" });
    const data = prompts.map(({ tokens }) => ({ tokens, weights: new Float32Array(tokens.length - 1).fill(1) }));
    const exact = (await snapshot.logprobs(data)).map((row) => [...row]);
    const trainer = await own.openTrainer(golden("tiny-qwen3"));
    const opened = await Promise.all([
      own.openSnapshot(golden("tiny-qwen3")),
      trainer.snapshot(),
      own.openSnapshot(golden("tiny-qwen3"), { precision: "frozen" }),
      trainer.snapshot({ precision: "frozen" }),
    ]);
    const [a, b, c, d] = await Promise.all(opened.map(async (each) => (await each.logprobs(data)).map((row) => [...row])));
    expect(a).toEqual(exact);
    expect(b).toEqual(exact);
    for (const rounded of [c, d]) {
      expect(rounded).not.toEqual(exact);
      const differences = rounded.flatMap((row, i) => row.map((value, t) => Math.abs(value - exact[i][t])));
      expect(Math.max(...differences)).toBeLessThan(0.1);
    }
    await own.dispose();
  });

  it("trains in bf16 towards what f32 trains to", async () => {
    const data = prompts.map(({ tokens }) => ({ tokens, weights: new Float32Array(tokens.length - 1).fill(0.01) }));
    const losses = async (options: LocalEngineOptions) =>
      withSnapshot(options, "tiny-qwen3", async (_, own) => {
        const trainer = await own.openTrainer(golden("tiny-qwen3"));
        const seen: number[] = [];
        for (let step = 0; step < 6; step++) {
          seen.push((await trainer.forwardBackward(data, nll)).loss);
          await trainer.optimStep(adamW);
        }
        return seen;
      });
    const [f32, bf16] = [await losses({}), await losses({ dtype: "bf16", optimizerDtype: "bf16" })];
    expect(bf16).not.toEqual(f32);
    f32.forEach((loss, step) => {
      expect(Math.abs(bf16[step] / loss - 1)).toBeLessThan(5e-3);
    });
    expect(f32[5] / f32[0]).toBeLessThan(0.98);
  });

  it("keeps the class of an error, and serves on after it", async () => {
    await expect(engine.openSnapshot("/no/such/model")).rejects.toThrow(DataError);
    await expect(snapshot.sample(prompts, samplingParams({ n: 0 }))).rejects.toThrow(ConfigError);
    await expect(snapshot.sample([{ tokens: Int32Array.of(512) }], samplingParams())).rejects.toThrow(DataError);
    expect((await snapshot.sample(prompts, samplingParams({ n: 1, maxTokens: 1 }))).length).toBe(prompts.length);
  });

  it("sends a view of a large array as what it shows", async () => {
    const large = new Int32Array(1000).fill(99);
    large.set(prompts[0].tokens, 500);
    const view = { tokens: large.subarray(500, 500 + prompts[0].tokens.length) };
    expect(bits(await snapshot.sample([view], samplingParams()))).toEqual(
      bits(await snapshot.sample([prompts[0]], samplingParams())),
    );
  });
});

describe("the worker's end", () => {
  const crashing = (code: string) => new LocalEngine(new WorkerClient(new Worker(code, { eval: true })), 8192);

  it("rejects what is pending and what comes after with an EngineError: crash", async () => {
    const engine = crashing(`require("node:worker_threads").parentPort.on("message", () => { throw new Error("boom") })`);
    await expect(engine.openSnapshot("x")).rejects.toThrow(/worker crashed: boom/);
    await expect(engine.openSnapshot("x")).rejects.toThrow(EngineError);
    await engine.dispose();
  });

  it("rejects likewise: exit", async () => {
    const engine = crashing(`require("node:worker_threads").parentPort.on("message", () => process.exit(3))`);
    await expect(engine.openSnapshot("x")).rejects.toThrow(/worker ended with code 3/);
    await engine.dispose();
  });

  it("gives up sampling in progress when the engine is disposed", async () => {
    const engine = createLocalEngine({ threads: 1, slots: 64 });
    const snapshot = await engine.openSnapshot(golden("tiny-qwen3"));
    let begun: () => void = () => {};
    const started = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const params = samplingParams({ n: 100_000, maxTokens: 200 });
    const sampling = snapshot.sample(promptsOf("tiny-qwen3"), params, () => begun());
    const rejected = expect(sampling).rejects.toThrow(EngineError);
    await started;
    await engine.dispose();
    await rejected;
    await engine.dispose();
    await expect(engine.openSnapshot(golden("tiny-qwen3"))).rejects.toThrow(/disposed/);
    await snapshot.dispose();
  });

  it("carries errors as data", () => {
    const retryable = fromWireError(toWireError(new EngineError("full", { retryable: true })));
    expect(retryable).toBeInstanceOf(EngineError);
    expect((retryable as EngineError).retryable).toBe(true);
    expect(fromWireError(toWireError(new DataError("bad line")))).toBeInstanceOf(DataError);
    expect(fromWireError(toWireError(new TypeError("x is undefined"))).message).toBe("internal: TypeError: x is undefined");
    expect(fromWireError(toWireError("text")).message).toBe("internal: Error: text");
  });
});

it("createEngine refuses an unknown kind", () => {
  expect(() => createEngine({ kind: "quantum" })).toThrow(ConfigError);
});

describe("trainers of their own shape", () => {
  it("one engine trains adapters of several shapes and the whole model, each as an engine of that configuration does", async () => {
    const dir = golden("tiny-qwen3");
    const data = [datumOf(promptsOf("tiny-qwen3")[0], { tokens: Int32Array.from([5, 6, 7]) } as Completion)];
    const norms = async (engine: Engine, adapter?: typeof LORA | "none") => {
      const trainer = await engine.openTrainer(dir, { adapter });
      await trainer.forwardBackward(data, nll);
      const first = (await trainer.optimStep(adamW)).gradNorm;
      await trainer.forwardBackward(data, nll);
      return [first, (await trainer.optimStep(adamW)).gradNorm];
    };
    const engines = [{}, { lora: LORA }, {}].map((options) => createLocalEngine({ threads: 1, dtype: "f32", ...options }));
    try {
      const [mixed, adapted, whole] = engines;
      expect(await norms(mixed, LORA)).toEqual(await norms(adapted));
      expect(await norms(mixed, "none")).toEqual(await norms(whole));
      expect((await norms(mixed))[0]).toBeGreaterThan(0);
      const bad = { ...LORA, targets: ["lm_head"] } as unknown as typeof LORA;
      await expect(norms(mixed, bad)).rejects.toThrow(ConfigError);
    } finally {
      for (const engine of engines) await engine.dispose();
    }
  });
});
