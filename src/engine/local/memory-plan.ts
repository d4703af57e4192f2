// How much memory a model takes on a device, from its configuration alone: weights, gradients, moments, activations, logits and the
// key/value cache, by the same sizes that weights.ts, optimizer.ts, model.ts and logprob-head.ts allocate. All results are bytes.
// It allocates nothing and knows no machine; what kernels take for themselves (a few MB per thread) is not in it.
// Legend: R rows, D hidden, H query heads, K key/value heads, E head dim, F feed-forward, V vocabulary.

import type { DType, WeightFormat } from "./device/types.ts";
import type { ModelConfig } from "./hf-config.ts";
import { type ParameterSpec, parameterSpecs } from "./parameters.ts";
import { elements } from "./safetensors.ts";

/**
 * Logits held at once when logprobs are computed, in elements, unless told otherwise (268 MB). In training, those of a pass that has more
 * are computed twice.
 */
export const LOGIT_ELEMENTS = 2 ** 26;

/** A chunk of logits has at least this many rows, whatever the vocabulary: below, the matrix product loses its speed. */
export const LEAST_LOGIT_ROWS = 32;

/** Activations that one training pass may hold: large models get passes of fewer rows, and keep fewer of a layer's activations. */
export const PASS_BYTES = 3 * 2 ** 29;
/** A pass may always have so many rows: below, the matrix product loses its speed. */
const LEAST_PASS_ROWS = 256;

/** Whether layers are computed again in the backward pass; `auto`: where keeping everything would exceed PASS_BYTES. */
export type Recompute = boolean | "auto";

/** Which weights there are, and what is trained of them. */
export interface WeightPlan {
  readonly format: WeightFormat;
  /**
   * `frozen`: opened from files, to sample from and score with. `snapshot`: a frozen copy of weights in training. `full`: every weight is
   * trained. `lora`: adapters that are trained, and the frozen weights below them.
   */
  readonly mode: "frozen" | "snapshot" | "full" | "lora";
  /** Adapter rank; only for `lora`. */
  readonly rank?: number;
  /** Projections with an adapter, by the last part of their name (`q_proj`); default: all of a layer. */
  readonly targets?: readonly string[];
  /** Element type of the embedding table: the file's when frozen (default bf16); of a snapshot bf16 if its format differs (default f32). */
  readonly table?: "f32" | "bf16";
}

/** Bytes of weights: `resident` is allocated; `mapped` belongs to the page cache and is shared by all that open the file. */
export interface WeightBytes {
  readonly resident: number;
  readonly mapped: number;
}

/** Rows of one training pass. */
export interface TrainingRows {
  /** Rows computed: a shared prompt counts once. */
  readonly rows: number;
  /** Rows whose logprob is wanted (completion tokens). */
  readonly selected: number;
}

/** How a training pass keeps its activations. */
export interface ActivationOptions {
  readonly format: WeightFormat;
  /** Keep only each layer's input and run the layer again in the backward pass. */
  readonly recompute: boolean;
  /** Rank of the adapters; default 0, none. */
  readonly rank?: number;
  readonly logitElements?: number;
}

/** Element type of keys and values in a model whose products read `format`. */
export function keyValueType(format: WeightFormat): Extract<DType, "f32" | "bf16"> {
  return format === "f32" ? "f32" : "bf16";
}

/** Parameters that are trained. */
export function trainedParameters(config: ModelConfig, plan: WeightPlan): number {
  if (plan.mode === "full") return sum(parameterSpecs(config));
  return plan.mode === "lora" ? sum(adapterSpecs(config, plan)) : 0;
}

