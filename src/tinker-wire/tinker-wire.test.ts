import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError } from "../util/errors.ts";
import * as messages from "./messages.ts";
import { BinaryWriter, writeBytes, writeInt, writeLongs, writeMessage, writeText } from "./protobuf.ts";
import { MAX_BODY_BYTES } from "./protocol.ts";
import { decodeSample, decodeSampleResult, encodeSample, encodeSampleResult, type SampleResult } from "./sampling.ts";
import { decodeSampleResultProto, encodeSampleResultProto } from "./sampling-protobuf.ts";
import { floats, fromCsr, ints, parseTensor, toBytes } from "./tensor.ts";
import {
  decodeForwardBackward,
  decodeForwardBackwardResult,
  encodeForwardBackward,
  encodeForwardBackwardResult,
  type ForwardBackwardRequest,
  type ForwardBackwardResult,
} from "./training.ts";
import {
  decodeForwardBackwardProto,
  decodeForwardBackwardResultProto,
  encodeForwardBackwardProto,
  encodeForwardBackwardResultProto,
} from "./training-protobuf.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const token = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const f32 = fc.float({ noNaN: true, noDefaultInfinity: true });
const floatArray = (length: number) => fc.array(f32, { minLength: length, maxLength: length }).map((a) => Float32Array.from(a));
const intArray = (length: number) => fc.array(token, { minLength: length, maxLength: length }).map((a) => Int32Array.from(a));
/** A single number in JSON has no −0. */
const noMinusZero = (value: number) => value + 0;
const metrics = fc.dictionary(fc.string({ maxLength: 8 }), fc.double().map(noMinusZero));

const datum = fc.integer({ min: 0, max: 6 }).chain((n) =>
  fc
    .record({ tokens: intArray(n), targets: intArray(n), weights: floatArray(n), logprobs: floatArray(n) })
    .map(({ tokens, targets, weights, logprobs }) => ({
      tokens,
      inputs: { target_tokens: ints(targets), weights: floats(weights), logprobs: floats(logprobs) },
    })),
);
const request: fc.Arbitrary<ForwardBackwardRequest> = fc.record({
  modelId: fc.string({ maxLength: 8 }),
  seqId: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  data: fc.array(datum, { maxLength: 4 }),
  lossFn: fc.string({ maxLength: 8 }),
  lossFnConfig: fc.option(
    fc.record({ clip_low_threshold: fc.double({ noNaN: true, noDefaultInfinity: true }).map(noMinusZero) }),
    {
      nil: undefined,
    },
  ),
  forwardOnly: fc.boolean(),
});
const result: fc.Arbitrary<ForwardBackwardResult> = fc.record({
  outputType: fc.constantFrom("", "scalar"),
  outputs: fc.array(
    fc
      .integer({ min: 0, max: 5 })
      .chain((n) => floatArray(n).map((data) => ({ logprobs: floats(data), tokens: ints(new Int32Array(n)) }))),
    { maxLength: 4 },
  ),
  metrics,
});
const sampled: fc.Arbitrary<SampleResult> = fc.record({
  sequences: fc.array(
    fc.integer({ min: 0, max: 5 }).chain((n) =>
      fc.record({
        tokens: intArray(n),
        logprobs: fc.option(floatArray(n), { nil: undefined }),
        stopReason: fc.constantFrom("stop" as const, "length" as const),
      }),
    ),
    { maxLength: 4 },
  ),
  promptLogprobs: fc.option(
    fc.integer({ min: 0, max: 4 }).chain((n) => floatArray(n).map((a) => Float32Array.of(Number.NaN, ...a))),
    { nil: undefined },
  ),
  topkPromptLogprobs: fc.option(
    fc.array(fc.option(fc.array(fc.tuple(token, f32.map(noMinusZero)), { minLength: 2, maxLength: 2 }), { nil: undefined }), {
      maxLength: 3,
    }),
    { nil: undefined },
  ),
  promptCacheHitTokens: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
});

