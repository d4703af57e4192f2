// The archive of rollouts: what a line holds, which groups have room, how a text is cut into its tokens.

import { describe, expect, it } from "vitest";
import type { ArchivedGroup } from "./archive.ts";
import { RolloutArchive } from "./archive.ts";

/** Token t stands for byte t, so that a character of several bytes is torn over several tokens; 0 is a stop marker without text. */
const decode = (tokens: ArrayLike<number>) => Buffer.from(Array.from(tokens).filter((token) => token !== 0)).toString("utf8");

function group(line: number, text: string): ArchivedGroup {
  const tokens = Int32Array.from([...Buffer.from(text), 0]);
  const logprobs = Float32Array.from(tokens, (_, index) => -index / 3);
  return {
    head: { iteration: 1, line },
    rollouts: [{ completion: { text, tokens, logprobs, stopReason: "stop" }, reward: 1, advantage: 0.5 }],
  };
}

const rows = (lines: string) =>
  lines
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
const choice = { seed: 1, place: ["solver", 1, 1] };

describe("archive", () => {
  it("keeps texts, tokens, rounded logprobs and the cuts between tokens", () => {
    const [row] = rows(new RolloutArchive(decode).lines([group(7, "a√b😀")], { ...choice, bytes: 1e6 }));
    expect(row).toMatchObject({ iteration: 1, line: 7 });
    expect(row.samples).toEqual([
      {
        reward: 1,
        advantage: 0.5,
        stopReason: "stop",
        text: "a√b😀",
        tokens: [...Buffer.from("a√b😀"), 0],
        cuts: [1, 0, 0, 1, 1, 0, 0, 0, 2, 0],
        logprobs: [0, -0.3333, -0.6667, -1, -1.3333, -1.6667, -2, -2.3333, -2.6667, -3],
      },
    ]);
  });

  it("counts bytes that are no character as no text, and finds its way back", () => {
    const tokens = Int32Array.from([...Array(20).fill(0xff), 0x61]);
    const completion = { text: "a", tokens, logprobs: new Float32Array(21), stopReason: "length" as const };
    const archive = new RolloutArchive(decode);
    const [row] = rows(
      archive.lines([{ head: {}, rollouts: [{ completion, reward: 0, advantage: 0 }] }], { ...choice, bytes: 1e6 }),
    );
    expect(row.samples[0].cuts.at(-1)).toBe(1);
    expect(row.samples[0].cuts).toHaveLength(21);
  });

  it("keeps within its bytes, chooses by the seed alone, and leaves the order", () => {
    const groups = Array.from({ length: 50 }, (_, line) => group(line, "answer"));
    const all = new RolloutArchive(decode).lines(groups, { ...choice, bytes: Number.POSITIVE_INFINITY });
    expect(rows(all).map(({ line }) => line)).toEqual(groups.map((_, line) => line));
    const bytes = Math.floor(Buffer.byteLength(all) / 5);
    const some = new RolloutArchive(decode).lines(groups, { ...choice, bytes });
    const lines: number[] = rows(some).map(({ line }) => line);
    expect(Buffer.byteLength(some)).toBeLessThanOrEqual(bytes);
    expect(lines.length).toBeGreaterThan(7);
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
    expect(new RolloutArchive(decode).lines(groups, { ...choice, bytes })).toBe(some);
    expect(new RolloutArchive(decode).lines(groups, { ...choice, place: ["solver", 1, 2], bytes })).not.toBe(some);
    expect(new RolloutArchive(decode).lines(groups, { ...choice, bytes: 0 })).toBe("");
  });
});
