// What every device must do: each op near the float64 reference, and rows, batches and splits that cannot change a bit.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../src/engine/local/device/types.ts";
import { EngineError } from "../../src/util/errors.ts";
import { attentionCases, attentionExactness } from "./attention-cases.ts";
import { deviceCases, noise, sampleCase } from "./device-cases.ts";
import { distance, runCase, sameBits, uploaded, type Values } from "./device-runs.ts";
import { togetherTests } from "./device-together.ts";
import { createReferenceDevice, toBf16 } from "./reference-device.ts";

/** Declares the tests of the device contract. */
export function deviceContract(name: string, makeDevice: () => Device): void {
  describe(`device contract: ${name}`, () => {
    let device: Device;
    beforeAll(() => {
      device = makeDevice();
    });
    afterAll(() => {
      expect(device.allocatedBytes).toBe(0);
      device.dispose();
    });
    for (const one of [...deviceCases(), ...attentionCases()]) {
      it(`${one.name} is near the reference`, () => {
        const [actual, expected] = [runCase(device, one), runCase(createReferenceDevice(), one)];
        for (const output of one.outputs) {
          if (expected[output] instanceof Int32Array) expect(actual[output]).toEqual(expected[output]);
          else expect(distance(actual[output], expected[output]), output).toBeLessThan(one.tolerance);
        }
      });
    }
    memoryTests(() => device);
    exactnessTests(() => device);
    attentionExactness(() => device);
  });
}

function memoryTests(device: () => Device): void {
  it("alloc is zeroed, transfers honour offsets, views share memory, bytes are counted", () => {
    const d = device();
    const before = d.allocatedBytes;
    const buffer = d.alloc("f32", 10);
    expect([...d.download(buffer)]).toEqual(Array(10).fill(0));
    d.upload(buffer, Float32Array.of(1, 2, 3), 4);
    d.upload(d.view(buffer, 8, 2), Float32Array.of(8, 9).subarray(1), 1);
    expect([...d.download(buffer, 4, 6)]).toEqual([1, 2, 3, 0, 0, 9]);
    const other = d.alloc("f32", 10);
    d.copy(other, buffer);
    d.zero(d.view(buffer, 4, 2));
    expect([...d.download(buffer, 4)]).toEqual([0, 0, 3, 0, 0, 9]);
    expect([...d.download(other, 4)]).toEqual([1, 2, 3, 0, 0, 9]);
    expect(d.allocatedBytes - before).toBe(80);
    d.free(buffer);
    d.free(other);
    expect(d.allocatedBytes).toBe(before);
  });
  it("bf16 is the nearest, ties to even; NaN, infinities and denormals stay what they are", () => {
    const d = device();
    const specials = [
      0,
      -0,
      1,
      1 + 2 ** -8,
      1 + 3 * 2 ** -8,
      1 + 2 ** -8 + 2 ** -20,
      -1.01,
      3.4e38,
      Infinity,
      -Infinity,
      NaN,
      1e-40,
    ];
    const data = Float32Array.from([...specials, ...noise(100, 54), ...specials]);
    const [wide, half] = [uploaded(d, data), d.alloc("bf16", data.length)];
    d.cast(half, wide, data.length);
    expect(sameBits(d.download(half), data.map(toBf16))).toBe(true);
    expect([...d.download(half, 2, 4)]).toEqual([1, 1, 1 + 2 ** -6, 1 + 2 ** -7]);
    expect(d.download(half)[7]).toBe(Infinity);
    d.zero(wide);
    d.cast(wide, half, 12);
    expect(sameBits(d.download(wide, 0, 12), d.download(half, 0, 12))).toBe(true);
    expect([...d.download(wide, 12)]).toEqual(Array(112).fill(0));
    d.upload(half, data.subarray(2, 9), 5);
    expect(sameBits(d.download(half, 5, 7), data.subarray(2, 9).map(toBf16))).toBe(true);
    for (const buffer of [wide, half]) d.free(buffer);
  });
  it("maps parts of files of every dtype at any offset; counts none; names a file that is missing or short", () => {
    const d = device();
    const folder = mkdtempSync(join(tmpdir(), "rzero-map-"));
    const path = join(folder, "weights");
    const data = noise(5000, 53);
    const shifted = Buffer.concat([Buffer.of(7), Buffer.from(data.buffer)]); // 20,001 bytes
    writeFileSync(path, Buffer.from(data.buffer));
    writeFileSync(`${path}.shifted`, shifted);
    const before = d.allocatedBytes;
    const parts: [string, number, "f32" | "i32", number, number][] = [
      [path, 0, "f32", 5000, 0],
      [path, 4096, "f32", 1024, 1024],
      [path, 4100, "f32", 3975, 1025],
      [path, 20_000, "f32", 0, 5000],
      [path, 8, "i32", 300, 2],
      [`${path}.shifted`, 4097, "f32", 3976, 1024],
    ];
    for (const [file, offset, dtype, length, first] of parts) {
      const mapped = d.map(file, offset, dtype, length);
      expect(sameBits(d.download(mapped), data.subarray(first, first + length))).toBe(true);
      d.free(mapped);
    }
    const halves = d.map(path, 2, "bf16", 9999);
    expect(d.download(halves)[0]).toBe(
      new Float32Array(new Uint32Array(data.buffer.slice(0, 4)).map((x) => x & 0xffff0000).buffer)[0],
    );
    expect(d.allocatedBytes).toBe(before);
    d.free(halves);
    expect(() => d.map(path, 4, "f32", 5000)).toThrow(EngineError);
    expect(() => d.map(path, 4, "f32", 5000)).toThrow(path);
    expect(() => d.map(`${path}.none`, 0, "f32", 1)).toThrow(`${path}.none`);
    rmSync(folder, { recursive: true });
  });
  it("sumSquares adds in double precision", () => {
    const data = noise(100_003, 50);
    const buffer = uploaded(device(), data);
    const expected = data.reduce((sum, x) => sum + x * x, 0);
    expect(device().sumSquares(buffer, data.length) / expected).toBeCloseTo(1, 12);
    device().free(buffer);
  });
  togetherTests(device);
  bf16MomentTests(device);
  trainingStepTests(device);
  it("a repacked weight is the new weight", () => {
    const d = device();
    const [x, w, y] = [uploaded(d, noise(4 * 20, 51)), uploaded(d, noise(40 * 20, 52)), d.alloc("f32", 4 * 40)];
    const packed = d.packWeight(w, 40, 20, "f32");
    d.upload(w, new Float32Array(800).fill(1));
    expect(d.packWeight(w, 40, 20, "f32", packed)).toBe(packed);
    d.linear(y, x, packed, 4);
    const sum = noise(80, 51)
      .subarray(0, 20)
      .reduce((a, b) => a + b, 0);
    expect(d.download(y)[7]).toBeCloseTo(sum, 5);
    d.freePacked(packed);
    for (const buffer of [x, w, y]) d.free(buffer);
  });
}

