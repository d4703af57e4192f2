// `rzero sft`: supervised fine-tuning of a model on lines of text, or training from random weights with --init-config.

import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { LORA_TARGETS } from "../config/defaults.ts";
import { initialiseModel, readConfigValue } from "../engine/initialise.ts";
import type { Engine } from "../engine/types.ts";
import { type Example, parseExample } from "../sft/examples.ts";
import type { Batching } from "../sft/schedule.ts";
import { type SftStep, stepsPerEpoch, trainSft } from "../sft/train.ts";
import { readJsonl } from "../store/jsonl.ts";
import { ConfigError, DataError } from "../util/errors.ts";
import { formatCount, formatDuration } from "../util/format.ts";
import { ProgressLine } from "../util/progress.ts";
import { engineConfig, withEngine } from "./engine.ts";
import { modelContext, modelVocabSize, PROMPTS_FILE, resolveModel } from "./model-ref.ts";
import {
  type DTypeOption,
  listOf,
  numberBetween,
  oneOf,
  TRAINABLE_DTYPE_HELP,
  threadCount,
  trainableDType,
  wholeNumber,
} from "./options.ts";
import { print, printJsonLine } from "./output.ts";
import { onInterrupt } from "./signals.ts";

interface SftCommandOptions {
  model?: string;
  initConfig?: string;
  tokenizer?: string;
  input: string;
  out: string;
  lr: number;
  steps?: number;
  epochs?: number;
  batch?: number;
  batchTokens?: number;
  normalise: "batch" | "constant";
  promptWeight: number;
  warmup: number;
  decayTo: number;
  decaySteps: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  clip: number;
  seed: number;
  dtype?: DTypeOption;
  recompute?: boolean;
  loraRank?: number;
  loraAlpha?: number;
  loraTargets?: (typeof LORA_TARGETS)[number][];
  merged?: boolean;
  exportDtype: "float32" | "bfloat16";
  maxTokensPerMicroBatch?: number;
  threads?: number | "auto";
  runs?: string;
  json?: boolean;
}

const DEFAULT_BATCH = 16;

