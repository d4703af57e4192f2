// forward_backward as protobuf (package tinker_public of the SDK 0.25.0): the same values as training.ts. Knows no JSON.

import { DataError } from "../util/errors.ts";
import {
  BinaryWriter,
  bytesOf,
  intOf,
  longsInto,
  readEntry,
  readMessage,
  readNumberEntry,
  textOf,
  writeBytes,
  writeInt,
  writeLongs,
  writeMessage,
  writeNumbers,
  writeText,
} from "./protobuf.ts";
import { MAX_DATA, MAX_ELEMENTS, MAX_NAMES, MAX_TOKENS } from "./protocol.ts";
import {
  boundedLength,
  dense,
  floatsOf,
  fromCsr,
  halvesOf,
  intsOf,
  longsOf,
  type Tensor,
  type Tensors,
  toBytes,
} from "./tensor.ts";
import {
  boundedBody,
  type ForwardBackwardRequest,
  type ForwardBackwardResult,
  joinTokens,
  namedTensors,
  type WireDatum,
} from "./training.ts";

/** Numbers of enum DType. */
const DTYPE = { float32: 1, int64: 2, int32: 3, bfloat16: 4 } as const;

/** A request as a message. */
export function encodeForwardBackwardProto(request: ForwardBackwardRequest): Uint8Array {
  const writer = new BinaryWriter();
  writeText(writer, 1, request.modelId);
  writeInt(writer, 2, request.seqId);
  for (const datum of request.data) writeMessage(writer, 3, (inner) => writeDatum(inner, datum));
  writeText(writer, 4, request.lossFn);
  writeNumbers(writer, 5, request.lossFnConfig ?? {});
  writeInt(writer, 6, request.forwardOnly ? 1 : 0);
  return writer.finish();
}

/** A request from a message. Errors: DataError naming the field. */
export function decodeForwardBackwardProto(body: Uint8Array): ForwardBackwardRequest {
  boundedBody(body, "body");
  const data: WireDatum[] = [];
  const config: [string, number][] = [];
  let [modelId, seqId, lossFn, forwardOnly] = ["", 0, "", false];
  readMessage(body, "body", {
    1: (reader, type) => {
      modelId = textOf(reader, type);
    },
    2: (reader, type) => {
      seqId = intOf(reader, type);
    },
    3: (reader, type) => {
      boundedLength(data.length + 1, MAX_DATA, "data");
      data.push(readDatum(bytesOf(reader, type), `data[${data.length}]`));
    },
    4: (reader, type) => {
      lossFn = textOf(reader, type);
    },
    5: (reader, type) => {
      boundedLength(config.length + 1, MAX_NAMES, "loss_fn_config");
      const { key, value } = readNumberEntry(bytesOf(reader, type), "loss_fn_config");
      config.push([key, value]);
    },
    6: (reader, type) => {
      forwardOnly = intOf(reader, type) !== 0;
    },
  });
  const lossFnConfig = config.length === 0 ? undefined : Object.fromEntries(config);
  if (seqId < 0) throw new DataError(`body.seq_id: expected an integer of at least 0, got ${seqId}.`);
  return { modelId, seqId, data, lossFn, lossFnConfig, forwardOnly };
}

/** A result as a message: one record with all data. Every datum has the fields of the first. */
export function encodeForwardBackwardResultProto({ outputType, outputs, metrics }: ForwardBackwardResult): Uint8Array {
  const writer = new BinaryWriter();
  writeText(writer, 1, outputType);
  if (outputs.length > 0)
    writeMessage(writer, 2, (record) => {
      writeText(record, 1, outputType);
      for (const name of Object.keys(outputs[0]))
        writeMessage(record, 2, (entry) => {
          writeText(entry, 1, name);
          writeMessage(entry, 2, (inner) =>
            writeBatched(
              inner,
              outputs.map((output) => output[name]),
            ),
          );
        });
      writeInt(record, 3, outputs.length);
    });
  writeNumbers(writer, 3, metrics);
  return writer.finish();
}

