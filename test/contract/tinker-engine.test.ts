// The engine contract over `engine: tinker` and our own Tinker server, in both codecs, for whole models and adapters; the same bits as the
// embedded engine; servers of other reductions; and an engine under faults. The local engine's worker is the compiled one in dist/.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEngine } from "../../src/engine/create.ts";
import { createTinkerEngine, type TinkerEngineOptions } from "../../src/engine/remote/tinker/engine.ts";
import type { Datum, Engine, Prompt, Trainer } from "../../src/engine/types.ts";
import { serveTinker, type TinkerServer } from "../../src/server/tinker.ts";
import { adamW, datumOf, engineContract, nll, samplingParams } from "./engine-contract.ts";
import { FaultyProxy } from "./faulty-proxy.ts";

const dir = fileURLToPath(new URL("../golden/tiny-qwen3/", import.meta.url));
const expected = JSON.parse(readFileSync(join(dir, "expected.json"), "utf8")) as { sequences: number[][] };
const prompts: Prompt[] = expected.sequences.map((tokens) => ({ tokens: Int32Array.from(tokens) }));
const stopTokens = Array.from({ length: 60 }, (_, i) => i);
const KEY = "tml-a-key-that-nobody-may-see";
const scratch = mkdtempSync(join(tmpdir(), "rzero-tinker-engine-"));
process.env.TEST_TINKER_KEY = KEY;

let behind: Engine;
let server: TinkerServer;
beforeAll(async () => {
  behind = createEngine({ kind: "local", threads: 2, slots: 16, dtype: "f32", maxTokensPerMicroBatch: 64 });
  server = await serveTinker({
    ...{ engine: behind, baseDir: dir, names: ["tiny-qwen3"], stateDir: join(scratch, "state"), port: 0, pollMs: 2000 },
    apiKey: KEY,
  });
});
afterAll(async () => {
  await server.close();
  await behind.dispose();
  rmSync(scratch, { recursive: true, force: true });
});

const DEFAULTS = {
  ...{ urls: [""], apiKeyEnv: "TEST_TINKER_KEY", codec: "json", loss: "auto", reduction: "auto", concurrency: 16 },
  lora: { rank: 0, attention: true, mlp: true, unembed: false, seed: 1 },
  ...{ maxTokensPerMicroBatch: 64, pollSeconds: 5, deadlineSeconds: 100, patienceSeconds: 20 },
} as const satisfies TinkerEngineOptions;

/** An engine against the server, whose address is known when the first test runs. */
function tinker(options: Partial<TinkerEngineOptions> = {}): Engine {
  return createTinkerEngine({ ...DEFAULTS, urls: [server.url], ...options });
}

engineContract("tinker, JSON, whole models", { create: () => tinker(), dir, prompts, stopTokens });
engineContract("tinker, protobuf, adapters", {
  create: () => tinker({ codec: "protobuf", lora: { ...DEFAULTS.lora, rank: 4 } }),
  ...{ dir, prompts, stopTokens },
});

/** Some steps of training: losses, norms, logprobs after them, and the exported files. */
async function train(engine: Engine, out: string): Promise<unknown> {
  const snapshot = await engine.openSnapshot(dir);
  const groups = await snapshot.sample(prompts, samplingParams({ n: 2 }));
  const data: Datum[] = prompts.flatMap((prompt, i) => groups[i].map((one) => datumOf(prompt, one, 0.02)));
  const trainer = await engine.openTrainer(dir);
  const told: unknown[] = [];
  for (let step = 0; step < 3; step++) {
    if (step === 2) await trainer.resetOptimizer();
    const { loss } = await trainer.forwardBackward(data, nll);
    told.push(loss, await trainer.optimStep({ ...adamW, skipAbove: step === 1 ? 1e-9 : 1e9 }));
  }
  const after = await trainer.snapshot();
  told.push((await after.logprobs(data)).map((row) => [...row]));
  told.push((await after.sample(prompts, samplingParams())).map((group) => group.map(({ tokens, text }) => [text, ...tokens])));
  await trainer.exportModel(out);
  await Promise.all([trainer.dispose(), after.dispose(), snapshot.dispose()]);
  return { told, files: filesIn(out) };
}

function filesIn(folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name)).toString("base64")]));
}

describe("against our own server", () => {
  const targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const;
  const local = (rank: number) =>
    createEngine({
      ...{ kind: "local", threads: 2, dtype: "f32", maxTokensPerMicroBatch: 64 },
      lora: rank === 0 ? undefined : { rank, alpha: 32, targets, seed: 1 },
    });
  const results = new Map<number, unknown>();
  beforeAll(async () => {
    for (const rank of [0, 4]) {
      const engine = local(rank);
      results.set(rank, await train(engine, join(scratch, `local-${rank}`)));
      await engine.dispose();
    }
  });

  for (const [codec, rank] of [
    ["json", 0],
    ["protobuf", 4],
  ] as const)
    it(`training gives the bits of the embedded engine (${codec}, rank ${rank})`, async () => {
      const engine = tinker({ codec, lora: { ...DEFAULTS.lora, rank } });
      expect(await train(engine, join(scratch, `tinker-${rank}`))).toEqual(results.get(rank));
      await engine.dispose();
    });

  it("and so it does under faults of every kind", async () => {
    const proxy = await FaultyProxy.start(server.url, { every: 3, seed: 5 });
    const runDir = join(scratch, "faulty-run");
    const clock = {
      now: () => performance.now(),
      sleep: (ms: number) => new Promise<void>((r) => setTimeout(r, Math.min(ms, 5))),
    };
    const engine = tinker({ urls: [proxy.url], runDir, lora: { ...DEFAULTS.lora, rank: 4 }, clock });
    expect(await train(engine, join(scratch, "faulty"))).toEqual(results.get(4));
    expect([...proxy.injected.keys()].sort()).toEqual([...FaultyProxy.KINDS].sort());
    await engine.dispose();
    await proxy.close();
    const journal = readFileSync(join(runDir, "tinker", "requests.jsonl"), "utf8");
    expect(journal).not.toContain(KEY);
  });
});

