// Chunks and their journal: what comes out is what one call gives, and nothing that is in the journal is sampled again.

import { appendFileSync, existsSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { ScriptedEngine } from "../engine/scripted.ts";
import type { Completion, Prompt, SamplingParams } from "../engine/types.ts";
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

async function sample(more: Partial<ChunkOptions> = {}, over: Partial<SamplingParams> = {}): Promise<Completion[][]> {
  return sampleInChunks(
    await engine.openSnapshot("base"),
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

it("chunks are whole groups where they fit, and parts of one where not", () => {
  const none = (n: number) => new Array(n).fill(undefined);
  expect(nextChunk([none(4), none(4), none(4)], 9)).toEqual({ prompts: [0, 1], first: 0, n: 4 });
  expect(nextChunk([none(10)], 4)).toEqual({ prompts: [0], first: 0, n: 4 });
  expect(nextChunk([[1, 1, undefined, undefined, 1], none(5)], 9)).toEqual({ prompts: [0], first: 2, n: 2 });
  expect(nextChunk([[1, 1], [1]], 9)).toBeUndefined();
});
