// Speed of every op that is no matrix product and no attention: GB/s moved and the share of what this machine's memory gives to a
// plain read, on 1 thread and on all. `node bench/ops.mjs [--threads 1,2] [--only name] [--ms 60]`. Needs `npm run build`.
// A share above 100 % means that the data lay in a cache. The time of an op is the median of 5 samples.

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { createCpuDevice } from "../dist/engine/local/device/cpu/device.js";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: `1,${availableParallelism()}` },
    only: { type: "string", default: "" },
    ms: { type: "string", default: "60" },
  },
});

const ADAM = { learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, step: 3, gradScale: 0.5 };
const VOCAB = 151_936;

/** Deterministic floats in [-1, 1). */
function noise(length) {
  let state = 12345;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** A case takes a device and returns the bytes one call moves and the call. */
function cases() {
  const list = [];
  const add = (name, make) => list.push({ name, make });
  const big = 32 << 20;
  const of = (d, ...lengths) => lengths.map((n) => filled(d, n));
  add("sumSquares 32M", (d, [x] = of(d, big)) => [4 * big, () => d.sumSquares(x, big)]);
  add("adamW 32M f32", (d, b = of(d, big, big, big, big)) => [32 * big, () => d.adamW(...b, big, ADAM)]);
  add("adamW 32M bf16", (d, [p, g] = of(d, big, big)) => {
    const [m, v] = [d.alloc("bf16", big), d.alloc("bf16", big)];
    return [24 * big, () => d.adamW(p, g, m, v, big, ADAM)];
  });
  add("cast 32M to bf16", (d, [x] = of(d, big), y = d.alloc("bf16", big)) => [6 * big, () => d.cast(y, x, big)]);
  add("cast 32M to f32", (d, [x] = of(d, big), y = d.alloc("bf16", big)) => [6 * big, () => d.cast(x, y, big)]);
  for (const [rows, dim] of [
    [1024, 1024],
    [8192, 128],
    [1, 1024],
    [64, 128],
  ]) {
    const n = rows * dim;
    const at = `${rows}x${dim}`;
    add(`add ${at}`, (d, [y, a, b] = of(d, n, n, n)) => [12 * n, () => d.add(y, a, b, n)]);
    add(`rmsNorm ${at}`, (d, [y, x, w, r] = of(d, n, n, dim, rows)) => [8 * n, () => d.rmsNorm(y, r, x, w, rows, dim, 1e-6)]);
    add(`rmsNormBackward ${at}`, (d, [dx, dw, dy, x, w, r] = of(d, n, dim, n, n, dim, rows)) => [
      16 * n,
      () => d.rmsNormBackward(dx, dw, dy, x, w, r, rows, dim, true),
    ]);
    add(`rope ${at}`, (d, [x, c, s] = of(d, n, 64 * 1024, 64 * 1024), p = ids(d, rows, 1024)) => [
      8 * n,
      () => d.rope(x, c, s, p, rows, dim / 128, 128, false),
    ]);
    add(`swiglu ${at}`, (d, [y, g, u] = of(d, n, n, n)) => [12 * n, () => d.swiglu(y, g, u, n)]);
    add(`swigluBackward ${at}`, (d, b = of(d, n, n, n, n, n)) => [20 * n, () => d.swigluBackward(...b, n)]);
    add(`gatherRows ${at}`, (d, [y, x] = of(d, n, n), i = ids(d, rows, rows)) => [8 * n, () => d.gatherRows(y, x, i, rows, dim)]);
  }
  add("rmsNormBackward 8192x4096", (d) => {
    const [rows, dim] = [8192, 4096];
    const [dx, dw, dy, x, w, r] = of(d, rows * dim, dim, rows * dim, rows * dim, dim, rows);
    return [16 * rows * dim, () => d.rmsNormBackward(dx, dw, dy, x, w, r, rows, dim, true)];
  });
  for (const rows of [1, 8, 64]) {
    const n = rows * VOCAB;
    add(`logprob ${rows} x V`, (d, [x, lp, lse] = of(d, n, rows, rows), t = ids(d, rows, VOCAB)) => [
      4 * n,
      () => d.logprob(lp, lse, x, t, rows, VOCAB),
    ]);
    add(`logprobBackward ${rows} x V`, (d, [x, dlp, lse] = of(d, n, rows, rows), t = ids(d, rows, VOCAB)) => [
      8 * n,
      () => d.logprobBackward(x, dlp, lse, t, rows, VOCAB),
    ]);
    for (const [kind, temperature, k, p, scale] of [
      ["greedy", 0, 0, 1, 8],
      ["temperature 1", 1, 0, 1, 8],
      ["temperature 0.7", 0.7, 0, 1, 8],
      ["top-k 50", 0.7, 50, 1, 8],
      ["top-p 0.95", 1, 0, 0.95, 8],
      ["top-p 0.95, flat", 1, 0, 0.95, 0.1],
      ["top-k 5000", 1, 5000, 1, 8],
    ])
      add(`sampleTokens ${rows} x V, ${kind}`, (d) => {
        const x = d.alloc("f32", n);
        d.upload(
          x,
          noise(n).map((v) => v ** 3 * scale * 2),
        ); // few likely ones, as in a language model
        const [lp, t, tp, u] = [0, temperature, p, 0.6].map((v) => filled(d, rows, v));
        const [tokens, topK, forced] = [0, k, -1].map((v) => ids(d, rows, 1, v));
        return [4 * n, () => d.sampleTokens(tokens, lp, x, t, topK, tp, u, forced, rows, VOCAB)];
      });
  }
  return list;
}

function filled(d, length, value) {
  const buffer = d.alloc("f32", length);
  const part = value === undefined ? noise(Math.min(length, 1 << 16)) : new Float32Array(length).fill(value);
  for (let at = 0; at < length; at += part.length) d.upload(buffer, part.subarray(0, Math.min(part.length, length - at)), at);
  return buffer;
}

function ids(d, rows, limit, value) {
  const buffer = d.alloc("i32", rows);
  d.upload(
    buffer,
    Int32Array.from({ length: rows }, (_, r) => value ?? (r * 7919) % limit),
  );
  return buffer;
}

/** Seconds of one call: the median of 5 samples. */
function seconds(call) {
  let once = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 3; i++) once = Math.min(once, timed(call, 1));
  const repeats = Math.max(1, Math.floor(Number(values.ms) / 5000 / once));
  const samples = Array.from({ length: 5 }, () => timed(call, repeats));
  return samples.sort((a, b) => a - b)[2];
}

