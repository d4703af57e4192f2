// Tests of continuous batching against one-at-a-time sampling, over a toy model that draws its logits from the exact tokens a
// row can see in the cache. So any slip in rows, positions, prefixes, growth or order changes the tokens.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ReferenceDevice, referenceData } from "../../../test/contract/reference-device.ts";
import { ConfigError, DataError } from "../../util/errors.ts";
import { hashTokens, Rng, rngFrom, uniformAt } from "../../util/rng.ts";
import type { Completion, Prompt, SamplingParams } from "../types.ts";
import type { Buffer, Device } from "./device/types.ts";
import type { CachedRows, InferenceModel, KvCache } from "./inference.ts";
import { planCache, RowAllocator } from "./kv-cache.ts";
import { BatchSampler, DEFAULT_SCHEDULER, type SchedulerOptions } from "./scheduler.ts";
import { completionKey } from "./slots.ts";
import { loadTokenizer } from "./tokenizer.ts";

const VOCAB = 336;
const ROW_ELEMENTS = 4;

class ToyCache implements KvCache {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly #memory: Buffer;
  readonly #device: Device;
  readonly rows: number;
  constructor(device: Device, rows: number) {
    this.rows = rows;
    this.#device = device;
    this.#memory = device.alloc("f32", rows * ROW_ELEMENTS);
    this.tokens = new Int32Array(rows).fill(-1);
    this.positions = new Int32Array(rows).fill(-1);
  }
  dispose(): void {
    this.#device.free(this.#memory);
  }
}

class ToyModel implements InferenceModel {
  readonly vocabSize = VOCAB;
  readonly maxPositions = 100;
  readonly cacheRowBytes = ROW_ELEMENTS * 4;
  /** Rows of every step, and the token a completion ends with ever more likely. */
  readonly rowsOfSteps: number[] = [];
  /** Steps in which rows with one prefix stood apart. */
  splitPrefixes = 0;
  readonly #device: Device;
  readonly #logits: Buffer;
  constructor(device: Device) {
    this.#device = device;
    this.#logits = device.alloc("f32", 2000 * VOCAB);
  }

  /** Logits after a sequence of tokens: a function of all of them; id 0 gets likelier with length. */
  logitsAfter(sequence: readonly number[]): Float32Array {
    const rng = new Rng(hashTokens(sequence));
    const logits = Float32Array.from({ length: VOCAB }, () => 2 * rng.next());
    logits[0] = -4 + sequence.length * 0.2;
    return logits;
  }

