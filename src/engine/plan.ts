// The memory and time that phases of sampling and training will need, before any of it is done: byte formulas of memory-plan.ts,
// times from two measured rates. Pure; knows no recipe, no role and no machine beyond the rates. Completions are taken to be as long as
// they may be, so times are upper bounds and short answers end sooner.

import type { WeightFormat } from "./local/device/types.ts";
import type { ModelConfig } from "./local/hf-config.ts";
import {
  activationBytes,
  cacheBytesPerRow,
  gradientBytes,
  momentBytes,
  passRows,
  type Recompute,
  recomputes,
  samplingBytes,
  scoringBytes,
  trainedParameters,
  trainingBytes,
  type WeightPlan,
  weightBytes,
} from "./local/memory-plan.ts";
import { parameterSpecs } from "./local/parameters.ts";
import { elements } from "./local/safetensors.ts";
import { DEFAULT_SCHEDULER } from "./local/scheduler.ts";
import { MAX_COPY_BYTES } from "./local/state-writer.ts";

/** One call of a sampler, `calls` times in the phase. */
export interface SamplingWork {
  readonly calls: number;
  /** Distinct prompts, and completions of all of them together. */
  readonly prompts: number;
  readonly completions: number;
  readonly promptTokens: number;
  /** Most new tokens of a completion. */
  readonly newTokens: number;
  /** Answers that nobody trains on may be drawn from a smaller format. */
  readonly frozen: boolean;
  /** The copy that is sampled from lives through the phase and is counted there. */
  readonly copyLives?: boolean;
}

/** GRPO steps on rollouts. */
export interface TrainingWork {
  readonly steps: number;
  /** Rollouts of a step, of which `groupSize` share a prompt. */
  readonly rollouts: number;
  readonly groupSize: number;
  readonly promptTokens: number;
  readonly newTokens: number;
  /** Optimizer updates of a step. */
  readonly updates: number;
  /** A frozen model scores the rollouts first. */
  readonly reference: boolean;
}

/** One phase of a run. */
export interface PhaseWork {
  readonly name: string;
  /** How often it happens. */
  readonly times: number;
  readonly sampling: readonly SamplingWork[];
  readonly training?: TrainingWork;
  /** Frozen copies of policies that live through the phase: references, and voters in the format of frozen answers. */
  readonly references: number;
  readonly voters: number;
}

/** A whole run. */
export interface RunWork {
  /** Policies in training, all open from beginning to end. */
  readonly trainers: number;
  /** The base model stays open as a reference. */
  readonly base: boolean;
  readonly phases: readonly PhaseWork[];
}

/** How the engine will hold the models. */
export interface PlanOptions {
  readonly format: "f32" | "bf16";
  readonly frozenFormat: WeightFormat;
  readonly optimizerDtype: "f32" | "bf16";
  readonly recompute: Recompute;
  readonly slots: number;
  readonly maxTokensPerMicroBatch: number;
  /** Adapters over one copy of the base instead of full training. */
  readonly lora?: { readonly rank: number; readonly targets?: readonly string[] };
}

/** What the machine does, measured on products of the model's shape. */
export interface Rates {
  /** GFLOP/s of a product with many rows. */
  readonly gflops: number;
  /** GB/s of weights read by a product with one row. */
  readonly streamGBs: number;
}

/** Bytes and seconds of one phase. The parts are each part's maximum; sampling and training take turns, so `total` is less than their sum. */
export interface PhasePlan {
  readonly name: string;
  readonly times: number;
  readonly weights: number;
  readonly gradients: number;
  readonly optimizer: number;
  readonly activations: number;
  readonly cache: number;
  /** The training state's copy that is written while training goes on; see local/state-writer.ts. */
  readonly copy: number;
  /** Peak of the process. */
  readonly total: number;
  /** Tokens sampled and trained on, once. */
  readonly tokens: number;
  /** Upper bound, once. */
  readonly seconds: number;
}

export interface RunPlan {
  readonly parameters: number;
  readonly phases: readonly PhasePlan[];
  readonly peakBytes: number;
  /** All phases, as often as they happen. */
  readonly seconds: number;
}

/** In every plan: Node, its worker, the kernels' own memory and what the loop keeps in JavaScript. */
export const PROCESS_BYTES = 400 * 2 ** 20;
/** Scratch that a model keeps when it rests; transformer.ts trims what is above. */
const RESTING_SCRATCH_BYTES = 256 * 2 ** 20;
/** Prefill rows that ride along with decoding. */
const { cacheBytes: CACHE_BUDGET_BYTES, prefillRows: PREFILL_ROWS } = DEFAULT_SCHEDULER;
/** Attention runs at about this share of a product's speed. */
const ATTENTION_SPEED = 0.3;
/** How often a training pass moves its activations through memory. */
const ACTIVATION_PASSES = 6;
/** Bytes per trained parameter that an update moves: weight, gradient and moments in, weight, moments and panels out. */
const UPDATE_BYTES = 36;
/** A call into the kernels and the work around it, per layer and step. */
const LAYER_CALL_SECONDS = 40e-6;

