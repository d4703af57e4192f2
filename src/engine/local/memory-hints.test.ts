import { describe, expect, it } from "vitest";
import { EngineError } from "../../util/errors.ts";
import { withMemoryHint } from "./memory-hints.ts";
import type { NumberOptions } from "./protocol.ts";

const PLAIN: NumberOptions = { dtype: "f32", frozenDtype: "same", optimizerDtype: "f32", recompute: false };
const short = () => {
  throw new EngineError("device memory: expected 12.0 MiB more, got none. Use smaller batches.");
};

describe("withMemoryHint", () => {
  it("names the options that are not in use yet, and no others", () => {
    expect(() => withMemoryHint("weights to train", PLAIN, short)).toThrow(
      "weights to train: device memory: expected 12.0 MiB more, got none. To need less: engine.lora (train an adapter), or " +
        "engine.dtype=bf16 (--dtype bf16), or engine.optimizerDtype=bf16, or a smaller model.",
    );
    const tight: NumberOptions = { ...PLAIN, dtype: "bf16", recompute: true };
    expect(() => withMemoryHint("a training pass", tight, short)).toThrow(
      /got none\. To need less: a smaller engine\.maxTokensPerMicroBatch\.$/,
    );
    expect(() => withMemoryHint("a training pass", PLAIN, short)).toThrow("engine.recompute (--recompute)");
    expect(() => withMemoryHint("frozen weights", tight, short)).toThrow("engine.frozenDtype=int8");
  });

  it("leaves results and other errors alone", () => {
    expect(withMemoryHint("sampling", PLAIN, () => 7)).toBe(7);
    const other = () => {
      throw new EngineError("optimizer step 3: expected a finite gradient norm, got NaN.");
    };
    expect(() => withMemoryHint("a training pass", PLAIN, other)).toThrow(/^optimizer step 3: .* got NaN\.$/);
  });
});
