// Speed of the local engine against this machine's measured peaks: matrix product, training, decoding. Knows shapes and models, no
// recipe and no reward. Every figure is the median over some repeats after one warm-up.

import { benchGemm } from "./local/device/cpu/bench-gemm.ts";
import { cpuInfo } from "./local/device/cpu/cpu-info.ts";
import { createCpuDevice, measurePeaks } from "./local/device/cpu/device.ts";
import { type ModelConfig, readModelConfig } from "./local/hf-config.ts";
import { parameterSpecs } from "./local/parameters.ts";
import { elements } from "./local/safetensors.ts";
import type { GroupWork } from "./shapes.ts";
import type { AdamWParams, Datum, Engine, LossFn } from "./types.ts";

/** How weights are multiplied; names the peak that a figure is compared with. */
export type BenchDType = "f32" | "bf16" | "int8";

/** One measured figure; which fields there are depends on `name`. */
export interface BenchResult {
  readonly name: "gemm" | "train" | "train-shared" | "train-unshared" | "decode" | "grpo" | "iteration";
  readonly dtype: BenchDType;
  /** gemm: [m, n, k]; train: [sequences, tokens]; shared: [groups, size, prompt, completion], grpo too; decode: [sequences, prompt, new]. */
  readonly shape: readonly number[];
  readonly model?: string;
  /** Rank of the adapter that was trained. */
  readonly lora?: number;
  readonly parameters?: number;
  /** Median over the repeats; `spread` is the difference between the slowest and the fastest, divided by it. */
  readonly seconds?: number;
  readonly spread?: number;
  readonly gflops?: number;
  readonly tokensPerSecond?: number;
  /** gflops divided by the measured peak of the type, in [0, 1]. */
  readonly ofPeak?: number;
  /** Weight bytes that decoding streams per second, divided by the measured memory bandwidth; only for a single sequence. */
  readonly ofBandwidth?: number;
  /** Most memory the process has held so far, in bytes, mapped files included. */
  readonly residentBytes?: number;
  /** Seconds of each phase of an iteration. */
  readonly phases?: Readonly<Record<string, number>>;
}

/** This machine: name, threads used, the most GFLOP/s that plain fused multiply-adds reach, and GB/s of reading memory. */
export interface Machine {
  readonly cpu: string;
  readonly threads: number;
  readonly peakGflops: { readonly f32: number; readonly bf16?: number };
  readonly bandwidthGBs: number;
}

/** A model to measure, and how. */
export interface ModelBench {
  readonly engine: Engine;
  readonly dir: string;
  /** What results call it. */
  readonly model: string;
  readonly dtype: BenchDType;
  readonly machine: Machine;
  readonly repeats: number;
  /** Rank of the adapters that train; absent: whole models. */
  readonly loraRank?: number;
}

/** Cubes, and the products of Qwen3-0.6B's layers on 256 rows. */
export const GEMM_SHAPES: readonly (readonly [number, number, number])[] = [
  [512, 512, 512],
  [1024, 1024, 1024],
  [2048, 2048, 2048],
  [4096, 4096, 4096],
  [256, 2048, 1024],
  [256, 1024, 2048],
  [256, 3072, 1024],
  [256, 1024, 3072],
  [2048, 352, 128],
];

/** Measures the machine's peaks, which takes about a second. Errors: EngineError without a compiler. */
export function machine(threads = cpuInfo().threads): Machine {
  const { memoryGBs: bandwidthGBs, ...peakGflops } = measurePeaks({ threads });
  return { cpu: cpuInfo().model, threads, peakGflops, bandwidthGBs };
}

/** The peak that products of this type are held against: int8 weights are widened, their products are f32. */
export function peakOf({ peakGflops }: Machine, dtype: BenchDType): number {
  return dtype === "bf16" ? (peakGflops.bf16 ?? peakGflops.f32) : peakGflops.f32;
}

/** Matrix products y[m, n] = x[m, k]·wᵀ. Errors: EngineError. */
export function benchMatrixProduct(here: Machine, dtypes: readonly BenchDType[]): BenchResult[] {
  const device = createCpuDevice({ threads: here.threads });
  try {
    return dtypes.flatMap((dtype) =>
      GEMM_SHAPES.map(([m, n, k]): BenchResult => {
        const gflops = benchGemm(device, m, n, k, dtype);
        return { name: "gemm", dtype, shape: [m, n, k], gflops, ofPeak: gflops / peakOf(here, dtype) };
      }),
    );
  } finally {
    device.dispose();
  }
}

/** A training step (forward, token loss, backward, clip, AdamW) on packed sequences. FLOPs are counted as 6 per weight and token. */
export async function benchTraining(bench: ModelBench, shape: readonly [number, number]): Promise<BenchResult> {
  const [sequences, length] = shape;
  const data = Array.from({ length: sequences }, (_, sequence) => tokenDatum(sequence, length, vocabularyOf(bench)));
  const times = await trainingTimes(bench, data);
  return { name: "train", ...figures(bench, shape, times, sequences * length, 6) };
}

/**
 * Training on one group: `size` completions after one prompt, against the same rows after prompts that differ, which share nothing.
 * Tokens are those of the completions.
 */
export async function benchSharedPrompt(bench: ModelBench, work: GroupWork): Promise<BenchResult[]> {
  const shape = [work.groups, work.size, work.prompt, work.completion];
  const tokens = work.groups * work.size * work.completion;
  const results: BenchResult[] = [];
  for (const name of ["train-shared", "train-unshared"] as const) {
    const times = await trainingTimes(bench, groupData(work, vocabularyOf(bench), name === "train-shared"));
    const { gflops: _, ofPeak: __, ...figure } = figures(bench, shape, times, tokens, 6);
    results.push({ name, ...figure });
  }
  return results;
}

