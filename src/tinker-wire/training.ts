// forward and forward_backward: the request and its result, and their JSON. The protobuf of the same is in training-protobuf.ts.
// Knows no loss: names and settings pass through.

import { DataError } from "../util/errors.ts";
import { expectObject, type JsonObject, parseJson, preview } from "../util/json.ts";
import { MAX_BODY_BYTES, MAX_DATA, MAX_NAMES, MAX_TOKENS } from "./protocol.ts";
import { boundedLength, expectList, jsonNumbers, parseInts, parseTensor, type Tensors, tensorJson } from "./tensor.ts";

/** One sequence of `tokens` with its named inputs, each as long as `tokens`: `target_tokens` is `tokens` shifted by one. */
export interface WireDatum {
  readonly tokens: Int32Array;
  readonly inputs: Tensors;
}

/** One pass over some data; the gradient is added to the model's unless `forwardOnly`. */
export interface ForwardBackwardRequest {
  readonly modelId: string;
  readonly seqId: number;
  readonly data: readonly WireDatum[];
  readonly lossFn: string;
  readonly lossFnConfig?: Readonly<Record<string, number>>;
  /** In JSON the path tells it (/forward), in protobuf a field. */
  readonly forwardOnly: boolean;
}

/** One entry of `outputs` per datum, in order; `logprobs` is always there. */
export interface ForwardBackwardResult {
  readonly outputType: string;
  readonly outputs: readonly Tensors[];
  /** Values that are not finite travel as the texts "NaN", "Infinity", "-Infinity". */
  readonly metrics: Readonly<Record<string, number>>;
}

/** The JSON text of a request. */
export function encodeForwardBackward(request: ForwardBackwardRequest): string {
  const data = request.data.map(
    ({ tokens, inputs }) => `{"model_input":{"chunks":[${chunkJson(tokens)}]},"loss_fn_inputs":${tensorsJson(inputs)}}`,
  );
  const config = request.lossFnConfig === undefined ? "" : `,"loss_fn_config":${JSON.stringify(request.lossFnConfig)}`;
  const input = `{"data":[${data.join(",")}],"loss_fn":${JSON.stringify(request.lossFn)}${config}}`;
  const name = request.forwardOnly ? "forward_input" : "forward_backward_input";
  return `{"model_id":${JSON.stringify(request.modelId)},"seq_id":${request.seqId},"${name}":${input}}`;
}

/** A request from its body. Errors: DataError naming the field. */
export function decodeForwardBackward(body: Uint8Array, forwardOnly: boolean): ForwardBackwardRequest {
  const name = forwardOnly ? "forward_input" : "forward_backward_input";
  const root = parseBody(body, "body");
  const input = expectObject(root[name], name);
  const data = expectList(input.data, MAX_DATA, `${name}.data`).map((value, i) => parseDatum(value, `${name}.data[${i}]`));
  return {
    modelId: expectText(root.model_id, "model_id"),
    seqId: expectCount(root.seq_id, "seq_id"),
    data,
    lossFn: expectText(input.loss_fn, `${name}.loss_fn`),
    lossFnConfig: input.loss_fn_config == null ? undefined : parseMetrics(input.loss_fn_config, `${name}.loss_fn_config`),
    forwardOnly,
  };
}

/** The JSON text of a result. */
export function encodeForwardBackwardResult({ outputType, outputs, metrics }: ForwardBackwardResult): string {
  return `{"loss_fn_output_type":${JSON.stringify(outputType)},"loss_fn_outputs":[${outputs.map(tensorsJson).join(",")}],"metrics":${metricsJson(metrics)}}`;
}

/** A result from the JSON that a future gave. Errors: DataError naming the field. */
export function decodeForwardBackwardResult(value: unknown, where: string): ForwardBackwardResult {
  const root = expectObject(value, where);
  const list = expectList(root.loss_fn_outputs, MAX_DATA, `${where}.loss_fn_outputs`);
  return {
    outputType: typeof root.loss_fn_output_type === "string" ? root.loss_fn_output_type : "",
    outputs: list.map((output, i) => parseTensors(output, `${where}.loss_fn_outputs[${i}]`)),
    metrics: root.metrics == null ? {} : parseMetrics(root.metrics, `${where}.metrics`),
  };
}

