// Attention for the device contract: its cases, and that neither the cut into segments nor other rows change a bit.
// Knows no particular device.

import { expect, it } from "vitest";
import type { AttentionShape, Device, Buffer as DeviceBuffer } from "../../src/engine/local/device/types.ts";
import { type DeviceCase, integers, noise } from "./device-cases.ts";
import { sameBits, uploaded, type Values } from "./device-runs.ts";

/** Query heads, key/value heads, elements of a head. */
type Heads = readonly [queryHeads: number, kvHeads: number, headDim: number];

function attentionShape(rows: number, [queryHeads, kvHeads, headDim]: Heads): AttentionShape {
  return { rows, queryHeads, kvHeads, headDim, scale: 1 / Math.sqrt(headDim) };
}

/** Rows that each see some prefix and some own keys of a cache of `cache` rows; `shared` neighbours see the same prefix. */
function attentionCase(rows: number, heads: Heads, cache: number, shared = 1, bf16: string[] = []): DeviceCase {
  const [queryHeads, kvHeads, headDim] = heads;
  const inGroups = (seed: number): Int32Array => {
    const each = integers(rows, cache / 2, seed);
    return each.map((_, r) => each[r - (r % shared)]);
  };
  return {
    name: `attention ${rows} rows, ${queryHeads}/${kvHeads} heads of ${headDim}, ${cache} keys${shared > 1 ? `, groups of ${shared}` : ""}${bf16.length ? ", bf16" : ""}`,
    inputs: {
      q: noise(rows * queryHeads * headDim, 23).map((x) => x * 3),
      k: noise(cache * kvHeads * headDim, 24),
      v: noise(cache * kvHeads * headDim, 25),
      prefixStart: inGroups(21),
      prefixLength: inGroups(26),
      start: integers(rows, cache / 2, 22),
      length: integers(rows, cache / 2, 27).map((n) => n + 1),
      out: new Float32Array(rows * queryHeads * headDim),
      lse: new Float32Array(rows * queryHeads),
    },
    bf16,
    outputs: ["out", "lse"],
    tolerance: 2e-6,
    run: (device, b) => {
      const segments = { prefixStart: b.prefixStart, prefixLength: b.prefixLength, start: b.start, length: b.length };
      device.attention(b.out, b.lse, b.q, b.k, b.v, segments, attentionShape(rows, heads));
    },
  };
}

/** Host columns of a `SequenceTree` and of the `AttentionRows` that it means; parents as in `SequenceTree.prefix`. */
export function treeColumns(lengths: readonly number[], parents: readonly number[]): Record<string, Int32Array> {
  const offsets = Int32Array.from([0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))]);
  const sequence = [...Array(offsets[lengths.length]).keys()].map((r) => lengths.findIndex((_, s) => r < offsets[s + 1]));
  const parent = sequence.map((s) => parents[s]);
  return {
    offsets,
    prefix: Int32Array.from(parents),
    prefixStart: Int32Array.from(parent, (p) => (p < 0 ? 0 : offsets[p])),
    prefixLength: Int32Array.from(parent, (p) => (p < 0 ? 0 : lengths[p])),
    start: Int32Array.from(sequence, (s) => offsets[s]),
    length: Int32Array.from(sequence, (s, r) => r - offsets[s] + 1),
  };
}

/** Forward and backward of packed causal sequences of the given lengths; `parents` as in `SequenceTree.prefix`, none by default. */
export function attentionBackwardCase(
  lengths: number[],
  heads: Heads,
  parents: number[] = lengths.map(() => -1),
  bf16: string[] = [],
): DeviceCase {
  const [queryHeads, kvHeads, headDim] = heads;
  const columns = treeColumns(lengths, parents);
  const rows = columns.start.length;
  const [qs, ks] = [rows * queryHeads * headDim, rows * kvHeads * headDim];
  const tree = parents.some((p) => p >= 0) ? ` of ${parents}` : "";
  return {
    name: `attentionBackward lengths ${lengths}${tree}, ${queryHeads}/${kvHeads} heads of ${headDim}${bf16.length ? ", bf16" : ""}`,
    inputs: {
      q: noise(qs, 28).map((x) => x * 3),
      k: noise(ks, 29),
      v: noise(ks, 30),
      dout: noise(qs, 31),
      ...columns,
      out: new Float32Array(qs),
      lse: new Float32Array(rows * queryHeads),
      dq: noise(qs, 32),
      dk: noise(ks, 33),
      dv: noise(ks, 34),
    },
    bf16,
    outputs: ["out", "lse", "dq", "dk", "dv"],
    tolerance: 5e-6,
    run: (device, b) => {
      const shape = attentionShape(rows, heads);
      const segments = { prefixStart: b.prefixStart, prefixLength: b.prefixLength, start: b.start, length: b.length };
      device.attention(b.out, b.lse, b.q, b.k, b.v, segments, shape);
      const sequences = { count: lengths.length, offsets: b.offsets, prefix: b.prefix };
      device.attentionBackward(b.dq, b.dk, b.dv, b.dout, b.out, b.lse, b.q, b.k, b.v, sequences, shape);
    },
  };
}

