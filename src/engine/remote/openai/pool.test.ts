// The pool in front of real servers of one tiny model, some of them behind a double that misbehaves. The engine's worker is the compiled
// one in dist/.

import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { samplingParams } from "../../../../test/contract/engine-contract.ts";
import { type AnswerBody, type Behaviour, FlakyServer } from "../../../../test/contract/flaky-server.ts";
import type { HttpServer } from "../../../server/http.ts";
import { serveOpenAI } from "../../../server/openai.ts";
import { systemClock } from "../../../util/clock.ts";
import { ConfigError, EngineError } from "../../../util/errors.ts";
import { keepSecret } from "../../../util/secrets.ts";
import { createEngine } from "../../create.ts";
import type { Completion, Engine, Prompt, Snapshot, Tokenizer } from "../../types.ts";
import { Endpoint, type EndpointTarget } from "./endpoint.ts";
import { EndpointPool, type PoolOptions } from "./pool.ts";
import { probe } from "./probe.ts";
import { PoolSampler } from "./sampler.ts";
import { modelWeights, ownWeights } from "./weights.ts";

const dir = fileURLToPath(new URL("../../../../test/golden/tiny-qwen3/", import.meta.url));
const KEY = "sekret-of-the-pool";
const VOCAB = (JSON.parse(readFileSync(`${dir}config.json`, "utf8")) as { vocab_size: number }).vocab_size;

let engine: Engine;
let snapshot: Snapshot;
let tokenizer: Tokenizer;
let server: HttpServer;
const doubles: FlakyServer[] = [];

beforeAll(async () => {
  keepSecret(KEY);
  engine = createEngine({ kind: "local", threads: 2, slots: 64, dtype: "f32" });
  tokenizer = await engine.openTokenizer(dir);
  snapshot = await engine.openSnapshot(dir);
  const live = await snapshot.openLive!({ reportMs: 1 });
  server = await serveOpenAI({ live, tokenizer, names: ["tiny"], maxQueue: 256 }, { port: 0, apiKey: KEY });
});
afterEach(() => {
  for (const double of doubles.splice(0)) double.die();
});
afterAll(async () => {
  await server.close(0);
  await engine.dispose();
});

const prompts: Prompt[] = Array.from({ length: 24 }, (_, i) => ({ tokens: Int32Array.from([40 + i, 3, 7 * i + 1, 9]) }));
const params = samplingParams({ n: 6, maxTokens: 24, temperature: 0.9, seed: 2 ** 40 + 7 });
const bits = (groups: Completion[][]) =>
  groups.map((group) => group.map((c) => ({ ...c, tokens: [...c.tokens], logprobs: [...c.logprobs] })));

async function double(behaviour: Behaviour = { kind: "honest" }): Promise<FlakyServer> {
  const made = await new FlakyServer(server.url).start();
  made.behaviour = behaviour;
  doubles.push(made);
  return made;
}

interface Made {
  readonly pool: EndpointPool;
  readonly sampler: PoolSampler;
  readonly said: string[];
}

async function poolOf(urls: readonly string[], changes: Partial<PoolOptions> = {}, block = 2): Promise<Made> {
  const said: string[] = [];
  const needs = { tokenizer, vocabSize: VOCAB, context: 64, tokens: "ids" as const };
  const options: PoolOptions = {
    needs,
    clock: systemClock,
    requestMs: 60_000,
    patienceMs: 3000,
    healthMs: 1000,
    say: (line) => said.push(line),
    ...changes,
  };
  const endpoints = await Promise.all(
    urls.map(async (url) => {
      const endpoint = new Endpoint({ url, apiKey: KEY }, { first: 4, most: 16 }, systemClock);
      endpoint.cameUp(await probe(endpoint.target, options.needs));
      return endpoint;
    }),
  );
  const pool = new EndpointPool(endpoints, options);
  return { pool, sampler: new PoolSampler(pool, ownWeights, block), said };
}