function trainingStepTests(device: () => Device): void {
  const bits = (d: Device, buffer: DeviceBuffer): string =>
    Buffer.from((d.download(buffer) as Float32Array).buffer).toString("hex");
  it.each([
    ["f32", 40, 75, 130],
    ["bf16", 40, 75, 130],
    ["f32", 4100, 33, 20],
    ["bf16", 33, 512, 528],
    ["f32", 33, 512, 528],
  ] as const)(
    "linearBackwardWeight in %s without adding has the bits of adding to zeros: %i x %i x %i",
    (format, rows, out, inDim) => {
      const d = device();
      const [dy, x] = [uploaded(d, noise(rows * out, 70)), uploaded(d, noise(rows * inDim, 71))];
      const [zeros, others] = [d.alloc("f32", out * inDim), uploaded(d, noise(out * inDim, 72))];
      d.linearBackwardWeight(zeros, dy, x, rows, out, inDim, format);
      d.linearBackwardWeight(others, dy, x, rows, out, inDim, format, false);
      expect(bits(d, others)).toBe(bits(d, zeros));
      for (const buffer of [dy, x, zeros, others]) d.free(buffer);
    },
  );
  it.each(["f32", "bf16"] as const)(
    "adamW by parts renews panels and may leave the gradient; bits as in one call, panels in %s",
    (format) => {
      const d = device();
      const [OUT, IN, REST] = [75, 48, 21];
      const N = OUT * IN + REST;
      const data = [noise(N, 73), noise(N, 74), noise(N, 75), noise(N, 76).map((x) => x * x)];
      const fresh = (): DeviceBuffer[] =>
        data.map((values, i) => {
          const buffer = d.alloc(i < 2 ? "f32" : "bf16", N);
          d.upload(buffer, values);
          return buffer;
        });
      const [whole, parts] = [fresh(), fresh()];
      const step = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, step: 3, gradScale: 0.5 };
      d.adamW(whole[0], whole[1], whole[2], whole[3], N, step);
      const part = (from: number, n: number) =>
        parts.map((b) => d.view(b, from, n)) as [DeviceBuffer, DeviceBuffer, DeviceBuffer, DeviceBuffer];
      const packed = d.packWeight(parts[0], OUT, IN, format);
      d.adamW(...part(0, OUT * IN), OUT * IN, { ...step, keepGradient: true }, packed);
      d.adamW(...part(OUT * IN, REST), REST, { ...step, first: OUT * IN, keepGradient: true });
      for (const i of [0, 2, 3]) expect(bits(d, parts[i])).toBe(bits(d, whole[i]));
      expect(d.download(parts[1])).toEqual(data[1]);
      expect(d.download(whole[1])).toEqual(new Float32Array(N));
      const x = uploaded(d, noise(5 * IN, 77));
      const [y, expected] = [d.alloc("f32", 5 * OUT), d.alloc("f32", 5 * OUT)];
      const again = d.packWeight(whole[0], OUT, IN, format);
      d.linear(y, x, packed, 5);
      d.linear(expected, x, again, 5);
      expect(bits(d, y)).toBe(bits(d, expected));
      for (const buffer of [...whole, ...parts, x, y, expected]) d.free(buffer);
      for (const one of [packed, again]) d.freePacked(one);
    },
  );
}

