// The loss that gradient checks difference, on the reference device.

import type { Sequence } from "../../src/engine/local/packed-batch.ts";
import type { Transformer } from "../../src/engine/local/transformer.ts";
import { referenceData } from "../contract/reference-device.ts";

/** Σ dLogprobs · logprobs in float64: from the logits, as downloads are rounded to f32. */
export function exactLoss(model: Transformer, data: readonly Sequence[], dLogprobs: readonly Float32Array[]): number {
  let loss = 0;
  data.forEach(({ tokens, weights }, s) => {
    const n = tokens.length;
    const positions = Int32Array.from({ length: n }, (_, i) => i);
    const zeros = new Int32Array(n);
    const cache = model.newCache(n);
    const rows = {
      prefixStart: zeros,
      prefixLength: zeros,
      start: zeros,
      length: positions.map((p) => p + 1),
      outputRows: positions,
    };
    const logits = referenceData(model.forwardCached({ tokens, positions, writeRows: positions, ...rows }, cache));
    for (let t = 0; t + 1 < n; t++) {
      if (weights[t] === 0) continue;
      const row = logits.subarray(t * model.vocabSize, (t + 1) * model.vocabSize);
      loss += dLogprobs[s][t] * (row[tokens[t + 1]] - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)));
    }
    cache.dispose();
  });
  return loss;
}
