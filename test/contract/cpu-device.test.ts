// The CPU device under the device contract, plus what only it promises: thread count changes no bit, misuse is caught before C.

import { createHash } from "node:crypto";
import { arch } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { benchGemm } from "../../src/engine/local/device/cpu/bench-gemm.ts";
import { cpuInfo } from "../../src/engine/local/device/cpu/cpu-info.ts";
import { bestFormat, createCpuDevice, measurePeak, measurePeaks } from "../../src/engine/local/device/cpu/device.ts";
import { attentionBackwardCase, attentionCases } from "./attention-cases.ts";
import { type DeviceCase, deviceCases, linearCases, noise, sampleCase } from "./device-cases.ts";
import { deviceContract } from "./device-contract.ts";
import { runCase, sameBits, uploaded } from "./device-runs.ts";

/** The bits of each op's cases on any CPU with fused multiply-add. */
const DIGESTS = {
  add: "f699d5f3",
  attention: "782b8a90",
  attentionBackward: "121868f5",
  biasBackward: "2d8d5a7e",
  cast: "9c2ed0aa",
  embedding: "c162aaef",
  gatherRows: "7e2a0e32",
  linear: "b033c0b4",
  "linear-int8": "903b2ab1",
  linearBackwardInput: "a3013e1d",
  linearBackwardWeight: "8b5eaa77",
  logprob: "bb444f31",
  logprobBackward: "e8bc3e4a",
  rmsNorm: "737878c8",
  rmsNormBackward: "fd4b4182",
  sampleTokens: "6578674a",
  scatterAddRows: "a21c7311",
  scatterRows: "0181ffa5",
  swiglu: "ddd485c4",
  swigluBackward: "1c8cc3f0",
};

deviceContract("cpu, 1 thread", () => createCpuDevice({ threads: 1 }));
deviceContract("cpu, 2 threads", () => createCpuDevice({ threads: 2 }));

