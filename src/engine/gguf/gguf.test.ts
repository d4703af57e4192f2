// GGUF files of golden models, read back by @huggingface/gguf: metadata, tensor table and values; the element types by themselves.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gguf } from "@huggingface/gguf";
import { afterAll, describe, expect, it } from "vitest";
import { DataError } from "../../util/errors.ts";
import { packageRoot } from "../../util/package-root.ts";
import { writeGgufFile } from "../adapters.ts";
import { decodeFloats } from "../local/float-formats.ts";
import { readModelConfig } from "../local/hf-config.ts";
import { openModelTensors } from "../local/model-files.ts";
import { parameterSpecs } from "../local/parameters.ts";
import { encodeGgml, halfBits } from "./encode.ts";
import type { GgufDType } from "./write.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-gguf-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const golden = (name: string) => join(packageRoot, "test", "golden", name);

async function write(from: string, dtype: GgufDType) {
  const path = join(root, `${from.split("/").at(-1)}-${dtype}.gguf`);
  writeGgufFile({ from, to: path, dtype, name: "a model" });
  const { metadata, tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true });
  const file = readFileSync(path);
  /** f32 values of a tensor of that type. */
  const floats = (name: string): Float32Array => {
    const info = tensorInfos.find((tensor) => tensor.name === name);
    if (info === undefined) throw new Error(`no ${name}`);
    const count = Number(info.shape.reduce((product, size) => product * size, 1n));
    const begin = Number(tensorDataOffset + info.offset);
    return decodeFloats(file.buffer.slice(file.byteOffset + begin, file.byteOffset + begin + 4 * count) as ArrayBuffer, "F32");
  };
  return { metadata: metadata as Record<string, unknown>, tensorInfos, floats, bytes: file.length };
}

function original(dir: string, name: string): Float32Array {
  const spec = parameterSpecs(readModelConfig(dir)).find((candidate) => candidate.name === name);
  if (spec === undefined) throw new Error(`no ${name}`);
  return openModelTensors(dir)(spec);
}

describe("a model as GGUF", () => {
  it("carries Qwen3's sizes, names, values and tokenizer", async () => {
    const dir = golden("tiny-qwen3");
    const config = readModelConfig(dir);
    const { metadata, tensorInfos, floats } = await write(dir, "float32");
    expect(metadata).toMatchObject({
      "general.architecture": "qwen3",
      "general.file_type": 0,
      "qwen3.block_count": config.layers,
      "qwen3.attention.head_count_kv": config.kvHeads,
      "qwen3.attention.key_length": config.headDim,
      "tokenizer.ggml.pre": "qwen2",
    });
    expect((metadata["tokenizer.ggml.tokens"] as string[]).length).toBe(config.vocabSize);
    expect((metadata["tokenizer.ggml.merges"] as string[]).length).toBeGreaterThan(50);
    expect(tensorInfos.find(({ name }) => name === "blk.0.attn_k.weight")?.shape).toEqual([
      BigInt(config.hiddenSize),
      BigInt(config.kvHeads * config.headDim),
    ]);
    expect(floats("blk.1.ffn_down.weight")).toEqual(original(dir, "model.layers.1.mlp.down_proj.weight"));
    expect(floats("output_norm.weight")).toEqual(original(dir, "model.norm.weight"));
  });

  it("interleaves the halves of Llama's heads and adds its frequencies", async () => {
    const dir = golden("tiny-llama3");
    const { hiddenSize, headDim } = readModelConfig(dir);
    const { metadata, floats, tensorInfos } = await write(dir, "float32");
    expect(metadata["tokenizer.ggml.pre"]).toBe("llama-bpe");
    const row = (data: Float32Array, index: number) => data.slice(index * hiddenSize, (index + 1) * hiddenSize);
    const written = floats("blk.0.attn_q.weight");
    const ours = original(dir, "model.layers.0.self_attn.q_proj.weight");
    // The second head: row 1 of its first half and of its second half become neighbours.
    expect(row(written, headDim + 2)).toEqual(row(ours, headDim + 1));
    expect(row(written, headDim + 3)).toEqual(row(ours, headDim + headDim / 2 + 1));
    expect(floats("blk.0.attn_v.weight")).toEqual(original(dir, "model.layers.0.self_attn.v_proj.weight"));
    expect(tensorInfos[0]).toMatchObject({ name: "rope_freqs.weight", shape: [BigInt(headDim / 2)] });
  });

  it("makes whole words findable, and quantised files smaller", async () => {
    const dir = join(packageRoot, "assets", "tiny-base");
    const { metadata, bytes, tensorInfos } = await write(dir, "q8_0");
    const tokens = metadata["tokenizer.ggml.tokens"] as string[];
    const types = metadata["tokenizer.ggml.token_type"] as number[];
    expect(types[tokens.indexOf("What is ")]).toBe(4);
    expect(types[tokens.indexOf("<|im_end|>")]).toBe(3);
    expect(tokens[metadata["tokenizer.ggml.eos_token_id"] as number]).toBe("<|im_end|>");
    expect(tensorInfos.find(({ name }) => name === "blk.0.attn_norm.weight")?.dtype).toBe(0);
    expect(bytes).toBeLessThan((await write(dir, "float16")).bytes * 0.6);
  });

  it("refuses a tokenizer that it cannot say", async () => {
    const dir = golden("tiny-qwen3");
    const { tokenizerMetadata } = await import("./tokenizer.ts");
    expect(() => tokenizerMetadata(dir, 10, [])).toThrow(DataError);
  });
});

describe("element types", () => {
  it("rounds to every half and back", () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
    const values = decodeFloats(halves.buffer as ArrayBuffer, "F16");
    for (let bits = 0; bits < 65536; bits++) if (!Number.isNaN(values[bits])) expect(halfBits(values[bits])).toBe(bits);
    expect(halfBits(Number.NaN) & 0x7fff).toBeGreaterThan(0x7c00);
  });

  it("rounds between halves to the nearest, ties to even", () => {
    for (const bits of [0, 1, 0x3ff, 0x400, 0x3c00, 0x3c01, 0x7bfe]) {
      const [low, high] = decodeFloats(Uint16Array.of(bits, bits + 1).buffer as ArrayBuffer, "F16");
      expect(halfBits((low + high) / 2)).toBe(bits % 2 === 0 ? bits : bits + 1);
      expect(halfBits(low + (high - low) * 0.51)).toBe(bits + 1);
      expect(halfBits(-(low + (high - low) * 0.49))).toBe(0x8000 | bits);
    }
    expect(halfBits(65520)).toBe(0x7c00);
    expect(halfBits(65519)).toBe(0x7bff);
  });

  it("quantises blocks of 32 as ggml does", () => {
    const data = Float32Array.from({ length: 64 }, (_, index) => (index < 32 ? (index - 16) / 8 : 0));
    const bytes = Buffer.from(encodeGgml(data, "Q8_0"));
    expect(bytes.length).toBe(2 * 34);
    expect(bytes.readUInt16LE(0)).toBe(halfBits(2 / 127));
    expect([bytes.readInt8(2), bytes.readInt8(2 + 16), bytes.readInt8(2 + 17), bytes.readInt8(2 + 31)]).toEqual([
      -127, 0, 8, 119,
    ]);
    expect(bytes.subarray(34).every((byte) => byte === 0)).toBe(true);
  });
});