/** Memory and time of every phase. */
export function planRun(model: ModelConfig, options: PlanOptions, work: RunWork, rates: Rates): RunPlan {
  const parameters = parameterSpecs(model).reduce((sum, { shape }) => sum + elements(shape), 0);
  const largest = work.phases.map(({ training }) => (training ? trainingScratch(model, options, training) : 0));
  const resting = Math.min(RESTING_SCRATCH_BYTES, Math.max(0, ...largest)) * Math.max(0, work.trainers - 1);
  const phases = work.phases.map((phase) => planPhase(model, options, work, phase, rates, resting));
  return {
    parameters,
    phases,
    peakBytes: Math.max(...phases.map(({ total }) => total)),
    seconds: phases.reduce((sum, { seconds, times }) => sum + seconds * times, 0),
  };
}

function planPhase(
  model: ModelConfig,
  options: PlanOptions,
  work: RunWork,
  phase: PhaseWork,
  rates: Rates,
  resting: number,
): PhasePlan {
  const plan = trainerPlan(options);
  const references = phase.references + (work.base ? 1 : 0);
  const copies = references * frozenCopy(model, options, false) + phase.voters * frozenCopy(model, options, true);
  const kept = trainerWeights(model, options, work.trainers) + copies;
  const gradients = work.trainers * gradientBytes(model, plan);
  const optimizer = work.trainers * momentBytes(model, plan, options.optimizerDtype);
  const copy = stateCopy(model, options, work);
  const sampling = phase.sampling.map((call) => samplingMemory(model, options, call));
  const training = phase.training ? trainingMemory(model, options, phase.training) : 0;
  const drawing = Math.max(0, ...sampling.map(({ weights, cache, scratch }) => weights + cache + scratch));
  const cache = Math.max(0, ...sampling.map((call) => call.cache));
  const scratch = Math.max(training, ...sampling.map((call) => call.scratch));
  return {
    name: phase.name,
    times: phase.times,
    weights: kept + Math.max(0, ...sampling.map((call) => call.weights)),
    gradients,
    optimizer,
    activations: resting + scratch,
    cache,
    copy,
    total: PROCESS_BYTES + kept + gradients + optimizer + copy + resting + Math.max(training, drawing),
    tokens: tokensOf(phase),
    seconds: secondsOf(model, options, phase, rates),
  };
}

/** One copy serves all trainers in turn; a state that is too large is written without. */
function stateCopy(model: ModelConfig, options: PlanOptions, work: RunWork): number {
  const bytes = 12 * trainedParameters(model, trainerPlan(options));
  return work.trainers > 0 && bytes <= MAX_COPY_BYTES ? bytes : 0;
}

function trainerPlan({ format, lora }: PlanOptions): WeightPlan {
  return lora ? { format, mode: "lora", rank: lora.rank, targets: lora.targets } : { format, mode: "full" };
}

/** Weights of the policies in training. Adapters share one frozen base. */
function trainerWeights(model: ModelConfig, options: PlanOptions, trainers: number): number {
  const plan = trainerPlan(options);
  const one = weightBytes(model, plan).resident;
  if (options.lora === undefined) return trainers * one;
  const { resident, mapped } = weightBytes(model, { format: options.format, mode: "frozen" });
  return resident + mapped + trainers * (one - resident);
}

/** A frozen copy of a policy: all weights, or its adapter. */
function frozenCopy(model: ModelConfig, options: PlanOptions, frozen: boolean): number {
  const format = frozen ? options.frozenFormat : options.format;
  if (options.lora && format === options.format) return 8 * trainedParameters(model, trainerPlan(options));
  return weightBytes(model, { format, mode: "snapshot", table: format === options.format ? "f32" : "bf16" }).resident;
}

function samplingMemory(model: ModelConfig, options: PlanOptions, call: SamplingWork) {
  const format = call.frozen ? options.frozenFormat : options.format;
  const slots = Math.min(options.slots, call.completions);
  const longest = call.promptTokens + call.newTokens;
  const wanted = Math.min(slots, call.prompts) * call.promptTokens + slots * call.newTokens;
  const perRow = cacheBytesPerRow(model, format);
  const rows = Math.min(wanted, Math.max(longest, Math.floor(CACHE_BUDGET_BYTES / perRow)));
  const prefill = Math.min(PREFILL_ROWS, call.prompts * call.promptTokens);
  return {
    weights: call.copyLives ? 0 : frozenCopy(model, options, call.frozen),
    cache: rows * perRow,
    scratch: samplingBytes(model, format, { rows: slots + prefill, outputs: slots }),
  };
}