  newCache(rows: number): ToyCache {
    return new ToyCache(this.#device, rows);
  }

  forwardCached(step: CachedRows, cache: KvCache): Buffer {
    const { tokens, positions } = cache as ToyCache;
    this.rowsOfSteps.push(step.tokens.length);
    const prefixes = [...step.prefixStart].filter((_, r) => step.prefixLength[r] > 0);
    const runs = prefixes.filter((start, i) => start !== prefixes[i - 1]);
    if (runs.length > new Set(runs).size) this.splitPrefixes++;
    step.writeRows.forEach((row, r) => {
      tokens[row] = step.tokens[r];
      positions[row] = step.positions[r];
    });
    const out = referenceData(this.#logits);
    for (let r = 0; r < step.tokens.length; r++) {
      const seen: number[] = [];
      for (let i = 0; i < step.prefixLength[r]; i++) seen.push(step.prefixStart[r] + i);
      for (let i = 0; i < step.length[r]; i++) seen.push(step.start[r] + i);
      seen.forEach((row, i) => {
        if (positions[row] !== i) throw new Error(`row ${r}: expected position ${i}, got ${positions[row]}`);
      });
      if (seen.at(-1) !== step.writeRows[r]) throw new Error(`row ${r} does not see itself last`);
      for (const [o, wanted] of step.outputRows.entries()) {
        if (wanted === r) out.set(this.logitsAfter(seen.map((row) => tokens[row])), o * VOCAB);
      }
    }
    return this.#logits;
  }
}

const params = (changes: Partial<SamplingParams> = {}): SamplingParams => ({
  n: 3,
  maxTokens: 40,
  temperature: 0.8,
  topP: 0.95,
  topK: 0,
  stopTokens: [0],
  seed: 5,
  ...changes,
});

function prompts(count: number, longest = 12): Prompt[] {
  const rng = rngFrom(1, "prompts");
  return Array.from({ length: count }, () => ({
    tokens: Int32Array.from({ length: 1 + rng.int(longest) }, () => 1 + rng.int(VOCAB - 1)),
  }));
}

function run(asked: readonly Prompt[], p: SamplingParams, options: Partial<SchedulerOptions> = {}) {
  const device = new ReferenceDevice();
  const model = new ToyModel(device);
  const before = device.allocatedBytes;
  const tokenizer = loadTokenizer(new URL("../../../test/golden/tiny-qwen3/", import.meta.url).pathname);
  const sampler = new BatchSampler(device, model, tokenizer, asked, p, { ...DEFAULT_SCHEDULER, ...options });
  while (sampler.step());
  const results = sampler.results();
  sampler.dispose();
  expect(device.allocatedBytes).toBe(before);
  return { results, rowsOfSteps: model.rowsOfSteps, splitPrefixes: model.splitPrefixes };
}

/** One completion, one token at a time, over the whole sequence. */
function alone(prompt: Prompt, sample: number, p: SamplingParams): Pick<Completion, "tokens" | "logprobs" | "stopReason"> {
  const device = new ReferenceDevice();
  const model = new ToyModel(device);
  const key = completionKey(p.seed, hashTokens(prompt.tokens), sample);
  const tokens: number[] = [];
  const logprobs: number[] = [];
  let stopReason: Completion["stopReason"] = "length";
  while (tokens.length < Math.min(p.maxTokens, model.maxPositions - prompt.tokens.length)) {
    const buffers = ["f32", "i32", "f32", "f32", "i32", "i32", "f32"].map((dtype) => device.alloc(dtype as "f32" | "i32", 1));
    const [temperature, topK, topP, uniform, forced, token, logprob] = buffers;
    const logits = device.alloc("f32", VOCAB);
    device.upload(logits, model.logitsAfter([...prompt.tokens, ...tokens]));
    device.upload(temperature, Float32Array.of(p.temperature));
    device.upload(topK, Int32Array.of(p.topK));
    device.upload(topP, Float32Array.of(p.topP));
    device.upload(uniform, Float32Array.of(uniformAt(key, tokens.length)));
    const isForced = tokens.length < (p.forcedPrefix?.length ?? 0);
    device.upload(forced, Int32Array.of(isForced ? p.forcedPrefix![tokens.length] : -1));
    device.sampleTokens(token, logprob, logits, temperature, topK, topP, uniform, forced, 1, VOCAB);
    tokens.push(device.download(token)[0]);
    logprobs.push(Math.fround(device.download(logprob)[0]));
    if (isForced || !p.stopTokens.includes(tokens.at(-1)!)) continue;
    stopReason = "stop";
    break;
  }
  return { tokens: Int32Array.from(tokens), logprobs: Float32Array.from(logprobs), stopReason };
}

function expectAlone(asked: readonly Prompt[], p: SamplingParams, results: Completion[][]): void {
  asked.forEach((prompt, i) => {
    expect(results[i].length).toBe(p.n);
    results[i].forEach((completion, k) => {
      const { tokens, logprobs, stopReason } = alone(prompt, (p.firstSample ?? 0) + k, p);
      expect([...completion.tokens]).toEqual([...tokens]);
      expect([...completion.logprobs]).toEqual([...logprobs]);
      expect(completion.stopReason).toBe(stopReason);
    });
  });
}

const bytesOf = (rows: number) => rows * ROW_ELEMENTS * 4;

describe("BatchSampler", () => {
  const asked = prompts(7);
  const settings: [string, Partial<SchedulerOptions>][] = [
    ["one slot", { slots: 1 }],
    ["three slots", { slots: 3, prefillRows: 1 }],
    ["more slots than work", { slots: 64 }],
    ["small prompt chunks", { slots: 5, prefillRows: 2 }],
    ["a cache so small that completions grow and wait", { slots: 8, cacheBytes: bytesOf(130) }],
    ["a cache for hardly one sequence", { slots: 4, cacheBytes: bytesOf(10) }],
  ];
  for (const [name, options] of settings) {
    it(`equals one-at-a-time sampling with ${name}`, () => {
      expectAlone(asked, params(), run(asked, params(), options).results);
    });
  }

  it("equals it for long completions that double several times and run into the context", () => {
    const p = params({ n: 4, maxTokens: 500, stopTokens: [] });
    const { results } = run(asked, p, { slots: 6, cacheBytes: bytesOf(260) });
    expectAlone(asked, p, results);
    for (const [i, group] of results.entries()) {
      for (const completion of group) {
        expect(completion.tokens.length).toBe(100 - asked[i].tokens.length);
        expect(completion.stopReason).toBe("length");
      }
    }
  });

  it("forces a prefix with its logprobs, also one as long as maxTokens, and never stops inside it", () => {
    for (const [forcedPrefix, maxTokens] of [
      [[7], 20],
      [[7, 0, 9], 20],
      [[7, 0, 9], 3],
      [[7, 0, 9], 2],
      [[7, 8], 1],
    ] as const) {
      const p = params({ forcedPrefix, maxTokens });
      const { results } = run(asked, p, { slots: 4, prefillRows: 3 });
      expectAlone(asked, p, results);
      const kept = forcedPrefix.slice(0, maxTokens);
      expect([...results[0][0].tokens.slice(0, kept.length)]).toEqual(kept);
    }
  });

  it("computes equal prompts once and gives each its results", () => {
    const twice = [asked[0], asked[1], asked[0]];
    const { results, rowsOfSteps } = run(twice, params());
    expect(results[2]).toEqual(results[0]);
    expectAlone(twice, params(), results);
    const once = run(twice.slice(0, 2), params()).rowsOfSteps;
    expect(rowsOfSteps).toEqual(once);
  });

  it("computes the prompt of a group once and pads nothing", () => {
    const { results, rowsOfSteps } = run([asked[0]], params({ n: 5 }));
    const decoded = results[0].reduce((sum, completion) => sum + completion.tokens.length - 1, 0);
    const total = rowsOfSteps.reduce((sum, rows) => sum + rows, 0);
    expect(total).toBe(asked[0].tokens.length + decoded);
  });

  it("keeps the rows of one prompt's completions together, also when slots are refilled", () => {
    const p = params({ n: 6 });
    const { results, splitPrefixes, rowsOfSteps } = run(asked, p, { slots: 8 });
    expect(rowsOfSteps.length).toBeGreaterThan(40);
    expect(splitPrefixes).toBe(0);
    expectAlone(asked, p, results);
    // Completions that wait for cache rows join their neighbours again; only while they catch up they stand apart.
    const tight = run(asked, p, { slots: 8, cacheBytes: bytesOf(130) });
    expect(tight.splitPrefixes).toBeLessThan(tight.rowsOfSteps.length / 2);
  });

  it("continues a group with firstSample", () => {
    const all = run(asked, params({ n: 4 })).results;
    const later = run(asked, params({ n: 2, firstSample: 2 })).results;
    all.forEach((group, i) => {
      expect(later[i]).toEqual(group.slice(2));
    });
  });

  it("is greedy at temperature 0 and with top-k 1, whatever the seed", () => {
    const greedy = run(asked, params({ temperature: 0, n: 2 })).results;
    const topOne = run(asked, params({ topK: 1, temperature: 1.7, seed: 99, n: 2 })).results;
    expect(topOne.flat().map((c) => [...c.tokens])).toEqual(greedy.flat().map((c) => [...c.tokens]));
    expect(greedy[0][0].tokens).toEqual(greedy[0][1].tokens);
  });

  it("stops at strings across tokens, keeps their tokens, and cuts the text before them", () => {
    const plain = run(asked, params({ stopTokens: [], n: 2 })).results;
    const text = plain[0][0].text;
    expect(text.length).toBeGreaterThan(30);
    for (const at of [3, 9, 20]) {
      const stop = text.slice(at, at + 4);
      const [completion] = run([asked[0]], params({ stopTokens: [], stopStrings: ["never so", stop], n: 2 })).results[0];
      expect(completion.stopReason).toBe("stop");
      expect(completion.text).toBe(text.slice(0, text.indexOf(stop)));
      const kept = plain[0][0].tokens.slice(0, completion.tokens.length);
      expect([...completion.tokens]).toEqual([...kept]);
      const tokenizer = loadTokenizer(new URL("../../../test/golden/tiny-qwen3/", import.meta.url).pathname);
      expect(tokenizer.decode(completion.tokens)).toContain(stop);
      expect(tokenizer.decode(completion.tokens.subarray(0, completion.tokens.length - 1))).not.toContain(stop);
    }
  });

  it("leaves the stop token out of the text", () => {
    for (const completion of run(asked, params()).results.flat()) {
      expect(completion.text).not.toContain("<|endoftext|>");
      if (completion.stopReason === "stop") expect(completion.tokens.at(-1)).toBe(0);
    }
  });

  it("gives empty completions to a prompt that fills the context, and nothing to no prompts", () => {
    const full = { tokens: new Int32Array(100).fill(3) };
    const { results } = run([asked[0], full], params({ n: 2 }));
    expect(results[1].map((c) => [c.tokens.length, c.stopReason])).toEqual([
      [0, "length"],
      [0, "length"],
    ]);
    expect(results[0][0].tokens.length).toBeGreaterThan(0);
    expect(run([], params()).results).toEqual([]);
  });

  it("refuses bad parameters and tokens", () => {
    for (const bad of [
      { n: 0 },
      { maxTokens: 0.5 },
      { temperature: -1 },
      { topP: 0 },
      { topK: -1 },
      { seed: Number.NaN },
      { stopStrings: [""] },
      { forcedPrefix: [VOCAB] },
    ]) {
      expect(() => run(asked, params(bad))).toThrow(ConfigError);
    }
    expect(() => run([{ tokens: Int32Array.of(VOCAB) }], params())).toThrow(DataError);
    expect(() => run([{ tokens: new Int32Array(0) }], params())).toThrow(DataError);
  });

  it("draws from the softmax: chi-square of 4,000 first tokens", () => {
    const p = params({ n: 4000, maxTokens: 1, temperature: 1, topP: 1, stopTokens: [] });
    const first = run([asked[0]], p).results[0].map((c) => c.tokens[0]);
    const logits = new ToyModel(new ReferenceDevice()).logitsAfter([...asked[0].tokens]);
    const masses = [...logits].map(Math.exp);
    const total = masses.reduce((a, b) => a + b, 0);
    const cells = new Float64Array(24);
    const expected = new Float64Array(24);
    for (const token of first) cells[token % 24]++;
    masses.forEach((mass, token) => {
      expected[token % 24] += (4000 * mass) / total;
    });
    const chiSquare = cells.reduce((sum, count, i) => sum + (count - expected[i]) ** 2 / expected[i], 0);
    expect(chiSquare).toBeLessThan(49.7); // 99.9 % point of 23 degrees of freedom
    expect(chiSquare).toBeGreaterThan(7);
  });
});

describe("RowAllocator", () => {
  it("never hands out a row twice and heals all fragmentation", () => {
    const rng = rngFrom(3, "rows");
    const allocator = new RowAllocator(200);
    const owner = new Int32Array(200).fill(-1);
    let live: { start: number; count: number; id: number }[] = [];
    for (let id = 0; id < 2000; id++) {
      const count = rng.int(30);
      const start = allocator.allocate(count);
      if (start >= 0) {
        for (let r = start; r < start + count; r++) {
          expect(owner[r]).toBe(-1);
          owner[r] = id;
        }
        live.push({ start, count, id });
      }
      while (live.length > 12 || (start < 0 && live.length > 0 && rng.next() < 0.7)) {
        const [gone] = live.splice(rng.int(live.length), 1);
        owner.fill(-1, gone.start, gone.start + gone.count);
        allocator.free(gone.start, gone.count);
      }
    }
    for (const { start, count } of live) allocator.free(start, count);
    live = [];
    expect(allocator.allocate(200)).toBe(0);
    expect(allocator.allocate(1)).toBe(-1);
    allocator.free(0, 200);
    expect(() => allocator.free(5, 1)).toThrow(/internal/);
  });
});

describe("planCache", () => {
  const demand = { slots: 10, prompts: 4, promptRows: 20, completionRows: 100, longestSequence: 120 };
  it("takes all it could need when that fits, else shares the budget, and always fits one sequence", () => {
    expect(planCache(demand, 5000)).toEqual({ rows: 1080, initialRows: 100 });
    expect(planCache(demand, 680)).toEqual({ rows: 680, initialRows: 60 });
    expect(planCache(demand, 50)).toEqual({ rows: 120, initialRows: 32 });
  });
});

it("the golden directory has the vocabulary the toy model assumes", () => {
  const path = new URL("../../../test/golden/tiny-qwen3/tokenizer.json", import.meta.url);
  expect(Object.keys(JSON.parse(readFileSync(path, "utf8")).model.vocab).length).toBe(VOCAB);
});