function bf16MomentTests(device: () => Device): void {
  const step = { learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, step: 1, gradScale: 1 };
  const mean = (values: Values): number => values.reduce((sum: number, x) => sum + x, 0) / values.length;
  const moments = (d: Device, count: number, dtype: "f32" | "bf16"): DeviceBuffer[] => [
    ...["f32", "f32"].map(() => d.alloc("f32", count)),
    d.alloc(dtype, count),
    d.alloc(dtype, count),
  ];
  it("adamW with bf16 moments steps by the f32 update and rounds both moments to a neighbour, without bias", () => {
    const d = device();
    const N = 50_001;
    const [p, g, m, v] = [noise(N, 44), noise(N, 45), noise(N, 46), noise(N, 47).map((x) => x * x)];
    const [wide, half] = (["f32", "bf16"] as const).map((dtype) => {
      const b = moments(d, N, dtype);
      for (const [i, data] of [p, g, m.map(toBf16), v.map(toBf16)].entries()) d.upload(b[i], data);
      d.adamW(b[0], b[1], b[2], b[3], N, { ...step, step: 5 });
      const result = b.map((buffer) => d.download(buffer));
      for (const buffer of b) d.free(buffer);
      return result;
    });
    expect(sameBits(half[0], wide[0])).toBe(true);
    expect(sameBits(half[1], new Float32Array(N))).toBe(true);
    const [first, second] = [2, 3].map((i) => wide[i].map((x, at) => (half[i][at] - x) / Math.abs(x)));
    for (const off of [first, second]) {
      expect(Math.max(...off.map(Math.abs))).toBeLessThan(2 ** -7);
      expect(Math.abs(mean(off))).toBeLessThan(1e-4);
    }
    const power = (off: Values): number => mean(off.map((x) => x * x));
    const together = mean(first.map((x, i) => x * second[i])) / Math.sqrt(power(first) * power(second));
    expect(Math.abs(together)).toBeLessThan(0.02); // independent of each other
  });
  it("a bf16 second moment that decays by 0.1 % a step follows the f32 one over 2000 steps", () => {
    const d = device();
    const N = 512;
    const b = moments(d, N, "bf16");
    d.upload(b[3], new Float32Array(N).fill(1));
    for (let s = 1; s <= 2000; s++) d.adamW(b[0], b[1], b[2], b[3], N, { ...step, step: s });
    const left = d.download(b[3]);
    expect(mean(left) / 0.999 ** 2000).toBeCloseTo(1, 1);
    expect(Math.min(...left)).toBeGreaterThan(0.5 * 0.999 ** 2000);
    expect(Math.max(...left)).toBeLessThan(2 * 0.999 ** 2000);
    for (const buffer of b) d.free(buffer);
  });
}

/** Outputs of `count` of the 300 rows, from row `first`. */
function partOfRows(d: Device, first: number, count: number): Record<string, Values> {
  const [IN, OUT] = [130, 75];
  const [x, w, weight] = [uploaded(d, noise(300 * IN, 60)), uploaded(d, noise(OUT * IN, 61)), uploaded(d, noise(IN, 62))];
  const [y, dx, norm, rstd] = [OUT, IN, IN, 1].map((width) => d.alloc("f32", count * width));
  const rows = d.view(x, first * IN, count * IN);
  const outputs: Record<string, Values> = {};
  for (const format of ["f32", "bf16", "int8"] as const) {
    const packed = d.packWeight(w, OUT, IN, format);
    d.linear(y, rows, packed, count);
    outputs[`linear ${format}`] = d.download(y);
    if (format !== "int8") {
      d.linearBackwardInput(dx, y, packed, count, false);
      outputs[`linearBackwardInput ${format}`] = d.download(dx);
    }
    d.linear(y, rows, packed, count, undefined, true);
    outputs[`linear ${format} adding`] = d.download(y);
    d.freePacked(packed);
  }
  d.rmsNorm(norm, rstd, rows, weight, count, IN, 1e-6);
  outputs.rmsNorm = d.download(norm);
  outputs.rstd = d.download(rstd);
  for (const buffer of [x, w, weight, y, dx, norm, rstd]) d.free(buffer);
  return outputs;
}