export function sftCommand(): Command {
  const command = new Command("sft")
    .description("supervised fine-tuning on given text; also makes a model from random weights")
    .option("--model <model>", "model to start from: directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option("--init-config <file>", "start from random weights of this config.json instead; needs --tokenizer")
    .option("--tokenizer <dir>", "directory of the tokenizer files for --init-config")
    .requiredOption("--input <file>", 'JSON Lines of {"tokens"} or {"text"} or {"prompt", "completion"}; - reads standard input')
    .requiredOption("--out <dir>", "model directory to write; new or empty")
    .option("--seed <number>", "seed of the order of lines, and of random weights", wholeNumber(0), 0)
    .option("--dtype <format>", TRAINABLE_DTYPE_HELP, trainableDType)
    .option("--export-dtype <type>", "element type of the written weights", oneOf("float32", "bfloat16"), "float32")
    .option("--recompute", "compute activations again in the backward pass: less memory, more time, the same bits")
    .option("--lora-rank <rank>", "train an adapter of this rank; --out is then a PEFT directory", wholeNumber(1))
    .option("--lora-alpha <alpha>", "its low-rank term is multiplied by alpha / rank (default: twice the rank)", numberBetween(0))
    .option("--lora-targets <names>", `weights that get one (default: all): ${LORA_TARGETS.join(", ")}`, listOf(...LORA_TARGETS))
    .option("--merged", "write the adapter merged into its base, as a whole model")
    .option("--max-tokens-per-micro-batch <count>", "tokens packed into one pass; bounds memory", wholeNumber(1))
    .option("--threads <count>", "threads, or auto", threadCount)
    .option("--runs <dir>", "where runs live")
    .option("--json", 'print {"step", "loss", "gradNorm", "lr", "tokens", "tokensPerSecond"} per step');
  return addTrainingOptions(command)
    .addHelpText(
      "after",
      "\nExamples:\n  rzero sft --model tiny-base --input lines.jsonl --out ./tuned --lr 1e-4 --steps 100 --batch 16" +
        "\n  rzero sft --init-config config.json --tokenizer ./tokenizer --input corpus.jsonl --out ./model --lr 3e-3 --epochs 1 --batch-tokens 4096",
    )
    .action(sft);
}

function addTrainingOptions(command: Command): Command {
  return command
    .option("--lr <rate>", "learning rate", numberBetween(0), 1e-5)
    .option("--steps <count>", "optimizer steps", wholeNumber(1))
    .option("--epochs <count>", "passes over the data, when --steps is not given (default 1)", wholeNumber(1))
    .option("--batch <lines>", `lines per step; 0 is all of them (default ${DEFAULT_BATCH})`, wholeNumber(0))
    .option("--batch-tokens <count>", "tokens per step instead of --batch", wholeNumber(1))
    .option(
      "--normalise <how>",
      "divide a step's loss by its own token weight (batch) or by the mean one (constant)",
      oneOf("batch", "constant"),
      "batch",
    )
    .option("--prompt-weight <w>", "loss weight of prompt tokens; completions have 1", numberBetween(0), 0)
    .option("--warmup <steps>", "steps of linear warm-up", wholeNumber(0), 0)
    .option("--decay-to <share>", "final rate as a share of --lr", numberBetween(0, 1), 0)
    .option("--decay-steps <steps>", "last steps, over which the rate falls linearly", wholeNumber(0), 0)
    .option("--beta1 <b>", "AdamW", numberBetween(0, 1), 0.9)
    .option("--beta2 <b>", "AdamW", numberBetween(0, 1), 0.999)
    .option("--eps <e>", "AdamW", numberBetween(0), 1e-8)
    .option("--weight-decay <w>", "AdamW, decoupled", numberBetween(0), 0)
    .option("--clip <norm>", "largest global gradient norm; 0 is off", numberBetween(0), 1);
}

async function sft(options: SftCommandOptions): Promise<void> {
  const batching = batchingOf(options);
  checkOptions(options);
  const scratch = mkdtempSync(join(tmpdir(), "rzero-sft-"));
  try {
    const dir = startingModel(options, scratch);
    const config = engineConfig(options);
    const engine = options.maxTokensPerMicroBatch
      ? { ...config, maxTokensPerMicroBatch: options.maxTokensPerMicroBatch }
      : config;
    await withEngine(engine, (opened) => trainAndWrite(opened, dir, batching, options));
    if (existsSync(join(dir, PROMPTS_FILE))) copyFileSync(join(dir, PROMPTS_FILE), join(options.out, PROMPTS_FILE));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function batchingOf({ batch, batchTokens }: SftCommandOptions): Batching {
  if (batch !== undefined && batchTokens !== undefined)
    throw new ConfigError("sft: expected --batch or --batch-tokens, got both.");
  if (batchTokens !== undefined) return { kind: "tokens", tokens: batchTokens };
  return batch === 0 ? { kind: "all" } : { kind: "lines", lines: batch ?? DEFAULT_BATCH };
}

function checkOptions({ model, initConfig, tokenizer, steps, epochs, out, beta1, beta2 }: SftCommandOptions): void {
  if ((model === undefined) === (initConfig === undefined))
    throw new ConfigError(`sft: expected either --model or --init-config, got ${model === undefined ? "neither" : "both"}.`);
  if (initConfig !== undefined && tokenizer === undefined)
    throw new ConfigError("sft: expected --tokenizer DIR beside --init-config, got none. Random weights bring no tokenizer.");
  if (steps !== undefined && epochs !== undefined) throw new ConfigError("sft: expected --steps or --epochs, got both.");
  if (beta1 === 1 || beta2 === 1) throw new ConfigError("sft: expected --beta1 and --beta2 below 1, got 1.");
  if (existsSync(out) && readdirSync(out).length > 0)
    throw new ConfigError(`--out: expected a new or empty directory, got ${out}, which has files in it. Choose another.`);
}

/** The directory to train from; random weights are written to the scratch directory first. */
function startingModel(options: SftCommandOptions, scratch: string): string {
  if (options.model !== undefined) return resolveModel(options.model, options.runs).dir;
  const file = options.initConfig ?? "";
  const dir = join(scratch, "initial");
  initialiseModel({ dir, config: readConfigValue(file), where: file, seed: options.seed, tokenizerDir: options.tokenizer });
  return dir;
}

async function trainAndWrite(engine: Engine, dir: string, batching: Batching, options: SftCommandOptions): Promise<void> {
  const tokenizer = await engine.openTokenizer(dir);
  const limits = { tokenizer, vocabSize: modelVocabSize(dir), maxTokens: modelContext(dir), promptWeight: options.promptWeight };
  const examples = readJsonl(options.input, (value, where) => parseExample(value, where, limits));
  if (examples.length === 0) throw new DataError(`${options.input}: expected at least one line, got an empty file.`);
  const steps = stepsOf(options, examples, batching);
  if (options.warmup + options.decaySteps > steps)
    throw new ConfigError(
      `sft: expected --warmup plus --decay-steps of at most ${steps} steps, got ${options.warmup + options.decaySteps}.`,
    );
  const trainer = await engine.openTrainer(dir);
  try {
    const printer = new StepPrinter(options.json ?? false);
    await trainSft({
      trainer,
      examples,
      batching,
      steps,
      normalise: options.normalise,
      schedule: { learningRate: options.lr, warmup: options.warmup, decayTo: options.decayTo, decaySteps: options.decaySteps },
      optimizer: {
        beta1: options.beta1,
        beta2: options.beta2,
        epsilon: options.eps,
        weightDecay: options.weightDecay,
        clipNorm: options.clip,
      },
      seed: options.seed,
      on: (step) => printer.show(step),
      signal: onInterrupt("stopping after this step"),
    });
    mkdirSync(options.out, { recursive: true });
    await trainer.exportModel(options.out, { dtype: options.exportDtype, merged: options.merged });
    printer.finish(options.out);
  } finally {
    await trainer.dispose();
  }
}

function stepsOf({ steps, epochs }: SftCommandOptions, examples: readonly Example[], batching: Batching): number {
  return steps ?? (epochs ?? 1) * stepsPerEpoch(examples, batching);
}

/** JSON per step on standard output, or progress on standard error and one closing line. */
class StepPrinter {
  readonly #json: boolean;
  readonly #progress = new ProgressLine();
  readonly #started = performance.now();
  #tokens = 0;
  #last: SftStep | undefined;

  constructor(json: boolean) {
    this.#json = json;
  }

  show(stats: SftStep): void {
    const { step, steps, loss, gradNorm, lr, tokens, tokensPerSecond } = stats;
    this.#tokens += tokens;
    this.#last = stats;
    if (this.#json) printJsonLine({ step, loss, gradNorm, lr, tokens, tokensPerSecond });
    this.#progress.update("sft", step, steps, `loss ${loss.toFixed(4)} · ${formatCount(tokensPerSecond)} tokens/s`);
  }

  finish(out: string): void {
    this.#progress.clear();
    const seconds = (performance.now() - this.#started) / 1000;
    const summary = `${this.#last?.step ?? 0} steps, ${formatCount(this.#tokens)} tokens in ${formatDuration(seconds)}, last loss ${this.#last?.loss.toFixed(4)}; written to ${out}`;
    if (this.#json) this.#progress.note(summary);
    else print(summary);
  }
}
