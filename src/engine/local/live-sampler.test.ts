// Tests of live sampling through the engine's worker: the bits of `sample` whatever runs beside, prompt logprobs of `logprobs`,
// alternatives, cancelling, refusals, the worker's end. The worker is the compiled one in dist/.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { samplingParams } from "../../../test/contract/engine-contract.ts";
import { ConfigError, DataError, EngineError } from "../../util/errors.ts";
import { rngFrom } from "../../util/rng.ts";
import type { Engine, LiveRequest, LiveSampler, LiveUpdate, Snapshot } from "../types.ts";
import { createLocalEngine } from "./engine.ts";

const dir = fileURLToPath(new URL("../../../test/golden/tiny-qwen3/", import.meta.url));
const golden = JSON.parse(readFileSync(join(dir, "expected.json"), "utf8"));
const VOCAB = 512;

interface Collected {
  readonly completions: { tokens: number[]; logprobs: number[]; stopReason?: string }[];
  readonly prompt: LiveUpdate[];
  readonly updates: LiveUpdate[];
}

async function collect(live: LiveSampler, request: LiveRequest): Promise<Collected> {
  const completions = Array.from({ length: request.params.n }, () => ({ tokens: [] as number[], logprobs: [] as number[] }));
  const got: Collected = { completions, prompt: [], updates: [] };
  await live.submit(request, (update) => {
    got.updates.push(update);
    if (update.sample < 0) {
      got.prompt.push(update);
      return;
    }
    const completion = got.completions[update.sample];
    completion.tokens.push(...update.tokens);
    completion.logprobs.push(...update.logprobs);
    completion.stopReason = update.stopReason;
  }).done;
  return got;
}

/** Requests of many shapes and parameters. */
function requests(count: number): LiveRequest[] {
  const rng = rngFrom(3, "requests");
  return Array.from({ length: count }, (_, i) => ({
    tokens: Int32Array.from({ length: 1 + rng.int(i % 5 === 0 ? 120 : 20) }, () => rng.int(VOCAB)),
    params: samplingParams({
      n: 1 + rng.int(4),
      maxTokens: 1 + rng.int(90),
      temperature: [0, 0.7, 1, 1.3][rng.int(4)],
      topP: rng.int(2) ? 1 : 0.9,
      topK: rng.int(2) ? 0 : 20,
      stopTokens: rng.int(2) ? [] : Array.from({ length: 10 }, (_, t) => 7 * t),
      seed: rng.int(1000),
    }),
  }));
}

