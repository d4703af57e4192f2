// `rzero bench`: speed of matrix product, training, decoding, a GRPO step and a whole iteration against this machine's measured peaks.

import { Command } from "commander";
import { loadConfig } from "../config/load.ts";
import type { LocalEngineConfig } from "../config/schema.ts";
import {
  BENCH_ADAMW,
  type BenchDType,
  type BenchResult,
  benchDecoding,
  benchMatrixProduct,
  benchSharedPrompt,
  benchTraining,
  type Machine,
  type ModelBench,
  machine,
  medianOf,
  repeat,
} from "../engine/benchmark.ts";
import { type GroupWork, SHAPE_NAMES, SHAPE_WORK, type ShapeName, type ShapeWork, withShape } from "../engine/shapes.ts";
import type { Engine } from "../engine/types.ts";
import { benchmarkGrpoStep, benchmarkRun } from "../selfplay/benchmark.ts";
import { ConfigError } from "../util/errors.ts";
import { formatBytes, formatCount, formatDuration, formatPercent, formatTable } from "../util/format.ts";
import { engineConfig, withEngine } from "./engine.ts";
import { resolveModel } from "./model-ref.ts";
import { listOf, oneOf, threadCount, wholeNumber } from "./options.ts";
import { print, printJson, say } from "./output.ts";

interface BenchOptions {
  model?: string;
  shape: ShapeName;
  threads?: number | "auto";
  dtype?: BenchDType[];
  recompute?: boolean;
  loraRank?: number;
  repeats: number;
  runs?: string;
  json?: boolean;
}

const KINDS = ["gemm", "train", "shared", "decode", "grpo", "iteration"] as const;
type Kind = (typeof KINDS)[number];
const DEFAULT_KINDS: readonly Kind[] = ["gemm", "train", "shared", "decode"];

export function benchCommand(): Command {
  return new Command("bench")
    .description("speed against this machine's measured peaks")
    .argument("[what...]", `what to measure: ${KINDS.join(", ")} (default: ${DEFAULT_KINDS.join(", ")})`)
    .option("--model <model>", "measure this model: directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option(
      "--shape <name>",
      `without --model: random weights of this shape, and with it the work of this shape: ${SHAPE_NAMES.join(", ")}`,
      oneOf(...SHAPE_NAMES),
      "tiny",
    )
    .option("--threads <count>", "threads, or auto", threadCount)
    .option(
      "--dtype <types>",
      "f32, bf16, int8, or several with commas (default: f32, and bf16 where the CPU has it)",
      listOf("f32", "bf16", "int8"),
    )
    .option("--recompute", "train with recomputed activations")
    .option("--lora-rank <rank>", "train adapters of this rank instead of whole models", wholeNumber(1))
    .option("--repeats <count>", "figures are medians of so many repeats", wholeNumber(1), 5)
    .option("--runs <dir>", "where runs live")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\n`iteration` is one iteration of recipe tiny on its base model.\n\nExamples:\n  rzero bench gemm\n  rzero bench train decode --shape 125m --threads 2 --json",
    )
    .action(bench);
}

async function bench(what: string[], options: BenchOptions): Promise<void> {
  const kinds = what.length > 0 ? what.flatMap((word) => word.split(",")).map(readKind) : DEFAULT_KINDS;
  const here = machine(options.threads === "auto" ? undefined : options.threads);
  const dtypes: BenchDType[] = options.dtype ?? (here.peakGflops.bf16 === undefined ? ["f32"] : ["f32", "bf16"]);
  const results: BenchResult[] = [];
  if (kinds.includes("gemm")) {
    say("measuring gemm …");
    results.push(...benchMatrixProduct(here, dtypes));
  }
  for (const dtype of dtypes) {
    if (kinds.some((kind) => kind !== "gemm" && kind !== "iteration"))
      results.push(...(await benchModel(kinds, options, here, dtype)));
    if (kinds.includes("iteration") && dtype !== "int8") results.push(await benchIteration(here, dtype));
  }
  if (options.json) printJson({ ...here, results });
  else show(here, results);
}

function readKind(word: string): Kind {
  const kind = KINDS.find((candidate) => candidate === word);
  if (kind) return kind;
  throw new ConfigError(`bench: expected ${KINDS.join(", ")}, got "${word}".`);
}

/** Opens the engine for one type and measures what is asked for. */
async function benchModel(
  kinds: readonly Kind[],
  { model, shape, recompute, loraRank, repeats, runs }: BenchOptions,
  here: Machine,
  dtype: BenchDType,
): Promise<BenchResult[]> {
  const measure = (dir: string, name: string) =>
    withEngine(engineConfig({ threads: here.threads, recompute, loraRank, dtype }), (engine) =>
      measureModel(kinds, SHAPE_WORK[shape], { engine, dir, model: name, dtype, machine: here, repeats, loraRank }),
    );
  if (model !== undefined) {
    const { dir, name } = resolveModel(model, runs);
    return measure(dir, name);
  }
  return withShape(shape, (dir) => measure(dir, shape));
}

