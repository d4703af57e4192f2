// Servers unlike ours: those that average losses, the recorded exchange with SkyRL, and those that a configuration is wrong for. A server
// of another reduction is our own behind a translator of requests. The local engine's worker is the compiled one in dist/.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEngine } from "../../src/engine/create.ts";
import { createTinkerEngine, type TinkerEngineOptions } from "../../src/engine/remote/tinker/engine.ts";
import { decodePass, RemoteModel } from "../../src/engine/remote/tinker/model.ts";
import { forwardDatum, gradientData, type Reduction } from "../../src/engine/remote/tinker/passes.ts";
import { RequestJournal } from "../../src/engine/remote/tinker/request-journal.ts";
import { optimBody, passRequest } from "../../src/engine/remote/tinker/requests.ts";
import { Server } from "../../src/engine/remote/tinker/server.ts";
import { alignPrompt, sampleOnce } from "../../src/engine/remote/tinker/snapshot.ts";
import type { Datum, Engine } from "../../src/engine/types.ts";
import { serveTinker, type TinkerServer } from "../../src/server/tinker.ts";
import { encodeSample } from "../../src/tinker-wire/sampling.ts";
import { floats } from "../../src/tinker-wire/tensor.ts";
import { decodeForwardBackward, encodeForwardBackward } from "../../src/tinker-wire/training.ts";
import { ConfigError } from "../../src/util/errors.ts";
import { adamW, nll, samplingParams } from "./engine-contract.ts";

const dir = fileURLToPath(new URL("../golden/tiny-qwen3/", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "rzero-tinker-servers-"));
const KEY = "tml-secret-of-this-test";
process.env.TEST_TINKER_SERVERS_KEY = KEY;
const OPTIONS = {
  ...{ urls: [""], apiKeyEnv: "TEST_TINKER_SERVERS_KEY", codec: "auto", loss: "auto", reduction: "auto", concurrency: 4 },
  lora: { rank: 4, attention: true, mlp: true, unembed: false, seed: 1 },
  ...{ maxTokensPerMicroBatch: 8192, pollSeconds: 5, deadlineSeconds: 100, patienceSeconds: 1 },
} as const satisfies TinkerEngineOptions;

let behind: Engine;
let ours: TinkerServer;
beforeAll(async () => {
  behind = createEngine({ kind: "local", threads: 2, slots: 16, dtype: "f32" });
  ours = await serveTinker({
    ...{
      engine: behind,
      baseDir: dir,
      names: ["tiny-qwen3"],
      stateDir: join(scratch, "state"),
      port: 0,
      apiKey: KEY,
      pollMs: 2000,
    },
  });
});
const opened: HttpServer[] = [];
afterAll(async () => {
  for (const one of opened) one.close();
  await ours.close();
  await behind.dispose();
  rmSync(scratch, { recursive: true, force: true });
});

type Answer = { status: number; body: unknown };

/** A server of one function. */
async function serve(answer: (path: string, body: string, headers: Record<string, unknown>) => Promise<Answer>): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const path = (request.url ?? "").replace("/api/v1/", "");
      answer(path, Buffer.concat(chunks).toString(), request.headers).then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Our server as one without extensions that averages: its losses are divided by the sums of their weights, as SkyRL's JAX backend does. */
function averaging(reduction: Reduction): Promise<string> {
  return serve(async (path, body, headers) => {
    const reply = await fetch(`${ours.url}/api/v1/${path}`, {
      method: body === "" ? "GET" : "POST",
      headers: { "content-type": "application/json", "x-api-key": String(headers["x-api-key"]) },
      body: body === "" ? undefined : path === "forward_backward" ? averaged(body, reduction) : body,
    });
    const json = (await reply.json()) as Record<string, unknown>;
    return { status: reply.status, body: path === "client/config" ? { ...json, rzero_extensions: [] } : json };
  });
}

