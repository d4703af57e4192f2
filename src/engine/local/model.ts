// The transformer's equations, forward and hand-written backward, as calls to device ops: RMSNorm, grouped-query attention with
// RoPE (and Qwen3's per-head norms), SwiGLU. It knows no file, no batch layout, no cache policy and no kind of device.
// What is cheap to compute is not kept for the backward pass but made again, by the same ops and so to the same bits.
// Legend: R rows (tokens of packed sequences), D hidden, H query heads, K key/value heads, E head dim, F feed-forward.
// dX is the gradient of X; a backward line quotes the forward line it belongs to.
// Source: modeling_qwen3.py, modeling_qwen2.py, modeling_llama.py of transformers; the form follows llm.c's train_gpt2.c.

import type { LayerActivations, ModelContext } from "./activations.ts";
import type { AttentionRows, AttentionShape, Buffer, SequenceTree } from "./device/types.ts";
import type { ModelConfig } from "./hf-config.ts";
import type { LayerWeights, Linear, LinearAdapter, Parameter } from "./weights.ts";

/** The rows of one pass, on the device. */
export interface Rows {
  readonly count: number;
  readonly tokens: Buffer;
  readonly positions: Buffer;
  readonly attention: AttentionRows;
  /** RoPE tables that cover every position. */
  readonly cos: Buffer;
  readonly sin: Buffer;
}

/** Where a layer's keys and values go when they outlive the pass: row r to `writeRows[r]` of k and v. */
export interface LayerCache {
  readonly k: Buffer;
  readonly v: Buffer;
  readonly writeRows: Buffer;
}

/** y = x·Wᵀ + b, and with an adapter y += u·(s·B)ᵀ where u = x·Aᵀ. */
export function linear(m: ModelContext, y: Buffer, x: Buffer, w: Linear, rows: number): void {
  m.device.linear(y, x, w.packed, rows, w.bias);
  addAdapter(m, y, x, w, rows);
}

/** The same for two or three weights that read one x. */
function linears(m: ModelContext, x: Buffer, rows: number, outputs: readonly (readonly [Buffer, Linear])[]): void {
  m.device.linears(
    outputs.map(([y, w]) => ({ y, w: w.packed, bias: w.bias })),
    x,
    rows,
  );
  for (const [y, w] of outputs) addAdapter(m, y, x, w, rows);
}

function addAdapter(m: ModelContext, y: Buffer, x: Buffer, w: Linear, rows: number): void {
  if (w.adapter === undefined) return;
  const u = m.pool.take("adapter.u", rows * w.adapter.rank);
  m.device.linear(u, x, w.adapter.down, rows);
  m.device.linear(y, u, w.adapter.up, rows, undefined, true);
}

/** From y = x·Wᵀ + b: dW += dyᵀ·x and db += Σ dy where they train, dx (+)= dy·W; then the adapter's part. */
export function linearBackward(
  m: ModelContext,
  dx: Buffer,
  dy: Buffer,
  x: Buffer,
  w: Linear,
  rows: number,
  accumulate = false,
): void {
  if (w.packed.format === "int8") throw new Error("internal: backward through int8 weights");
  if (w.gradient !== undefined) {
    const adding = !m.unwritten.delete(w.gradient);
    m.device.linearBackwardWeight(w.gradient, dy, x, rows, w.outDim, w.inDim, w.packed.format, adding);
  }
  if (w.biasGradient !== undefined) m.device.biasBackward(w.biasGradient, dy, rows, w.outDim);
  m.device.linearBackwardInput(dx, dy, w.packed, rows, accumulate);
  if (w.adapter !== undefined) adapterBackward(m, dx, dy, x, w, w.adapter, rows);
}

/** From y += u·(s·B)ᵀ, u = x·Aᵀ: dB += dyᵀ·(s·u), du = dy·(s·B), dA += duᵀ·x, dx += du·A. */
function adapterBackward(
  m: ModelContext,
  dx: Buffer,
  dy: Buffer,
  x: Buffer,
  { outDim, inDim }: Linear,
  { rank, format, down, up, scale, downGradient, upGradient }: LinearAdapter,
  rows: number,
): void {
  const { device: d, pool } = m;
  if (downGradient === undefined || upGradient === undefined) throw new Error("internal: backward through a frozen adapter");
  const u = pool.take("adapter.u", rows * rank);
  const scaled = pool.take("adapter.scaled", rows * rank);
  const du = pool.take("adapter.du", rows * rank);
  // u made again rather than kept: it costs rank / outDim of the product
  d.linear(u, x, down, rows);
  d.linear(scaled, u, scale, rows);
  d.linearBackwardWeight(upGradient, dy, scaled, rows, outDim, rank, format);
  d.linearBackwardInput(du, dy, up, rows, false);
  d.linearBackwardWeight(downGradient, du, x, rows, rank, inDim, format);
  d.linearBackwardInput(dx, du, down, rows, true);
}