/** Weights in every form that is kept: panels for the products, masters, table and vectors. */
export function weightBytes(config: ModelConfig, plan: WeightPlan): WeightBytes {
  const specs = parameterSpecs(config);
  const panels = specs.reduce((total, spec) => total + (isPanel(config, spec) ? panelBytes(spec, plan.format) : 0), 0);
  if (plan.mode === "full") return { resident: panels + 4 * sum(specs), mapped: 0 };
  const vectors = 4 * sum(specs.filter((spec) => spec.kind === "norm" || spec.kind === "bias"));
  const tableType = plan.table ?? (plan.mode === "snapshot" ? "f32" : "bf16");
  const table = sum(specs.filter((spec) => spec.kind === "embedding")) * (tableType === "f32" ? 4 : 2);
  if (plan.mode === "snapshot") return { resident: panels + vectors + table, mapped: 0 };
  return { resident: panels + vectors + adapterBytes(config, plan), mapped: table };
}

/** Gradients, f32 for everything trained. */
export function gradientBytes(config: ModelConfig, plan: WeightPlan): number {
  return 4 * trainedParameters(config, plan);
}

/** AdamW's two moments. */
export function momentBytes(config: ModelConfig, plan: WeightPlan, dtype: "f32" | "bf16"): number {
  return 2 * (dtype === "f32" ? 4 : 2) * trainedParameters(config, plan);
}

/** Everything a forward and backward pass holds beside weights: kept activations, scratch and a chunk of logits. */
export function trainingBytes(config: ModelConfig, batch: TrainingRows, options: ActivationOptions): number {
  const { rows, selected } = batch;
  const head = 4 * selected * (4 * config.hiddenSize + 6) + logitBytes(config, selected, options.logitElements);
  return rows * activationBytes(config, options) + head;
}

/** The same without a backward pass: scoring. */
export function scoringBytes(config: ModelConfig, batch: TrainingRows, options: Omit<ActivationOptions, "recompute">): number {
  const { rows, selected } = batch;
  const head = 4 * selected * (2 * config.hiddenSize + 5) + logitBytes(config, selected, options.logitElements);
  return rows * forwardBytes(config, options) + head;
}

/** A sampling step beside weights and cache: `rows` in one step, logits of `outputs` of them. */
export function samplingBytes(
  config: ModelConfig,
  format: WeightFormat,
  step: { rows: number; outputs: number },
  rank = 0,
): number {
  const { hiddenSize: D, vocabSize: V } = config;
  return step.rows * (4 + forwardBytes(config, { format, rank })) + 4 * step.outputs * (V + 2 * D + 4);
}

/** Activations and scratch of a training pass, per row. */
export function activationBytes(config: ModelConfig, { format, recompute, rank = 0 }: ActivationOptions): number {
  const { hiddenSize: D, layers } = config;
  // Every layer's input and the last one's output; the residual stream after attention is one more.
  const set = 4 * D + layerSet(config, format);
  const kept = 4 * D * (layers + 1) + (recompute ? 1 : layers) * set;
  return 4 * ROW_INDICES + kept + forwardScratch(config, format) + backwardScratch(config) + 12 * rank;
}

/** Activations and scratch of a pass without a backward one, per row. */
function forwardBytes(config: ModelConfig, { format, rank = 0 }: Pick<ActivationOptions, "format" | "rank">): number {
  return 4 * (ROW_INDICES + config.hiddenSize + rank) + layerSet(config, format) + forwardScratch(config, format);
}

/** Whether a training pass of `rows` rows computes its layers again. */
export function recomputes(config: ModelConfig, format: WeightFormat, rows: number, setting: Recompute): boolean {
  if (setting !== "auto") return setting;
  return rows * activationBytes(config, { format, recompute: false }) > PASS_BYTES;
}

/** Most rows of one pass: what PASS_BYTES hold, given that layers are computed again where the setting lets them. */
export function passRows(config: ModelConfig, format: WeightFormat, setting: Recompute): number {
  const perRow = activationBytes(config, { format, recompute: setting !== false });
  return Math.max(LEAST_PASS_ROWS, Math.floor(PASS_BYTES / perRow));
}

/** The logits that exist at once for `rows` selected rows. */
export function logitBytes(config: ModelConfig, rows: number, logitElements = LOGIT_ELEMENTS): number {
  const { vocabSize } = config;
  return 4 * vocabSize * Math.min(rows, Math.max(LEAST_LOGIT_ROWS, Math.floor(logitElements / vocabSize)));
}

