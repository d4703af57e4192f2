// Ops on rows and elements of the CPU device: checked calls into native/{embedding,norm,rope,swiglu}.c.

import type { Device } from "../types.ts";
import type { Kernels } from "./kernels.ts";
import { at, BYTES, check } from "./memory.ts";

type RowOps = Pick<
  Device,
  | "embedding"
  | "gatherRows"
  | "scatterRows"
  | "scatterAddRows"
  | "add"
  | "rmsNorm"
  | "rmsNormBackward"
  | "rope"
  | "swiglu"
  | "swigluBackward"
>;

/** Moves of whole rows by index. */
function indexOps(native: Kernels, ctx: number): Pick<RowOps, "embedding" | "gatherRows" | "scatterRows" | "scatterAddRows"> {
  const gatherRows: Device["gatherRows"] = (y, x, index, rows, dim) => {
    const limit = Math.floor(x.length / dim);
    const [to, from, ids] = [at(y, rows * dim, x.dtype), at(x, dim, x.dtype), at(index, rows, "i32")];
    check(native.gatherRows(ctx, to, from, ids, rows, dim * BYTES[x.dtype], limit), "gatherRows");
  };
  return {
    gatherRows,
    embedding: (y, table, tokens, rows, dim) => {
      if (table.dtype !== "bf16") return gatherRows(y, table, tokens, rows, dim);
      const limit = Math.floor(table.length / dim);
      const [to, from, ids] = [at(y, rows * dim), at(table, dim, "bf16"), at(tokens, rows, "i32")];
      check(native.gatherBf16(ctx, to, from, ids, rows, dim, limit), "embedding");
    },
    scatterRows: (y, x, index, rows, dim) => {
      const limit = Math.floor(y.length / dim);
      const [to, from, ids] = [at(y, dim, x.dtype), at(x, rows * dim, x.dtype), at(index, rows, "i32")];
      check(native.scatterRows(ctx, to, from, ids, rows, dim * BYTES[x.dtype], limit), "scatterRows");
    },
    scatterAddRows: (y, x, index, rows, dim) => {
      const limit = Math.floor(y.length / dim);
      check(
        native.scatterAddRows(ctx, at(y, dim), at(x, rows * dim), at(index, rows, "i32"), rows, dim, limit),
        "scatterAddRows",
      );
    },
  };
}

/** The row ops over the native context `ctx`. */
export function rowOps(native: Kernels, ctx: number): RowOps {
  return {
    ...indexOps(native, ctx),
    add: (y, a, b, count) => {
      native.add(ctx, at(y, count), at(a, count), at(b, count), count);
    },
    rmsNorm: (y, rstd, x, weight, rows, dim, eps) => {
      const size = rows * dim;
      native.rmsNorm(ctx, at(y, size), at(rstd, rows), at(x, size), at(weight, dim), rows, dim, eps);
    },
    rmsNormBackward: (dx, dweight, dy, x, weight, rstd, rows, dim, accumulate) => {
      const size = rows * dim;
      const [toX, toWeight, from] = [at(dx, size), at(dweight, dim), at(dy, size)];
      const [input, scale, norms] = [at(x, size), at(weight, dim), at(rstd, rows)];
      check(
        native.rmsNormBackward(ctx, toX, toWeight, from, input, scale, norms, rows, dim, accumulate ? 1 : 0),
        "rmsNormBackward",
      );
    },
    rope: (x, cos, sin, positions, rows, heads, headDim, inverse) => {
      if (headDim % 2) throw new Error(`internal: rope: expected an even head dim, got ${headDim}.`);
      const limit = Math.floor(Math.min(cos.length, sin.length) / (headDim / 2));
      const [data, c, s, p] = [at(x, rows * heads * headDim), at(cos, 0), at(sin, 0), at(positions, rows, "i32")];
      check(native.rope(ctx, data, c, s, p, rows, heads, headDim, limit, inverse ? 1 : 0), "rope");
    },
    swiglu: (y, gate, up, count) => {
      native.swiglu(ctx, at(y, count), at(gate, count), at(up, count), count);
    },
    swigluBackward: (dgate, dup, dy, gate, up, count) => {
      native.swigluBackward(ctx, at(dgate, count), at(dup, count), at(dy, count), at(gate, count), at(up, count), count);
    },
  };
}