/** Where the gradient of a vector goes: its own buffer, or one that nobody reads when it is frozen under an adapter. */
function gradientOf(m: ModelContext, parameter: Parameter): Buffer {
  return parameter.gradient ?? m.pool.take("unused.gradient", parameter.value.length);
}

/** One layer forward: a.out from a.x. With a cache, keys and values are written to it and attention reads it. */
export function forwardLayer(m: ModelContext, w: LayerWeights, a: LayerActivations, rows: Rows, cache?: LayerCache): void {
  const { device: d, config: c } = m;
  const R = rows.count;
  const product = m.pool.take("product", R * c.intermediateSize);
  const delta = m.pool.take("delta", R * c.hiddenSize);
  computeLayer(m, w, a, rows, cache);
  d.swiglu(product, a.gate, a.up, R * c.intermediateSize);
  linear(m, delta, product, w.down, R);
  d.add(a.out, a.middle, delta, R * c.hiddenSize);
}

/** All of a layer that its backward pass needs, from a.x: what `forwardLayer` leaves behind, a.out excepted. */
export function computeLayer(m: ModelContext, w: LayerWeights, a: LayerActivations, rows: Rows, cache?: LayerCache): void {
  const { device: d, config: c } = m;
  const R = rows.count;
  const D = c.hiddenSize;
  const delta = m.pool.take("delta", R * D);

  normInput(m, a, a.x, w.inputNorm, R);
  linears(m, a.input, R, [
    [a.rawQ, w.query],
    [a.rawK, w.key],
    [a.v, w.value],
  ]);
  if (a.q === a.rawQ) rotate(m, a, rows);
  else normHeads(m, w, a, rows);
  if (a.values !== a.v) d.cast(a.values, a.v, R * c.kvHeads * c.headDim);
  const { k, v } = cache === undefined ? { k: a.keys, v: a.values } : store(m, a, cache, R);
  d.attention(a.attended, a.lse, a.q, k, v, rows.attention, attentionShape(c, R));
  linear(m, delta, a.attended, w.output, R);
  d.add(a.middle, a.x, delta, R * D);

  normInput(m, a, a.middle, w.feedForwardNorm, R);
  linears(m, a.input, R, [
    [a.gate, w.gate],
    [a.up, w.up],
  ]);
}

/** input = rmsNorm(x) */
function normInput(m: ModelContext, a: LayerActivations, x: Buffer, norm: Parameter, R: number): void {
  m.device.rmsNorm(a.input, a.inputRstd, x, norm.value, R, m.config.hiddenSize, m.config.normEps);
}

/** q and k from their projections: Qwen3's norm of each head, then RoPE. */
function normHeads(m: ModelContext, w: LayerWeights, a: LayerActivations, rows: Rows): void {
  const { device: d, config: c } = m;
  const R = rows.count;
  if (w.queryNorm === undefined || w.keyNorm === undefined) throw new Error("internal: a model with head norms has none");
  d.rmsNorm(a.q, a.rstdQ, a.rawQ, w.queryNorm.value, R * c.queryHeads, c.headDim, c.normEps);
  d.rmsNorm(a.k, a.rstdK, a.rawK, w.keyNorm.value, R * c.kvHeads, c.headDim, c.normEps);
  rotate(m, a, rows);
}

/** RoPE of q and k in place, and the keys as attention reads them. */
function rotate(m: ModelContext, a: LayerActivations, rows: Rows): void {
  const { device: d, config: c } = m;
  const R = rows.count;
  d.rope(a.q, rows.cos, rows.sin, rows.positions, R, c.queryHeads, c.headDim, false);
  d.rope(a.k, rows.cos, rows.sin, rows.positions, R, c.kvHeads, c.headDim, false);
  if (a.keys !== a.k) d.cast(a.keys, a.k, R * c.kvHeads * c.headDim);
}

/**
 * One layer backward: turns `dx`, the gradient of a.out [R, D], into the gradient of a.x in place, adding weight gradients.
 * Keys and values that are rounded pass their gradient straight through.
 */
export function backwardLayer(
  m: ModelContext,
  w: LayerWeights,
  a: LayerActivations,
  dx: Buffer,
  rows: Rows,
  sequences: SequenceTree,
): void {
  backwardFeedForward(m, w, a, dx, rows.count);
  backwardAttention(m, w, a, dx, rows, sequences);
}

