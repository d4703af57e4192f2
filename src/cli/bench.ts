// `rzero bench`: speed of matrix product, training and decoding against this machine's measured peak.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import {
  type BenchResult,
  benchDecoding,
  benchMatrixProduct,
  benchTraining,
  type Machine,
  machine,
} from "../engine/benchmark.ts";
import { initialiseModel } from "../engine/initialise.ts";
import { ConfigError } from "../util/errors.ts";
import { formatCount, formatPercent, formatTable } from "../util/format.ts";
import { engineConfig, withEngine } from "./engine.ts";
import { resolveModel } from "./model-ref.ts";
import { type DTypeOption, oneOf, TRAINABLE_DTYPE_HELP, threadCount, trainableDType } from "./options.ts";
import { print, printJson, say } from "./output.ts";

interface BenchOptions {
  model?: string;
  shape: keyof typeof SHAPES;
  threads?: number | "auto";
  dtype?: DTypeOption;
  recompute?: boolean;
  runs?: string;
  json?: boolean;
}

const KINDS = ["gemm", "train", "decode"] as const;
type Kind = (typeof KINDS)[number];

/** Model shapes to measure with random weights; `tiny` is the shape of the embedded base model. */
const SHAPES = {
  tiny: {
    vocab_size: 128,
    hidden_size: 128,
    intermediate_size: 352,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
  },
  small: {
    vocab_size: 8192,
    hidden_size: 512,
    intermediate_size: 1408,
    num_hidden_layers: 8,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 64,
  },
};

export function benchCommand(): Command {
  return new Command("bench")
    .description("speed against this machine's measured peak")
    .argument("[what...]", `what to measure: ${KINDS.join(", ")} (default: all)`)
    .option("--model <model>", "measure this model: directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option(
      "--shape <name>",
      `without --model: random weights of this shape: ${Object.keys(SHAPES).join(", ")}`,
      oneOf("tiny", "small"),
      "tiny",
    )
    .option("--threads <count>", "threads, or auto", threadCount)
    .option("--dtype <format>", TRAINABLE_DTYPE_HELP, trainableDType)
    .option("--recompute", "train with recomputed activations")
    .option("--runs <dir>", "where runs live")
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExamples:\n  rzero bench gemm\n  rzero bench train decode --shape small --threads 2 --json")
    .action(bench);
}

async function bench(what: string[], options: BenchOptions): Promise<void> {
  const kinds = what.length > 0 ? what.flatMap((word) => word.split(",")).map(readKind) : [...KINDS];
  const here = machine(options.threads === "auto" ? undefined : options.threads);
  const results: BenchResult[] = [];
  if (kinds.includes("gemm")) results.push(...announce("gemm", () => benchMatrixProduct(here)));
  if (kinds.includes("train") || kinds.includes("decode")) results.push(...(await benchModel(kinds, options, here)));
  if (options.json) printJson({ ...here, results });
  else show(here, results);
}

function readKind(word: string): Kind {
  const kind = KINDS.find((candidate) => candidate === word);
  if (kind) return kind;
  throw new ConfigError(`bench: expected ${KINDS.join(", ")}, got "${word}".`);
}

function announce<T>(kind: Kind, work: () => T): T {
  say(`measuring ${kind} …`);
  return work();
}

async function benchModel(kinds: readonly Kind[], options: BenchOptions, here: Machine): Promise<BenchResult[]> {
  const scratch = mkdtempSync(join(tmpdir(), "rzero-bench-"));
  try {
    const dir =
      options.model === undefined
        ? randomModel(options.shape, join(scratch, "model"))
        : resolveModel(options.model, options.runs).dir;
    return await withEngine(engineConfig({ ...options, threads: here.threads }), async (engine) => {
      const results: BenchResult[] = [];
      if (kinds.includes("train")) results.push(await announce("train", () => benchTraining(engine, dir, here)));
      if (kinds.includes("decode")) results.push(await announce("decode", () => benchDecoding(engine, dir, here)));
      return results;
    });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function randomModel(shape: keyof typeof SHAPES, dir: string): string {
  const common = {
    architectures: ["Qwen3ForCausalLM"],
    model_type: "qwen3",
    hidden_act: "silu",
    attention_bias: false,
    rms_norm_eps: 1e-6,
  };
  const rest = { rope_theta: 10000, max_position_embeddings: 256, initializer_range: 0.02, tie_word_embeddings: true };
  initialiseModel({ dir, config: { ...common, ...rest, ...SHAPES[shape] }, where: `shape ${shape}`, seed: 0 });
  return dir;
}

function show({ cpu, threads, peakGflops }: Machine, results: readonly BenchResult[]): void {
  print(
    `${cpu}, ${threads} ${threads === 1 ? "thread" : "threads"}, measured peak ${peakGflops.f32.toFixed(0)} GFLOP/s in f32\n`,
  );
  const rows = results.map(({ name, dtype, shape, gflops, tokensPerSecond, ofPeak }) => [
    name,
    dtype,
    shape.join("×"),
    gflops === undefined ? "" : gflops.toFixed(1),
    tokensPerSecond === undefined ? "" : formatCount(tokensPerSecond),
    formatPercent(ofPeak),
  ]);
  print(formatTable(["bench", "type", "shape", "GFLOP/s", "tokens/s", "% of peak"], rows));
}
