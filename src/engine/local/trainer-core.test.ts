import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CheckpointError, DataError, EngineError } from "../../util/errors.ts";
import { type StateCopy, writeStateCopy } from "./checkpoint.ts";
import { createCpuDevice } from "./device/cpu/device.ts";
import type { Buffer, Device } from "./device/types.ts";
import { readModelConfig } from "./hf-config.ts";
import type { Sequence } from "./packed-batch.ts";
import { initializeModelDirectory, TrainerCore } from "./trainer-core.ts";

const ADAMW = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, clipNorm: 1 };
const CONFIG = {
  architectures: ["Qwen3ForCausalLM"],
  model_type: "qwen3",
  vocab_size: 20,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 8,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
  eos_token_id: 3,
};
const DATA: Sequence[] = [
  [1, 2, 3, 4, 5, 6],
  [7, 8, 9],
].map((tokens) => {
  return { tokens: Int32Array.from(tokens), weights: new Float32Array(tokens.length - 1).fill(1) };
});

const root = mkdtempSync(join(tmpdir(), "rzero-trainer-"));
const base = join(root, "base");
let device: Device;
beforeAll(() => {
  device = createCpuDevice({ threads: 1 });
  initializeModelDirectory(base, CONFIG, 1);
});
afterAll(() => {
  device.dispose();
  rmSync(root, { recursive: true });
});

function step(core: TrainerCore): number {
  core.backward(core.forward(DATA).map((values) => new Float32Array(values.length).fill(-1 / 7)));
  return core.optimStep(ADAMW).gradNorm;
}

const logprobs = (core: TrainerCore): number[] => core.forward(DATA).flatMap((values) => Array.from(values));

describe("optimStep", () => {
  it("learns: the trained tokens get likelier", () => {
    const core = TrainerCore.open(device, base);
    const before = logprobs(core).reduce((a, b) => a + b, 0);
    for (let i = 0; i < 20; i++) step(core);
    expect(logprobs(core).reduce((a, b) => a + b, 0)).toBeGreaterThan(before + 10);
    core.dispose();
  });

  it("refuses a gradient that is not finite and leaves the weights", () => {
    const core = TrainerCore.open(device, base);
    const before = logprobs(core);
    core.forward(DATA);
    core.backward(DATA.map(({ weights }) => weights.map(() => Number.NaN)));
    expect(() => core.optimStep(ADAMW)).toThrow(EngineError);
    expect(logprobs(core)).toEqual(before);
    expect(step(core)).toBeGreaterThan(0);
    core.dispose();
  });

  it("clips by the global norm: a smaller limit, a smaller step with the same direction", () => {
    const norms = [0, 0.5].map((clipNorm) => {
      const core = TrainerCore.open(device, base);
      core.backward(core.forward(DATA).map((values) => new Float32Array(values.length).fill(-1)));
      // An epsilon far above the gradient makes AdamW's first step proportional to it.
      const { gradNorm } = core.optimStep({ ...ADAMW, epsilon: 1e3, weightDecay: 0, clipNorm });
      const moved = core.model.weights.download(core.model.weights.specs[1]);
      core.dispose();
      return { gradNorm, moved };
    });
    const start = TrainerCore.open(device, base);
    const origin = start.model.weights.download(start.model.weights.specs[1]);
    start.dispose();
    const [free, clipped] = norms.map(({ moved }) => Math.hypot(...moved.map((value, i) => value - origin[i])));
    expect(norms[0].gradNorm).toBeGreaterThan(1);
    expect(clipped / free).toBeCloseTo(0.5 / norms[0].gradNorm, 2);
  });
});

describe("a snapshot", () => {
  it("stays when the trainer moves on, and outlives it", () => {
    const core = TrainerCore.open(device, base);
    step(core);
    const expected = core.forward(DATA);
    const frozen = core.snapshot();
    step(core);
    expect(frozen.logprobs(DATA)).toEqual(expected);
    expect(core.forward(DATA)).not.toEqual(expected);
    core.dispose();
    expect(frozen.logprobs(DATA)).toEqual(expected);
    frozen.dispose();
  });
});