describe("codecs", () => {
  it("carry a forward_backward there and back, the same in both", () => {
    fc.assert(
      fc.property(request, (value) => {
        const json = decodeForwardBackward(bytes(encodeForwardBackward(value)), value.forwardOnly);
        expect(json).toEqual(value);
        const { lossFnConfig, ...proto } = decodeForwardBackwardProto(encodeForwardBackwardProto(value));
        expect({ ...proto, lossFnConfig }).toEqual(json);
      }),
    );
  });
  it("carry its result", () => {
    fc.assert(
      fc.property(result, (value) => {
        expect(decodeForwardBackwardResult(JSON.parse(encodeForwardBackwardResult(value)), "result")).toEqual(value);
        expect(decodeForwardBackwardResultProto(encodeForwardBackwardResultProto(value), "result")).toEqual(value);
      }),
    );
  });
  it("carry samples", () => {
    fc.assert(
      fc.property(sampled, (value) => {
        expect(decodeSampleResult(JSON.parse(encodeSampleResult(value)), "result")).toEqual(value);
        expect(decodeSampleResultProto(encodeSampleResultProto(value), "result")).toEqual(value);
      }),
    );
  });
  it("carry a sampling request", () => {
    const params = {
      maxTokens: 7,
      seed: 2 ** 48 - 1,
      temperature: 0.7,
      topK: -1,
      topP: 1,
      stop: [3, 4],
      firstSample: 2,
      forcedPrefix: [5],
    };
    const value = {
      target: { samplingSessionId: "s", seqId: 4 },
      prompt: Int32Array.of(1, 2),
      numSamples: 3,
      params,
      promptLogprobs: true,
      topkPromptLogprobs: 2,
    };
    expect(decodeSample(bytes(encodeSample(value)))).toEqual(value);
    const other = { ...value, target: { baseModel: "b" }, params: { stop: ["x"] }, topkPromptLogprobs: 0 };
    expect(decodeSample(bytes(encodeSample(other)))).toEqual(other);
  });
});

describe("hostile bytes", () => {
  const decoders: [string, (body: Uint8Array) => unknown][] = [
    ["forward_backward protobuf", decodeForwardBackwardProto],
    ["result protobuf", (body) => decodeForwardBackwardResultProto(body, "result")],
    ["samples protobuf", (body) => decodeSampleResultProto(body, "result")],
    ["forward_backward JSON", (body) => decodeForwardBackward(body, false)],
    ["asample JSON", decodeSample],
    ["optim_step JSON", (body) => messages.parseRequest(messages.optimStepRequest, body)],
  ];
  const onlyDataErrors = (decode: (body: Uint8Array) => unknown, body: Uint8Array) => {
    try {
      decode(body);
    } catch (error) {
      expect(error).toBeInstanceOf(DataError);
    }
  };
  it.each(decoders)("give a DataError or a value: %s", (_, decode) => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (body) => onlyDataErrors(decode, body)));
    fc.assert(fc.property(fc.json(), (json) => onlyDataErrors(decode, bytes(json))));
  });
  it("damaged messages too", () => {
    const change = fc.record({ at: fc.nat(), to: fc.nat(255), cut: fc.nat() });
    fc.assert(
      fc.property(request, change, (value, { at, to, cut }) => {
        const body = encodeForwardBackwardProto(value);
        if (body.length === 0) return;
        body[at % body.length] = to;
        onlyDataErrors(decodeForwardBackwardProto, body);
        onlyDataErrors(decodeForwardBackwardProto, body.subarray(0, cut % body.length));
      }),
      { numRuns: 500 },
    );
  });
  it("too large a body is not parsed", () => {
    for (const [, decode] of decoders.filter(([name]) => name.includes("JSON") || name.includes("forward")))
      expect(() => decode(new Uint8Array(MAX_BODY_BYTES + 1))).toThrow(/expected at most/);
  });
  it("name the field", () => {
    expect(() =>
      messages.parseRequest(
        messages.createModelRequest,
        bytes('{"session_id":"s","model_seq_id":0,"base_model":"b","lora_config":{"rank":"8"}}'),
      ),
    ).toThrow("body.lora_config.rank: expected number, got string.");
    expect(() => parseTensor({ data: [1.5], dtype: "int64" }, "weights")).toThrow(
      "weights.data[0]: expected an integer of 32 bits, got 1.5.",
    );
  });
});

