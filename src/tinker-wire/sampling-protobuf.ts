// The result of asample as protobuf (SampleResponse of package tinker_public): the same values as sampling.ts. Knows no JSON.

import { DataError } from "../util/errors.ts";
import { BinaryWriter, bytesOf, intOf, readMessage, writeBytes, writeInt, writeMessage } from "./protobuf.ts";
import { MAX_SAMPLES, MAX_TOKENS } from "./protocol.ts";
import type { SampledSequence, SampleResult } from "./sampling.ts";
import { boundedLength, floatsOf, intsOf, toBytes } from "./tensor.ts";
import { boundedBody } from "./training.ts";

/** A place of the top-k table without an entry. */
const EMPTY = { token: 0, logprob: Math.fround(-99999) };

/** A result as a message. */
export function encodeSampleResultProto(result: SampleResult): Uint8Array {
  const writer = new BinaryWriter();
  for (const { tokens, logprobs, stopReason } of result.sequences)
    writeMessage(writer, 1, (sequence) => {
      writeInt(sequence, 1, stopReason === "length" ? 1 : 0);
      writeBytes(sequence, 2, toBytes(tokens));
      if (logprobs !== undefined) writeBytes(sequence, 3, toBytes(logprobs));
    });
  if (result.promptLogprobs !== undefined) writeBytes(writer, 2, toBytes(result.promptLogprobs));
  const top = result.topkPromptLogprobs;
  if (top !== undefined) writeMessage(writer, 3, (table) => writeTop(table, top));
  writeInt(writer, 4, result.promptCacheHitTokens ?? 0);
  return writer.finish();
}

/** A result from a message. Errors: DataError naming the field. */
export function decodeSampleResultProto(body: Uint8Array, where: string): SampleResult {
  boundedBody(body, where);
  const sequences: SampledSequence[] = [];
  let promptLogprobs: Float32Array | undefined;
  let topkPromptLogprobs: SampleResult["topkPromptLogprobs"];
  let promptCacheHitTokens: number | undefined;
  readMessage(body, where, {
    1: (reader, type) => {
      boundedLength(sequences.length + 1, MAX_SAMPLES, `${where}.sequences`);
      sequences.push(readSequence(bytesOf(reader, type), `${where}.sequences[${sequences.length}]`));
    },
    2: (reader, type) => {
      promptLogprobs = floatsOf(bytesOf(reader, type), `${where}.prompt_logprobs`);
    },
    3: (reader, type) => {
      topkPromptLogprobs = readTop(bytesOf(reader, type), `${where}.topk_prompt_logprobs`);
    },
    4: (reader, type) => {
      promptCacheHitTokens = intOf(reader, type);
    },
  });
  return { sequences, promptLogprobs, topkPromptLogprobs, promptCacheHitTokens };
}

function readSequence(bytes: Uint8Array, where: string): SampledSequence {
  let tokens = new Int32Array(0);
  let logprobs: Float32Array | undefined;
  let reason = 0;
  readMessage(bytes, where, {
    1: (reader, type) => {
      reason = intOf(reader, type);
    },
    2: (reader, type) => {
      tokens = intsOf(bytesOf(reader, type), `${where}.tokens`) as Int32Array<ArrayBuffer>;
      boundedLength(tokens.length, MAX_TOKENS, `${where}.tokens`);
    },
    3: (reader, type) => {
      logprobs = floatsOf(bytesOf(reader, type), `${where}.logprobs`);
    },
  });
  if (reason !== 0 && reason !== 1) throw new DataError(`${where}.stop_reason: expected 0 (stop) or 1 (length), got ${reason}.`);
  return { tokens, logprobs, stopReason: reason === 0 ? "stop" : "length" };
}

function writeTop(writer: BinaryWriter, top: NonNullable<SampleResult["topkPromptLogprobs"]>): void {
  const k = top.reduce((most, place) => Math.max(most, place?.length ?? 0), 0);
  const tokens = new Int32Array(top.length * k).fill(EMPTY.token);
  const logprobs = new Float32Array(top.length * k).fill(EMPTY.logprob);
  top.forEach((place, i) => {
    place?.forEach(([token, logprob], at) => {
      tokens[i * k + at] = token;
      logprobs[i * k + at] = logprob;
    });
  });
  writeBytes(writer, 1, toBytes(tokens));
  writeBytes(writer, 2, toBytes(logprobs));
  writeInt(writer, 3, k);
  writeInt(writer, 4, top.length);
}

function readTop(bytes: Uint8Array, where: string): SampleResult["topkPromptLogprobs"] {
  let [tokens, logprobs, k, length] = [new Int32Array(0), new Float32Array(0), 0, 0];
  readMessage(bytes, where, {
    1: (reader, type) => {
      tokens = intsOf(bytesOf(reader, type), `${where}.token_ids`) as Int32Array<ArrayBuffer>;
    },
    2: (reader, type) => {
      logprobs = floatsOf(bytesOf(reader, type), `${where}.logprobs`) as Float32Array<ArrayBuffer>;
    },
    3: (reader, type) => {
      k = intOf(reader, type);
    },
    4: (reader, type) => {
      length = boundedLength(intOf(reader, type), MAX_TOKENS, `${where}.prompt_length`);
    },
  });
  if (k < 0 || tokens.length !== k * length || logprobs.length !== k * length)
    throw new DataError(`${where}: expected ${length} × ${k} entries, got ${tokens.length} and ${logprobs.length}.`);
  return Array.from({ length }, (_, i) => {
    const pairs = Array.from({ length: k }, (_, at): [number, number] => [tokens[i * k + at], logprobs[i * k + at]]);
    const told = pairs.filter(([, logprob]) => logprob !== EMPTY.logprob);
    return told.length === 0 ? undefined : told;
  });
}