/** A body as a JSON object. Errors: DataError; nothing larger than the limit is parsed. */
export function parseBody(body: Uint8Array, where: string): JsonObject {
  boundedBody(body, where);
  return expectObject(parseJson(new TextDecoder().decode(body), where), where);
}

/** Errors: DataError for a body above the limit. */
export function boundedBody(body: Uint8Array, where: string): void {
  if (body.length > MAX_BODY_BYTES)
    throw new DataError(`${where}: expected at most ${MAX_BODY_BYTES} bytes, got ${body.length}. Send fewer sequences at once.`);
}

/** The JSON of a chunk of text. */
export function chunkJson(tokens: Int32Array): string {
  return `{"type":"encoded_text","tokens":${jsonNumbers(tokens)}}`;
}

/** The tokens of a model input: its chunks one after the other. Errors: DataError, also for images and sound. */
export function parseModelInput(value: unknown, where: string): Int32Array {
  const chunks = expectList(expectObject(value, where).chunks, MAX_DATA, `${where}.chunks`).map((item, i) => {
    const at = `${where}.chunks[${i}]`;
    const chunk = expectObject(item, at);
    if ((chunk.type ?? "encoded_text") !== "encoded_text")
      throw new DataError(`${at}.type: expected "encoded_text", got ${preview(chunk.type)}. Only text is understood.`);
    return parseInts(chunk.tokens, MAX_TOKENS, `${at}.tokens`);
  });
  return joinTokens(chunks, where);
}

/** Chunks as one sequence. Errors: DataError when it is too long. */
export function joinTokens(chunks: readonly Int32Array[], where: string): Int32Array {
  if (chunks.length === 1) return chunks[0];
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const out = new Int32Array(boundedLength(length, MAX_TOKENS, where));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

function parseDatum(value: unknown, where: string): WireDatum {
  const { model_input, loss_fn_inputs } = expectObject(value, where);
  return {
    tokens: parseModelInput(model_input, `${where}.model_input`),
    inputs: parseTensors(loss_fn_inputs, `${where}.loss_fn_inputs`),
  };
}

function tensorsJson(tensors: Tensors): string {
  return `{${Object.entries(tensors)
    .map(([name, tensor]) => `${JSON.stringify(name)}:${tensorJson(tensor)}`)
    .join(",")}}`;
}

function parseTensors(value: unknown, where: string): Tensors {
  const entries = Object.entries(expectObject(value, where)).filter(([, tensor]) => tensor !== null);
  boundedLength(entries.length, MAX_NAMES, where);
  return namedTensors(entries.map(([name, tensor]) => [name, parseTensor(tensor, `${where}.${name}`)]));
}

/** Names from outside as own properties, whatever they are. */
export function namedTensors(entries: readonly (readonly [string, Tensors[string]])[]): Tensors {
  return Object.fromEntries(entries);
}

/** The JSON of named numbers. */
export function metricsJson(metrics: Readonly<Record<string, number>>): string {
  return JSON.stringify(metrics, (_, value) => (typeof value === "number" && !Number.isFinite(value) ? `${value}` : value));
}

/** Named numbers; what is null is left out. Errors: DataError. */
export function parseMetrics(value: unknown, where: string): Record<string, number> {
  const entries = Object.entries(expectObject(value, where)).filter(([, metric]) => metric !== null);
  boundedLength(entries.length, 1024, where);
  return Object.fromEntries(entries.map(([name, metric]) => [name, parseMetric(metric, `${where}.${name}`)]));
}

function parseMetric(metric: unknown, where: string): number {
  if (typeof metric === "number") return metric;
  if (metric === "NaN" || metric === "Infinity" || metric === "-Infinity") return Number(metric);
  throw new DataError(`${where}: expected a number, got ${preview(metric)}.`);
}

function expectText(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  throw new DataError(`${where}: expected a text, got ${preview(value)}.`);
}

function expectCount(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31) return value;
  throw new DataError(`${where}: expected an integer of at least 0, got ${preview(value)}.`);
}