describe("cpu device", () => {
  const [one, two, five] = [1, 2, 5].map((threads) => createCpuDevice({ threads }));
  afterAll(() => {
    for (const device of [one, two, five]) device.dispose();
  });

  it("gives the same bits on 1, 2 and 5 threads", () => {
    const formats = (["bf16", "int8"] as const).flatMap((format) => linearCases(300, 600, 500, format));
    const children = [...Array(40).keys()];
    const larger = [
      ...linearCases(300, 1100, 800),
      ...linearCases(1500, 70, 60),
      ...formats,
      attentionBackwardCase([200, 3, 300], [4, 2, 32]),
      attentionBackwardCase([90, ...children.map((c) => 20 + ((c * 37) % 80))], [4, 2, 32], [-1, ...children.map(() => 0)]),
    ];
    for (const each of [...deviceCases(), ...attentionCases(), ...larger]) {
      const expected = runCase(one, each);
      for (const device of [two, five]) {
        const actual = runCase(device, each);
        for (const output of each.outputs) expect(sameBits(actual[output], expected[output]), each.name).toBe(true);
      }
    }
    const buffers = [one, two].map((device) => device.alloc("f32", 300_001));
    for (const [i, device] of [one, two].entries()) device.upload(buffers[i], noise(300_001, 70));
    expect(two.sumSquares(buffers[1], 300_001)).toBe(one.sumSquares(buffers[0], 300_001));
    one.free(buffers[0]);
    two.free(buffers[1]);
  });

  it("a product is one chain of fused multiply-adds in ascending order, to the bit", () => {
    // With multiples of 2^-20 below 1 a product plus a sum below 2^12 is exact in float64, so fround is the only rounding.
    const coarse = (length: number, seed: number): Float32Array =>
      noise(length, seed).map((x) => Math.round(x * 2 ** 20) / 2 ** 20);
    for (const [rows, outDim, inDim] of [
      [1, 40, 500],
      [2, 31, 20],
      [16, 33, 129],
      [47, 65, 30],
      [90, 20, 800],
    ]) {
      const [x, w, dy] = [coarse(rows * inDim, 80), coarse(outDim * inDim, 81), coarse(rows * outDim, 82)];
      const chain = (length: number, a: (p: number) => number, b: (p: number) => number): number => {
        let sum = 0;
        for (let p = 0; p < length; p++) sum = Math.fround(a(p) * b(p) + sum);
        return sum;
      };
      const grid = (m: number, n: number, at: (i: number, j: number) => number): Float32Array =>
        Float32Array.from({ length: m * n }, (_, i) => at(Math.floor(i / n), i % n));
      const expected: Record<string, Float32Array> = {
        y: grid(rows, outDim, (r, o) =>
          chain(
            inDim,
            (p) => x[r * inDim + p],
            (p) => w[o * inDim + p],
          ),
        ),
        dx: grid(rows, inDim, (r, i) =>
          chain(
            outDim,
            (o) => dy[r * outDim + o],
            (o) => w[o * inDim + i],
          ),
        ),
        dw: grid(outDim, inDim, (o, i) =>
          chain(
            rows,
            (r) => dy[r * outDim + o],
            (r) => x[r * inDim + i],
          ),
        ),
      };
      for (const each of linearCases(rows, outDim, inDim).filter((c) => !/bias|adding/.test(c.name))) {
        const inputs = { ...each.inputs, x, w, dy, dw: new Float32Array(outDim * inDim) };
        const [output] = each.outputs;
        expect(sameBits(runCase(two, { ...each, inputs })[output], expected[output]), each.name).toBe(true);
      }
    }
  });

  it("an op that fails among others throws what it throws alone, and leaves nothing behind", () => {
    const [x, index] = [uploaded(two, noise(20, 91)), uploaded(two, Int32Array.of(0, 5))];
    const y = two.alloc("f32", 20);
    const gather = () => two.gatherRows(y, x, index, 2, 10);
    expect(gather).toThrow("internal: gatherRows:");
    const work = () => {
      two.add(y, x, x, 20);
      gather();
      two.add(y, y, x, 20);
    };
    expect(() => two.together(work)).toThrow("internal: gatherRows:");
    expect(two.download(y)).toEqual(noise(20, 91).map((value) => 2 * value));
    const stop = new Error("stop");
    const stopped = () => {
      two.add(y, x, y, 20);
      throw stop;
    };
    expect(() => two.together(stopped)).toThrow(stop);
    expect(two.download(y)).toEqual(noise(20, 91).map((value) => 2 * value));
    for (const buffer of [x, index, y]) two.free(buffer);
  });

  it.runIf(arch() === "arm64" || cpuInfo().features.includes("fma"))(
    "gives the bits of every CPU with fused multiply-add",
    () => {
      // They are the same from gcc and clang, with AVX-512, AVX2 and NEON. One changes only with its op's order of operations or cases.
      const digests: Record<string, ReturnType<typeof createHash>> = {};
      for (const each of [...deviceCases(), ...attentionCases()]) {
        const op = each.name.split(" ")[0];
        if (/^(rope|adamW)/.test(op) || op.endsWith("-bf16")) continue; // inputs from cos and pow; the CPU's own dot product
        digests[op] ??= createHash("sha256");
        for (const output of Object.values(runCase(two, each))) digests[op].update(output);
      }
      const short = Object.entries(digests).map(([op, digest]) => [op, digest.digest("hex").slice(0, 8)]);
      expect(Object.fromEntries(short)).toEqual(DIGESTS);
    },
  );

  it("extreme logits stay finite where they should", () => {
    const run = deviceCases().find((each) => each.name === "logprob 1x1")!;
    const logits = Float32Array.of(1e4, -1e4, Number.NEGATIVE_INFINITY, 9999);
    const inputs = { logits, targets: Int32Array.of(3), logprobs: new Float32Array(1), lse: new Float32Array(1) };
    const result = runCase(two, {
      ...run,
      inputs,
      run: (device, b) => device.logprob(b.logprobs, b.lse, b.logits, b.targets, 1, 4),
    });
    expect(result.logprobs[0]).toBeCloseTo(-1.3133, 3);
  });

  it("draws from the same distribution whatever part of a large vocabulary is likely", () => {
    // 100,000 tokens of which a few weigh anything; the uniform walks through them by ascending id.
    const [V, likely] = [100_000, [3, 2047, 2048, 50_000, 99_999]];
    const draw = (uniform: number, topK: number, topP: number, temperature = 1): number => {
      const logits = new Float32Array(V).fill(-100);
      for (const [i, id] of likely.entries()) logits[id] = Math.log(i + 1) * temperature; // weights 1, 2, 3, 4, 5 of 15
      const inputs = {
        logits,
        tokens: new Int32Array(1),
        forced: Int32Array.of(-1),
        topK: Int32Array.of(topK),
        ...Object.fromEntries(
          Object.entries({ logprobs: 0, temperature, topP, uniforms: uniform }).map(([key, x]) => [key, Float32Array.of(x)]),
        ),
      };
      const run: DeviceCase["run"] = (d, b) =>
        d.sampleTokens(b.tokens, b.logprobs, b.logits, b.temperature, b.topK, b.topP, b.uniforms, b.forced, 1, V);
      return runCase(two, { name: "draw", inputs, outputs: ["tokens"], tolerance: 0, run }).tokens[0];
    };
    const walk = (topK: number, topP: number, temperature?: number): number[] =>
      [0, 0.1, 0.25, 0.5, 0.99].map((uniform) => draw(uniform, topK, topP, temperature));
    expect(walk(0, 1)).toEqual([3, 2047, 2048, 50_000, 99_999]);
    expect(walk(0, 1, 0.3)).toEqual([3, 2047, 2048, 50_000, 99_999]);
    expect(walk(2, 1)).toEqual([50_000, 50_000, 50_000, 99_999, 99_999]);
    expect(walk(0, 0.7)).toEqual([2048, 2048, 2048, 50_000, 99_999]); // 5 + 4 of 15 is too little
    expect(walk(4, 0.7)).toEqual([2048, 2048, 2048, 50_000, 99_999]);
    expect(walk(90_000, 0.33)).toEqual([99_999, 99_999, 99_999, 99_999, 99_999]);
    expect(walk(0, 0)).toEqual([99_999, 99_999, 99_999, 99_999, 99_999]);
  });

  it("rows of which no logit is a number end with token 0", () => {
    const V = 5000;
    const each = sampleCase(80, V);
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const logits = new Float32Array(80 * V).fill(bad);
      const { tokens } = runCase(two, { ...each, inputs: { ...each.inputs, logits, forced: new Int32Array(80).fill(-1) } });
      expect(new Set(tokens)).toEqual(new Set([0]));
    }
  });

  it("misuse is our own bug, caught before C", () => {
    const [x, i] = [two.alloc("f32", 8), two.alloc("i32", 2)];
    expect(() => two.add(x, x, x, 9)).toThrow("internal: device op: expected a buffer of at least 9 elements, got 8.");
    expect(() => two.add(x, x, i, 2)).toThrow("internal: device op: expected a f32 buffer, got i32.");
    expect(() => two.view(x, 4, 5)).toThrow("internal:");
    expect(() => two.free(two.view(x, 0, 1))).toThrow("internal:");
    two.upload(i, Int32Array.of(0, 2));
    expect(() => two.gatherRows(two.view(x, 0, 8), x, i, 2, 4)).toThrow(
      "internal: gatherRows: expected indices inside the buffer",
    );
    expect(() => two.alloc("f32", 2 ** 50)).toThrow("device memory: expected");
    two.free(x);
    two.free(i);
    expect(() => two.zero(x)).toThrow("internal:");
    expect(() => two.free(x)).toThrow("internal:");
  });

  it("a mapped file is read-only and says what is wrong with it", () => {
    const path = join(import.meta.dirname, "device-cases.ts");
    const mapped = two.map(path, 0, "i32", 16);
    expect(() => two.zero(mapped)).toThrow("internal: device op: expected writable memory, got a mapped file.");
    expect(() => two.upload(two.view(mapped, 0, 2), Int32Array.of(1))).toThrow("internal:");
    two.free(mapped);
    expect(() => two.download(mapped)).toThrow("internal:");
    expect(() => two.map("/nowhere/a", 0, "f32", 1)).toThrow(/^\/nowhere\/a: expected a file that can be mapped, got ENOENT/);
    expect(() => two.map(path, 0, "f32", 2 ** 40)).toThrow(/device-cases\.ts: expected a file of at least \d+ bytes, got \d+\./);
    expect(() => two.map(import.meta.dirname, 0, "f32", 1)).toThrow(import.meta.dirname);
  });

  it("many small jobs between sleeps all finish", async () => {
    const [x, y] = [five.alloc("f32", 1 << 18), five.alloc("f32", 1 << 18)];
    five.upload(x, new Float32Array(1 << 18).fill(1));
    for (let round = 0; round < 300; round++) {
      five.add(y, y, x, 1 << 18);
      if (round % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(new Set(five.download(y))).toEqual(new Set([300]));
    five.free(x);
    five.free(y);
  });

  it("a disposed device refuses work", () => {
    const device = createCpuDevice({ threads: 2 });
    const buffer = device.alloc("f32", 4);
    device.dispose();
    device.dispose();
    expect(() => device.zero(buffer)).toThrow("internal:");
    expect(device.allocatedBytes).toBe(0);
  });

  it("measures a product and leaves no memory behind", () => {
    const rate = benchGemm(one, 16, 352, 128);
    expect(rate).toBeGreaterThan(0.1);
    expect(rate).toBeLessThan(1e5);
    for (const product of ["linear", "linearBackwardInput", "linearBackwardWeight"] as const)
      expect(benchGemm(one, 16, 352, 128, "bf16", product)).toBeGreaterThan(0.1);
    expect(() => benchGemm(one, 2, 2, 2, "int8", "linearBackwardInput")).toThrow("internal:");
    expect(one.allocatedBytes).toBe(0);
  });

  it("measures its peak", () => {
    expect(measurePeak({ threads: 1 })).toBeGreaterThan(1);
    const { f32, bf16, memoryGBs } = measurePeaks({ threads: 1 });
    expect(Math.min(f32, memoryGBs)).toBeGreaterThan(0.5);
    expect(bestFormat()).toBe(bf16 === undefined ? "f32" : "bf16");
    if (bf16 !== undefined) expect(bf16).toBeGreaterThan(f32);
  });
});