describe("CSR tensors", () => {
  const dense = Float32Array.of(0, 5, 0, 0, 0, 0, 7, 0, 8);
  it("are made dense, from JSON and from protobuf", () => {
    const sparse = {
      data: [5, 7, 8],
      dtype: "float32",
      shape: [3, 3],
      sparse_crow_indices: [0, 1, 1, 3],
      sparse_col_indices: [1, 0, 2],
    };
    expect(parseTensor(sparse, "t")).toEqual({ dtype: "float32", data: dense, shape: [3, 3] });
    const writer = new BinaryWriter();
    writeMessage(writer, 3, (datum) =>
      writeMessage(datum, 2, (entry) => {
        writeText(entry, 1, "weights");
        writeMessage(entry, 2, (tensor) => {
          writeMessage(tensor, 2, (csr) => {
            writeBytes(csr, 1, toBytes(Float32Array.of(5, 7, 8)));
            writeBytes(csr, 2, toBytes(Int32Array.of(0, 1, 1, 3), true));
            writeBytes(csr, 3, toBytes(Int32Array.of(1, 0, 2), true));
          });
          writeInt(tensor, 3, 1);
          writeLongs(tensor, 4, [3, 3]);
        });
      }),
    );
    expect(decodeForwardBackwardProto(writer.finish()).data[0].inputs.weights.data).toEqual(dense);
  });
  it("are refused when the indices are not those of the shape", () => {
    const values = Float32Array.of(1, 2);
    const indices = (crow: number[], col: number[]) => ({ crow: Int32Array.from(crow), col: Int32Array.from(col) });
    expect(() => fromCsr(values, indices([0, 1, 2], [0, 9]), [2, 3], "t")).toThrow("expected columns below 3, got 9");
    expect(() => fromCsr(values, indices([0, 3, 2], [0, 1]), [2, 3], "t")).toThrow(DataError);
    expect(() => fromCsr(values, indices([0, 2], [0, 1]), [1, 2 ** 30], "t")).toThrow("expected at most");
    expect(() => fromCsr(values, indices([0, 2], [0, 1]), [-1, -3], "t")).toThrow(DataError);
  });
});

describe("the recorded exchange with SkyRL", () => {
  const log = JSON.parse(readFileSync(new URL("../../test/golden/tinker/skyrl-jax.json", import.meta.url), "utf8")) as {
    path: string;
    status: number;
    req?: unknown;
    res: { loss_fn_outputs?: unknown; sequences?: unknown };
  }[];
  it("is understood, and written again as it was", () => {
    let passes = 0;
    for (const { path, status, req } of log.filter(({ status }) => status === 200)) {
      if (!/\/forward(_backward)?$/.test(path) || status !== 200) continue;
      const forwardOnly = path.endsWith("/forward");
      const decoded = decodeForwardBackward(bytes(JSON.stringify(req)), forwardOnly);
      expect(JSON.parse(encodeForwardBackward(decoded))).toEqual(req);
      passes++;
    }
    expect(passes).toBeGreaterThan(3);
  });
  it("has results in both shapes", () => {
    const outputs = log
      .filter(({ res }) => res.loss_fn_outputs !== undefined)
      .map(({ res }) => decodeForwardBackwardResult(res, "result"));
    expect(outputs[0].outputs[0].logprobs.data[0]).toBe(Math.fround(-6.284912109375));
    const samples = log.filter(({ res }) => res.sequences !== undefined).map(({ res }) => decodeSampleResult(res, "result"));
    expect([...samples[0].sequences[0].tokens.subarray(0, 3)]).toEqual([254, 117, 370]);
    expect(samples[0].promptLogprobs?.length).toBe(4);
  });
  it("fits the schemas of the small messages", () => {
    const schemas: Record<string, Parameters<typeof messages.parseValue>[0]> = {
      create_session: messages.createSessionRequest,
      session_heartbeat: messages.heartbeatRequest,
      create_model: messages.createModelRequest,
      save_weights: messages.saveWeightsRequest,
      save_weights_for_sampler: messages.saveForSamplerRequest,
      load_weights: messages.loadWeightsRequest,
      optim_step: messages.optimStepRequest,
      retrieve_future: messages.retrieveFutureRequest,
      weights_info: messages.weightsInfoRequest,
    };
    let read = 0;
    for (const { path, req } of log) {
      const schema = schemas[path.split("/").at(-1) ?? ""];
      if (schema === undefined) continue;
      messages.parseValue(schema, req, path);
      read++;
    }
    expect(read).toBeGreaterThan(20);
  });
});
