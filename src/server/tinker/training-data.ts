// What a forward or forward_backward request says, as the engine's data, and what came of it, as its answer. All checks are made here,
// before a model is touched. Knows no model.

import type { Datum } from "../../engine/types.ts";
import { floats, type Tensors } from "../../tinker-wire/tensor.ts";
import { encodeForwardBackwardResult, type ForwardBackwardRequest, type WireDatum } from "../../tinker-wire/training.ts";
import { DataError } from "../../util/errors.ts";
import { preview } from "../../util/json.ts";
import type { FutureResult } from "./futures.ts";
import { LOSSES, type LossDatum, type LossName, type LossOutput, type RatioBounds } from "./losses.ts";

/** What a sequence must keep. */
export interface DataLimits {
  readonly vocabSize: number;
  /** Longest sequence, its last target included. */
  readonly context: number;
}

/** A checked pass over data. */
export interface TrainingPass {
  readonly data: readonly LossDatum[];
  readonly loss: LossName;
  readonly bounds: RatioBounds;
}

const DEFAULT_BOUNDS: RatioBounds = { low: 0.8, high: 1.2 };

/** Errors: DataError naming the field. */
export function trainingPass(request: ForwardBackwardRequest, limits: DataLimits): TrainingPass {
  const input = request.forwardOnly ? "forward_input" : "forward_backward_input";
  const loss = LOSSES.find((name) => name === request.lossFn);
  if (loss === undefined) throw new DataError(`${input}.loss_fn: expected ${LOSSES.join(", ")}, got ${preview(request.lossFn)}.`);
  if (request.data.length === 0) throw new DataError(`${input}.data: expected at least one datum, got none.`);
  const bounds = boundsOf(request.lossFnConfig ?? {}, loss, `${input}.loss_fn_config`);
  return { data: request.data.map((datum, i) => lossDatum(datum, loss, limits, `${input}.data.${i}`)), loss, bounds };
}

/** The answer: one output per datum, in order. */
export function passResult(data: readonly Datum[], outputs: ReadonlyMap<Datum, LossOutput>, loss: number): FutureResult {
  const list = data.map((datum): Tensors => {
    const output = outputs.get(datum);
    if (output === undefined) throw new Error("internal: a datum that no loss has seen");
    return { elementwise_loss: floats(output.elementwise), logprobs: floats(output.logprobs) };
  });
  // Clients that send a batch in parts put the parts' metrics together by what follows the colon.
  const result = { outputType: "scalar", outputs: list, metrics: { "loss:sum": loss } };
  return { kind: "training", json: encodeForwardBackwardResult(result) };
}

function boundsOf(config: Readonly<Record<string, number>>, loss: LossName, where: string): RatioBounds {
  const { clip_low_threshold: low = DEFAULT_BOUNDS.low, clip_high_threshold: high = DEFAULT_BOUNDS.high, ...others } = config;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined)
    throw new DataError(`${where}.${unknown}: expected clip_low_threshold and clip_high_threshold alone for ${loss}, got this.`);
  if (!(low >= 0 && high >= low))
    throw new DataError(`${where}: expected bounds of the ratio with 0 ≤ low ≤ high, got ${low} and ${high}.`);
  return { low, high };
}

function lossDatum({ tokens, inputs }: WireDatum, loss: LossName, limits: DataLimits, where: string): LossDatum {
  const at = `${where}.loss_fn_inputs`;
  const length = tokens.length;
  if (length === 0) throw new DataError(`${where}.model_input: expected at least one token, got none.`);
  if (length + 1 > limits.context)
    throw new DataError(
      `${where}.model_input: expected at most ${limits.context - 1} tokens (the context is ${limits.context}), got ${length}.`,
    );
  const targets = inputs.target_tokens;
  if (targets?.dtype !== "int64" || targets.data.length !== length)
    throw new DataError(`${at}.target_tokens: expected ${length} tokens as int64, got ${describe(targets)}.`);
  const mask = inputs.mask === undefined ? new Float32Array(length).fill(1) : field(inputs, "mask", length, at);
  const weights = inputs.weights === undefined ? mask : field(inputs, "weights", length, at);
  if (weights.some((weight, t) => weight !== 0 && mask[t] === 0))
    throw new DataError(`${at}.weights: expected 0 wherever mask is 0, got another.`);
  const sequence = new Int32Array(length + 1);
  sequence.set(tokens);
  sequence[length] = targets.data[length - 1];
  checkTokens(sequence, targets.data, mask, limits, where);
  const policy = loss !== "cross_entropy";
  return {
    tokens: sequence,
    weights: mask,
    loss: {
      weights,
      advantages: policy ? field(inputs, "advantages", length, at) : undefined,
      old: policy ? field(inputs, "logprobs", length, at) : undefined,
    },
  };
}

function checkTokens(
  sequence: Int32Array,
  targets: Int32Array,
  mask: Float32Array,
  { vocabSize }: DataLimits,
  where: string,
): void {
  const strange = sequence.find((token) => token < 0 || token >= vocabSize);
  if (strange !== undefined) throw new DataError(`${where}: expected token ids below ${vocabSize}, got ${strange}.`);
  const other = targets.findIndex((token, t) => mask[t] !== 0 && token !== sequence[t + 1]);
  if (other >= 0)
    throw new DataError(
      `${where}.loss_fn_inputs.target_tokens[${other}]: expected the next token of model_input (${sequence[other + 1]}), got ${targets[other]}. ` +
        "This server has no logprobs of other tokens.",
    );
}

/** Finite float32 values of a named input; integers are taken as they are. */
function field(inputs: Tensors, name: string, length: number, at: string): Float32Array {
  const tensor = inputs[name];
  if (tensor === undefined || tensor.data.length !== length)
    throw new DataError(`${at}.${name}: expected ${length} numbers, got ${describe(tensor)}.`);
  const data = tensor.dtype === "float32" ? tensor.data : Float32Array.from(tensor.data);
  if (data.every(Number.isFinite)) return data;
  throw new DataError(`${at}.${name}: expected finite numbers, got some that are not.`);
}

function describe(tensor: Tensors[string] | undefined): string {
  return tensor === undefined ? "none" : `${tensor.data.length} as ${tensor.dtype}`;
}
