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

/** The matrix ops over the native context `ctx`. */
export function matrixOps(native: Kernels, ctx: number, memory: CpuMemory): MatrixOps {
  return {
    packWeight: (w, outDim, inDim, reuse): CpuPacked => {
      const from = at(w, outDim * inDim);
      const old = reuse as CpuPacked | undefined;
      if (old && (!old.block.live || old.outDim !== outDim || old.inDim !== inDim)) {
        throw new Error(
          `internal: packWeight: expected live panels of [${outDim}, ${inDim}], got [${old.outDim}, ${old.inDim}].`,
        );
      }
      const packed = old ?? { outDim, inDim, block: memory.takeBlock(4 * native.packedSize(outDim, inDim)) };
      native.packWeight(ctx, packed.block.address, from, outDim, inDim);
      return packed;
    },
    freePacked: (packed) => memory.dropBlock((packed as CpuPacked).block),
    linear: (y, x, w, rows, bias) => {
      const { outDim, inDim, block } = w as CpuPacked;
      if (!block.live) throw new Error("internal: linear: expected live panels, got freed ones.");
      const b = bias ? at(bias, outDim) : 0;
      check(native.linear(ctx, at(y, rows * outDim), at(x, rows * inDim), block.address, b, rows, outDim, inDim), "linear");
    },
    linearBackwardInput: (dx, dy, w, rows, outDim, inDim, accumulate) => {
      const [to, from, weight] = [at(dx, rows * inDim), at(dy, rows * outDim), at(w, outDim * inDim)];
      check(native.linearBackwardInput(ctx, to, from, weight, rows, outDim, inDim, accumulate ? 1 : 0), "linearBackwardInput");
    },
    linearBackwardWeight: (dw, dy, x, rows, outDim, inDim) => {
      const [to, from, input] = [at(dw, outDim * inDim), at(dy, rows * outDim), at(x, rows * inDim)];
      check(native.linearBackwardWeight(ctx, to, from, input, rows, outDim, inDim), "linearBackwardWeight");
    },
    biasBackward: (dbias, dy, rows, outDim) => {
      native.biasBackward(ctx, at(dbias, outDim), at(dy, rows * outDim), rows, outDim);
    },
  };
}