/** Changes the first choice of an answer. */
const garble = (change: (choice: AnswerBody["choices"][number], answer: AnswerBody) => void): Behaviour => ({
  kind: "changed",
  change: (answer) => {
    change(answer.choices[0], answer);
    return answer;
  },
});

describe("a pool of eight endpoints", () => {
  it("gives the engine's own completions to the byte while two die and one answers garbage, and counts none twice", async () => {
    const expected = bits(await snapshot.sample(prompts, params));
    const flaky = await Promise.all(Array.from({ length: 8 }, () => double()));
    const { pool, sampler, said } = await poolOf(flaky.map(({ url }) => url));
    // The probe was each one's first request.
    flaky[1].onRequest = (count) => count === 4 && flaky[1].die();
    flaky[4].onRequest = (count) => count === 6 && flaky[4].die();
    flaky[6].onRequest = (count) => {
      if (count === 5) flaky[6].behaviour = garble((choice) => choice.token_ids.pop());
    };
    const reports: number[][] = [];
    const groups = await sampler.sample(prompts, params, (...report) => reports.push(report));
    expect(bits(groups)).toEqual(expected);

    const total = prompts.length * params.n;
    const tokens = expected.flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
    expect(reports.at(-1)).toEqual([total, total, tokens]);
    const dones = reports.map(([done]) => done);
    expect(dones).toEqual([...new Set(dones)].sort((a, b) => a - b));
    const found = pool.endpoints.map((endpoint) => endpoint.report());
    expect(found.reduce((sum, { completions }) => sum + completions, 0)).toBe(total);
    expect(found.reduce((sum, report) => sum + report.tokens, 0)).toBe(tokens);
    expect(found.map(({ state }) => state)).toEqual(["up", "down", "up", "up", "down", "up", "down", "up"]);
    expect(found[6]).toMatchObject({ garbage: 1 });
    expect(found[6].reason).toMatch(/logprobs: expected a list of 23|finish_reason: expected length|token_ids|logprobs/);
    expect(found[6].completions).toBeLessThanOrEqual(8);
    expect(said.length).toBe(3);
    for (const endpoint of [0, 2, 3, 5, 7]) expect(found[endpoint].completions).toBeGreaterThan(0);
  });

  it("comes back to an endpoint that was away, and works with one alone", async () => {
    const flaky = await double();
    const { pool, sampler } = await poolOf([flaky.url], { patienceMs: 20_000 });
    flaky.onRequest = (count) => {
      if (count !== 5) return;
      flaky.die();
      setTimeout(() => void flaky.start(), 300);
    };
    expect(bits(await sampler.sample(prompts, params))).toEqual(bits(await snapshot.sample(prompts, params)));
    expect(pool.endpoints[0].report()).toMatchObject({ state: "up", completions: prompts.length * params.n });
    expect(pool.endpoints[0].report().failures).toBeGreaterThan(0);
  });

  it("finds out that a server has died with requests in its hands", async () => {
    const hung = await double();
    const { pool, sampler } = await poolOf([hung.url, server.url], { healthMs: 30 });
    hung.behaviour = { kind: "silent" };
    hung.onRequest = (count) => count === 3 && setTimeout(() => hung.unhealthy(), 20);
    expect(bits(await sampler.sample(prompts, params))).toEqual(bits(await snapshot.sample(prompts, params)));
    expect(pool.endpoints[0].report()).toMatchObject({ completions: 0, reason: "health: HTTP 500" });
  });

  it("slows down where a server says 429 and loses nothing", async () => {
    const [slow, quick] = [await double(), await double()];
    const { pool, sampler } = await poolOf([slow.url, quick.url]);
    slow.onRequest = (count) => {
      const refuse = count > 3 && count < 9;
      slow.behaviour = refuse ? { kind: "status", status: 429, headers: { "retry-after": "0.05" } } : { kind: "honest" };
    };
    expect(bits(await sampler.sample(prompts, params))).toEqual(bits(await snapshot.sample(prompts, params)));
    const [first, second] = pool.endpoints.map((endpoint) => endpoint.report());
    expect(first).toMatchObject({ state: "up", failures: 0, garbage: 0 });
    expect(first.throttled).toBeGreaterThan(0);
    expect(first.completions + second.completions).toBe(prompts.length * params.n);
  });

  it("works for several calls at once", async () => {
    const { sampler } = await poolOf([server.url, server.url]);
    const other = { ...params, seed: 9 };
    const [a, b] = await Promise.all([sampler.sample(prompts, params), sampler.sample(prompts, other)]);
    expect(bits(a)).toEqual(bits(await snapshot.sample(prompts, params)));
    expect(bits(b)).toEqual(bits(await snapshot.sample(prompts, other)));
  });
});