describe("micro-batches", () => {
  it("of another size give the same logprobs to the bit, and the same gradient up to the order of its sums", () => {
    const [whole, split] = [TrainerCore.open(device, base), TrainerCore.open(device, base)];
    const gradient = (core: TrainerCore) => device.download(core.model.weights.gradients as Buffer) as Float32Array;
    const expected = whole.forward(DATA);
    whole.backward(expected.map((values) => values.map(() => 0.1)));
    const parts = DATA.flatMap((datum) => {
      const logprobs = split.forward([datum]);
      split.backward(logprobs.map((values) => values.map(() => 0.1)));
      return logprobs;
    });
    expect(parts).toEqual(expected);
    const [a, b] = [gradient(whole), gradient(split)];
    const norm = Math.hypot(...a);
    expect(norm).toBeGreaterThan(0);
    expect(Math.hypot(...a.map((value, i) => value - b[i])) / norm).toBeLessThan(1e-6);
    whole.dispose();
    split.dispose();
  });
});

describe("saveState and loadState", () => {
  const dir = join(root, "state");

  it("continue as if never stopped, to the bit", () => {
    const core = TrainerCore.open(device, base);
    step(core);
    step(core);
    core.saveState(dir);
    step(core);
    const uninterrupted = logprobs(core);
    const resumed = TrainerCore.open(device, base);
    step(resumed);
    resumed.backward(resumed.forward(DATA)); // an accumulated gradient, which must not survive
    resumed.loadState(dir);
    step(resumed);
    expect(logprobs(resumed)).toEqual(uninterrupted);
    resumed.loadState(dir);
    resumed.resetOptimizer();
    step(resumed);
    expect(logprobs(resumed)).not.toEqual(uninterrupted);
    core.saveState(dir);
    expect(readdirSync(dir)).toHaveLength(4);
    core.dispose();
    resumed.dispose();
  });

  it("write a scratch state over an older one, with the same content", () => {
    const core = TrainerCore.open(device, base);
    const scratch = join(root, "scratch");
    core.saveState(scratch, true);
    step(core);
    core.saveState(scratch, true);
    const expected = logprobs(core);
    step(core);
    core.loadState(scratch);
    expect(logprobs(core)).toEqual(expected);
    expect(readdirSync(scratch).sort()).toEqual(["m.safetensors", "state.json", "v.safetensors", "weights.safetensors"]);
    const copied = join(root, "copied");
    writeStateCopy(copied, core.copyState(Number.MAX_SAFE_INTEGER) as StateCopy, true);
    for (const name of readdirSync(scratch)) expect(readFileSync(join(copied, name))).toEqual(readFileSync(join(scratch, name)));
    core.saveState(copied);
    expect(readdirSync(copied)).toHaveLength(4);
    core.dispose();
  });

  it("refuse a damaged state before anything changes", () => {
    const core = TrainerCore.open(device, base);
    core.saveState(dir);
    const before = logprobs(core);
    const file = readdirSync(dir).find((name) => name.startsWith("v-")) as string;
    const copy = (name: string): string => {
      cpSync(dir, join(root, name), { recursive: true });
      return join(root, name);
    };
    const flipped = copy("flipped");
    const bytes = readFileSync(join(flipped, file));
    bytes[bytes.length - 1] ^= 64;
    writeFileSync(join(flipped, file), bytes);
    const short = copy("short");
    truncateSync(join(short, file), 100);
    const empty = copy("empty");
    writeFileSync(join(empty, "state.json"), "{}");
    for (const [name, message] of [
      [flipped, "expected SHA-256"],
      [short, "bytes, got 100"],
      [empty, "expected a training state of format 1"],
      [join(root, "none"), "ENOENT"],
    ]) {
      expect(() => core.loadState(name)).toThrow(CheckpointError);
      expect(() => core.loadState(name)).toThrow(message);
    }
    expect(logprobs(core)).toEqual(before);
    core.dispose();
  });

  it("refuse the state of another model", () => {
    const other = join(root, "other");
    initializeModelDirectory(other, { ...CONFIG, hidden_size: 32 }, 1);
    const core = TrainerCore.open(device, other);
    expect(() => core.loadState(dir)).toThrow(/expected shape \[20, 32\], got \[20, 16\]\. It is of another model\./);
    core.dispose();
  });
});

