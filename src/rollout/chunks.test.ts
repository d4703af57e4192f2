// Chunks and their journal: what comes out is what one call gives, and nothing that is in the journal is sampled again.

import { appendFileSync, existsSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { ScriptedEngine } from "../engine/scripted.ts";
import type { Completion, Prompt, Sampler, SamplingParams } from "../engine/types.ts";
import { type ChunkOptions, nextChunk, sampleInChunks } from "./chunks.ts";
import { verifyJournal } from "./journal.ts";

const engine = new ScriptedEngine(({ rng, text }) => `${text} ${rng.int(1000)} Ω`);
const prompts: Prompt[] = ["a", "b", "c", "b"].map((text) => ({ tokens: engine.tokenizer.encode(text) }));
const params: SamplingParams = { n: 70, maxTokens: 2048, temperature: 1, topP: 1, topK: 0, stopTokens: [0], seed: 5 };

let file: string;
beforeEach(() => {
  file = join(mkdtempSync(join(tmpdir(), "rzero-chunks-")), "x.log");
  engine.calls.length = 0;
});

async function sample(
  more: Partial<ChunkOptions> = {},
  over: Partial<SamplingParams> = {},
  sampler?: Sampler,
): Promise<Completion[][]> {
  return sampleInChunks(
    sampler ?? (await engine.openSnapshot("base")),
    prompts,
    { ...params, ...over },
    {
      file,
      content: "tokens",
      check: () => {},
      write: async (_, work) => work(),
      ...more,
    },
  );
}

const drawn = () =>
  engine.calls.reduce((sum, call) => sum + (call.kind === "sample" ? call.prompts.length * call.params.n : 0), 0);

/** Stops before the given chunk. */
function stopBefore(chunk: number): () => void {
  let number = 0;
  return () => {
    if (++number === chunk) throw new Error("stop");
  };
}

it("gives what one call gives, in several chunks", async () => {
  const whole = await (await engine.openSnapshot("base")).sample(prompts, params);
  engine.calls.length = 0;
  expect(await sample()).toEqual(whole);
  expect(engine.calls.length).toBeGreaterThan(2);
  expect(drawn()).toBe(280);
});

it("samples only what is missing, after a stop and from the journal alone", async () => {
  const whole = await (await engine.openSnapshot("base")).sample(prompts, params);
  engine.calls.length = 0;
  await expect(sample({ check: stopBefore(3) })).rejects.toThrow("stop");
  expect(drawn()).toBeLessThan(280);
  expect(await sample()).toEqual(whole);
  expect(drawn()).toBe(280);
  const refuse = () => {
    throw new Error("refused");
  };
  expect(await sample({ refuse })).toEqual(whole);
});

describe("a journal", () => {
  it("that is torn or damaged is believed up to there", async () => {
    const whole = await sample();
    const text = readFileSync(file, "utf8");
    expect(verifyJournal(file)).toEqual({ intact: text.split("\n").length - 1, damaged: false });
    truncateSync(file, Buffer.byteLength(text) - 40);
    expect(verifyJournal(file).damaged).toBe(true);
    engine.calls.length = 0;
    expect(await sample()).toEqual(whole);
    expect(drawn()).toBeLessThan(80);
    const flipped = readFileSync(file);
    flipped[flipped.indexOf(0x0a) + 60] ^= 1;
    writeFileSync(file, flipped);
    appendFileSync(file, "more");
    expect(await sample()).toEqual(whole);
  });

  it("of another call is dropped", async () => {
    await sample();
    engine.calls.length = 0;
    await sample({}, { seed: 6 });
    expect(drawn()).toBe(280);
    expect(existsSync(file)).toBe(true);
  });

  it("of texts keeps texts alone, whether sampled or read", async () => {
    const fresh = await sample({ content: "text" });
    expect(fresh[0][0].text).toMatch(/^a \d+ Ω$/);
    expect(fresh[0][0].tokens).toHaveLength(0);
    expect(await sample({ content: "text" })).toEqual(fresh);
    expect(drawn()).toBe(280);
  });
});

describe("several chunks at once", () => {
  /** Calls wait until the test lets them end, in any order. */
  async function held(overlap: number) {
    const snapshot = await engine.openSnapshot("base");
    const waiting: (() => void)[] = [];
    const sampler: Sampler = {
      overlap,
      sample: async (...call) => {
        await new Promise<void>((resolve) => waiting.push(resolve));
        return snapshot.sample(...call);
      },
    };
    /** Lets one call after the other end, the newest first, until `all` is settled; returns the most that waited together. */
    const drain = async (all: Promise<unknown>) => {
      let settled = false;
      let most = 0;
      void all.then(
        () => (settled = true),
        () => (settled = true),
      );
      while (!settled) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        most = Math.max(most, waiting.length);
        waiting.pop()?.();
      }
      return most;
    };
    return { sampler, drain };
  }

  it("give the same in whatever order they end, and each is graded once and kept", async () => {
    const whole = await (await engine.openSnapshot("base")).sample(prompts, params);
    const { sampler, drain } = await held(3);
    const graded: number[] = [];
    const call = sample({ graded: (prompt, group) => graded.push(prompt) && expect(group).toEqual(whole[prompt]) }, {}, sampler);
    expect(await drain(call)).toBe(3);
    expect(await call).toEqual(whole);
    expect(graded.sort()).toEqual([0, 1, 2, 3]);
    engine.calls.length = 0;
    const again: number[] = [];
    expect(await sample({ graded: (prompt) => again.push(prompt) })).toEqual(whole);
    expect(drawn()).toBe(0);
    expect(again).toEqual([0, 1, 2, 3]);
  });

  it("begin before the one before is written and graded", async () => {
    const { sampler, drain } = await held(1);
    const log: string[] = [];
    const noted: Sampler = {
      sample: (...call) => {
        log.push("sample");
        return sampler.sample(...call);
      },
    };
    const write = async (_: number, work: () => void) => {
      log.push("write");
      work();
    };
    await drain(sample({ write, graded: () => log.push("grade") }, {}, noted));
    const chunks = log.filter((entry) => entry === "sample").length;
    expect(chunks).toBeGreaterThan(3);
    log.forEach((entry, at) => {
      const seen = (kind: string) => log.slice(0, at).filter((other) => other === kind).length;
      if (entry !== "sample") expect(seen("sample")).toBe(Math.min(chunks, seen("write") + (entry === "write" ? 2 : 1)));
    });
  });

  it("that are under way when the call is stopped, or one fails, are kept", async () => {
    for (const stop of ["check", "sampler"] as const) {
      const { sampler, drain } = await held(2);
      let calls = 0;
      const failing: Sampler = {
        overlap: 2,
        sample: (...call) => (stop === "sampler" && ++calls === 1 ? Promise.reject(new Error("stop")) : sampler.sample(...call)),
      };
      const call = sample({ check: stop === "check" ? stopBefore(3) : () => {} }, { seed: stop === "check" ? 7 : 8 }, failing);
      await drain(call);
      await expect(call).rejects.toThrow("stop");
      const before = drawn();
      expect(before).toBeGreaterThan(0);
      expect(await sample({}, { seed: stop === "check" ? 7 : 8 })).toHaveLength(4);
      expect(drawn()).toBe(280);
      engine.calls.length = 0;
    }
  });
});

it("chunks are whole groups where they fit, and parts of one where not", () => {
  const none = (n: number) => new Array(n).fill(undefined);
  expect(nextChunk([none(4), none(4), none(4)], 9)).toEqual({ prompts: [0, 1], first: 0, n: 4 });
  expect(nextChunk([none(10)], 4)).toEqual({ prompts: [0], first: 0, n: 4 });
  expect(nextChunk([[1, 1, undefined, undefined, 1], none(5)], 9)).toEqual({ prompts: [0], first: 2, n: 2 });
  expect(nextChunk([[1, 1], [1]], 9)).toBeUndefined();
});
