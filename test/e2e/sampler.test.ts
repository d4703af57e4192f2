// Whole runs whose frozen roles are answered by servers: the same bytes as with the engine alone, also while two of eight servers die
// and one answers garbage; and what a wrong server says before any work is done. The engine's worker is the compiled one in dist/.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Config } from "../../src/config/schema.ts";
import { createEngine, createSampledEngine } from "../../src/engine/create.ts";
import type { Engine, Snapshot, SnapshotOptions, Tokenizer } from "../../src/engine/types.ts";
import type { HttpServer } from "../../src/server/http.ts";
import type { ModelSource } from "../../src/server/models.ts";
import { serveOpenAI } from "../../src/server/openai.ts";
import { packageRoot } from "../../src/util/package-root.ts";
import { FlakyServer } from "../contract/flaky-server.ts";
import { benchOf, smallArgs, smallConfig, smallRuns, tinyBase } from "./small-run.ts";

const CACHE_BYTES = 8 * 2 ** 20;
const KEY = "sekret-key-of-servers";
const { root, play, fingerprint, everyNth } = smallRuns("sampler");
const shared = join(root, "shared");
/** Stands for the machines that serve: another engine than the one that trains. */
let remote: Engine;
let tokenizer: Tokenizer;
const servers: HttpServer[] = [];

beforeAll(async () => {
  mkdirSync(shared);
  remote = createEngine({ kind: "local", threads: 1, dtype: "f32", slots: 32 });
  tokenizer = await remote.openTokenizer(tinyBase);
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close(0)));
  await remote.dispose();
});

/** A server of the base model that may load weights from the shared folder. */
async function serve(): Promise<HttpServer> {
  const open: ModelSource["open"] = async (dir) => {
    const snapshot = await remote.openSnapshot(dir, { precision: "frozen" });
    const live = await snapshot.openLive!({ reportMs: 1, cacheBytes: CACHE_BYTES });
    return { live, dispose: async () => live.dispose().then(() => snapshot.dispose()) };
  };
  const { live } = await open(tinyBase);
  const model = { live, tokenizer, names: ["tiny-base"], maxQueue: 64 };
  const server = await serveOpenAI(model, { port: 0, apiKey: KEY }, { root: shared, base: tinyBase, open });
  servers.push(server);
  return server;
}

const OWN = [
  "curriculum.answers=5",
  "evaluation.samples=2",
  // A server draws other numbers behind a forced prefix, which is a part of its prompt.
  "curriculum.confirm.answers=0",
  "audit.confirm.answers=0",
  "guard.heldOut.confirm.answers=0",
  benchOf(everyNth("bench.jsonl", 40)),
];

const configWith = (...more: string[]) => smallConfig([...OWN, ...more]);

const samplerOf = (update: string, urls: readonly string[]) =>
  `sampler=${JSON.stringify({
    kind: "openai",
    endpoints: urls.map((url) => ({ url, apiKeyEnv: "POOL_KEY" })),
    update,
    directory: shared,
    dtype: "float32",
    samplesPerRequest: 4,
    patienceSeconds: 20,
  })}`;

/** Runs a configuration to its end; returns what was said about endpoints. `drawn` counts what frozen snapshots gave. */
async function playSampled(config: Config, name: string, drawn = { completions: 0, tokens: 0 }): Promise<string[]> {
  const said: string[] = [];
  const local = counting(createEngine(config.engine), drawn);
  const options = {
    baseDir: tinyBase,
    context: 128,
    vocabSize: 109,
    env: { POOL_KEY: KEY },
    say: (line: string) => said.push(line),
  };
  const engine = config.sampler === undefined ? local : await createSampledEngine(local, config.sampler, options);
  const { error } = await play(config, name, { engine });
  if (error) throw error;
  return said;
}

/** An engine that counts what its frozen snapshots draw. */
function counting(engine: Engine, drawn: { completions: number; tokens: number }): Engine {
  const counted = (snapshot: Snapshot): Snapshot => ({
    sample: async (...call) => {
      const groups = await snapshot.sample(...call);
      drawn.completions += groups.flat().length;
      drawn.tokens += groups.flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
      return groups;
    },
    logprobs: (data) => snapshot.logprobs(data),
    dispose: () => snapshot.dispose(),
  });
  const frozen = async (snapshot: Promise<Snapshot>, options?: SnapshotOptions) =>
    options?.precision === "frozen" ? counted(await snapshot) : snapshot;
  return {
    openSnapshot: (dir, options) => frozen(engine.openSnapshot(dir, options), options),
    openTrainer: async (dir) => {
      const trainer = await engine.openTrainer(dir);
      const snapshot = trainer.snapshot.bind(trainer);
      return Object.assign(trainer, { snapshot: (options?: SnapshotOptions) => frozen(snapshot(options), options) });
    },
    openTokenizer: (dir) => engine.openTokenizer(dir),
    dispose: () => engine.dispose(),
  };
}

/** Hashes of what a run produced: weights, questions, answers, scores. */
function produced(name: string): Record<string, string> {
  const files = readdirSync(join(root, name), { recursive: true, encoding: "utf8" });
  const kept = files.filter((file) => /(safetensors|questions\.jsonl|answers\.jsonl|\/done\.json)$/.test(file)).sort();
  return fingerprint(name, kept);
}

function textOf(dir: string): string {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"))
    .join("\n");
}