function averaged(body: string, reduction: Reduction): string {
  const request = decodeForwardBackward(new TextEncoder().encode(body), false);
  const sums = request.data.map(({ inputs }) => (inputs.weights.data as Float32Array).reduce((sum, weight) => sum + weight, 0));
  const all = sums.reduce((sum, one) => sum + one, 0);
  const data = request.data.map(({ tokens, inputs }, i) => {
    const divisor = reduction === "token-mean" ? all : sums[i] * sums.length;
    return {
      tokens,
      inputs: { ...inputs, weights: floats((inputs.weights.data as Float32Array).map((weight) => weight / divisor)) },
    };
  });
  return encodeForwardBackward({ ...request, data });
}

describe("a server that averages", () => {
  const data: Datum[] = [
    { tokens: Int32Array.of(10, 20, 30, 40, 50, 60), weights: Float32Array.of(0, 0, 0.1, 0.2, 0.3) },
    { tokens: Int32Array.of(10, 20, 31), weights: Float32Array.of(0, 0.5) },
  ];
  /** Gradient norms of a step with mixed signs, and the logprobs after it. */
  async function step(url: string) {
    const lines: string[] = [];
    const engine = createTinkerEngine({ ...OPTIONS, urls: [url], report: (line) => lines.push(line) });
    const trainer = await engine.openTrainer(dir);
    await trainer.forwardBackward(data, (logprobs, datum) => {
      const { dLogprobs } = nll(logprobs, datum);
      return { loss: 0, dLogprobs: dLogprobs.map((value, t) => (t % 2 === 0 ? value : -value)), metrics: {} };
    });
    const { gradNorm } = await trainer.optimStep({ ...adamW, clipNorm: 0 });
    const snapshot = await trainer.snapshot();
    const after = await snapshot.logprobs(data);
    await engine.dispose();
    return { gradNorm, after: after.flatMap((row) => [...row]), line: lines[0] };
  }
  it("applies the gradient of one that sums", async () => {
    const sum = await step(ours.url);
    expect(sum.line).toContain("loss cross_entropy (exact gradients by signed weights), reduction sum");
    for (const reduction of ["token-mean", "sequence-mean"] as const) {
      const mean = await step(await averaging(reduction));
      expect(mean.line).toContain(`loss importance_sampling (exact gradients at ratio 1), reduction ${reduction}`);
      expect(Math.abs(mean.gradNorm / sum.gradNorm - 1)).toBeLessThan(1e-5);
      mean.after.forEach((value, i) => {
        expect(value).toBeCloseTo(sum.after[i], 4);
      });
    }
  });
});

describe("a server without extensions", () => {
  const data: Datum[] = [{ tokens: Int32Array.of(10, 20, 30, 40), weights: Float32Array.of(0, 1, 1) }];
  it("holds an update back all the same: the weights before it are made again", async () => {
    const engine = createTinkerEngine({
      ...OPTIONS,
      urls: [await averaging("token-mean")],
      reduction: "token-mean",
      loss: "ppo",
    });
    const trainer = await engine.openTrainer(dir);
    const step = async (skipAbove?: number) => {
      const { loss } = await trainer.forwardBackward(data, nll);
      return { loss, ...(await trainer.optimStep({ ...adamW, skipAbove })) };
    };
    const first = await step();
    const held = await step(1e-9);
    expect([first.applied, held.applied, held.gradNorm > 0]).toEqual([true, false, true]);
    expect(held.loss).not.toBe(first.loss);
    expect((await step(-1)).loss).toBeCloseTo(held.loss, 6);
    expect((await step()).loss).toBeCloseTo(held.loss, 6);
    await engine.dispose();
  });
  it("forces a prefix and stops at strings as the embedded engine does", async () => {
    const engine = createTinkerEngine({ ...OPTIONS, urls: [await averaging("token-mean")], reduction: "sum", loss: "ppo" });
    const [snapshot, local] = [await engine.openSnapshot(dir), await behind.openSnapshot(dir)];
    const prompts = [{ tokens: Int32Array.of(10, 20, 30) }];
    const forced = [40, 41];
    const greedy = samplingParams({ n: 1, temperature: 0, forcedPrefix: forced, maxTokens: 12 });
    const [[own]] = await local.sample(prompts, greedy);
    const [[remote]] = await snapshot.sample(prompts, greedy);
    expect([[...remote.tokens], remote.text, remote.stopReason]).toEqual([[...own.tokens], own.text, own.stopReason]);
    expect([...remote.logprobs]).toEqual([...own.logprobs]);
    const stopStrings = [own.text.slice(4, 6)];
    const [[stopped]] = await local.sample(prompts, { ...greedy, stopStrings });
    const [[cut]] = await snapshot.sample(prompts, { ...greedy, stopStrings });
    expect([[...cut.tokens], cut.text, cut.stopReason]).toEqual([[...stopped.tokens], stopped.text, stopped.stopReason]);
    await local.dispose();
    await engine.dispose();
  });
});

