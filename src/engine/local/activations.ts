// Where the intermediate values of a layer live: what is kept for the backward pass, and what all layers share as scratch because it
// is made again when it is needed. memory-plan.ts states the same sizes. It knows no equation.
// Legend: R rows, D hidden, H query heads, K key/value heads, E head dim, F feed-forward.

import type { BufferPool } from "./buffer-pool.ts";
import type { Buffer, Device } from "./device/types.ts";
import type { ModelConfig } from "./hf-config.ts";

/** A device, its scratch memory and the sizes: what every equation needs. */
export interface ModelContext {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly pool: BufferPool;
  /** How keys and values are held; in bf16 they are rounded once, after RoPE, wherever they are used. */
  readonly keyValueType: "f32" | "bf16";
  /** Logits held at once when logprobs are computed, in elements. */
  readonly logitElements: number;
  /** Gradients of products whose memory means nothing yet: the first product to come overwrites it. */
  readonly unwritten: Set<Buffer>;
}

/** What a pass keeps of each layer: nothing (no backward follows), its input alone, or all that is costly to make again. */
export type Keeping = "nothing" | "inputs" | "all";

/** Intermediate values of one layer. `x`, `middle` and `out` are one buffer when nothing is kept. */
export interface LayerActivations {
  /** The residual stream [R, D]: before the layer, after attention, after the feed-forward. */
  readonly x: Buffer;
  readonly middle: Buffer;
  readonly out: Buffer;
  /** Projections before the per-head norm; the same buffers as q and k in models without it. */
  readonly rawQ: Buffer;
  readonly rawK: Buffer;
  /** After norm and RoPE; scratch in models with a norm per head. */
  readonly q: Buffer;
  readonly k: Buffer;
  readonly v: Buffer;
  /** k and v as attention reads them: the same buffers, or rounded to bf16. */
  readonly keys: Buffer;
  readonly values: Buffer;
  readonly attended: Buffer;
  readonly lse: Buffer;
  readonly gate: Buffer;
  readonly up: Buffer;
  /** Scratch: the normed input of the half of the layer that is being computed, and the norms' reciprocal deviations. */
  readonly input: Buffer;
  readonly inputRstd: Buffer;
  readonly rstdQ: Buffer;
  readonly rstdK: Buffer;
}

/** Activations of layer `index` for R rows. */
export function layerActivations(m: ModelContext, index: number, rows: number, keeping: Keeping): LayerActivations {
  const { hiddenSize: D, queryHeads: H, kvHeads: K, headDim: E, intermediateSize: F, qkNorm } = m.config;
  const shared = (name: string, perRow: number, dtype?: "bf16"): Buffer => m.pool.take(name, rows * perRow, dtype);
  const own = keeping === "all" ? `${index}.` : "layer.";
  const kept: typeof shared = (name, perRow, dtype) => shared(own + name, perRow, dtype);
  const rounded = m.keyValueType === "bf16";
  const q = (qkNorm ? shared : kept)("q", H * E);
  const k = (qkNorm || rounded ? shared : kept)("k", K * E);
  const v = (rounded ? shared : kept)("v", K * E);
  return {
    x: residual(m, index, rows, keeping),
    middle: keeping === "nothing" ? residual(m, index, rows, keeping) : kept("middle", D),
    out: residual(m, index + 1, rows, keeping),
    rawQ: qkNorm ? kept("rawQ", H * E) : q,
    rawK: qkNorm ? kept("rawK", K * E) : k,
    q,
    k,
    v,
    keys: rounded ? (qkNorm ? shared : kept)("keys", K * E, "bf16") : k,
    values: rounded ? kept("values", K * E, "bf16") : v,
    attended: kept("attended", H * E),
    lse: kept("lse", H),
    gate: kept("gate", F),
    up: kept("up", F),
    input: shared("input", D),
    inputRstd: shared("inputRstd", 1),
    rstdQ: shared("rstdQ", H),
    rstdK: shared("rstdK", K),
  };
}

/** The residual stream [R, D] before layer `index`; index = layers is the one after the last. */
export function residual(m: ModelContext, index: number, rows: number, keeping: Keeping): Buffer {
  return m.pool.take(keeping === "nothing" ? "x" : `${index}.x`, rows * m.config.hiddenSize);
}
