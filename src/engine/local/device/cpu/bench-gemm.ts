// Speed of the matrix products at one shape, for `rzero bench`. Works with any device.

import type { Buffer, Device, WeightFormat } from "../types.ts";

const ROUNDS = 15;
const SECONDS = 0.3;

/** Which of the three products of a linear layer. */
export type GemmProduct = "linear" | "linearBackwardInput" | "linearBackwardWeight";

/** Deterministic data of any size, at the speed of a copy. */
function fill(device: Device, buffer: Buffer): void {
  const part = Float32Array.from({ length: Math.min(buffer.length, 9973) }, (_, i) => ((i * 37) % 101) / 101 - 0.5);
  for (let i = 0; i < buffer.length; i += part.length)
    device.upload(buffer, part.subarray(0, Math.min(part.length, buffer.length - i)), i);
}

function medianRate(work: number, call: () => void): number {
  const seconds = (calls: number): number => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) call();
    return Number(process.hrtime.bigint() - start) / 1e9;
  };
  seconds(1);
  const once = seconds(1);
  const rounds = once > SECONDS ? 5 : ROUNDS;
  const calls = Math.max(1, Math.ceil(SECONDS / ROUNDS / Math.max(once, 1e-7)));
  const rates = Array.from({ length: rounds }, () => (work * calls) / seconds(calls) / 1e9).sort((a, b) => a - b);
  return rates[rounds >> 1];
}

/**
 * Median GFLOP/s (2·m·n·k per call) of one product of a layer with m rows, n outputs and k inputs: y[m, n] = x[m, k] · wᵀ, dx = dy · w
 * or dw[n, k] += dyᵀ · x. At most about 0.3 s, more where 7 calls take longer. Errors: EngineError without memory; int8 is only `linear`.
 */
export function benchGemm(
  device: Device,
  m: number,
  n: number,
  k: number,
  format: WeightFormat = "f32",
  product: GemmProduct = "linear",
): number {
  const [x, w, y] = [device.alloc("f32", m * k), device.alloc("f32", n * k), device.alloc("f32", m * n)];
  for (const buffer of [x, w, y]) fill(device, buffer);
  const work = 2 * m * n * k;
  try {
    if (product === "linearBackwardWeight") {
      if (format === "int8") throw new Error("internal: benchGemm: expected f32 or bf16, got int8.");
      return medianRate(work, () => device.linearBackwardWeight(w, y, x, m, n, k, format));
    }
    const packed = device.packWeight(w, n, k, format);
    const forward = (): void => device.linear(y, x, packed, m);
    const backward = (): void => device.linearBackwardInput(x, y, packed, m, false);
    try {
      return medianRate(work, product === "linear" ? forward : backward);
    } finally {
      device.freePacked(packed);
    }
  } finally {
    for (const buffer of [x, w, y]) device.free(buffer);
  }
}