function backwardFeedForward(m: ModelContext, w: LayerWeights, a: LayerActivations, dx: Buffer, R: number): void {
  const { device: d, config: c, pool } = m;
  const { hiddenSize: D, intermediateSize: F } = c;
  const product = pool.take("product", R * F);
  const dProduct = pool.take("dProduct", R * F);
  const dGate = pool.take("dGate", R * F);
  const dUp = pool.take("dUp", R * F);
  const dInput = pool.take("dInput", R * D);

  // made again rather than kept: product, input
  d.swiglu(product, a.gate, a.up, R * F);
  normInput(m, a, a.middle, w.feedForwardNorm, R);
  // out = middle + product·Wdownᵀ, so dmiddle starts as dout
  linearBackward(m, dProduct, dx, product, w.down, R);
  // product = silu(gate) * up
  d.swigluBackward(dGate, dUp, dProduct, a.gate, a.up, R * F);
  // up = input·Wupᵀ, gate = input·Wgateᵀ
  linearBackward(m, dInput, dUp, a.input, w.up, R);
  linearBackward(m, dInput, dGate, a.input, w.gate, R, true);
  // input = rmsNorm(middle)
  rmsNormBackward(m, dx, dInput, a.middle, w.feedForwardNorm, a.inputRstd, R, D, true);
}

function backwardAttention(
  m: ModelContext,
  w: LayerWeights,
  a: LayerActivations,
  dx: Buffer,
  rows: Rows,
  sequences: SequenceTree,
): void {
  const { device: d, config: c, pool } = m;
  const { hiddenSize: D, queryHeads: H, kvHeads: K, headDim: E } = c;
  const R = rows.count;
  const dAttended = pool.take("dAttended", R * H * E);
  const dq = pool.take("dq", R * H * E);
  const dk = pool.take("dk", R * K * E);
  const dv = pool.take("dv", R * K * E);
  const dInput = pool.take("dInput", R * D);

  // made again rather than kept: q and k of models with a norm per head, input
  if (a.q !== a.rawQ) normHeads(m, w, a, rows);
  normInput(m, a, a.x, w.inputNorm, R);
  // middle = x + attended·Woᵀ
  linearBackward(m, dAttended, dx, a.attended, w.output, R);
  // attended = attention(q, k, v)
  d.attentionBackward(dq, dk, dv, dAttended, a.attended, a.lse, a.q, a.keys, a.values, sequences, attentionShape(c, R));
  // q = rope(q), k = rope(k): a rotation, undone by the inverse one
  d.rope(dq, rows.cos, rows.sin, rows.positions, R, H, E, true);
  d.rope(dk, rows.cos, rows.sin, rows.positions, R, K, E, true);
  // q = rmsNorm(rawQ), k = rmsNorm(rawK), per head
  const dRawQ = headNormBackward(m, "dRawQ", dq, a.rawQ, w.queryNorm, a.rstdQ, R * H);
  const dRawK = headNormBackward(m, "dRawK", dk, a.rawK, w.keyNorm, a.rstdK, R * K);
  // rawQ = input·Wqᵀ + bq, rawK = input·Wkᵀ + bk, v = input·Wvᵀ + bv
  linearBackward(m, dInput, dRawQ, a.input, w.query, R);
  linearBackward(m, dInput, dRawK, a.input, w.key, R, true);
  linearBackward(m, dInput, dv, a.input, w.value, R, true);
  // input = rmsNorm(x)
  rmsNormBackward(m, dx, dInput, a.x, w.inputNorm, a.inputRstd, R, D, true);
}

/** From y = rmsNorm(x): dx (+)= …, dweight += …. */
export function rmsNormBackward(
  m: ModelContext,
  dx: Buffer,
  dy: Buffer,
  x: Buffer,
  norm: Parameter,
  rstd: Buffer,
  rows: number,
  dim: number,
  accumulate: boolean,
): void {
  m.device.rmsNormBackward(dx, gradientOf(m, norm), dy, x, norm.value, rstd, rows, dim, accumulate);
}

/** Gradient of the projection below a per-head norm; models without that norm hand `dy` through. */
function headNormBackward(
  m: ModelContext,
  name: string,
  dy: Buffer,
  raw: Buffer,
  norm: Parameter | undefined,
  rstd: Buffer,
  heads: number,
): Buffer {
  if (norm === undefined) return dy;
  const dim = m.config.headDim;
  const dRaw = m.pool.take(name, heads * dim);
  rmsNormBackward(m, dRaw, dy, raw, norm, rstd, heads, dim, false);
  return dRaw;
}

function store(m: ModelContext, a: LayerActivations, cache: LayerCache, rows: number): LayerCache {
  const dim = m.config.kvHeads * m.config.headDim;
  m.device.scatterRows(cache.k, a.keys, cache.writeRows, rows, dim);
  m.device.scatterRows(cache.v, a.values, cache.writeRows, rows, dim);
  return cache;
}

function attentionShape(c: ModelConfig, rows: number): AttentionShape {
  return { rows, queryHeads: c.queryHeads, kvHeads: c.kvHeads, headDim: c.headDim, scale: 1 / Math.sqrt(c.headDim) };
}