/** Sampling many sequences at once, each from a prompt of its own. FLOPs are counted as 2 per weight and token. */
export async function benchDecoding(bench: ModelBench, shape: readonly [number, number, number]): Promise<BenchResult> {
  const [sequences, promptTokens, newTokens] = shape;
  const vocabulary = vocabularyOf(bench);
  const prompts = Array.from({ length: sequences }, (_, sequence) => ({ tokens: tokens(sequence, promptTokens, vocabulary) }));
  const snapshot = await bench.engine.openSnapshot(bench.dir, { precision: bench.dtype === "int8" ? "frozen" : "training" });
  try {
    const sampling = { n: 1, maxTokens: newTokens, temperature: 1, topP: 1, topK: 0, stopTokens: [] };
    const times = await repeat(bench.repeats, async (seed) => {
      await snapshot.sample(prompts, { ...sampling, seed });
    });
    const figure = figures(bench, shape, times, sequences * newTokens, 2);
    return {
      name: "decode",
      ...figure,
      ofBandwidth: sequences === 1 ? bandwidthShare(bench, figure.tokensPerSecond) : undefined,
    };
  } finally {
    await snapshot.dispose();
  }
}

/**
 * Seconds of `work`, called `times` times after one call that does not count; `work` gets the number of the call. A single call is asked for
 * where each takes minutes: it has none before it.
 */
export async function repeat(times: number, work: (call: number) => Promise<void>): Promise<number[]> {
  if (times > 1) await work(0);
  const seconds: number[] = [];
  for (let call = 1; call <= times; call++) {
    const started = performance.now();
    await work(call);
    seconds.push((performance.now() - started) / 1000);
  }
  return seconds;
}

/** Median, and (slowest − fastest) / median. */
export function medianOf(times: readonly number[]): { seconds: number; spread: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const seconds = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { seconds, spread: (sorted[sorted.length - 1] - sorted[0]) / seconds };
}

/** Weights that take part in matrix products; a tied embedding counts once, as the output head. */
export function multipliedParameters(config: ModelConfig): number {
  const specs = parameterSpecs(config).filter(({ kind }) => kind === "linear" || (kind === "embedding" && config.tiedEmbeddings));
  return specs.reduce((sum, { shape }) => sum + elements(shape), 0);
}

/** The optimizer of every benchmark; a rate so low that repeats do the same work. */
export const BENCH_ADAMW: AdamWParams = {
  learningRate: 1e-6,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  clipNorm: 1,
};

async function trainingTimes({ engine, dir, repeats }: ModelBench, data: readonly Datum[]): Promise<number[]> {
  const trainer = await engine.openTrainer(dir);
  try {
    return await repeat(repeats, async () => {
      await trainer.forwardBackward(data, sumOfLogprobs);
      await trainer.optimStep(BENCH_ADAMW);
    });
  } finally {
    await trainer.dispose();
  }
}

function figures(
  { dir, model, dtype, machine: here, loraRank }: ModelBench,
  shape: readonly number[],
  times: readonly number[],
  tokenCount: number,
  flopsPerWeight: number,
) {
  const { seconds, spread } = medianOf(times);
  const parameters = multipliedParameters(readModelConfig(dir));
  const tokensPerSecond = tokenCount / seconds;
  const gflops = (flopsPerWeight * parameters * tokensPerSecond) / 1e9;
  return {
    dtype,
    shape,
    model,
    lora: loraRank,
    parameters,
    seconds,
    spread,
    tokensPerSecond,
    gflops,
    ofPeak: gflops / peakOf(here, dtype),
  };
}

const WEIGHT_BYTES: Readonly<Record<BenchDType, number>> = { f32: 4, bf16: 2, int8: 1 };

function bandwidthShare({ dir, dtype, machine: here }: ModelBench, tokensPerSecond: number): number {
  const bytes = multipliedParameters(readModelConfig(dir)) * WEIGHT_BYTES[dtype];
  return (bytes * tokensPerSecond) / 1e9 / here.bandwidthGBs;
}

function vocabularyOf({ dir }: ModelBench): number {
  return readModelConfig(dir).vocabSize;
}

/** Token ids that differ between sequences from the first on. */
function tokens(sequence: number, length: number, vocabulary: number): Int32Array {
  return Int32Array.from({ length }, (_, position) => (sequence * 31 + position * 7 + 3) % vocabulary);
}

function tokenDatum(sequence: number, length: number, vocabulary: number): Datum {
  return { tokens: tokens(sequence, length, vocabulary), weights: new Float32Array(length - 1).fill(1 / length) };
}

function groupData({ groups, size, prompt, completion }: GroupWork, vocabulary: number, shared: boolean): Datum[] {
  return Array.from({ length: groups * size }, (_, index) => {
    const all = new Int32Array(prompt + completion);
    all.set(tokens(shared ? Math.floor(index / size) : index, prompt, vocabulary));
    all.set(tokens(groups * size + index, completion, vocabulary), prompt);
    return { tokens: all, weights: new Float32Array(all.length - 1).fill(1 / completion, prompt - 1) };
  });
}

const sumOfLogprobs: LossFn = (logprobs, { weights }) => ({
  loss: -logprobs.reduce((sum, logprob, i) => sum + weights[i] * logprob, 0),
  dLogprobs: weights.map((weight) => -weight),
  metrics: {},
});
