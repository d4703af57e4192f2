// Speed of the local engine against this machine's measured peak: matrix product, training, decoding. Knows shapes and models,
// no recipe. Every figure is from work that is repeated for a set time after one warm-up.

import { benchGemm } from "./local/device/cpu/bench-gemm.ts";
import { cpuInfo } from "./local/device/cpu/cpu-info.ts";
import { createCpuDevice, measurePeak } from "./local/device/cpu/device.ts";
import { readModelConfig } from "./local/hf-config.ts";
import { parameterSpecs } from "./local/parameters.ts";
import { elements } from "./local/safetensors.ts";
import type { Datum, Engine, LossFn } from "./types.ts";

/** One measured figure; which fields there are depends on `name`. */
export interface BenchResult {
  readonly name: "gemm" | "train" | "decode";
  readonly dtype: "f32";
  /** gemm: [m, n, k]; train: [sequences, tokens]; decode: [sequences, new tokens]. */
  readonly shape: readonly number[];
  readonly parameters?: number;
  readonly gflops?: number;
  readonly tokensPerSecond?: number;
  /** gflops divided by the measured peak, in [0, 1]. */
  readonly ofPeak?: number;
}

/** This machine: name, threads used, and the most GFLOP/s that plain fused multiply-adds reach. */
export interface Machine {
  readonly cpu: string;
  readonly threads: number;
  readonly peakGflops: { readonly f32: number };
}

const MEASURE_SECONDS = 1.5;
const PEAK_TRIES = 5;
const GEMM_SHAPES = [
  [256, 256, 256],
  [512, 512, 512],
  [1024, 1024, 1024],
  [2048, 2048, 2048],
] as const;

/** Measures the machine's peak, the best of several tries because other programs may be running. Errors: EngineError without a compiler. */
export function machine(threads = cpuInfo().threads): Machine {
  const tries = Array.from({ length: PEAK_TRIES }, () => measurePeak({ threads }));
  return { cpu: cpuInfo().model, threads, peakGflops: { f32: Math.max(...tries) } };
}

/** Matrix products y[m, n] = x[m, k]·wᵀ. Errors: EngineError. */
export function benchMatrixProduct({ threads, peakGflops }: Machine): BenchResult[] {
  const device = createCpuDevice({ threads });
  try {
    return GEMM_SHAPES.map(([m, n, k]) => {
      const gflops = benchGemm(device, m, n, k);
      return { name: "gemm", dtype: "f32", shape: [m, n, k], gflops, ofPeak: gflops / peakGflops.f32 };
    });
  } finally {
    device.dispose();
  }
}

/** A training step (forward, backward, AdamW) on full batches. FLOPs are counted as 6 per weight and token. */
export async function benchTraining(engine: Engine, dir: string, { peakGflops }: Machine): Promise<BenchResult> {
  const { vocabSize, maxPositions } = readModelConfig(dir);
  const shape = [64, Math.min(64, maxPositions)];
  const data = Array.from({ length: shape[0] }, (_, sequence) => datum(sequence, shape[1], vocabSize));
  const trainer = await engine.openTrainer(dir);
  try {
    const adamW = { learningRate: 1e-6, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 };
    const step = async () => {
      await trainer.forwardBackward(data, sumOfLogprobs);
      await trainer.optimStep(adamW);
    };
    const tokensPerSecond = (shape[0] * shape[1]) / (await secondsPerCall(step));
    const parameters = multipliedParameters(dir);
    const gflops = (6 * parameters * tokensPerSecond) / 1e9;
    return { name: "train", dtype: "f32", shape, parameters, tokensPerSecond, gflops, ofPeak: gflops / peakGflops.f32 };
  } finally {
    await trainer.dispose();
  }
}

/** Sampling many sequences at once, each from a prompt of its own. FLOPs are counted as 2 per weight and token. */
export async function benchDecoding(engine: Engine, dir: string, { peakGflops }: Machine): Promise<BenchResult> {
  const { vocabSize, maxPositions } = readModelConfig(dir);
  const shape = [256, Math.min(64, maxPositions - 8)];
  const prompts = Array.from({ length: shape[0] }, (_, sequence) => ({ tokens: datum(sequence, 8, vocabSize).tokens }));
  const snapshot = await engine.openSnapshot(dir);
  try {
    let seed = 0;
    const sample = async () => {
      await snapshot.sample(prompts, {
        n: 1,
        maxTokens: shape[1],
        temperature: 1,
        topP: 1,
        topK: 0,
        stopTokens: [],
        seed: seed++,
      });
    };
    const tokensPerSecond = (shape[0] * shape[1]) / (await secondsPerCall(sample));
    const parameters = multipliedParameters(dir);
    const gflops = (2 * parameters * tokensPerSecond) / 1e9;
    return { name: "decode", dtype: "f32", shape, parameters, tokensPerSecond, gflops, ofPeak: gflops / peakGflops.f32 };
  } finally {
    await snapshot.dispose();
  }
}

/** Weights that take part in matrix products; a tied embedding counts once, as the output head. */
function multipliedParameters(dir: string): number {
  const config = readModelConfig(dir);
  const specs = parameterSpecs(config).filter(({ kind }) => kind === "linear" || (kind === "embedding" && config.tiedEmbeddings));
  return specs.reduce((sum, { shape }) => sum + elements(shape), 0);
}

function datum(sequence: number, length: number, vocabSize: number): Datum {
  const tokens = Int32Array.from({ length }, (_, position) => (sequence * 31 + position * 7 + 1) % vocabSize);
  return { tokens, weights: new Float32Array(length - 1).fill(1 / length) };
}

const sumOfLogprobs: LossFn = (logprobs, { weights }) => ({
  loss: -logprobs.reduce((sum, logprob, i) => sum + weights[i] * logprob, 0),
  dLogprobs: weights.map((weight) => -weight),
  metrics: {},
});

async function secondsPerCall(work: () => Promise<void>): Promise<number> {
  await work();
  const started = performance.now();
  let calls = 0;
  do {
    await work();
    calls++;
  } while (performance.now() - started < MEASURE_SECONDS * 1000);
  return (performance.now() - started) / 1000 / calls;
}
