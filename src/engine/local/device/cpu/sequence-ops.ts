// Attention, vocabulary and optimizer ops of the CPU device: checked calls into native/{attention,logprob,sampling,adamw}.c.

import { EngineError } from "../../../../util/errors.ts";
import type { AttentionShape, Buffer, Device } from "../types.ts";
import type { Kernels } from "./kernels.ts";
import { FORMAT, panels } from "./matrix-ops.ts";
import { at, check } from "./memory.ts";

function checkShape({ queryHeads, kvHeads, headDim }: AttentionShape): void {
  if (!(kvHeads > 0 && headDim > 0 && queryHeads % kvHeads === 0)) {
    throw new Error(
      `internal: attention: expected query heads in equal groups per key/value head, got ${queryHeads} and ${kvHeads}.`,
    );
  }
}

/** 1 when keys and values are bf16; `at` checks that both are what is said here. */
const isBf16 = (k: Buffer): 0 | 1 => (k.dtype === "bf16" ? 1 : 0);

/** The attention ops over the native context `ctx`. */
export function attentionOps(native: Kernels, ctx: number): Pick<Device, "attention" | "attentionBackward"> {
  return {
    attention: (out, lse, q, k, v, segments, shape) => {
      checkShape(shape);
      const { rows, queryHeads, kvHeads, headDim, scale } = shape;
      const size = rows * queryHeads * headDim;
      const limit = Math.floor(Math.min(k.length, v.length) / (kvHeads * headDim));
      const dtype = isBf16(k) ? "bf16" : "f32";
      const [o, l, query, keys, values] = [
        at(out, size),
        at(lse, rows * queryHeads),
        at(q, size),
        at(k, 0, dtype),
        at(v, 0, dtype),
      ];
      const { prefixStart, prefixLength, start, length } = segments;
      const [ps, pl, s, n] = [
        at(prefixStart, rows, "i32"),
        at(prefixLength, rows, "i32"),
        at(start, rows, "i32"),
        at(length, rows, "i32"),
      ];
      const sizes = [rows, queryHeads, kvHeads, headDim, scale, limit, isBf16(k)];
      check(native.attention(ctx, o, l, query, keys, values, ps, pl, s, n, ...sizes), "attention");
    },
    attentionBackward: (dq, dk, dv, dout, out, lse, q, k, v, sequences, shape) => {
      checkShape(shape);
      const { rows, queryHeads, kvHeads, headDim, scale } = shape;
      const [qs, ks] = [rows * queryHeads * headDim, rows * kvHeads * headDim];
      const [toQ, toK, toV, from] = [at(dq, qs), at(dk, ks), at(dv, ks), at(dout, qs)];
      const dtype = isBf16(k) ? "bf16" : "f32";
      const [o, l, query, keys, values] = [
        at(out, qs),
        at(lse, rows * queryHeads),
        at(q, qs),
        at(k, ks, dtype),
        at(v, ks, dtype),
      ];
      const { count, offsets, prefix } = sequences;
      const [bounds, parents] = [at(offsets, count + 1, "i32"), at(prefix, count, "i32")];
      const sizes = [count, rows, queryHeads, kvHeads, headDim, scale, isBf16(k)];
      check(
        native.attentionBackward(ctx, toQ, toK, toV, from, o, l, query, keys, values, bounds, parents, ...sizes),
        "attentionBackward",
      );
    },
  };
}

/** The vocabulary ops over the native context `ctx`. */
export function vocabularyOps(native: Kernels, ctx: number): Pick<Device, "logprob" | "logprobBackward" | "sampleTokens"> {
  return {
    logprob: (logprobs, lse, logits, targets, rows, vocab) => {
      const [to, norm, from, ids] = [at(logprobs, rows), at(lse, rows), at(logits, rows * vocab), at(targets, rows, "i32")];
      check(native.logprob(ctx, to, norm, from, ids, rows, vocab), "logprob");
    },
    logprobBackward: (logits, dlogprobs, lse, targets, rows, vocab) => {
      const [to, from, norm, ids] = [at(logits, rows * vocab), at(dlogprobs, rows), at(lse, rows), at(targets, rows, "i32")];
      check(native.logprobBackward(ctx, to, from, norm, ids, rows, vocab), "logprobBackward");
    },
    sampleTokens: (tokens, logprobs, logits, temperature, topK, topP, uniforms, forced, rows, vocab) => {
      const [to, lp, from] = [at(tokens, rows, "i32"), at(logprobs, rows), at(logits, rows * vocab)];
      const [t, k, p] = [at(temperature, rows), at(topK, rows, "i32"), at(topP, rows)];
      const [u, f] = [at(uniforms, rows), at(forced, rows, "i32")];
      check(native.sampleTokens(ctx, to, lp, from, t, k, p, u, f, rows, vocab), "sampleTokens");
    },
  };
}

/** The optimizer ops over the native context `ctx`. */
export function optimizerOps(native: Kernels, ctx: number): Pick<Device, "sumSquares" | "adamW"> {
  return {
    sumSquares: (x, count) => {
      const sum = native.sumSquares(ctx, at(x, count), count);
      if (sum < 0) throw new EngineError("sumSquares: expected scratch memory, got none. Free memory.");
      return sum;
    },
    adamW: (param, grad, m, v, count, s, packed) => {
      if (!(s.step >= 1)) throw new Error(`internal: adamW: expected a step from 1, got ${s.step}.`);
      const [p, g, first, second] = [at(param, count), at(grad, count), at(m, count, m.dtype), at(v, count, m.dtype)];
      if (m.dtype === "i32") throw new Error("internal: adamW: expected f32 or bf16 moments, got i32.");
      const { learningRate, beta1, beta2, epsilon, weightDecay } = s;
      const scalars = [learningRate, beta1, beta2, epsilon, weightDecay, s.step, s.gradScale];
      if (packed !== undefined && (packed.format === "int8" || packed.outDim * packed.inDim !== count))
        throw new Error(`internal: adamW: expected f32 or bf16 panels of ${count} elements, got others.`);
      const renewed = packed === undefined ? [0, 1, 0] : [panels(packed), packed.inDim, FORMAT[packed.format]];
      const kept = s.keepGradient ? 1 : 0;
      check(
        native.adamW(ctx, p, g, first, second, m.dtype === "bf16" ? 1 : 0, count, ...scalars, s.first ?? 0, kept, ...renewed),
        "adamW",
      );
    },
  };
}
