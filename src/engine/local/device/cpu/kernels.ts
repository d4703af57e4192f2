// The C functions of native/rzero.h as JavaScript functions, bound through koffi. Addresses travel as plain numbers (exact below
// 2^53), which keeps a call near 0.2 µs. Knows nothing of buffers or ops; callers pass addresses they have checked.

import koffi from "koffi";
import { libraryPath } from "./library.ts";

/** A bound C function; every argument is a number but for the typed arrays of copies and a file's path. */
type Native = (...values: number[]) => number;

/** All functions of the library. P pointer, I integer, F float, D double: see SIGNATURES. */
export interface Kernels {
  readonly create: Native;
  readonly destroy: Native;
  readonly alloc: Native;
  readonly free: Native;
  readonly zero: Native;
  readonly copy: Native;
  readonly copyIn: (to: number, from: Float32Array | Int32Array, bytes: number) => void;
  readonly copyOut: (to: Float32Array | Int32Array, from: number, bytes: number) => void;
  /** Part of a file; `report` takes errno and the file's size. */
  readonly map: (path: string, offset: number, bytes: number, align: number, report: Float64Array) => number;
  readonly unmap: Native;
  readonly toBf16: Native;
  readonly fromBf16: Native;
  readonly toBf16In: (ctx: number, to: number, from: Float32Array, count: number) => void;
  readonly fromBf16Out: (ctx: number, to: Float32Array, from: number, count: number) => void;
  readonly hasBf16Dot: Native;
  readonly packedBytes: Native;
  readonly packWeight: Native;
  readonly linear: Native;
  readonly linears: Native;
  readonly linearBackwardInput: Native;
  readonly linearBackwardWeight: Native;
  readonly biasBackward: Native;
  readonly gatherRows: Native;
  readonly gatherBf16: Native;
  readonly scatterRows: Native;
  readonly scatterAddRows: Native;
  readonly add: Native;
  readonly rmsNorm: Native;
  readonly rmsNormBackward: Native;
  readonly rope: Native;
  readonly swiglu: Native;
  readonly swigluBackward: Native;
  readonly attention: Native;
  readonly attentionBackward: Native;
  readonly logprob: Native;
  readonly logprobBackward: Native;
  readonly sampleTokens: Native;
  readonly sumSquares: Native;
  readonly adamW: Native;
  /** Ops noted down by a `CallList`: their count of numbers and the first failed one's place. */
  readonly run: (ctx: number, list: Float64Array, length: number, failed: Float64Array) => number;
  readonly peak: Native;
  readonly memoryBandwidth: Native;
}

const TYPES: Record<string, string> = {
  V: "void",
  P: "uintptr_t", // an address as a number
  A: "void *", // a typed array
  S: "const char *", // a string
  I: "int64_t",
  J: "int32_t",
  F: "float",
  D: "double",
};

/** Name in C, result, arguments. */
const SIGNATURES: Record<keyof Kernels, readonly [string, string, string]> = {
  create: ["rz_create", "P", "J"],
  destroy: ["rz_destroy", "V", "P"],
  alloc: ["rz_alloc", "P", "I"],
  free: ["rz_free", "V", "P"],
  zero: ["rz_zero", "V", "PI"],
  copy: ["rz_copy", "V", "PPI"],
  copyIn: ["rz_copy", "V", "PAI"],
  copyOut: ["rz_copy", "V", "API"],
  map: ["rz_map", "P", "SIIIA"],
  unmap: ["rz_unmap", "V", "PII"],
  toBf16: ["rz_to_bf16", "V", "PPPI"],
  fromBf16: ["rz_from_bf16", "V", "PPPI"],
  toBf16In: ["rz_to_bf16", "V", "PPAI"],
  fromBf16Out: ["rz_from_bf16", "V", "PAPI"],
  hasBf16Dot: ["rz_has_bf16_dot", "J", ""],
  packedBytes: ["rz_packed_bytes", "I", "IIJ"],
  packWeight: ["rz_pack_weight", "V", "PPPIIJJ"],
  linear: ["rz_linear", "J", "PPPPPIIIJJ"],
  linears: ["rz_linears", "J", "PPIIJPPPIPPPIPPPI"],
  linearBackwardInput: ["rz_linear_backward_input", "J", "PPPPIIIJJ"],
  linearBackwardWeight: ["rz_linear_backward_weight", "J", "PPPPIIIJJ"],
  biasBackward: ["rz_bias_backward", "V", "PPPII"],
  gatherRows: ["rz_gather_rows", "J", "PPPPIII"],
  gatherBf16: ["rz_gather_bf16", "J", "PPPPIII"],
  scatterRows: ["rz_scatter_rows", "J", "PPPPIII"],
  scatterAddRows: ["rz_scatter_add_rows", "J", "PPPPIII"],
  add: ["rz_add", "V", "PPPPI"],
  rmsNorm: ["rz_rms_norm", "V", "PPPPPIIF"],
  rmsNormBackward: ["rz_rms_norm_backward", "J", "PPPPPPPIIJ"],
  rope: ["rz_rope", "J", "PPPPPIIIIJ"],
  swiglu: ["rz_swiglu", "V", "PPPPI"],
  swigluBackward: ["rz_swiglu_backward", "V", "PPPPPPI"],
  attention: ["rz_attention", "J", "PPPPPPPPPPIIIIFIJ"],
  attentionBackward: ["rz_attention_backward", "J", "PPPPPPPPPPPPIIIIIFJ"],
  logprob: ["rz_logprob", "J", "PPPPPII"],
  logprobBackward: ["rz_logprob_backward", "J", "PPPPPII"],
  sampleTokens: ["rz_sample_tokens", "J", "PPPPPPPPPII"],
  sumSquares: ["rz_sum_squares", "D", "PPI"],
  adamW: ["rz_adamw", "J", "PPPPPJIDDDDDIFIJPIJ"],
  run: ["rz_run", "J", "PAIA"],
  peak: ["rz_peak", "D", "PDJ"],
  memoryBandwidth: ["rz_memory_bandwidth", "D", "PD"],
};

let loaded: Kernels | undefined;

/** The kernels, compiled and loaded on the first call. Errors: EngineError without a working C compiler. */
export function kernels(): Kernels {
  if (loaded) return loaded;
  const library = koffi.load(libraryPath());
  const table: Record<string, unknown> = {};
  for (const [key, [name, result, parameters]] of Object.entries(SIGNATURES)) {
    table[key] = library.func(
      name,
      TYPES[result],
      [...parameters].map((letter) => TYPES[letter]),
    );
  }
  loaded = table as unknown as Kernels;
  return loaded;
}
