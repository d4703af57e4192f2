// Some thousand damaged files for every parser, with a fixed seed; `npm run test:faults` does up to a million. What counts as a finding
// is told in fuzz/main.mjs. And cases that once were findings.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { parseConfigText } from "../../src/config/load.ts";
import { parseModelConfig } from "../../src/engine/local/hf-config.ts";
import { checkTokenizerJson } from "../../src/engine/local/tokenizer-check.ts";
import { parseQuestion } from "../../src/evaluation/benchmarks.ts";
import { readTable } from "../../src/evaluation/readers.ts";
import { checkDone } from "../../src/store/done.ts";
import { readJsonl } from "../../src/store/jsonl.ts";
import { ConfigError, DataError } from "../../src/util/errors.ts";
import { withinTime } from "../../src/util/guard.ts";
import { parseJson, preview } from "../../src/util/json.ts";

const root = mkdtempSync(join(tmpdir(), "rzero-damaged-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("fuzzing", () => {
  it("finds nothing in some thousand damaged files", { timeout: 240_000 }, () => {
    const main = fileURLToPath(new URL("fuzz/main.mjs", import.meta.url));
    const result = spawnSync(process.execPath, [main, "--cases", "6000", "--seed", "7"], { encoding: "utf8" });
    expect(result.stdout.match(/^FINDING.*/gm) ?? []).toEqual([]);
    expect(JSON.parse(result.stdout.trim().split("\n").at(-1) ?? "{}")).toMatchObject({ findings: 0, seed: 7 });
    expect(result.status).toBe(0);
  });
});

describe("once findings", () => {
  it("JSON nested without end is refused, and shown in short", () => {
    expect(() => parseJson("[".repeat(100_000) + "]".repeat(100_000), "f")).toThrow(/f: expected JSON nested at most 200 deep/);
    expect(parseJson(`${"[".repeat(200)}${"]".repeat(200)}`, "f")).toHaveLength(1);
    expect(preview("x".repeat(1e6))).toHaveLength(78);
  });

  it("a value whose text cannot be made is named, not thrown at", () => {
    const hostile = JSON.parse('{"question":"a","answer":"b","id":{"toString":1,"valueOf":2}}') as unknown;
    expect(() => parseQuestion(hostile, "f:1")).toThrow(/f:1: expected "id" to be a text or a number/);
  });

  it("work without end is ended, a regular expression too, and its error names the file", () => {
    expect(() => withinTime("f", 0, () => /^(a+)+$/.test(`${"a".repeat(40)}b`))).toThrow(/f: expected to be done in 300 ms/);
    expect(withinTime("f", 0, () => 7)).toBe(7);
    expect(() => withinTime("f", 0, () => JSON.parse("{"))).toThrow(SyntaxError);
  });

  it("a tokenizer with ids without bound is refused; one with patterns of its own is not trusted to end", () => {
    const json = (id: number, pattern: string) => ({
      added_tokens: [],
      pre_tokenizer: { type: "Split", pattern: { Regex: pattern } },
      model: { type: "BPE", vocab: { a: id }, merges: [] },
    });
    expect(() => checkTokenizerJson(json(2 ** 31, "a|b"), "t")).toThrow(/expected an id from 0 to 2097151, got 2147483648/);
    expect(checkTokenizerJson(json(1, "a|\\*|[\\s\\S]"), "t")).toBe(true);
    expect(checkTokenizerJson(json(1, "(a+)+"), "t")).toBe(false);
  });

  it("a Parquet file that asks for endless work is given up", async () => {
    const file = join(root, "t.parquet");
    writeFileSync(file, "PAR1 nothing PAR1");
    await expect(readTable(file, "parquet", { required: ["a"], optional: [] })).rejects.toThrow(DataError);
  });

  it("a CSV of a million columns is refused at once", async () => {
    const file = join(root, "t.csv");
    writeFileSync(file, `${",".repeat(1_000_000)}\n`);
    await expect(readTable(file, "csv", { required: [], optional: [] })).rejects.toThrow(/expected at most 1000 columns/);
  });

  it("a growing log cut inside a character keeps the lines before", () => {
    const file = join(root, "log.jsonl");
    writeFileSync(file, Buffer.concat([Buffer.from('{"a":1}\n{"b":"'), Buffer.from("é").subarray(0, 1)]));
    expect(readJsonl(file, (value) => value, { growing: true })).toEqual([{ a: 1 }]);
  });

  it("YAML that refers to itself without end, and a model of impossible size, are refused", () => {
    const bomb = Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [${i === 0 ? "x" : `*a${i - 1}, *a${i - 1}`}]`).join("\n");
    expect(() => parseConfigText(bomb, "c.yaml")).toThrow(ConfigError);
    expect(() => parseModelConfig({ model_type: "llama", hidden_size: 2 ** 31 }, "c")).toThrow(DataError);
  });

  it("a marker of a phase with other values than reports count on is damaged", () => {
    expect(() => checkDone("curriculum", { pool: 3, kept: "2" }, "d")).toThrow(/d kept: expected a number, got "2"/);
    expect(() => checkDone("evaluation", { solver: [{ name: "b" }] }, "d")).toThrow(/d solver\[0\] questions: expected a number/);
    expect(checkDone("challenger", { steps: [{ reward: 1, extra: {} }] }, "d")).toMatchObject({ steps: [{ reward: 1 }] });
  });
});