describe("a run with frozen roles on eight servers", () => {
  it("has the bytes of a run without, while two die and one answers garbage", async () => {
    const base = configWith();
    const drawn = { completions: 0, tokens: 0 };
    await playSampled(base, "alone", drawn);
    const flaky = await Promise.all(Array.from({ length: 8 }, async () => new FlakyServer((await serve()).url).start()));
    flaky[2].onRequest = (count) => count === 8 && flaky[2].die();
    flaky[5].onRequest = (count) => count === 16 && flaky[5].die();
    flaky[7].onRequest = (count) => {
      if (count < 8) return;
      flaky[7].behaviour = { kind: "changed", change: (answer) => answer.choices[0].token_ids.push(3) && answer };
    };
    const urls = flaky.map(({ url }) => url);
    const said = await playSampled(configWith(samplerOf("sglang-disk", urls)), "pooled");
    for (const one of flaky) one.die();

    const expected = produced("alone");
    expect(Object.keys(expected).length).toBeGreaterThan(12);
    expect(produced("pooled")).toEqual(expected);
    const summary = said.at(-1) ?? "";
    // The one that answered garbage is asked again after a while; on a slow machine the run lasts so long.
    expect(summary).toMatch(/^[56] of 8 endpoints up, \d+ completions/);
    expect(summary).toMatch(/[1-9]\d* failed, [1-9]\d* garbage/);
    // Each answer that a frozen role gave alone came from a server, and was used once.
    expect(/, (\d+) completions, (\d+) tokens/.exec(summary)?.slice(1).map(Number)).toEqual([drawn.completions, drawn.tokens]);
    expect(textOf(join(root, "pooled")) + said.join("\n")).not.toContain(KEY);
    expect(readdirSync(shared)).toEqual([]);
  });

  it("has them with adapters that servers load while they run", async () => {
    const lora = "engine.lora.rank=4";
    await playSampled(configWith(lora), "lora-alone");
    const urls = [(await serve()).url, (await serve()).url];
    await playSampled(configWith(lora, samplerOf("vllm-lora", urls)), "lora-pooled");
    expect(produced("lora-pooled")).toEqual(produced("lora-alone"));
  });
});

describe("what is wrong with a server", () => {
  const main = join(packageRoot, "dist", "cli", "main.js");
  /** Not spawnSync: the servers live in this process. */
  async function rzero(sampler: object, env: Record<string, string> = {}): Promise<{ status: number | null; output: string }> {
    const args = ["run", "tiny", "--run", "refused", ...smallArgs(...OWN, `sampler=${JSON.stringify(sampler)}`)];
    const child = spawn(process.execPath, [main, ...args], {
      cwd: root,
      env: { ...process.env, RZERO_RUNS: join(root, "runs"), RZERO_DEBUG: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { status, output };
  }

  it("is one clear error before any work, without a key in it", async () => {
    const double = await new FlakyServer((await serve()).url).start();
    const { url } = double;
    const cases: [object, Record<string, string>, string][] = [
      [{ url, apiKeyEnv: "POOL_KEY" }, { POOL_KEY: "sekret-but-wrong" }, "got HTTP 401. Set POOL_KEY to its key"],
      [{ url, apiKeyEnv: "POOL_KEY" }, {}, "expected the variable POOL_KEY to hold a key, got none"],
    ];
    for (const [endpoint, env, message] of cases) {
      const { status, output } = await rzero({ kind: "openai", endpoints: [endpoint] }, env);
      expect(output).toContain(message);
      expect(status).toBe(2);
      expect(output).not.toContain("sekret");
    }
    double.die();
    const runs = join(root, "runs");
    expect(existsSync(runs) ? readdirSync(runs) : []).toEqual([]);
  });

  it("in the middle of a run shows no key either, in no output and no file, whatever the server says", async () => {
    const double = await new FlakyServer((await serve()).url).start();
    double.onRequest = (count) => {
      if (count > 5) double.behaviour = { kind: "status", status: 403 };
    };
    const { status, output } = await rzero(
      { kind: "openai", endpoints: [{ url: double.url, apiKeyEnv: "POOL_KEY" }] },
      { POOL_KEY: KEY },
    );
    double.die();
    expect(output).toContain("HTTP 403: no: Bearer [secret]");
    expect(status).toBe(1);
    expect(output + textOf(join(root, "runs"))).not.toContain(KEY);
    expect(textOf(join(root, "runs"))).toContain("POOL_KEY");
  });

  it.each([
    [{ endpoints: [{ url: "ftp://x" }] }, "expected an address such as"],
    [{ endpoints: [{ url: "http://me:pw@x" }] }, "without a user name"],
    [{ endpoints: [] }, "sampler.endpoints"],
    [{ endpoints: [{ url: "http://x" }, { url: "http://x/v1/" }] }, "expected each address once"],
    [{ endpoints: [{ url: "http://x" }], update: "sglang-disk" }, "sampler.directory: expected a folder"],
    [{ endpoints: [{ url: "http://x" }], update: "vllm-lora", directory: "/x" }, "without engine.lora"],
    [{ endpoints: [{ url: "http://x" }], update: "sglang-disk", directory: "x" }, "expected an absolute path"],
    [{ endpoints: [{ url: "http://x" }], updates: "none" }, "Did you mean sampler.update?"],
  ])("is found in the configuration where it can be: %o", (sampler, message) => {
    expect(() => configWith(`sampler=${JSON.stringify({ kind: "openai", ...sampler })}`)).toThrow(message);
  });
});
