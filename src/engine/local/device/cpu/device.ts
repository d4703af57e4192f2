// The CPU as a device: composes the op table from checked calls into the C kernels of native/.
// Knows no model; which rows make a sequence is the caller's business.

import { availableParallelism } from "node:os";
import { EngineError } from "../../../../util/errors.ts";
import type { Device } from "../types.ts";
import { CallList } from "./call-list.ts";
import { kernels } from "./kernels.ts";
import { matrixOps } from "./matrix-ops.ts";
import { CpuMemory } from "./memory.ts";
import { rowOps } from "./row-ops.ts";
import { attentionOps, optimizerOps, vocabularyOps } from "./sequence-ops.ts";

/** Options of the CPU device. */
export interface CpuDeviceOptions {
  /** Threads of the pool, the calling one included; default all that this process may use. No result depends on it. */
  readonly threads?: number;
}

function newContext(threads: number): number {
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new EngineError(`cpu device: expected 1 to 1024 threads, got ${threads}.`);
  }
  const ctx = kernels().create(threads);
  if (!ctx) throw new EngineError("cpu device: expected memory for a thread pool, got none. Free memory.");
  return ctx;
}

/**
 * A CPU device with a thread pool of its own; `dispose` ends the threads and frees all its memory. The first call of all compiles
 * the kernels (seconds). Errors: EngineError without a C compiler.
 */
export function createCpuDevice(options: CpuDeviceOptions = {}): Device {
  const threads = options.threads ?? availableParallelism();
  const ctx = newContext(threads);
  const list = new CallList(kernels(), ctx);
  const { native } = list;
  const memory = new CpuMemory(native, ctx);
  let disposed = false;
  return {
    name: "cpu",
    threads,
    get allocatedBytes() {
      return memory.allocatedBytes;
    },
    dispose: () => {
      if (disposed) return;
      disposed = true;
      memory.dropAll(); // from here on every op finds its buffers dead and throws
      native.destroy(ctx);
    },
    together: (work) => list.together(work),
    ...memory.ops(),
    ...matrixOps(native, ctx, memory),
    ...rowOps(native, ctx),
    ...attentionOps(native, ctx),
    ...vocabularyOps(native, ctx),
    ...optimizerOps(native, ctx),
  };
}

/** What this machine can do at most, measured. */
export interface Peaks {
  /** GFLOP/s of independent f32 fused multiply-adds. */
  readonly f32: number;
  /** GFLOP/s of bf16 dot products; absent where the CPU has no such instruction. */
  readonly bf16?: number;
  /** GB/s (10^9 bytes) of reading memory far beyond the caches. */
  readonly memoryGBs: number;
}

const PEAK_SECONDS = 0.1;
const PEAK_TRIES = 3;

function withContext<T>(threads: number, use: (ctx: number) => T): T {
  const ctx = newContext(threads);
  try {
    return use(ctx);
  } finally {
    kernels().destroy(ctx);
  }
}

const bestPeak = (ctx: number, format: number): number =>
  Math.max(...Array.from({ length: PEAK_TRIES }, () => kernels().peak(ctx, PEAK_SECONDS, format)));

/** Peaks on `threads` threads, each the best of some tries because other programs may be running. Takes about a second. */
export function measurePeaks(options: CpuDeviceOptions = {}): Peaks {
  return withContext(options.threads ?? availableParallelism(), (ctx) => {
    const f32 = bestPeak(ctx, 0);
    const bf16 = bestPeak(ctx, 1);
    const memoryGBs = kernels().memoryBandwidth(ctx, 2 * PEAK_SECONDS);
    return bf16 > 0 ? { f32, bf16, memoryGBs } : { f32, memoryGBs };
  });
}

/** The most f32 GFLOP/s that plain fused multiply-adds reach here on `threads` threads, from a loop of about 0.2 s. */
export function measurePeak(options: CpuDeviceOptions = {}): number {
  return withContext(options.threads ?? availableParallelism(), (ctx) => kernels().peak(ctx, 0.2, 0));
}

/** The format in which this CPU multiplies fastest: bf16 where the compiled kernels have a bf16 dot product, else f32. */
export function bestFormat(): "bf16" | "f32" {
  return kernels().hasBf16Dot() ? "bf16" : "f32";
}
