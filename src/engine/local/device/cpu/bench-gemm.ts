// Speed of the matrix product at one shape, for `rzero bench`. Works with any device.

import type { Device } from "../types.ts";

const ROUNDS = 15;
const SECONDS = 0.3;

/** Median GFLOP/s (2·m·n·k per call) of y[m, n] = x[m, k] · w[n, k]ᵀ through `device.linear`, over at most about 0.3 s. */
export function benchGemm(device: Device, m: number, n: number, k: number): number {
  const [x, w, y] = [device.alloc("f32", m * k), device.alloc("f32", n * k), device.alloc("f32", m * n)];
  for (const buffer of [x, w])
    device.upload(
      buffer,
      Float32Array.from({ length: buffer.length }, (_, i) => ((i * 37) % 101) / 101 - 0.5),
    );
  const packed = device.packWeight(w, n, k, "f32");
  const seconds = (calls: number): number => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) device.linear(y, x, packed, m);
    return Number(process.hrtime.bigint() - start) / 1e9;
  };
  seconds(1);
  const once = seconds(1);
  const calls = Math.max(1, Math.ceil(SECONDS / ROUNDS / Math.max(once, 1e-7)));
  const rates = Array.from({ length: ROUNDS }, () => (2 * m * n * k * calls) / seconds(calls) / 1e9).sort((a, b) => a - b);
  device.freePacked(packed);
  for (const buffer of [x, w, y]) device.free(buffer);
  return rates[ROUNDS >> 1];
}