async function idle(live: LiveSampler) {
  for (let tries = 0; ; tries++) {
    const stats = await live.stats();
    if (stats.running === 0 || tries > 100) return stats;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("live sampling", () => {
  let engine: Engine;
  let snapshot: Snapshot;
  let live: LiveSampler;

  beforeAll(async () => {
    engine = createLocalEngine({ threads: 2 });
    snapshot = await engine.openSnapshot(dir);
    live = await snapshot.openLive!({ reportMs: 1 });
  });
  afterAll(() => engine.dispose());

  for (const [name, slots, cacheBytes] of [
    ["a wide batch", 64, 2 ** 28],
    ["few slots", 3, 2 ** 28],
    ["a tight cache", 16, 256 * 3 * 2 * 2 * 32 * 4 + 9000],
  ] as const) {
    it(`draws the bits of sample, whatever runs beside it: ${name}`, async () => {
      const own = createLocalEngine({ threads: 1, slots, cacheBytes });
      const model = await own.openSnapshot(dir);
      const sampler = await model.openLive!({ reportMs: 0 });
      const all = requests(24);
      const rng = rngFrom(4, name);
      const got = await Promise.all(
        all.map(async (request) => {
          await new Promise((resolve) => setTimeout(resolve, rng.int(30)));
          return collect(sampler, request);
        }),
      );
      for (const [i, { tokens, params }] of all.entries()) {
        const [group] = await snapshot.sample([{ tokens }], params);
        expect(got[i].completions).toEqual(
          group.map((c) => ({ tokens: [...c.tokens], logprobs: [...c.logprobs], stopReason: c.stopReason })),
        );
      }
      expect(await idle(sampler)).toMatchObject({ requests: 0, running: 0, waiting: 0 });
      await own.dispose();
    });
  }

  it("decodes greedily as transformers does", async () => {
    const tokens = Int32Array.from(golden.sequences[0]);
    const { completions } = await collect(live, { tokens, params: samplingParams({ n: 1, temperature: 0, maxTokens: 24 }) });
    expect(completions[0].tokens).toEqual(golden.greedy_24_from_sequence_0);
  });

  it("scores prompts with the bits of logprobs, alone and before completions, with alternatives", async () => {
    for (const maxTokens of [0, 3]) {
      const all = (golden.sequences as number[][]).map((sequence) => ({
        tokens: Int32Array.from(sequence),
        params: samplingParams({ n: 2, maxTokens, temperature: 0 }),
        promptLogprobs: 3,
        topLogprobs: 2,
      }));
      const got = await Promise.all(all.map((request) => collect(live, request)));
      for (const [i, { tokens }] of all.entries()) {
        const [scored] = await snapshot.logprobs([{ tokens, weights: new Float32Array(tokens.length - 1).fill(1) }]);
        expect(got[i].prompt.flatMap((update) => update.tokens)).toEqual([...tokens.subarray(1)]);
        expect(got[i].prompt.flatMap((update) => update.logprobs)).toEqual([...scored]);
        const top = got[i].prompt.flatMap((update) => update.top ?? []);
        expect(top.length).toBe(tokens.length - 1);
        for (const [t, { tokens: ids, logprobs }] of top.entries()) {
          expect(ids.length).toBe(3);
          expect(logprobs).toEqual([...logprobs].sort((a, b) => b - a));
          const at = ids.indexOf(tokens[t + 1]);
          expect(at < 0 ? logprobs[2] : logprobs[at]).toBeGreaterThanOrEqual(scored[t]);
        }
        for (const update of got[i].updates.filter(({ sample }) => sample >= 0)) {
          expect(update.top?.map(({ tokens: ids }) => ids[0])).toEqual(update.tokens);
          expect(update.top?.map(({ logprobs }) => logprobs[0])).toEqual(update.logprobs);
        }
      }
    }
    const one = { tokens: Int32Array.of(5), params: samplingParams({ maxTokens: 0 }), promptLogprobs: 0 };
    expect((await collect(live, one)).updates).toEqual([]);
  });

  it("frees slots and rows of a cancelled request; others go on", async () => {
    const before = await idle(live);
    const kept = requests(3);
    const others = kept.map((request) => collect(live, request));
    let heard = 0;
    const endless = { tokens: Int32Array.of(1, 2, 3), params: samplingParams({ n: 2000, maxTokens: 200, stopTokens: [] }) };
    const call = live.submit(endless, () => {
      heard++;
    });
    while (heard === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    expect((await live.stats()).waiting).toBeGreaterThan(0);
    call.cancel();
    const after = heard;
    await call.done;
    for (const [i, got] of (await Promise.all(others)).entries()) {
      const [group] = await snapshot.sample([kept[i]], kept[i].params);
      expect(got.completions.map(({ tokens }) => tokens)).toEqual(group.map((c) => [...c.tokens]));
    }
    expect(await idle(live)).toEqual(before);
    expect(heard).toBe(after);
    call.cancel();
  });

  it("lets a newcomer in while a large request holds most slots", async () => {
    const large = live.submit(
      { tokens: Int32Array.of(9), params: samplingParams({ n: 3000, maxTokens: 100, stopTokens: [] }) },
      () => {},
    );
    const small = await collect(live, {
      tokens: Int32Array.of(8),
      params: samplingParams({ n: 1, maxTokens: 5, stopTokens: [] }),
    });
    expect(small.completions[0].tokens.length).toBe(5);
    expect((await live.stats()).waiting).toBeGreaterThan(1000);
    large.cancel();
  });

  it("forces beginnings as the offline sampler does, also longer than the completion", async () => {
    for (const [forcedPrefix, maxTokens] of [
      [[5, 6, 7], 8],
      [[5, 6, 7], 2],
    ] as const) {
      const prompt = { tokens: Int32Array.of(9, 8) };
      const params = samplingParams({ n: 3, maxTokens, forcedPrefix, stopTokens: [6] });
      const [group] = await snapshot.sample([prompt], params);
      const { completions } = await collect(live, { ...prompt, params });
      expect(completions.map(({ tokens, logprobs }) => [tokens, logprobs])).toEqual(
        group.map(({ tokens, logprobs }) => [[...tokens], [...logprobs]]),
      );
    }
  });

  it("refuses what it cannot sample and serves on", async () => {
    const refuse = (change: Partial<LiveRequest>) =>
      live.submit({ tokens: Int32Array.of(1), params: samplingParams(), ...change }, () => {}).done;
    await expect(refuse({ tokens: new Int32Array(0) })).rejects.toThrow(DataError);
    await expect(refuse({ tokens: Int32Array.of(512) })).rejects.toThrow(DataError);
    await expect(refuse({ tokens: new Int32Array(256) })).rejects.toThrow(/at most 255 tokens/);
    await expect(refuse({ params: samplingParams({ maxTokens: 0 }) })).rejects.toThrow(ConfigError);
    await expect(refuse({ params: samplingParams({ n: 0 }) })).rejects.toThrow(ConfigError);
    await expect(refuse({ params: samplingParams({ forcedPrefix: [512] }) })).rejects.toThrow(ConfigError);
    expect(
      (await collect(live, { tokens: Int32Array.of(1), params: samplingParams({ n: 1, maxTokens: 2 }) })).completions.length,
    ).toBe(1);
  });

  it("tells the end of the worker to those who wait and those who come", async () => {
    const own = createLocalEngine({ threads: 1 });
    const sampler = await (await own.openSnapshot(dir)).openLive!();
    const request = { tokens: Int32Array.of(1), params: samplingParams({ n: 5000, maxTokens: 200, stopTokens: [] }) };
    const waiting = expect(sampler.submit(request, () => {}).done).rejects.toThrow(EngineError);
    await own.dispose();
    await waiting;
    expect(await sampler.ended).toBeInstanceOf(EngineError);
    await expect(sampler.submit(request, () => {}).done).rejects.toThrow(EngineError);
    await sampler.dispose();
  });
});
