// Speed of attention at fixed shapes: `node bench/attention.mjs [--threads N] [--only TEXT]`. Needs `npm run build`.
// GFLOP/s count only what a causal query must do: 4·E·H per query and key forward, 10·E·H backward. GB/s count each key and value row that
// an op needs once per group of rows that share it. Medians of `--rounds` rounds.

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { createCpuDevice, measurePeak } from "../dist/engine/local/device/cpu/device.js";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "7" },
  },
});
const threads = Number(values.threads);
const SMALL = { queryHeads: 4, kvHeads: 2, headDim: 32 };
const LARGE = { queryHeads: 16, kvHeads: 8, headDim: 128 };

/** Whole sequences: rows see their own sequence up to themselves. `prefix` rows in front are shared by all of them. */
function packed(count, own, prefix = 0) {
  const segments = [];
  for (let r = 0; r < prefix; r++) segments.push([0, 0, 0, r + 1]);
  for (let s = 0; s < count; s++) {
    for (let r = 0; r < own; r++) segments.push([0, prefix, prefix + s * own, r + 1]);
  }
  const offsets = [...(prefix ? [0] : []), ...Array.from({ length: count + 1 }, (_, s) => prefix + s * own)];
  const parents = [...(prefix ? [-1] : []), ...Array(count).fill(prefix ? 0 : -1)];
  return { segments, cache: prefix + count * own, tree: { offsets, parents }, distinct: prefix + count * own };
}

/** One query row per sequence: `groups` prompts of `prefix` keys, `members` completions each with `own` keys of their own. */
function decode(groups, members, prefix, own) {
  const segments = [];
  for (let g = 0; g < groups; g++)
    for (let m = 0; m < members; m++) segments.push([g * prefix, prefix, groups * prefix + (g * members + m) * own, own]);
  const cache = groups * (prefix + members * own);
  return { segments, cache, distinct: cache };
}

const CASES = [
  ["forward 4 × 1024", LARGE, packed(4, 1024)],
  ["forward 64 × 128", SMALL, packed(64, 128)],
  ["forward 8 × 64 after 256", LARGE, packed(8, 64, 256)],
  ["backward 4 × 1024", LARGE, packed(4, 1024)],
  ["backward 64 × 128", SMALL, packed(64, 128)],
  ["backward 8 × 64 after 256", LARGE, packed(8, 64, 256)],
  ["backward 256 × 32 after 160", SMALL, packed(256, 32, 160)],
  ["decode 256 rows, 60 own", SMALL, decode(256, 1, 0, 60)],
  ["decode 32 × 8 rows, 40 + 20", SMALL, decode(32, 8, 40, 20)],
  ["decode 8 rows, 512 + 128", LARGE, decode(1, 8, 512, 128)],
  ["decode 8 rows, 640 own", LARGE, decode(8, 1, 0, 640)],
  ["decode 1 row, 4096 own", LARGE, decode(1, 1, 0, 4096)],
];

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];

function seconds(call, calls) {
  const start = performance.now();
  for (let i = 0; i < calls; i++) call();
  return (performance.now() - start) / 1000 / calls;
}

function measure(device, name, heads, { segments, cache, tree, distinct }, dtype) {
  const { queryHeads: H, kvHeads: K, headDim: E } = heads;
  const rows = segments.length;
  const shape = { rows, ...heads, scale: 1 / Math.sqrt(E) };
  const taken = [];
  const floats = (length, type = "f32") => {
    const data = Float32Array.from({ length }, (_, i) => ((i * 7919) % 1000) / 500 - 1);
    const wide = device.alloc("f32", length);
    device.upload(wide, data);
    taken.push(wide);
    if (type === "f32") return wide;
    const half = device.alloc(type, length);
    device.cast(half, wide, length);
    taken.push(half);
    return half;
  };
  const ints = (list) => {
    const buffer = device.alloc("i32", list.length);
    device.upload(buffer, Int32Array.from(list));
    taken.push(buffer);
    return buffer;
  };
  const [q, out, lse] = [floats(rows * H * E), floats(rows * H * E), floats(rows * H)];
  const [k, v] = [floats(cache * K * E, dtype), floats(cache * K * E, dtype)];
  const [prefixStart, prefixLength, start, length] = [0, 1, 2, 3].map((i) => ints(segments.map((s) => s[i])));
  const forward = () => device.attention(out, lse, q, k, v, { prefixStart, prefixLength, start, length }, shape);
  let call = forward;
  if (name.startsWith("backward")) {
    const [dq, dk, dv, dout] = [rows * H * E, rows * K * E, rows * K * E, rows * H * E].map((n) => floats(n));
    const sequences = { count: tree.parents.length, offsets: ints(tree.offsets), prefix: ints(tree.parents) };
    call = () => device.attentionBackward(dq, dk, dv, dout, out, lse, q, k, v, sequences, shape);
  }
  forward();
  const calls = Math.max(1, Math.round(0.05 / seconds(call, 1)));
  const time = median(Array.from({ length: Number(values.rounds) }, () => seconds(call, calls)));
  const pairs = segments.reduce((sum, s) => sum + s[1] + s[3], 0);
  for (const buffer of taken) device.free(buffer);
  const gflops = (pairs * H * E * (call === forward ? 4 : 10)) / time / 1e9;
  return { time, gflops, gigabytes: (distinct * K * E * 2 * (dtype === "bf16" ? 2 : 4)) / time / 1e9 };
}

const device = createCpuDevice({ threads });
const peak = measurePeak({ threads });
console.log(`${threads} threads; measured f32 peak ${peak.toFixed(0)} GFLOP/s`);
console.log(`${"".padEnd(40)}      µs   GFLOP/s   of peak    GB/s`);
for (const [name, heads, layout] of CASES.filter(([text]) => text.includes(values.only))) {
  for (const dtype of ["f32", "bf16"]) {
    const { time, gflops, gigabytes } = measure(device, name, heads, layout, dtype);
    const label = `${name}, ${heads.queryHeads}/${heads.kvHeads} of ${heads.headDim}, ${dtype}`.padEnd(46);
    const share = `${((100 * gflops) / peak).toFixed(0)} %`;
    console.log(
      `${label}${(time * 1e6).toFixed(0).padStart(8)}${gflops.toFixed(0).padStart(8)}${share.padStart(9)}${gigabytes.toFixed(1).padStart(9)}`,
    );
  }
}
device.dispose();