/** A result from a message. Errors: DataError naming the field. */
export function decodeForwardBackwardResultProto(body: Uint8Array, where: string): ForwardBackwardResult {
  boundedBody(body, where);
  const outputs: Tensors[] = [];
  const metrics: [string, number][] = [];
  let outputType = "";
  readMessage(body, where, {
    1: (reader, type) => {
      outputType = textOf(reader, type);
    },
    2: (reader, type) => {
      outputs.push(...readRecord(bytesOf(reader, type), `${where}.loss_fn_outputs`));
      boundedLength(outputs.length, MAX_DATA, `${where}.loss_fn_outputs`);
    },
    3: (reader, type) => {
      boundedLength(metrics.length + 1, 1024, `${where}.metrics`);
      const { key, value } = readNumberEntry(bytesOf(reader, type), `${where}.metrics`);
      metrics.push([key, value]);
    },
  });
  return { outputType, outputs, metrics: Object.fromEntries(metrics) };
}

function writeDatum(writer: BinaryWriter, { tokens, inputs }: WireDatum): void {
  writeMessage(writer, 1, (chunk) => writeMessage(chunk, 1, (text) => writeBytes(text, 1, toBytes(tokens))));
  for (const [name, { data, dtype, shape }] of Object.entries(inputs))
    writeMessage(writer, 2, (entry) => {
      writeText(entry, 1, name);
      writeMessage(entry, 2, (tensor) => {
        writeBytes(tensor, 1, toBytes(data, dtype === "int64"));
        writeInt(tensor, 3, DTYPE[dtype]);
        writeLongs(tensor, 4, shape);
      });
    });
}

function readDatum(bytes: Uint8Array, where: string): WireDatum {
  const chunks: Int32Array[] = [];
  const inputs: [string, Tensor][] = [];
  readMessage(bytes, where, {
    1: (reader, type) => {
      chunks.push(readChunk(bytesOf(reader, type), `${where}.model_input[${chunks.length}]`));
    },
    2: (reader, type) => {
      boundedLength(inputs.length + 1, MAX_NAMES, `${where}.loss_fn_inputs`);
      const { key, value } = readEntry(bytesOf(reader, type), `${where}.loss_fn_inputs`);
      inputs.push([key, readTensor(value, `${where}.loss_fn_inputs.${key}`)]);
    },
  });
  return { tokens: joinTokens(chunks, `${where}.model_input`), inputs: namedTensors(inputs) };
}

function readChunk(bytes: Uint8Array, where: string): Int32Array {
  let tokens: Int32Array | undefined;
  readMessage(bytes, where, {
    1: (reader, type) =>
      readMessage(bytesOf(reader, type), where, {
        1: (inner, innerType) => {
          tokens = intsOf(bytesOf(inner, innerType), where);
          boundedLength(tokens.length, MAX_TOKENS, where);
        },
      }),
  });
  if (tokens === undefined) throw new DataError(`${where}: expected encoded_text, got another chunk. Only text is understood.`);
  return tokens;
}

function readTensor(bytes: Uint8Array, where: string): Tensor {
  let values: Uint8Array | undefined;
  let sparse: { values: Uint8Array; crow: Uint8Array; col: Uint8Array } | undefined;
  let dtype = 0;
  const shape: number[] = [];
  readMessage(bytes, where, {
    1: (reader, type) => {
      values = bytesOf(reader, type);
    },
    2: (reader, type) => {
      sparse = readSparse(bytesOf(reader, type), where);
    },
    3: (reader, type) => {
      dtype = intOf(reader, type);
    },
    4: (reader, type) => longsInto(shape, reader, type),
  });
  if (sparse !== undefined) {
    const indices = { crow: longsOf(sparse.crow, `${where}.crow_indices`), col: longsOf(sparse.col, `${where}.col_indices`) };
    return fromCsr(numbersOf(sparse.values, dtype, where), indices, shape, where);
  }
  const data = numbersOf(values ?? new Uint8Array(0), dtype, where);
  return dense(data, shape.length === 0 ? [data.length] : shape, where);
}