it("gives a server its weights again when it was started anew between two calls", async () => {
  const snapshots = mkdtempSync(join(tmpdir(), "rzero-pool-"));
  const loads: string[] = [];
  const live = await snapshot.openLive!({ reportMs: 1 });
  const model = { live, tokenizer, names: ["tiny"], maxQueue: 64 };
  const source = {
    root: snapshots,
    base: dir,
    open: async (path: string) => {
      loads.push(path);
      return { live, dispose: async () => {} };
    },
  };
  const options = { port: 0, apiKey: KEY };
  const first = await serveOpenAI(model, options, source);
  const { sampler, pool } = await poolOf([first.url]);
  const weights = modelWeights("rzero-w", dir);
  const replaced = new PoolSampler(pool, weights, 2);
  const few = prompts.slice(0, 2);
  await replaced.sample(few, params);
  await replaced.sample(few, params);
  expect(loads).toHaveLength(1);
  await first.close(0);
  const second = await serveOpenAI(model, { ...options, port: first.port }, source);
  expect(bits(await replaced.sample(few, params))).toEqual(bits(await snapshot.sample(few, params)));
  expect(loads).toHaveLength(2);
  await expect(sampler.sample(few, params)).resolves.toHaveLength(2);
  await second.close(0);
});

describe("garbage", () => {
  const kinds: [string, Behaviour][] = [
    ["no JSON", { kind: "changed", change: () => "<html>Welcome</html>" }],
    ["other JSON", { kind: "changed", change: () => ({ ok: true }) }],
    ["another model's answer", garble((_, answer) => (answer.model = "other"))],
    ["too few choices", garble((_, answer) => answer.choices.pop())],
    ["the same choice twice", garble((choice) => (choice.index = 1))],
    ["tokens outside of the vocabulary", garble((choice) => (choice.token_ids[0] = 1 << 20))],
    ["half a token", garble((choice) => (choice.token_ids[0] = 0.5))],
    ["too many tokens", garble((choice) => choice.token_ids.push(1))],
    ["fewer logprobs than tokens", garble((choice) => choice.logprobs.token_logprobs.pop())],
    ["impossible logprobs", garble((choice) => (choice.logprobs.token_logprobs[0] = 2))],
    ["no reason to stop", garble((choice) => (choice.finish_reason = "abort"))],
    ["a stop without a stop token", garble((choice) => (choice.finish_reason = "stop"))],
    ["another prompt", garble((choice) => (choice.prompt_token_ids = [1, 2]))],
  ];

  it.each(kinds)("%s is found out, and the work is done elsewhere", async (_, behaviour) => {
    const liar = await double();
    const { pool, sampler } = await poolOf([liar.url, server.url]);
    liar.behaviour = behaviour;
    const few = prompts.slice(0, 4);
    expect(bits(await sampler.sample(few, params))).toEqual(bits(await snapshot.sample(few, params)));
    expect(pool.endpoints[0].report()).toMatchObject({ state: "down", garbage: 1, completions: 0 });
    expect(pool.endpoints[1].report().completions).toBe(few.length * params.n);
  });
});

