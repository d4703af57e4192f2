// The layout of packed batches: what is shared, where each row sees its prompt, and how data become micro-batches.

import { describe, expect, it } from "vitest";
import { rngFrom } from "../../util/rng.ts";
import { gatherSelected, packMicroBatches, planBatch, type Sequence, spreadSelected } from "./packed-batch.ts";

const LIMITS = { vocabSize: 100, maxPositions: 64 };

/** Tokens with weights 1 from row `from` on. */
function trained(tokens: readonly number[], from = 0): Sequence {
  const weights = new Float32Array(tokens.length - 1).fill(1).fill(0, 0, from);
  return { tokens: Int32Array.from(tokens), weights };
}

describe("planBatch", () => {
  it("lays a shared prompt down once, before its completions, wherever they stand in the data", () => {
    const plan = planBatch([trained([1, 2, 3, 4, 5], 2), trained([9, 8, 7], 1), trained([1, 2, 3, 6, 7, 8], 2)], LIMITS);
    expect(plan.tokens_R).toEqual(Int32Array.of(1, 2, 3, 4, 6, 7, 9, 8));
    expect(plan.positions_R).toEqual(Int32Array.of(0, 1, 2, 3, 3, 4, 0, 1));
    expect(plan.offsets).toEqual(Int32Array.of(0, 3, 4, 6, 8));
    expect(plan.prefix).toEqual(Int32Array.of(-1, 0, 0, -1));
    expect(plan.prefixStart_R).toEqual(new Int32Array(8));
    expect(plan.prefixLength_R).toEqual(Int32Array.of(0, 0, 0, 3, 3, 3, 0, 0));
    expect(plan.start_R).toEqual(Int32Array.of(0, 0, 0, 3, 4, 4, 6, 6));
    expect(plan.length_R).toEqual(Int32Array.of(1, 2, 3, 1, 1, 2, 1, 2));
    // In data order: two completions, the lone sequence between them.
    expect(plan.selectedRows_S).toEqual(Int32Array.of(2, 3, 7, 2, 4, 5));
    expect(plan.targets_S).toEqual(Int32Array.of(4, 5, 7, 6, 7, 8));
    expect(plan.positions).toBe(5);
  });

  it("shares nothing between prompts that differ in one token or in length", () => {
    const plan = planBatch([trained([1, 2, 3, 4], 2), trained([1, 2, 4, 4], 2), trained([1, 2, 3, 4], 1)], LIMITS);
    expect(plan.rows).toBe(9);
    expect(plan.prefix).toEqual(Int32Array.of(-1, -1, -1));
    expect(plan.prefixLength_R).toEqual(new Int32Array(9));
  });

  it("gives completions of one token no row of their own, and sequences without weights none at all", () => {
    const plan = planBatch([trained([1, 2, 3], 1), trained([5, 5], 1), trained([1, 2, 4], 1), trained([1, 2, 4], 1)], LIMITS);
    expect(plan.tokens_R).toEqual(Int32Array.of(1, 2));
    expect(plan.offsets).toEqual(Int32Array.of(0, 2));
    expect(plan.selectedRows_S).toEqual(Int32Array.of(1, 1, 1));
    expect(plan.targets_S).toEqual(Int32Array.of(3, 4, 4));
  });

  it("names the sequence that is wrong", () => {
    expect(() => planBatch([trained([1, 2]), trained([1, 100])], LIMITS)).toThrow("sequence 1: expected token ids below 100");
    expect(() => planBatch([{ tokens: Int32Array.of(1, 2), weights: new Float32Array(2) }], LIMITS)).toThrow("weights");
    expect(() => planBatch([trained(new Array(70).fill(1))], LIMITS)).toThrow("at most 64 tokens");
  });

  it("gives values back in the order of the data", () => {
    const data = [trained([1, 2, 3, 4], 1), trained([7, 8]), trained([1, 2, 9], 1)];
    const { selectedRows_S } = planBatch(data, LIMITS);
    const spread = spreadSelected(
      data,
      selectedRows_S.map((_, s) => s + 1),
    );
    expect(spread).toEqual([Float32Array.of(0, 1, 2), Float32Array.of(3), Float32Array.of(0, 4)]);
    expect(gatherSelected(data, spread)).toEqual(Float32Array.of(1, 2, 3, 4));
  });
});

describe("packMicroBatches", () => {
  it("gives a sequence above the limit a micro-batch of its own and counts no rows after the last weight", () => {
    const [long, short] = [trained([1, 2, 3, 4, 5, 6, 7, 8]), trained([11, 2, 3])];
    const masked = { tokens: Int32Array.of(21, 2, 3, 4), weights: Float32Array.of(1, 0, 0) };
    expect(packMicroBatches([short, long, trained([12, 2, 3])], 4)).toEqual([[0], [1], [2]]);
    expect(packMicroBatches([short, masked, { ...masked, tokens: Int32Array.of(22, 2, 3, 4) }], 4)).toEqual([[0, 1, 2]]);
    expect(packMicroBatches([], 4)).toEqual([]);
  });

  it("counts a shared prompt once and keeps its group together", () => {
    const group = (prompt: number, n: number) => Array.from({ length: n }, (_, i) => trained([prompt, 1, 2, 3, i, i], 3));
    // 4 prompt rows + 1 per completion.
    expect(packMicroBatches([...group(1, 4), ...group(2, 4)], 16)).toEqual([[0, 1, 2, 3, 4, 5, 6, 7]]);
    expect(packMicroBatches([...group(1, 4), ...group(2, 4)], 12)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ]);
    // Split, each part with its own prompt.
    expect(packMicroBatches(group(1, 5), 6)).toEqual([[0, 1], [2, 3], [4]]);
    // Interleaved groups come together; a sequence without weights comes last and costs nothing.
    const [a, b] = [group(1, 2), group(2, 2)];
    expect(packMicroBatches([trained([1, 2], 1), a[0], b[0], a[1], b[1]], 6)).toEqual([
      [1, 3],
      [2, 4, 0],
    ]);
  });

  it("never exceeds the limit unless one sequence does, and takes every sequence once", () => {
    for (let round = 0; round < 40; round++) {
      const rng = rngFrom(5, round);
      const data = Array.from({ length: 1 + rng.int(20) }, () => {
        const prompt = Array.from({ length: 1 + rng.int(4) }, (_, i) => 1 + i);
        const tail = Array.from({ length: 1 + rng.int(8) }, () => rng.int(100));
        return trained([...prompt, ...tail], prompt.length - 1);
      });
      const limit = 4 + rng.int(20);
      const batches = packMicroBatches(data, limit);
      expect(batches.flat().sort((a, b) => a - b)).toEqual(data.map((_, i) => i));
      for (const indices of batches) {
        const plan = planBatch(
          indices.map((i) => data[i]),
          LIMITS,
        );
        if (indices.length > 1) expect(plan.rows).toBeLessThanOrEqual(limit);
      }
    }
  });
});