/** A row of the key/value cache, all layers. */
export function cacheBytesPerRow(config: ModelConfig, format: WeightFormat): number {
  return config.layers * 2 * config.kvHeads * config.headDim * (format === "f32" ? 4 : 2);
}

/** Tokens, positions and the four columns of the attention's rows. */
const ROW_INDICES = 6;
/** Rows of a panel: weights are padded to a multiple of it. */
const PANEL = 32;

/** What a layer keeps of a row beside the residual stream: heads before their norm, values, attention's output, gate and up. */
function layerSet(config: ModelConfig, format: WeightFormat): number {
  const { queryHeads: H, kvHeads: K, headDim: E, intermediateSize: F, qkNorm } = config;
  const keyValue = format === "f32" ? 4 : 2;
  const keys = qkNorm ? 4 * K * E : keyValue * K * E;
  return 4 * (H * E) + keys + keyValue * K * E + 4 * (H * E + H + 2 * F);
}

/** What one layer's forward pass needs beside that, shared by all layers. */
function forwardScratch(config: ModelConfig, format: WeightFormat): number {
  const { hiddenSize: D, queryHeads: H, kvHeads: K, headDim: E, intermediateSize: F, qkNorm } = config;
  const heads = H + K + (qkNorm ? H * E + K * E : 0);
  // Rounded models hold the unrounded values here, and their keys both ways but for the one that is kept.
  const unrounded = format === "f32" ? 0 : (qkNorm ? 2 * K * E : 4 * K * E) + 4 * K * E;
  return 4 * (2 * D + 1 + F + heads) + unrounded;
}

/** What one layer's backward pass needs beside that, shared by all layers. */
function backwardScratch(config: ModelConfig): number {
  const { hiddenSize: D, queryHeads: H, kvHeads: K, headDim: E, intermediateSize: F, qkNorm } = config;
  const raw = qkNorm ? H * E + K * E : 0;
  return 4 * (2 * D + 3 * F + 2 * H * E + 2 * K * E + raw);
}

function sum(specs: readonly ParameterSpec[]): number {
  return specs.reduce((total, spec) => total + elements(spec.shape), 0);
}

/** Linear weights are read as panels, and so is a table that serves as the head. */
function isPanel(config: ModelConfig, spec: ParameterSpec): boolean {
  return spec.kind === "linear" || (spec.kind === "embedding" && config.tiedEmbeddings);
}

function panelBytes(spec: ParameterSpec, format: WeightFormat): number {
  const [outDim, inDim] = spec.shape;
  const padded = PANEL * Math.ceil(outDim / PANEL);
  if (format === "f32") return 4 * padded * inDim;
  if (format === "bf16") return 2 * padded * (inDim + (inDim % 2));
  return padded * inDim + 4 * padded;
}

/** Values in f32 and panels; 0 where there are none. */
function adapterBytes(config: ModelConfig, plan: WeightPlan): number {
  if (plan.mode !== "lora") return 0;
  const specs = adapterSpecs(config, plan);
  const format = plan.format === "bf16" ? "bf16" : "f32";
  return 4 * sum(specs) + specs.reduce((total, spec) => total + panelBytes(spec, format), 0);
}

/** A [rank, in] and B [out, rank] of every adapted weight. */
function adapterSpecs(config: ModelConfig, { rank = 0, targets }: WeightPlan): ParameterSpec[] {
  const isTarget = (name: string): boolean =>
    targets === undefined || targets.some((target) => name.endsWith(`.${target}.weight`));
  return parameterSpecs(config)
    .filter((spec) => spec.kind === "linear" && spec.name.startsWith("model.layers.") && isTarget(spec.name))
    .flatMap(({ name, shape: [outDim, inDim] }): ParameterSpec[] => [
      { name, shape: [rank, inDim], kind: "linear" },
      { name, shape: [outDim, rank], kind: "linear" },
    ]);
}
