// Matrix products of the CPU device: checked calls into native/gemm.c.

import type { Device, PackedWeight } from "../types.ts";
import type { Kernels } from "./kernels.ts";
import { at, type CpuMemory, check } from "./memory.ts";

type Block = ReturnType<CpuMemory["takeBlock"]>;

interface CpuPacked extends PackedWeight {
  readonly block: Block;
}

type MatrixOps = Pick<
  Device,
  "packWeight" | "freePacked" | "linear" | "linearBackwardInput" | "linearBackwardWeight" | "biasBackward"
>;

function panels(w: PackedWeight): number {
  const { block } = w as CpuPacked;
  if (!block.live) throw new Error("internal: linear: expected live panels, got freed ones.");
  return block.address;
}

/** The matrix ops over the native context `ctx`. */
export function matrixOps(native: Kernels, ctx: number, memory: CpuMemory): MatrixOps {
  return {
    packWeight: (w, outDim, inDim, format, reuse): CpuPacked => {
      if (format !== "f32") throw new Error(`internal: packWeight: no ${format} here yet.`);
      const from = at(w, outDim * inDim);
      const old = reuse as CpuPacked | undefined;
      if (old && (!old.block.live || old.outDim !== outDim || old.inDim !== inDim)) {
        throw new Error(
          `internal: packWeight: expected live panels of [${outDim}, ${inDim}], got [${old.outDim}, ${old.inDim}].`,
        );
      }
      const packed = old ?? { outDim, inDim, format, block: memory.takeBlock(4 * native.packedSize(outDim, inDim)) };
      native.packWeight(ctx, packed.block.address, from, outDim, inDim);
      return packed;
    },
    freePacked: (packed) => memory.dropBlock((packed as CpuPacked).block),
    linear: (y, x, w, rows, bias, accumulate = false) => {
      const { outDim, inDim } = w;
      const [to, from, b] = [at(y, rows * outDim), at(x, rows * inDim), bias ? at(bias, outDim) : 0];
      check(native.linear(ctx, to, from, panels(w), b, rows, outDim, inDim, accumulate ? 1 : 0), "linear");
    },
    linearBackwardInput: (dx, dy, w, rows, accumulate) => {
      const { outDim, inDim } = w;
      const [to, from] = [at(dx, rows * inDim), at(dy, rows * outDim)];
      check(native.linearBackwardInput(ctx, to, from, panels(w), rows, outDim, inDim, accumulate ? 1 : 0), "linearBackwardInput");
    },
    linearBackwardWeight: (dw, dy, x, rows, outDim, inDim, format) => {
      if (format !== "f32") throw new Error(`internal: linearBackwardWeight: no ${format} here yet.`);
      const [to, from, input] = [at(dw, outDim * inDim), at(dy, rows * outDim), at(x, rows * inDim)];
      check(native.linearBackwardWeight(ctx, to, from, input, rows, outDim, inDim), "linearBackwardWeight");
    },
    biasBackward: (dbias, dy, rows, outDim) => {
      native.biasBackward(ctx, at(dbias, outDim), at(dy, rows * outDim), rows, outDim);
    },
  };
}