describe("a run that is resumed", () => {
  const data = prompts.map(({ tokens }) => ({ tokens, weights: new Float32Array(tokens.length - 1).fill(0.1) }));
  const step = async (trainer: Trainer) => [(await trainer.forwardBackward(data, nll)).loss, await trainer.optimStep(adamW)];

  it("goes on with the model that the killed process has left, where it asks the same", async () => {
    const runDir = join(scratch, "resumed");
    const state = join(scratch, "resumed-state");
    const open = async () => {
      const engine = tinker({ runDir, lora: { ...DEFAULTS.lora, rank: 4 } });
      return { engine, trainer: await engine.openTrainer(dir) };
    };
    const killed = await open();
    await step(killed.trainer);
    await killed.trainer.saveState(state);
    const told = [await step(killed.trainer), await step(killed.trainer)];
    await killed.engine.dispose(); // its model stays: a killed process unloads nothing
    const standing = readFileSync(join(runDir, "tinker", "requests.jsonl"), "utf8");

    const resumed = await open();
    await resumed.trainer.loadState(state);
    expect([await step(resumed.trainer), await step(resumed.trainer)]).toEqual(told);
    const after = readFileSync(join(runDir, "tinker", "requests.jsonl"), "utf8");
    expect(after).toBe(standing); // no model was made, nothing was asked that had not been
    const further = await step(resumed.trainer);
    await resumed.engine.dispose();

    const other = await open();
    await other.trainer.loadState(state);
    const less = data.slice(1);
    await other.trainer.forwardBackward(less, nll); // other work than before: a model of its own
    await other.trainer.optimStep({ ...adamW, skipAbove: -1 });
    expect([await step(other.trainer), await step(other.trainer), await step(other.trainer)]).toEqual([...told, further]);
    await other.engine.dispose();
  });
});

describe("several servers", () => {
  it("share the policies", async () => {
    const proxies = await Promise.all([1, 2].map((seed) => FaultyProxy.start(server.url, { every: 1e9, seed })));
    const engine = tinker({ urls: proxies.map(({ url }) => url), loss: "cross_entropy", reduction: "sum" });
    const trainers = [await engine.openTrainer(dir), await engine.openTrainer(dir)];
    const before = proxies.map(({ requests }) => requests.get("create_model") ?? 0);
    for (const trainer of trainers) await (await trainer.snapshot()).dispose();
    expect(proxies.map(({ requests }, i) => (requests.get("create_model") ?? 0) - before[i])).toEqual([1, 1]);
    await trainers[1].saveState(join(scratch, "second"));
    await trainers[0].loadState(join(scratch, "second"));
    await trainers[0].snapshot();
    expect(proxies.map(({ requests }, i) => (requests.get("create_model") ?? 0) - before[i])).toEqual([1, 2]);
    await engine.dispose();
    for (const proxy of proxies) await proxy.close();
  });
});

describe("a policy whose model is lost", () => {
  it("is made again from its base and the requests since, to the same bits", async () => {
    const engine = tinker({ lora: { ...DEFAULTS.lora, rank: 4 } });
    const [one, two] = [await engine.openTrainer(dir), await engine.openTrainer(dir)];
    const data = prompts.map((prompt) => ({
      tokens: prompt.tokens,
      weights: new Float32Array(prompt.tokens.length - 1).fill(0.1),
    }));
    const step = async (trainer: Trainer) => [(await trainer.forwardBackward(data, nll)).loss, await trainer.optimStep(adamW)];
    expect(await step(two)).toEqual(await step(one));
    const frozen = await two.snapshot();
    await two.saveState(join(scratch, "lost"));
    await step(one);
    await step(two);
    await forgetModels();
    expect(await step(two)).toEqual(await step(one));
    await forgetModels();
    const three = await engine.openTrainer(dir);
    await three.loadState(join(scratch, "lost"));
    expect((await frozen.logprobs(data)).map((row) => [...row])).toEqual(
      (await (await three.snapshot()).logprobs(data)).map((row) => [...row]),
    );
    await engine.dispose();
  });

  /** Unloads every model of the server, as a server that was started anew without memory of them would have. */
  async function forgetModels(): Promise<void> {
    const ask = (path: string, body?: unknown) =>
      fetch(`${server.url}/api/v1/${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { "x-api-key": KEY, "content-type": "application/json" },
        body: body && JSON.stringify(body),
      }).then((reply) => reply.json() as Promise<{ training_runs?: { training_run_id: string }[] }>);
    for (const { training_run_id } of (await ask("training_runs?limit=1000")).training_runs ?? [])
      await ask("unload_model", { model_id: training_run_id });
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
});