function readSparse(bytes: Uint8Array, where: string): { values: Uint8Array; crow: Uint8Array; col: Uint8Array } {
  const parts = { values: new Uint8Array(0), crow: new Uint8Array(0), col: new Uint8Array(0) };
  readMessage(bytes, where, {
    1: (reader, type) => {
      parts.values = bytesOf(reader, type) as Uint8Array<ArrayBuffer>;
    },
    2: (reader, type) => {
      parts.crow = bytesOf(reader, type) as Uint8Array<ArrayBuffer>;
    },
    3: (reader, type) => {
      parts.col = bytesOf(reader, type) as Uint8Array<ArrayBuffer>;
    },
  });
  return parts;
}

function numbersOf(bytes: Uint8Array, dtype: number, where: string): Float32Array | Int32Array {
  if (dtype === DTYPE.float32) return floatsOf(bytes, where);
  if (dtype === DTYPE.int64) return longsOf(bytes, where);
  if (dtype === DTYPE.int32) return intsOf(bytes, where);
  if (dtype === DTYPE.bfloat16) return halvesOf(bytes, where);
  throw new DataError(`${where}.dtype: expected 1 (float32) to 4 (bfloat16), got ${dtype}.`);
}

function elementBytes(dtype: number): number {
  return dtype === DTYPE.int64 ? 8 : dtype === DTYPE.bfloat16 ? 2 : 4;
}

function writeBatched(writer: BinaryWriter, tensors: readonly Tensor[]): void {
  const parts = tensors.map(({ data, dtype }) => toBytes(data, dtype === "int64"));
  const offsets = [0];
  for (const part of parts) offsets.push(offsets[offsets.length - 1] + part.length);
  const data = new Uint8Array(offsets[parts.length]);
  parts.forEach((part, i) => {
    data.set(part, offsets[i]);
  });
  writeBytes(writer, 1, data);
  writeBytes(writer, 2, toBytes(Int32Array.from(offsets), true));
  writeInt(writer, 3, DTYPE[tensors[0].dtype]);
  writeLongs(writer, 4, tensors[0].shape.slice(1));
}

/** The data of a record: its fields, cut at their offsets. */
function readRecord(bytes: Uint8Array, where: string): Tensors[] {
  const fields: [string, Tensor[]][] = [];
  let count = 0;
  readMessage(bytes, where, {
    2: (reader, type) => {
      boundedLength(fields.length + 1, MAX_NAMES, where);
      const { key, value } = readEntry(bytesOf(reader, type), where);
      fields.push([key, readBatched(value, `${where}.${key}`)]);
    },
    3: (reader, type) => {
      count = boundedLength(intOf(reader, type), MAX_DATA, `${where}.num_datums`);
    },
  });
  for (const [name, tensors] of fields)
    if (tensors.length !== count) throw new DataError(`${where}.${name}: expected ${count} data, got ${tensors.length}.`);
  return Array.from({ length: count }, (_, i) => namedTensors(fields.map(([name, tensors]) => [name, tensors[i]])));
}

function readBatched(bytes: Uint8Array, where: string): Tensor[] {
  let [data, offsets, dtype] = [new Uint8Array(0) as Uint8Array, new Uint8Array(0) as Uint8Array, 0];
  const trailing: number[] = [];
  readMessage(bytes, where, {
    1: (reader, type) => {
      data = bytesOf(reader, type);
    },
    2: (reader, type) => {
      offsets = bytesOf(reader, type);
    },
    3: (reader, type) => {
      dtype = intOf(reader, type);
    },
    4: (reader, type) => longsInto(trailing, reader, type),
  });
  const bounds = longsOf(offsets, `${where}.offsets`);
  boundedLength(bounds.length, MAX_DATA + 1, `${where}.offsets`);
  const inner = trailing.reduce((product, axis) => product * axis, 1);
  const size = boundedLength(inner, MAX_ELEMENTS, where) * elementBytes(dtype);
  return Array.from({ length: Math.max(0, bounds.length - 1) }, (_, i) => {
    const [from, to] = [bounds[i], bounds[i + 1]];
    if (from < 0 || to < from || to > data.length || size === 0 || (to - from) % size !== 0)
      throw new DataError(`${where}.offsets: expected slices of ${data.length} bytes, got ${from} to ${to}.`);
    return dense(numbersOf(data.subarray(from, to), dtype, where), [(to - from) / size, ...trailing], where);
  });
}