describe("exportModel", () => {
  it("writes f32 that reads back to the same bits, sharded or not, with the files beside it", () => {
    writeFileSync(join(base, "tokenizer.json"), '{"a":1}');
    const core = TrainerCore.open(device, base);
    step(core);
    const expected = logprobs(core);
    const out = join(root, "export");
    for (const shardBytes of [3000, undefined]) {
      core.exportModel(out, { maxShardBytes: shardBytes });
      const files = readdirSync(out).filter((name) => name.startsWith("model"));
      expect(files.length === 1).toBe(shardBytes === undefined);
      const again = TrainerCore.open(device, out);
      expect(logprobs(again)).toEqual(expected);
      again.dispose();
    }
    expect(readFileSync(join(out, "tokenizer.json"), "utf8")).toBe('{"a":1}');
    core.dispose();
  });

  it("writes bf16 near the weights, and config.json with every key and the new type", () => {
    const core = TrainerCore.open(device, base);
    const out = join(root, "half");
    core.exportModel(out, { dtype: "bfloat16" });
    expect(readModelConfig(out).raw).toEqual({ ...CONFIG, dtype: "bfloat16", torch_dtype: "bfloat16" });
    const half = TrainerCore.open(device, out);
    const [a, b] = [logprobs(core), logprobs(half)];
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i])))).toBeLessThan(1e-2);
    expect(b).not.toEqual(a);
    for (const each of [core, half]) each.dispose();
  });
});

describe("bad input", () => {
  it("sequences the model cannot read", () => {
    const core = TrainerCore.open(device, base);
    const of = (tokens: number[], weights = new Float32Array(tokens.length - 1).fill(1)) => [
      { tokens: Int32Array.from(tokens), weights },
    ];
    expect(() => core.forward(of([1, 20, 2]))).toThrow("sequence 0: expected token ids below 20, got 20");
    expect(() => core.forward(of(new Array(40).fill(1)))).toThrow("sequence 0: expected at most 32 tokens, got 40");
    expect(() => core.forward(of([1, 2], new Float32Array(3)))).toThrow("expected 1 weights for 2 tokens, got 3");
    core.forward(of([1, 2, 3]));
    expect(() => core.backward([new Float32Array(5)])).toThrow("sequence 0: expected 2 gradients, got 5");
    core.dispose();
  });

  it("a directory without weights, without a tensor, or with one of another shape", () => {
    const bad = join(root, "bad");
    mkdirSync(bad);
    writeFileSync(join(bad, "config.json"), JSON.stringify(CONFIG));
    expect(() => TrainerCore.open(device, bad)).toThrow(
      /expected model\.safetensors or model\.safetensors\.index\.json, got neither/,
    );
    cpSync(join(base, "model.safetensors"), join(bad, "model.safetensors"));
    writeFileSync(join(bad, "config.json"), JSON.stringify({ ...CONFIG, num_hidden_layers: 3 }));
    expect(() => TrainerCore.open(device, bad)).toThrow(/expected a tensor model\.layers\.2\.\S+, got none/);
    writeFileSync(join(bad, "config.json"), JSON.stringify({ ...CONFIG, vocab_size: 21 }));
    const before = device.allocatedBytes;
    expect(() => TrainerCore.open(device, bad)).toThrow("expected shape [21, 16], got [20, 16]");
    expect(device.allocatedBytes).toBe(before);
    rmSync(join(bad, "model.safetensors"));
    writeFileSync(join(bad, "model.safetensors.index.json"), JSON.stringify({ weight_map: { a: "../base/model.safetensors" } }));
    expect(() => TrainerCore.open(device, bad)).toThrow(DataError);
    expect(() => TrainerCore.open(device, bad)).toThrow("expected a file name *.safetensors");
  });
});