describe("a configuration that is wrong for its server", () => {
  async function refused(options: Partial<TinkerEngineOptions>): Promise<Error> {
    const runDir = mkdtempSync(join(scratch, "run-"));
    const engine = createTinkerEngine({ ...OPTIONS, urls: [ours.url], runDir, ...options });
    const error = await engine.openTrainer(dir).then(
      () => new Error("opened"),
      (reason: Error) => reason,
    );
    await engine.dispose();
    expect(error.message).not.toContain(KEY);
    for (const file of readdirSync(runDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()))
      expect(readFileSync(join(file.parentPath, file.name), "utf8")).not.toContain(KEY);
    return error;
  }
  it("is one clear error: the key, the model, the context, no server of the protocol", async () => {
    process.env.TEST_WRONG_KEY = "tml-another-key";
    const wrong = await refused({ apiKeyEnv: "TEST_WRONG_KEY" });
    expect(wrong).toBeInstanceOf(ConfigError);
    expect(wrong.message).toBe(
      `engine.apiKeyEnv: expected a key that ${ours.url} accepts, got one that is refused (status 401).`,
    );
    const none = await refused({ apiKeyEnv: "TEST_NO_KEY" });
    expect(none.message).toContain("got none (the variable TEST_NO_KEY is not set)");
    const model = await refused({ model: "Qwen/Qwen3-4B" });
    expect([model.name, model.message]).toEqual(["ConfigError", expect.stringContaining("engine.model: expected a model of")]);
    expect(model.message).toContain("(tiny-qwen3), got Qwen/Qwen3-4B");
    const long = await refused({ longest: 1_000_000 });
    expect([long.name, long.message]).toEqual([
      "ConfigError",
      expect.stringContaining("sampling.maxTokens: expected less than the context"),
    ]);
    const other = await refused({ urls: [await serve(async () => ({ status: 404, body: { detail: "no such page" } }))] });
    expect([other.name, other.message]).toEqual([
      "ConfigError",
      expect.stringContaining("expected a server of the Tinker protocol"),
    ]);
  });
  it("so is a server that speaks neither codec", async () => {
    const url = await serve(async (path, body, headers) => {
      if (/^forward/.test(path)) return { status: 415, body: { detail: "what is this?" } };
      const reply = await fetch(`${ours.url}/api/v1/${path}`, {
        method: body === "" ? "GET" : "POST",
        headers: { "content-type": "application/json", "x-api-key": String(headers["x-api-key"]) },
        body: body || undefined,
      });
      return { status: reply.status, body: await reply.json() };
    });
    const { name, message } = await refused({ urls: [url] });
    expect(name).toBe("ConfigError");
    expect(message).toMatch(/expected a server that takes a forward pass as JSON or protobuf, got: json: .*415.*protobuf: .*415/);
  });
});

