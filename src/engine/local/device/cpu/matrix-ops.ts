// Matrix products of the CPU device: checked calls into native/gemm.c, gemm-few.c and gemm-weight.c.

import type { Device, PackedWeight, WeightFormat } from "../types.ts";
import type { Kernels } from "./kernels.ts";
import { at, type CpuMemory, check } from "./memory.ts";

type Block = ReturnType<CpuMemory["takeBlock"]>;

interface CpuPacked extends PackedWeight {
  readonly block: Block;
}

type MatrixOps = Pick<
  Device,
  "packWeight" | "freePacked" | "linear" | "linears" | "linearBackwardInput" | "linearBackwardWeight" | "biasBackward"
>;

const MOST_OUTPUTS = 3;

/** As native/rzero.h numbers them. */
export const FORMAT: Record<WeightFormat, number> = { f32: 0, bf16: 1, int8: 2 };

/** Address of the panels. Errors: Error("internal: …") when they were freed. */
export function panels(w: PackedWeight): number {
  const { block } = w as CpuPacked;
  if (!block.live) throw new Error("internal: linear: expected live panels, got freed ones.");
  return block.address;
}

/** `reuse` if it may hold the panels of [outDim, inDim] in `format`. */
function reusable(reuse: CpuPacked, outDim: number, inDim: number, format: WeightFormat): CpuPacked {
  const old = `[${reuse.outDim}, ${reuse.inDim}] in ${reuse.format}`;
  if (!reuse.block.live || old !== `[${outDim}, ${inDim}] in ${format}`)
    throw new Error(`internal: packWeight: expected live panels of [${outDim}, ${inDim}] in ${format}, got ${old}.`);
  return reuse;
}

/** The matrix ops over the native context `ctx`. */
export function matrixOps(native: Kernels, ctx: number, memory: CpuMemory): MatrixOps {
  return {
    packWeight: (w, outDim, inDim, format, reuse): CpuPacked => {
      const isBf16 = w.dtype === "bf16";
      const from = at(w, outDim * inDim, isBf16 ? "bf16" : "f32");
      const take = (): CpuPacked => {
        const block = memory.takeBlock(native.packedBytes(outDim, inDim, FORMAT[format]));
        return { outDim, inDim, format, block };
      };
      const packed = reuse ? reusable(reuse as CpuPacked, outDim, inDim, format) : take();
      native.packWeight(ctx, packed.block.address, from, outDim, inDim, FORMAT[format], isBf16 ? 1 : 0);
      return packed;
    },
    freePacked: (packed) => memory.dropBlock((packed as CpuPacked).block),
    linear: (y, x, w, rows, bias, accumulate = false) => {
      const { outDim, inDim } = w;
      if (bias && accumulate) throw new Error("internal: linear: expected a bias or accumulate, got both.");
      const [to, from, b] = [at(y, rows * outDim), at(x, rows * inDim), bias ? at(bias, outDim) : 0];
      const format = FORMAT[w.format];
      check(native.linear(ctx, to, from, panels(w), b, rows, outDim, inDim, accumulate ? 1 : 0, format), "linear");
    },
    linears: (outputs, x, rows) => {
      const [{ w: first }] = outputs;
      const alike = outputs.every(({ w }) => w.inDim === first.inDim && w.format === first.format);
      if (outputs.length < 2 || outputs.length > MOST_OUTPUTS || !alike)
        throw new Error("internal: linears: expected two or three weights of one format and input size, got others.");
      const list = [at(x, rows * first.inDim), rows, first.inDim, FORMAT[first.format]];
      for (const { y, w, bias } of outputs) {
        list.push(at(y, rows * w.outDim), panels(w), bias ? at(bias, w.outDim) : 0, w.outDim);
      }
      if (outputs.length < MOST_OUTPUTS) list.push(0, 0, 0, 0);
      check(native.linears(ctx, ...list), "linears");
    },
    linearBackwardInput: (dx, dy, w, rows, accumulate) => {
      const { outDim, inDim } = w;
      if (w.format === "int8") throw new Error("internal: linearBackwardInput: expected f32 or bf16 panels, got int8.");
      const [to, from, adding] = [at(dx, rows * inDim), at(dy, rows * outDim), accumulate ? 1 : 0];
      check(
        native.linearBackwardInput(ctx, to, from, panels(w), rows, outDim, inDim, adding, FORMAT[w.format]),
        "linearBackwardInput",
      );
    },
    linearBackwardWeight: (dw, dy, x, rows, outDim, inDim, format, accumulate = true) => {
      const [to, from, input] = [at(dw, outDim * inDim), at(dy, rows * outDim), at(x, rows * inDim)];
      const code = native.linearBackwardWeight(ctx, to, from, input, rows, outDim, inDim, accumulate ? 1 : 0, FORMAT[format]);
      check(code, "linearBackwardWeight");
    },
    biasBackward: (dbias, dy, rows, outDim) => {
      native.biasBackward(ctx, at(dbias, outDim), at(dy, rows * outDim), rows, outDim);
    },
  };
}
