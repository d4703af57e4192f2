// Ops on rows and elements of the CPU device: checked calls into native/{embedding,norm,rope,swiglu}.c.

import type { Device } from "../types.ts";
import type { Kernels } from "./kernels.ts";
import { at, check } from "./memory.ts";

type RowOps = Pick<
  Device,
  | "embedding"
  | "embeddingBackward"
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
function indexOps(
  native: Kernels,
  ctx: number,
): Pick<RowOps, "embedding" | "embeddingBackward" | "gatherRows" | "scatterRows" | "scatterAddRows"> {
  const gather: Device["gatherRows"] = (y, x, index, rows, dim) => {
    const limit = Math.floor(x.length / dim);
    check(native.gatherRows(ctx, at(y, rows * dim), at(x, dim), at(index, rows, "i32"), rows, dim, limit), "gatherRows");
  };
  const scatter = (y: Parameters<Device["scatterRows"]>[0], ...[x, index, rows, dim, add]: ScatterArguments): void => {
    const limit = Math.floor(y.length / dim);
    check(native.scatterRows(ctx, at(y, dim), at(x, rows * dim), at(index, rows, "i32"), rows, dim, limit, add), "scatterRows");
  };
  return {
    embedding: gather,
    embeddingBackward: (dtable, dy, tokens, rows, dim) => {
      const limit = Math.floor(dtable.length / dim);
      const [to, from, ids] = [at(dtable, dim), at(dy, rows * dim), at(tokens, rows, "i32")];
      check(native.embeddingBackward(ctx, to, from, ids, rows, dim, limit), "embeddingBackward");
    },
    gatherRows: gather,
    scatterRows: (y, x, index, rows, dim) => scatter(y, x, index, rows, dim, 0),
    scatterAddRows: (y, x, index, rows, dim) => scatter(y, x, index, rows, dim, 1),
  };
}

type ScatterArguments = [
  x: Parameters<Device["scatterRows"]>[1],
  index: Parameters<Device["scatterRows"]>[2],
  rows: number,
  dim: number,
  add: 0 | 1,
];

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