function exactnessTests(device: () => Device): void {
  it("a product adds onto what another left: f32 steps split at any place give the same chain", () => {
    const d = device();
    const [ROWS, OUT, IN] = [21, 40, 700];
    const [x, w] = [noise(ROWS * IN, 71), noise(OUT * IN, 72)];
    const columns = (data: Float32Array, from: number, to: number): Float32Array =>
      data.filter((_, i) => i % IN >= from && i % IN < to);
    const sum = (format: "f32" | "bf16", splits: number[]): Values => {
      const y = d.alloc("f32", ROWS * OUT);
      for (const [i, from] of splits.entries()) {
        const to = splits[i + 1] ?? IN;
        const [part, weight] = [uploaded(d, columns(x, from, to)), uploaded(d, columns(w, from, to))];
        const packed = d.packWeight(weight, OUT, to - from, format);
        d.linear(y, part, packed, ROWS, undefined, i > 0);
        d.freePacked(packed);
        for (const buffer of [part, weight]) d.free(buffer);
      }
      const result = d.download(y);
      d.free(y);
      return result;
    };
    expect(sameBits(sum("f32", [0, 1, 33, 650]), sum("f32", [0]))).toBe(true);
    expect(sameBits(sum("bf16", [0, 2, 32, 650]), sum("bf16", [0]))).toBe(true); // bf16 goes by pairs
  });
  it("int8 weights refuse a backward pass", () => {
    const d = device();
    const [w, dy, dx] = [d.alloc("f32", 6), d.alloc("f32", 2), d.alloc("f32", 3)];
    const packed = d.packWeight(w, 2, 3, "int8");
    expect(() => d.linearBackwardInput(dx, dy, packed, 1, false)).toThrow("internal: linearBackwardInput:");
    d.freePacked(packed);
    for (const buffer of [w, dy, dx]) d.free(buffer);
  });
  for (const [first, count] of [
    [0, 1],
    [131, 1],
    [299, 1],
    [37, 16],
    [100, 150],
  ]) {
    it(`rows ${first} to ${first + count} alone equal the same rows of 300, bit for bit`, () => {
      const [all, part] = [partOfRows(device(), 0, 300), partOfRows(device(), first, count)];
      for (const op of Object.keys(part)) {
        const width = part[op].length / count;
        expect(sameBits(part[op], all[op].subarray(first * width, (first + count) * width)), op).toBe(true);
      }
    });
  }
  it("elementwise ops give an element the same bits wherever it stands", () => {
    const d = device();
    const [gate, up, dy] = [66, 67, 68].map((seed) => noise(200, seed));
    const run = (from: number, count: number): Values[] => {
      const [g, u, gradient] = [gate, up, dy].map((data) => uploaded(d, data.subarray(from, from + count)));
      const [y, dgate, dup] = [0, 0, 0].map(() => d.alloc("f32", count));
      d.swiglu(y, g, u, count);
      d.swigluBackward(dgate, dup, gradient, g, u, count);
      const outputs = [y, dgate, dup].map((buffer) => d.download(buffer));
      for (const buffer of [g, u, gradient, y, dgate, dup]) d.free(buffer);
      return outputs;
    };
    const all = run(0, 200);
    for (const [from, count] of [
      [0, 1],
      [3, 7],
      [17, 31],
      [100, 100],
      [199, 1],
    ]) {
      for (const [i, part] of run(from, count).entries()) expect(sameBits(part, all[i].subarray(from, from + count))).toBe(true);
    }
  });
  it("sampled and scored logprobs are the same to the bit", () => {
    const d = device();
    const sampled = sampleCase(400, 110);
    const { tokens, logprobs } = runCase(d, sampled);
    const scored = runCase(d, {
      ...sampled,
      inputs: { logits: sampled.inputs.logits, tokens: tokens, logprobs: new Float32Array(400), lse: new Float32Array(400) },
      outputs: ["logprobs"],
      run: (on, b) => on.logprob(b.logprobs, b.lse, b.logits, b.tokens, 400, 110),
    });
    expect(sameBits(scored.logprobs, logprobs)).toBe(true);
  });
}
