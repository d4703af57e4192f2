// Frozen weights: equal to a trainer's on the same files to the bit, whatever the files' format, shared while they are used, and
// apart once their files have changed.

import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCpuDevice } from "./device/cpu/device.ts";
import type { Device } from "./device/types.ts";
import type { Sequence } from "./packed-batch.ts";
import { TrainerCore } from "./trainer-core.ts";
import { Transformer } from "./transformer.ts";
import { WeightStore } from "./weight-store.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../../test/golden/${name}/`, import.meta.url));
const DATA: Sequence[] = [[5, 9, 2, 44, 17, 3, 60], [8, 8, 1], Array.from({ length: 40 }, (_, i) => (i * 7) % 100)].map(
  (tokens) => {
    return { tokens: Int32Array.from(tokens), weights: new Float32Array(tokens.length - 1).fill(1) };
  },
);

const root = mkdtempSync(join(tmpdir(), "rzero-store-"));
let device: Device;
beforeAll(() => {
  device = createCpuDevice({ threads: 2 });
});
afterAll(() => {
  device.dispose();
  rmSync(root, { recursive: true });
});

/** f32, bf16 (the embedded base), f32 in shards, f16. */
const MODELS = ["tiny-qwen3", "tiny-llama3", "tiny-qwen2", "tiny-qwen2-tied", "../../assets/tiny-base"];

describe.each(MODELS)("%s", (name) => {
  it.each(["f32", "bf16"] as const)("computes as a trainer does, to the bit, in %s", (format) => {
    const frozen = Transformer.over(device, new WeightStore(device).open(golden(name), format));
    const core = TrainerCore.open(device, golden(name), { format });
    const copy = core.snapshot();
    const expected = core.forward(DATA);
    expect(frozen.logprobs(DATA)).toEqual(expected);
    expect(copy.logprobs(DATA)).toEqual(expected);
    for (const each of [frozen, core, copy]) each.dispose();
  });
});

describe("a store", () => {
  it("shares what is open, by directory and format, and frees it with its last user", () => {
    const store = new WeightStore(device);
    const before = device.allocatedBytes;
    const first = store.open(golden("tiny-qwen3"), "f32");
    const one = device.allocatedBytes;
    const second = store.open(join(golden("tiny-llama3"), "..", "tiny-qwen3"), "f32");
    expect(second).toBe(first);
    expect(device.allocatedBytes).toBe(one);
    const other = store.open(golden("tiny-qwen3"), "bf16");
    expect(other).not.toBe(first);
    other.dispose();
    first.dispose();
    expect([device.allocatedBytes, second.live]).toEqual([one, true]);
    second.dispose();
    expect([device.allocatedBytes, second.live]).toEqual([before, false]);
    const again = store.open(golden("tiny-qwen3"), "f32");
    expect(again).not.toBe(first);
    again.dispose();
  });

  it("opens replaced files anew, and those who had the old ones keep them", () => {
    const dir = join(root, "replaced");
    cpSync(golden("tiny-qwen3"), dir, { recursive: true });
    const store = new WeightStore(device);
    const old = Transformer.over(device, store.open(dir, "f32"));
    const before = old.logprobs(DATA);
    const core = TrainerCore.open(device, dir);
    core.backward(core.forward(DATA).map((row) => new Float32Array(row.length).fill(-1)));
    core.optimStep({ learningRate: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0, clipNorm: 1 });
    core.exportModel(dir);
    const fresh = Transformer.over(device, store.open(dir, "f32"));
    expect(fresh.logprobs(DATA)).toEqual(core.forward(DATA));
    expect(fresh.logprobs(DATA)).not.toEqual(before);
    expect(old.logprobs(DATA)).toEqual(before);
    for (const each of [old, core, fresh]) each.dispose();
  });

  it("holds int8 weights in less memory, near the model", () => {
    const store = new WeightStore(device);
    const sizes = (["f32", "bf16", "int8"] as const).map((format) => {
      const before = device.allocatedBytes;
      const weights = store.open(golden("tiny-qwen3"), format);
      const bytes = device.allocatedBytes - before;
      weights.dispose();
      return bytes;
    });
    expect(sizes[1]).toBeLessThan(0.6 * sizes[0]);
    expect(sizes[2]).toBeLessThan(0.65 * sizes[1]);
  });
});