describe("the recorded exchange with SkyRL", () => {
  interface Recorded {
    path: string;
    status: number;
    req: Record<string, never>;
    res: Record<string, never>;
  }
  const log = JSON.parse(readFileSync(new URL("../golden/tinker/skyrl-jax.json", import.meta.url), "utf8")) as Recorded[];
  const nameOf = ({ path }: Recorded) => path.replace("/api/v1/", "");

  /** A server that answers as was recorded: futures by the request that they came from. */
  async function replay() {
    const asked: { path: string; body: Record<string, unknown> }[] = [];
    const promised = new Map<string, Recorded>();
    const queues = new Map<string, Recorded[]>();
    for (const [i, entry] of log.entries()) {
      const name = nameOf(entry);
      if (name === "retrieve_future" || entry.status !== 200) continue;
      queues.set(name, [...(queues.get(name) ?? []), entry]);
      const id = entry.res.request_id as string | undefined;
      const result = log.slice(i).find((one) => nameOf(one) === "retrieve_future" && one.req.request_id === id);
      if (id !== undefined && result !== undefined) promised.set(id, result);
    }
    const url = await serve(async (path, text) => {
      const body = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
      if (path === "retrieve_future") {
        const { status, res } = promised.get(String(body.request_id)) as Recorded;
        return { status, body: res };
      }
      asked.push({ path, body });
      const next = queues.get(path)?.shift();
      return next === undefined
        ? { status: 404, body: { detail: "nothing more was recorded" } }
        : { status: 200, body: next.res };
    });
    return { url, asked };
  }

  /** A body's keys and kinds of values, as deep as objects go. */
  function shapeOf(value: unknown): unknown {
    if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])];
    if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
  }

  it("has the shape of our requests, and its replies are understood", async () => {
    const { url, asked } = await replay();
    const times = { pollMs: 1000, deadlineMs: 10_000, patienceMs: 1000 };
    const clock = { now: () => performance.now(), sleep: () => Promise.resolve() };
    const server = await Server.connect(
      { url, key: undefined, clock, random: Math.random, ...times },
      { concurrency: 1, keyName: "K" },
    );
    expect([server.model, server.extensions.size]).toEqual(["tiny-qwen3", 0]);
    const lora = { rank: 8, attention: true, mlp: true, unembed: false };
    const model = await RemoteModel.create(server, new RequestJournal(), { kind: "fresh", slot: "0", seed: 1 }, lora);
    expect(model.id).toBe("model_49b10b70");
    const prompt = Int32Array.of(10, 20, 30, 40, 50);
    const params = { maxTokens: 12, temperature: 1, seed: 7, stop: [2] };
    const target = { samplingSessionId: "sampling_ecad56f4", seqId: 0 };
    const sampled = await sampleOnce(
      server,
      encodeSample({ target, prompt, numSamples: 4, params, promptLogprobs: true, topkPromptLogprobs: 0 }),
    );
    expect(sampled.sequences.map(({ tokens }) => tokens[0])).toEqual([254, 254, 7, 309]);
    expect(alignPrompt(sampled.promptLogprobs, prompt.length).length).toBe(4);
    const data = sampled.sequences.map(({ tokens }) => ({
      tokens: Int32Array.from([...prompt, ...tokens]),
      weights: new Float32Array(16).fill(1, 4),
    }));
    const ask = async ({ path, make }: ReturnType<typeof passRequest>) =>
      decodePass(await (await model.ask(path, make)).result());
    const forward = await ask(
      passRequest(
        "json",
        data.map((datum) => forwardDatum(datum, false)),
        "cross_entropy",
        true,
      ),
    );
    const logprobs = forward.outputs.map((output) => output.logprobs.data as Float32Array);
    expect(logprobs[0][4]).toBe(sampled.sequences[0].logprobs?.[0]);
    const form = { loss: "importance_sampling", reduction: "sequence-mean", mask: false } as const;
    const gradient = gradientData(
      data,
      logprobs,
      logprobs.map((row) => row.map(() => -1)),
      form,
    );
    expect((await ask(passRequest("json", gradient, form.loss, false))).outputs.length).toBe(4);
    await (await model.ask("/optim_step", optimBody(adamW, false))).result();
    for (const name of ["create_session", "create_model", "asample", "forward", "forward_backward", "optim_step"]) {
      const recorded = log.find((entry) => nameOf(entry) === name && entry.status === 200) as Recorded;
      expect([name, shapeOf(asked.find(({ path }) => path === name)?.body)]).toEqual([name, shapeOf(recorded.req)]);
    }
    await server.close();
  });
});