/** Rows of the largest micro-batch and of a whole step; a prompt counts once per group. */
function rowsOf(model: ModelConfig, options: PlanOptions, { rollouts, groupSize, promptTokens, newTokens }: TrainingWork) {
  const groups = Math.ceil(rollouts / groupSize);
  const all = groups * promptTokens + rollouts * newTokens;
  const most = Math.min(options.maxTokensPerMicroBatch, passRows(model, options.format, options.recompute));
  const rows = Math.min(all, Math.max(most, promptTokens + newTokens));
  return { all, rows, selected: Math.min(rollouts * newTokens, Math.round((rows * rollouts * newTokens) / all)) };
}

function activationOptions(model: ModelConfig, { format, recompute }: PlanOptions, rows: number) {
  return { format, recompute: recomputes(model, format, rows, recompute) };
}

function trainingScratch(model: ModelConfig, options: PlanOptions, work: TrainingWork): number {
  const batch = rowsOf(model, options, work);
  return trainingBytes(model, batch, activationOptions(model, options, batch.rows));
}

function trainingMemory(model: ModelConfig, options: PlanOptions, work: TrainingWork): number {
  const scoring = work.reference ? scoringBytes(model, rowsOf(model, options, work), options) : 0;
  return trainingScratch(model, options, work) + scoring;
}

function tokensOf({ sampling, training }: PhaseWork): number {
  const sampled = sampling.reduce((sum, { calls, completions, newTokens }) => sum + calls * completions * newTokens, 0);
  return sampled + (training ? training.steps * training.rollouts * training.newTokens : 0);
}

function secondsOf(model: ModelConfig, options: PlanOptions, { sampling, training }: PhaseWork, rates: Rates): number {
  const drawing = sampling.reduce((sum, call) => sum + call.calls * samplingSeconds(model, options, call, rates), 0);
  return drawing + (training ? training.steps * stepSeconds(model, options, training, rates) : 0);
}

/** Each step reads the weights and the cache once, and multiplies a row per completion. */
function samplingSeconds(model: ModelConfig, options: PlanOptions, call: SamplingWork, rates: Rates): number {
  const format = call.frozen ? options.frozenFormat : options.format;
  const weights = multiplied(model);
  const slots = Math.min(options.slots, call.completions);
  const steps = Math.ceil(call.completions / slots) * call.newTokens;
  const context = call.promptTokens + call.newTokens / 2;
  const reading = (weights * bytesPerWeight(format)) / (1e9 * rates.streamGBs);
  const multiplying = (2 * weights * slots) / (1e9 * rates.gflops);
  const cache = (slots * context * cacheBytesPerRow(model, format)) / (1e9 * rates.streamGBs);
  const prefill = (2 * weights * call.prompts * call.promptTokens) / (1e9 * rates.gflops);
  return prefill + steps * (Math.max(reading, multiplying) + cache + model.layers * LAYER_CALL_SECONDS);
}

/** Reference, forward, backward and updates. Full training multiplies by each weight three times, adapters about twice. */
function stepSeconds(model: ModelConfig, options: PlanOptions, work: TrainingWork, rates: Rates): number {
  const { all, rows } = rowsOf(model, options, work);
  const activations = activationOptions(model, options, rows);
  const passes = (options.lora ? 4 : 6) + (activations.recompute ? 2 : 0) + (work.reference ? 2 : 0);
  const context = work.promptTokens + work.newTokens / 2;
  const attention = ((passes + 2) * model.layers * 2 * model.queryHeads * model.headDim * context) / ATTENTION_SPEED;
  const perRow = (passes * multiplied(model) + attention) / (1e9 * rates.gflops);
  const moving = (ACTIVATION_PASSES * activationBytes(model, activations)) / (1e9 * rates.streamGBs);
  const updating = (work.updates * UPDATE_BYTES * trainedParameters(model, trainerPlan(options))) / (1e9 * rates.streamGBs);
  return all * (perRow + moving) + updating;
}

/** Weights of matrix products; a tied embedding counts as the head. */
function multiplied(model: ModelConfig): number {
  return parameterSpecs(model)
    .filter(({ kind }) => kind === "linear" || (kind === "embedding" && model.tiedEmbeddings))
    .reduce((sum, { shape }) => sum + elements(shape), 0);
}

function bytesPerWeight(format: WeightFormat): number {
  return format === "f32" ? 4 : format === "bf16" ? 2 : 1;
}
