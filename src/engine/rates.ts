// Two rates of this machine on products of a model's shape, measured in a fraction of a second, for the plan of a run; and the model's
// configuration and the engine's formats in the form that the plan wants. Allocates at most some tens of MB for a moment.

import { availableParallelism } from "node:os";
import type { LocalEngineConfig } from "./create.ts";
import { bestFormat, createCpuDevice } from "./local/device/cpu/device.ts";
import type { WeightFormat } from "./local/device/types.ts";
import type { ModelConfig } from "./local/hf-config.ts";
import type { Rates } from "./plan.ts";

export { readModelConfig } from "./local/hf-config.ts";

/** Elements of the weight that is measured: beyond the caches for large models, a layer's own for small ones. */
const MOST_WEIGHTS = 2 ** 24;
const MANY_ROWS = 256;
const SECONDS = 0.08;

/** Formats and threads that an engine of this configuration works with: what `auto` and `same` mean on this machine. */
export function resolveFormats({ dtype, frozenDtype, threads }: LocalEngineConfig): {
  format: "f32" | "bf16";
  frozenFormat: WeightFormat;
  threads: number;
} {
  const format = dtype === undefined || dtype === "auto" ? bestFormat() : dtype;
  return {
    format,
    frozenFormat: frozenDtype === undefined || frozenDtype === "same" ? format : frozenDtype,
    threads: typeof threads === "number" ? threads : availableParallelism(),
  };
}

/** Measures both rates; under half a second. Errors: EngineError without a compiler. */
export function measureRates(model: ModelConfig, format: "f32" | "bf16", threads: number): Rates {
  const device = createCpuDevice({ threads });
  try {
    const inDim = model.hiddenSize;
    const outDim = Math.min(Math.max(model.intermediateSize, model.vocabSize), Math.max(32, Math.floor(MOST_WEIGHTS / inDim)));
    const weight = device.alloc("f32", outDim * inDim);
    const packed = device.packWeight(weight, outDim, inDim, format);
    device.free(weight);
    const [x, y] = [device.alloc("f32", MANY_ROWS * inDim), device.alloc("f32", MANY_ROWS * outDim)];
    const secondsOf = (rows: number) => secondsPerCall(() => device.linear(y, x, packed, rows));
    const bytes = outDim * inDim * (format === "f32" ? 4 : 2);
    return { gflops: (2 * outDim * inDim * MANY_ROWS) / secondsOf(MANY_ROWS) / 1e9, streamGBs: bytes / secondsOf(1) / 1e9 };
  } finally {
    device.dispose();
  }
}

/** The fastest call of those that fit the time, because other programs may be running. */
function secondsPerCall(work: () => void): number {
  work();
  let best = Number.POSITIVE_INFINITY;
  for (const end = performance.now() + 1000 * SECONDS; performance.now() < end; ) {
    const started = performance.now();
    work();
    best = Math.min(best, (performance.now() - started) / 1000);
  }
  return best;
}
