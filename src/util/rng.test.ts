// Tests of the counter-based generator: reference vectors, independence of paths, uniformity.

import { describe, expect, it } from "vitest";
import { hashTokens, keyFrom, philox4x32, Rng, rngAt, rngFrom, uniformAt } from "./rng.ts";

function philox(counter: number[], low: number, high: number): string[] {
  const out = new Uint32Array(4);
  philox4x32(out, counter[0], counter[1], counter[2], counter[3], { low, high });
  return [...out].map((word) => word.toString(16).padStart(8, "0"));
}

describe("philox4x32", () => {
  it("equals the known answers of Random123", () => {
    expect(philox([0, 0, 0, 0], 0, 0)).toEqual(["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
    const ones = 0xffffffff;
    expect(philox([ones, ones, ones, ones], ones, ones)).toEqual(["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]);
    const pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344];
    expect(philox(pi, 0xa4093822, 0x299f31d0)).toEqual(["d16cfe09", "94fdcceb", "5001e420", "24126ea1"]);
  });
});

describe("keys", () => {
  it("are equal for equal paths and differ for every change of the path", () => {
    const paths: (string | number)[][] = [
      [],
      ["a"],
      ["b"],
      ["a", 0],
      ["a", 1],
      [1, "a"],
      ["a0"],
      ["1"],
      [1],
      [0.5],
      ["a", "b"],
      ["ab"],
      [""],
    ];
    const keys = paths.map((path) => keyFrom(7, ...path));
    expect(keyFrom(7, "a", 1)).toEqual(keys[4]);
    expect(new Set(keys.map((key) => `${key.low},${key.high}`)).size).toBe(paths.length);
    expect(keyFrom(8, "a")).not.toEqual(keyFrom(7, "a"));
  });

  it("hash token sequences by content and length", () => {
    expect(hashTokens([1, 2, 3])).toEqual(hashTokens(Int32Array.of(1, 2, 3)));
    const hashes = [[], [0], [0, 0], [1, 2, 3], [3, 2, 1], [1, 2, 3, 0]].map((tokens) => hashTokens(tokens).low);
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe("draws", () => {
  it("are uniform: a chi-square over 64 cells stays below the 99.9 % bound", () => {
    const key = keyFrom(1, "uniform");
    const stream = new Rng(key);
    for (const draw of [(i: number) => uniformAt(key, i), () => stream.next(), (i: number) => rngAt(3, i, 5)]) {
      const counts = new Float64Array(64);
      for (let i = 0; i < 16_384; i++) counts[Math.floor(draw(i) * 64)]++;
      const chiSquare = counts.reduce((sum, count) => sum + (count - 256) ** 2 / 256, 0);
      expect(chiSquare).toBeLessThan(103.4);
      expect(chiSquare).toBeGreaterThan(32);
    }
  });

  it("stay below 1 in float32", () => {
    const key = keyFrom(2);
    for (let i = 0; i < 10_000; i++) expect(Math.fround(uniformAt(key, i))).toBeLessThan(1);
  });

  it("of a stream repeat under the same path, and a fork leaves the stream alone", () => {
    const a = rngFrom(5, "solver", 1, 2);
    const b = rngFrom(5, "solver", 1, 2);
    const first = [a.next(), a.next()];
    expect(b.next()).toBe(first[0]);
    expect(b.fork("x").next()).not.toBe(first[1]);
    expect(b.next()).toBe(first[1]);
  });

  it("of normal() have mean 0 and variance 1", () => {
    const rng = rngFrom(9, "normal");
    const draws = Array.from({ length: 20_000 }, () => rng.normal());
    const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
    const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  });

  it("of shuffle() are permutations, each first element equally likely", () => {
    const firsts = new Float64Array(5);
    for (let i = 0; i < 5000; i++) {
      const items = rngFrom(11, i).shuffle([0, 1, 2, 3, 4]);
      expect([...items].sort()).toEqual([0, 1, 2, 3, 4]);
      firsts[items[0]]++;
    }
    for (const count of firsts) expect(Math.abs(count - 1000)).toBeLessThan(120);
    expect(rngFrom(1).int(1)).toBe(0);
    expect(["a", "b"]).toContain(rngFrom(1).pick(["a", "b"]));
  });
});
