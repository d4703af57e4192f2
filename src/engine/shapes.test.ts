// Random weights in a named shape: a whole, readable model directory, the same every time.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readModelConfig } from "./local/hf-config.ts";
import { openModelTensors } from "./local/model-files.ts";
import { parameterSpecs } from "./local/parameters.ts";
import { shapeBytes, shapeDirectory } from "./shapes.ts";

const scratch = mkdtempSync(join(tmpdir(), "rzero-shapes-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

it("writes a model directory whose matrices are normal, whose norms are 1, and whose rows differ", () => {
  const dir = shapeDirectory("tiny", scratch);
  const tensors = openModelTensors(dir);
  const specs = parameterSpecs(readModelConfig(dir));
  const embedding = tensors(specs[0]);
  const deviation = Math.sqrt(embedding.reduce((sum, x) => sum + x * x, 0) / embedding.length);
  expect(deviation).toBeGreaterThan(0.0195);
  expect(deviation).toBeLessThan(0.0205);
  const norms = specs.filter(({ kind }) => kind === "norm").flatMap((spec) => [...tensors(spec)]);
  expect(new Set(norms)).toEqual(new Set([1]));
  const rows = specs[1].shape[0];
  const query = tensors(specs[1]);
  const width = query.length / rows;
  const first = Array.from({ length: rows }, (_, row) => query.subarray(row * width, (row + 1) * width).join());
  expect(new Set(first).size).toBe(rows);
});

it("leaves a directory that is there as it is", () => {
  expect(shapeDirectory("tiny", scratch)).toBe(shapeDirectory("tiny", scratch));
});

it("counts the parameters that the names promise", () => {
  expect(shapeBytes("tiny") / 2).toBeCloseTo(0.75e6, -5);
  expect(shapeBytes("125m") / 2 / 1e6).toBeCloseTo(124, 0);
  expect(shapeBytes("qwen3-0.6b") / 2).toBe(596_049_920);
  expect(shapeBytes("qwen3-4b") / 2).toBe(4_022_468_096);
});