function timed(call, repeats) {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) call();
  return (performance.now() - start) / 1000 / repeats;
}

const counts = values.threads.split(",").map(Number);
const results = new Map();
for (const threads of counts) {
  const read = measure(threads, "sumSquares 32M", cases()[0].make);
  for (const { name, make } of cases()) {
    if (!name.includes(values.only)) continue;
    const { time, rate } = measure(threads, name, make);
    results.set(name, [...(results.get(name) ?? []), { time, rate, share: rate / read.rate }]);
  }
}
console.log(
  `${"op".padEnd(36)} ${counts.map((t) => `${t} thread${t > 1 ? "s" : ""}: µs, GB/s, share of reading`.padStart(42)).join("")}`,
);
for (const [name, cells] of results) {
  const text = cells.map(({ time, rate, share }) => {
    return `${(time * 1e6).toFixed(1).padStart(20)}${rate.toFixed(1).padStart(10)}${`${(share * 100).toFixed(0)} %`.padStart(12)}`;
  });
  console.log(`${name.padEnd(36)} ${text.join("")}`);
}

function measure(threads, name, make) {
  const device = createCpuDevice({ threads });
  try {
    const [bytes, call] = make(device);
    const time = seconds(call);
    return { time, rate: bytes / time / 1e9 };
  } catch (error) {
    throw new Error(`${name}: ${error.message}`, { cause: error });
  } finally {
    device.dispose();
  }
}