describe("when nothing is left", () => {
  it("ends with one error that names every endpoint and no key", async () => {
    const flaky = [await double(), await double()];
    const { sampler, said } = await poolOf(
      flaky.map(({ url }) => url),
      { patienceMs: 200 },
    );
    flaky[0].behaviour = { kind: "status", status: 500 };
    flaky[1].behaviour = { kind: "cut" };
    const error = await sampler.sample(prompts, params).catch((thrown: unknown) => thrown as Error);
    expect(error).toBeInstanceOf(EngineError);
    expect(String(error)).toContain("expected an endpoint that answers, got none for 0.2 s");
    expect(String(error)).toContain("HTTP 500: no: Bearer [secret]");
    expect(`${error} ${(error as Error).stack} ${said.join("\n")}`).not.toContain(KEY);
    expect(flaky[0].keys).toEqual(new Set([`Bearer ${KEY}`]));
  });

  it("tells a refused request from a dead endpoint", async () => {
    const flaky = [await double(), await double()];
    const { sampler, pool } = await poolOf(flaky.map(({ url }) => url));
    for (const one of flaky) one.behaviour = { kind: "status", status: 400 };
    await expect(sampler.sample(prompts, params)).rejects.toThrow(/expected completions, got a refusal\. HTTP 400/);
    flaky[1].behaviour = { kind: "honest" };
    expect(bits(await sampler.sample(prompts, params))).toEqual(bits(await snapshot.sample(prompts, params)));
    expect(pool.endpoints[0].report()).toMatchObject({ state: expect.not.stringMatching("up"), completions: 0 });
  });
});

it("closed, gives up what is under way at once", async () => {
  const silent = await double();
  const { sampler, pool } = await poolOf([silent.url]);
  silent.behaviour = { kind: "silent" };
  const call = sampler.sample(prompts, params);
  while (silent.requests < 5) await new Promise((resolve) => setTimeout(resolve, 2));
  pool.close();
  await expect(call).rejects.toThrow("got closed");
  while (pool.endpoints[0].inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 2));
});

describe("the probe", () => {
  const needs = {
    tokenizer: { encode: () => Int32Array.of(1), decode: () => "" },
    vocabSize: VOCAB,
    context: 32,
    tokens: "ids" as const,
  };
  const probed = (target: Partial<EndpointTarget>, changes: Partial<typeof needs> = {}) =>
    probe({ url: server.url, apiKey: KEY, ...target }, { ...needs, ...changes });

  it("finds out what a server is", async () => {
    expect(await probed({})).toEqual({ dialect: "rzero", model: "tiny", context: expect.any(Number) });
  });

  it("names a wrong key, a missing model, a short context, another server and silence", async () => {
    const wrongKey = probed({ apiKey: "wrong-key-of-mine", apiKeyEnv: "POOL_KEY" });
    await expect(wrongKey).rejects.toThrow(/expected to be let in, got HTTP 401\. Set POOL_KEY to its key/);
    await expect(wrongKey).rejects.not.toThrow("wrong-key-of-mine");
    await expect(probed({ model: "large" })).rejects.toThrow(/expected model large, got a server of tiny/);
    await expect(probed({}, { context: 1e6 })).rejects.toThrow(
      /expected a context of at least 1000000 tokens, got \d+ of model tiny/,
    );
    await expect(probed({ url: `${server.url}/elsewhere` })).rejects.toThrow(/expected an OpenAI-compatible server/);
    for (const config of [{ model: "large" }, { url: `${server.url}/elsewhere` }])
      await expect(probed(config)).rejects.toThrow(ConfigError);
    const gone = await double();
    gone.die();
    await expect(probed({ url: gone.url })).rejects.toMatchObject({ retryable: true });
    const textOnly = await double(garble((choice) => Object.assign(choice, { token_ids: undefined })));
    await expect(probed({ url: textOnly.url })).rejects.toThrow(/with its id.*retokenise/);
  });
});