/** Attention both ways: single rows, groups with a prefix, causal sequences and trees of them, around the sizes of blocks. */
export function attentionCases(): DeviceCase[] {
  const halves = ["k", "v"];
  return [
    attentionCase(1, [1, 1, 1], 4),
    attentionCase(20, [4, 2, 32], 200),
    attentionCase(7, [6, 2, 20], 70),
    attentionCase(2, [1, 1, 128], 3000),
    attentionCase(30, [4, 2, 32], 600, 8),
    attentionCase(75, [8, 1, 48], 300, 25, halves),
    attentionCase(3, [2, 2, 7], 40, 1, halves),
    attentionBackwardCase([1], [1, 1, 4]),
    attentionBackwardCase([1, 40, 17, 100], [4, 2, 32]),
    attentionBackwardCase([33, 50], [3, 1, 20]),
    attentionBackwardCase([300, 129], [4, 2, 40], [-1, -1], halves),
    attentionBackwardCase([37, 5, 60, 1, 12, 150, 90, 3, 20], [4, 2, 32], [-1, 0, 0, 0, -1, -1, 5, 5, 5]),
    attentionBackwardCase([130, 70, 1, 140, 9], [6, 2, 17], [-1, 0, 0, 0, -1], halves),
  ];
}

const [H, K, E] = [4, 2, 32];

/** Attention of some rows over a cache of `cache` keys; queries are rows `queries` of one fixed matrix. */
function attentionOf(d: Device, queries: number[], cache: number, columns: Record<string, ArrayLike<number>>): Values[] {
  const rows = queries.length;
  const all = noise((Math.max(...queries) + 1) * H * E, 63);
  const q = uploaded(d, Float32Array.from(queries.flatMap((r) => [...all.subarray(r * H * E, (r + 1) * H * E)])));
  const [k, v] = [uploaded(d, noise(cache * K * E, 64)), uploaded(d, noise(cache * K * E, 65))];
  const column = (name: string): DeviceBuffer => uploaded(d, Int32Array.from(columns[name]));
  const segments = {
    prefixStart: column("prefixStart"),
    prefixLength: column("prefixLength"),
    start: column("start"),
    length: column("length"),
  };
  const [out, lse] = [d.alloc("f32", rows * H * E), d.alloc("f32", rows * H)];
  d.attention(out, lse, q, k, v, segments, { rows, queryHeads: H, kvHeads: K, headDim: E, scale: 0.2 });
  const outputs = [d.download(out), d.download(lse)];
  for (const buffer of [q, k, v, ...Object.values(segments), out, lse]) d.free(buffer);
  return outputs;
}

/** Attention of causal rows [first, last), the first `prefix` keys given as the prefix segment. */
function causalAttention(d: Device, first: number, last: number, prefix: number): Values[] {
  const rows = Array.from({ length: last - first }, (_, r) => first + r);
  const prefixes = rows.map((r) => Math.min(prefix, r));
  return attentionOf(d, rows, last, {
    prefixStart: rows.map(() => 0),
    prefixLength: prefixes,
    start: prefixes,
    length: rows.map((r, i) => r + 1 - prefixes[i]),
  });
}

/** Declares the bit tests of attention. */
export function attentionExactness(device: () => Device): void {
  it("attention by one row or many, with or without a prefix, is the same to the bit", () => {
    const [out, lse] = causalAttention(device(), 0, 300, 0);
    for (const [first, last, prefix] of [
      [0, 300, 1],
      [0, 300, 37],
      [0, 300, 64],
      [0, 300, 200],
      [127, 130, 128],
      [64, 150, 16],
      [299, 300, 0],
      [299, 300, 50],
      [299, 300, 256],
      [128, 129, 128],
      [119, 120, 0],
    ]) {
      const [o, l] = causalAttention(device(), first, last, prefix);
      expect(sameBits(o, out.subarray(first * H * E, last * H * E)), `${first} ${last} ${prefix}`).toBe(true);
      expect(sameBits(l, lse.subarray(first * H, last * H))).toBe(true);
    }
  });
  it("attention of a training tree and of decoding steps over a cache is the same to the bit", () => {
    const [lengths, parents] = [
      [140, 30, 1, 90, 12, 50, 20],
      [-1, 0, 0, 0, -1, -1, 5],
    ];
    const tree = treeColumns(lengths, parents);
    const rows = tree.start.length;
    const order = Array.from({ length: rows }, (_, r) => r);
    const [out, lse] = attentionOf(device(), order, rows, tree);
    // Step t decodes the t-th token of every sequence that has one; the last step of all is one row alone.
    for (const t of [0, 11, 29, 89, 139]) {
      const step = order.filter((r) => tree.length[r] === t + 1);
      const columns = Object.fromEntries(Object.entries(tree).map(([name, column]) => [name, step.map((r) => column[r])]));
      const [o, l] = attentionOf(device(), step, rows, columns);
      for (const [i, r] of step.entries()) {
        expect(sameBits(o.subarray(i * H * E, (i + 1) * H * E), out.subarray(r * H * E, (r + 1) * H * E)), `${t} ${r}`).toBe(
          true,
        );
        expect(sameBits(l.subarray(i * H, (i + 1) * H), lse.subarray(r * H, (r + 1) * H))).toBe(true);
      }
    }
  });
}