async function measureModel(kinds: readonly Kind[], work: ShapeWork, model: ModelBench): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  const trains = model.dtype !== "int8"; // quantised weights have no backward pass
  const { train, shared, grpo } = work;
  if (kinds.includes("train") && trains && train)
    results.push(await announced("train", model, () => benchTraining(model, train)));
  if (kinds.includes("shared") && trains && shared)
    results.push(...(await announced("shared prompt", model, () => benchSharedPrompt(model, shared))));
  if (kinds.includes("decode"))
    for (const shape of work.decode)
      results.push(await announced(`decode ${shape[0]}`, model, () => benchDecoding(model, shape)));
  if (kinds.includes("grpo") && trains && grpo) results.push(await announced("grpo", model, () => benchGrpo(model, grpo)));
  return results;
}

function announced<T>(what: string, { model, dtype }: ModelBench, work: () => Promise<T>): Promise<T> {
  say(`measuring ${what}: ${model}, ${dtype} …`);
  return work();
}

async function benchGrpo({ engine, dir, model, dtype, repeats, loraRank }: ModelBench, work: GroupWork): Promise<BenchResult> {
  const trainer = await engine.openTrainer(dir);
  const reference = await engine.openSnapshot(dir);
  try {
    const prompts = Array.from({ length: work.groups }, (_, index) => ({
      tokens: Int32Array.from({ length: work.prompt }, (_, position) => (index * 31 + position * 7 + 3) % 100),
    }));
    const { size, completion } = work;
    const grpo = { trainer, reference, prompts, size, completion, optimizer: BENCH_ADAMW };
    const { seconds, spread } = medianOf(await repeat(repeats, (seed) => benchmarkGrpoStep(grpo, seed)));
    const tokens = work.groups * size * completion;
    const shape = [work.groups, size, work.prompt, completion];
    const residentBytes = 1024 * process.resourceUsage().maxRSS;
    return {
      name: "grpo",
      dtype,
      shape,
      model,
      lora: loraRank,
      seconds,
      spread,
      tokensPerSecond: tokens / seconds,
      residentBytes,
    };
  } finally {
    await reference.dispose();
    await trainer.dispose();
  }
}

/** One iteration of recipe tiny, the evaluation of the base included. Measured once: a repeat would be the same run. */
async function benchIteration(here: Machine, dtype: BenchDType): Promise<BenchResult> {
  say(`measuring iteration: recipe tiny, ${dtype} …`);
  const overrides = [
    { path: ["iterations"], text: "1" },
    { path: ["engine", "dtype"], text: dtype },
  ];
  const config = loadConfig({ recipe: "tiny", overrides });
  const { dir, name } = resolveModel(config.base);
  const { all: seconds, ...phases } = await withEngine(
    { ...(config.engine as LocalEngineConfig), threads: here.threads },
    (engine: Engine) => benchmarkRun(engine, config, dir),
  );
  return { name: "iteration", dtype, shape: [], model: name, seconds, phases };
}

function show({ cpu, threads, peakGflops, bandwidthGBs }: Machine, results: readonly BenchResult[]): void {
  const peaks = [
    `${peakGflops.f32.toFixed(0)} GFLOP/s in f32`,
    ...(peakGflops.bf16 === undefined ? [] : [`${peakGflops.bf16.toFixed(0)} in bf16`]),
    `memory ${bandwidthGBs.toFixed(0)} GB/s`,
  ];
  print(`${cpu}, ${threads} ${threads === 1 ? "thread" : "threads"}, measured peaks: ${peaks.join(", ")}\n`);
  const header = [
    "bench",
    "model",
    "type",
    "shape",
    "time",
    "± %",
    "GFLOP/s",
    "tokens/s",
    "% of peak",
    "% of bandwidth",
    "memory",
  ];
  print(formatTable(header, results.map(row)));
  for (const { name, phases } of results)
    if (phases)
      print(
        `\n${name}: ${Object.entries(phases)
          .map(([phase, seconds]) => `${phase} ${formatDuration(seconds)}`)
          .join(", ")}`,
      );
}

function row(result: BenchResult): string[] {
  const { name, dtype, shape, model, lora, seconds, spread, gflops, tokensPerSecond, ofPeak, ofBandwidth, residentBytes } =
    result;
  return [
    name,
    lora === undefined ? (model ?? "") : `${model} LoRA ${lora}`,
    dtype,
    shape.join("×"),
    seconds === undefined ? "" : seconds < 1 ? `${(1000 * seconds).toFixed(1)} ms` : `${seconds.toFixed(2)} s`,
    spread === undefined ? "" : (50 * spread).toFixed(1),
    gflops === undefined ? "" : gflops.toFixed(1),
    tokensPerSecond === undefined ? "" : formatCount(tokensPerSecond),
    ofPeak === undefined ? "" : formatPercent(ofPeak),
    ofBandwidth === undefined ? "" : formatPercent(ofBandwidth),
    residentBytes === undefined ? "" : formatBytes(residentBytes),
  ];
}
