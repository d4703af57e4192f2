// Adapters against peft: one that peft wrote gives peft's logprobs and trains as there, and one that we write is what peft wrote.
// make-peft.py made the golden values; it also reads our adapters with peft, which is not part of the tests.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCpuDevice } from "../../src/engine/local/device/cpu/device.ts";
import type { Device } from "../../src/engine/local/device/types.ts";
import { readModelDirectory } from "../../src/engine/local/model-directory.ts";
import { type LoraOptions, openFrozen } from "../../src/engine/local/open-model.ts";
import type { Sequence } from "../../src/engine/local/packed-batch.ts";
import { readSafetensorsHeader, readTensor } from "../../src/engine/local/safetensors.ts";
import { TrainerCore } from "../../src/engine/local/trainer-core.ts";
import { WeightStore } from "../../src/engine/local/weight-store.ts";

const PEFT = join(import.meta.dirname, "peft");
const BASE = join(import.meta.dirname, "tiny-qwen3");
const { logprobs, losses, grad_norms } = JSON.parse(readFileSync(join(PEFT, "expected.json"), "utf8")) as {
  logprobs: number[][];
  losses: number[];
  grad_norms: number[];
};
const { sequences } = JSON.parse(readFileSync(join(BASE, "expected.json"), "utf8")) as { sequences: number[][] };
const DATA: Sequence[] = sequences.map((tokens) => {
  return { tokens: Int32Array.from(tokens), weights: new Float32Array(tokens.length - 1).fill(1) };
});
const LORA: LoraOptions = { rank: 2, alpha: 3, targets: ["down_proj", "q_proj", "v_proj"], seed: 0 };
const ADAMW = { learningRate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 };

const scratch = mkdtempSync(join(tmpdir(), "rzero-peft-"));
let device: Device;
beforeAll(() => {
  device = createCpuDevice({ threads: 2 });
});
afterAll(() => {
  device.dispose();
  rmSync(scratch, { recursive: true });
});

const open = (dir = PEFT, lora = LORA) => TrainerCore.open(device, dir, { lora });

/** A copy of the adapter with changes of its configuration. */
function changed(name: string, changes: Record<string, unknown>): string {
  const dir = join(scratch, name);
  cpSync(PEFT, dir, { recursive: true });
  const file = join(dir, "adapter_config.json");
  const base = { base_model_name_or_path: BASE };
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...base, ...changes }));
  return dir;
}

function furthest(got: Float32Array[]): number {
  return Math.max(...got.flatMap((row, i) => logprobs[i].map((value, t) => Math.abs(row[t] - value))));
}

describe("an adapter that peft wrote", () => {
  it("gives peft's logprobs within 2e-5, frozen and in training", () => {
    const frozen = openFrozen(device, PEFT, "f32", new WeightStore(device));
    const core = open();
    expect(furthest(frozen.logprobs(DATA))).toBeLessThan(2e-5);
    expect(core.forward(DATA)).toEqual(frozen.logprobs(DATA));
    for (const each of [frozen, core]) each.dispose();
  });

  it("trains as with peft: losses within 1e-5, gradient norms within 1e-4", () => {
    const core = open();
    losses.forEach((loss, step) => {
      const got = core.forward(DATA);
      const count = got.reduce((sum, row) => sum + row.length, 0);
      const mean = -got.reduce((sum, row) => sum + row.reduce((a, b) => a + b, 0), 0) / count;
      expect(Math.abs(mean / loss - 1), `loss of step ${step}`).toBeLessThan(1e-5);
      core.backward(got.map((row) => new Float32Array(row.length).fill(-1 / count)));
      const { gradNorm } = core.optimStep(ADAMW);
      expect(Math.abs(gradNorm / grad_norms[step] - 1), `gradient norm of step ${step}`).toBeLessThan(1e-4);
    });
    core.dispose();
  });

  it("comes back from us as peft wrote it: names, shapes, values, configuration", () => {
    const core = open();
    const dir = join(scratch, "ours");
    core.exportModel(dir);
    core.dispose();
    const [ours, theirs] = [dir, PEFT].map((place) => readSafetensorsHeader(join(place, "adapter_model.safetensors")));
    expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
    for (const [name, info] of theirs) {
      const own = ours.get(name)!;
      expect([own.dtype, own.shape]).toEqual([info.dtype, info.shape]);
      expect(readTensor(own)).toEqual(readTensor(info));
    }
    const [mine, peft] = [dir, PEFT].map((place) => JSON.parse(readFileSync(join(place, "adapter_config.json"), "utf8")));
    for (const key of Object.keys(mine)) {
      if (key === "base_model_name_or_path") expect(mine[key]).toBe(BASE);
      else if (key === "target_modules") expect([...mine[key]].sort()).toEqual([...peft[key]].sort());
      else expect(mine[key], key).toEqual(peft[key]);
    }
    expect(readModelDirectory(dir).base).toBe(BASE);
  });
});

describe("adapters that are refused", () => {
  const frozen = (dir: string) => () => openFrozen(device, dir, "f32", new WeightStore(device));

  it("of a base that is not there, is an adapter itself, or is not named", () => {
    expect(frozen(changed("gone", { base_model_name_or_path: "Qwen/Qwen3-0.6B" }))).toThrow(
      /expected base_model_name_or_path to be a model directory, got "Qwen\/Qwen3-0\.6B"\. There is no config\.json in .* absolute or relative/,
    );
    expect(frozen(changed("nested", { base_model_name_or_path: PEFT }))).toThrow("That is an adapter: merge it first");
    expect(frozen(changed("unnamed", { base_model_name_or_path: null }))).toThrow("expected base_model_name_or_path, got null");
  });

  it("of another kind", () => {
    for (const [key, value] of Object.entries({
      peft_type: "IA3",
      use_dora: true,
      bias: "all",
      modules_to_save: ["lm_head"],
      rank_pattern: { q_proj: 4 },
      init_lora_weights: "pissa",
      lora_bias: true,
      r: 0,
    })) {
      expect(frozen(changed(`kind-${key}`, { [key]: value })), key).toThrow(/adapter_config\.json: expected/);
    }
    expect(frozen(changed("shape", { r: 3 }))).toThrow("expected shape [3, 64], got [2, 64]. It is of another model.");
  });

  it("in training, of another shape or with dropout, or where a whole model is expected", () => {
    expect(() => open(PEFT, { ...LORA, rank: 4 })).toThrow(/expected the shape of the adapter in .*rank 2, alpha 3.* got rank 4/);
    expect(() => open(PEFT, { ...LORA, targets: ["q_proj"] })).toThrow("targets q_proj. Make them equal");
    expect(() => open(changed("dropout", { lora_dropout: 0.1 }))).toThrow("expected lora_dropout 0");
    expect(() => TrainerCore.open(device, PEFT)).toThrow(/expected a whole model to train, got an adapter of rank 2/);
  });

  it("and rsLoRA is read as the alpha that gives its scale", () => {
    expect(readModelDirectory(changed("rs", { use_rslora: true })).adapter?.alpha).toBeCloseTo(3 * Math.SQRT2, 12);
  });
});
