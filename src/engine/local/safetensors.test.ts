import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DataError } from "../../util/errors.ts";
import { decodeFloats, encodeFloats } from "./float-formats.ts";
import { readSafetensorsHeader, readTensor, type TensorInfo, writeSafetensors } from "./safetensors.ts";

const dir = mkdtempSync(join(tmpdir(), "rzero-safetensors-"));
afterAll(() => rmSync(dir, { recursive: true }));
const path = join(dir, "file.safetensors");

/** Writes a raw file: header length (or a claimed one), header, data bytes. */
function raw(header: unknown, dataBytes: number, claimed?: bigint): void {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(claimed ?? BigInt(Buffer.byteLength(text)));
  writeFileSync(path, Buffer.concat([prefix, Buffer.from(text), Buffer.alloc(dataBytes)]));
}

function refusal(use: () => unknown): string {
  try {
    use();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).not.toContain("\n");
    return (error as Error).message;
  }
  throw new Error("expected a DataError");
}

const headerRefusal = (): string => refusal(() => readSafetensorsHeader(path));
const tensor = (begin: number, end: number, shape = [(end - begin) / 4], dtype = "F32") => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe("round trips", () => {
  const data = Float32Array.from([1, -2.5, 0, 3.0000002, 1e-30, -0]);
  const tensors = [
    { name: "a", shape: [2, 3], read: () => data },
    { name: "scalar", shape: [], read: () => Float32Array.of(7) },
  ];

  it("keeps f32 exactly, aligned to 8 bytes and under its name only", () => {
    const { bytes, sha256 } = writeSafetensors(path, tensors, "F32");
    const file = readFileSync(path);
    expect([file.length, sha256.length]).toEqual([bytes, 64]);
    expect(file.readBigUInt64LE() % 8n).toBe(0n);
    const header = readSafetensorsHeader(path);
    expect(header.get("a")?.shape).toEqual([2, 3]);
    expect(readTensor(header.get("a") as TensorInfo)).toEqual(data);
    expect(readTensor(header.get("scalar") as TensorInfo)).toEqual(Float32Array.of(7));
    expect(readdirSync(dir)).toEqual(["file.safetensors"]);
  });

  it("writes bf16 rounded to nearest, ties to even", () => {
    const halfUlp = 2 ** -8;
    const values = Float32Array.from([
      1 + halfUlp,
      1 + 3 * halfUlp,
      1 + halfUlp * 1.01,
      -1 - halfUlp * 0.99,
      Number.NaN,
      Infinity,
    ]);
    writeSafetensors(path, [{ name: "a", shape: [6], read: () => values }], "BF16");
    const got = readTensor(readSafetensorsHeader(path).get("a") as TensorInfo);
    expect(Array.from(got)).toEqual([1, 1 + 4 * halfUlp, 1 + 2 * halfUlp, -1, Number.NaN, Infinity]);
  });

  it("reads f16: normal, subnormal, infinite", () => {
    const halves = Uint16Array.from([0x3c00, 0xc000, 0x3555, 0x0001, 0x83ff, 0x7c00, 0x8000]);
    const expected = [1, -2, 0.333251953125, 2 ** -24, -1023 * 2 ** -24, Infinity, -0];
    expect(Array.from(decodeFloats(halves.buffer, "F16"))).toEqual(expected);
  });

  it("bf16 there and back is the identity on every bf16 value", () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((h) => (h & 0x7f80) !== 0x7f80);
    const back = encodeFloats(decodeFloats(all.slice().buffer, "BF16"), "BF16");
    expect(Buffer.from(back).equals(Buffer.from(all.buffer))).toBe(true);
  });
});

describe("damaged files are refused in one line", () => {
  it("a header that claims 10^12 bytes", () => {
    raw("{}", 100, 10n ** 12n);
    expect(headerRefusal()).toBe(
      `${path}: expected a header of at most 102 bytes, got 1000000000000. The file is damaged or no safetensors file.`,
    );
  });

  it("a truncated file", () => {
    raw({ a: tensor(0, 40) }, 40);
    truncateSync(path, readFileSync(path).length - 3);
    expect(headerRefusal()).toMatch(/expected a file of \d+ bytes, got \d+\. It is truncated or damaged: fetch it again\.$/);
    writeFileSync(path, "abc");
    expect(headerRefusal()).toContain("expected at least 8 bytes, got 3");
  });

  it("a file truncated after its header was read", () => {
    raw({ a: tensor(0, 40) }, 40);
    const info = readSafetensorsHeader(path).get("a") as TensorInfo;
    truncateSync(path, 60);
    expect(refusal(() => readTensor(info))).toContain("It is truncated");
  });

  it("an unreadable file: missing, or a directory", () => {
    expect(refusal(() => readSafetensorsHeader(join(dir, "none")))).toContain("expected a readable safetensors file, got ENOENT");
    expect(refusal(() => readSafetensorsHeader(dir))).toContain(dir);
  });

  it.each([
    ["no JSON", "{", "header: expected JSON"],
    ["an array", "[]", "header: expected a JSON object"],
    ["an unknown dtype", { a: tensor(0, 40, [10], "F33") }, 'a known dtype, got "F33"'],
    ["a negative size", { a: tensor(0, 40, [-10]) }, "a shape of non-negative integers"],
    ["a shape of other size", { a: tensor(0, 40, [11]) }, "44 bytes for F32 [11], got 40"],
    ["a huge shape", { a: tensor(0, 40, [1e15, 1e15]) }, "for F32 [1000000000000000, 1000000000000000], got 40"],
    ["reversed offsets", { a: tensor(40, 0, [10]) }, "data_offsets [begin, end]"],
    ["an overlap", { a: tensor(0, 24), b: tensor(16, 40) }, "data at offset 24 (no gap, no overlap), got 16"],
    ["a gap", { a: tensor(0, 16), b: tensor(24, 40) }, "data at offset 16 (no gap, no overlap), got 24"],
    ["an entry that is null", { a: null }, "a known dtype"],
  ])("%s", (_, header, message) => {
    raw(header, 40);
    expect(headerRefusal()).toContain(message);
  });

  it("an integer tensor is listed but not read", () => {
    raw({ a: tensor(0, 40, [5], "I64") }, 40);
    const info = readSafetensorsHeader(path).get("a") as TensorInfo;
    expect(refusal(() => readTensor(info))).toContain("expected dtype F32, F16 or BF16, got I64");
  });
});
