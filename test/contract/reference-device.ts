// The op table in plain TypeScript: one obvious loop per op, every "f32" buffer held as float64. It is the oracle of the device
// contract and of gradient checks (finite differences work in float64). It knows nothing of speed, threads or vectors.

import { readFileSync } from "node:fs";
import type {
  AdamWStep,
  AttentionRows,
  AttentionShape,
  Buffer,
  Device,
  DType,
  LinearOutput,
  PackedWeight,
  SequenceTree,
  WeightFormat,
} from "../../src/engine/local/device/types.ts";
import { EngineError } from "../../src/util/errors.ts";
import { type Rng, rngFrom } from "../../src/util/rng.ts";

/** A reference buffer: `data` is the live memory, shared with views. */
export interface ReferenceBuffer extends Buffer {
  readonly data: Float64Array | Int32Array;
  readonly owned: boolean;
}

interface ReferencePacked extends PackedWeight {
  readonly data: Float64Array;
}

/** Memory of a buffer of the reference device: float64 for "f32", live (writes change the buffer). */
export function referenceData(buffer: Buffer): Float64Array {
  return (buffer as ReferenceBuffer).data as Float64Array;
}

const f = referenceData;
const ints = (buffer: Buffer): Int32Array => (buffer as ReferenceBuffer).data as Int32Array;
const BYTES: Record<DType, number> = { f32: 4, i32: 4, bf16: 2 };

/** The nearest bf16, ties to even. */
export function toBf16(x: number): number {
  const float = Float32Array.of(x);
  const bits = new Uint32Array(float.buffer);
  if (Number.isNaN(float[0])) return Number.NaN;
  bits[0] = (bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) & 0xffff0000;
  return float[0];
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

function logSumExp(values: ArrayLike<number>): number {
  let max = -Infinity;
  for (let i = 0; i < values.length; i++) max = Math.max(max, values[i]);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - max);
  return max + Math.log(sum);
}

/** Key rows that query row r sees, in ascending order: the prefix, then its own. */
function keyRows(rows: AttentionRows, r: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < ints(rows.prefixLength)[r]; i++) out.push(ints(rows.prefixStart)[r] + i);
  for (let i = 0; i < ints(rows.length)[r]; i++) out.push(ints(rows.start)[r] + i);
  return out;
}

function sequenceRows(offsets: Int32Array, s: number): number[] {
  return s < 0 ? [] : Array.from({ length: offsets[s + 1] - offsets[s] }, (_, i) => offsets[s] + i);
}

/** What a product reads of a matrix of activations. */
function operand(format: WeightFormat, values: Float64Array): Float64Array {
  return format === "bf16" ? values.map(toBf16) : values;
}

/** What a product reads of a weight with rows of `inDim`. */
function rounded(format: WeightFormat, values: Float64Array, inDim: number): Float64Array {
  if (format !== "int8") return operand(format, values);
  const largest = new Float64Array(values.length / inDim);
  for (const [i, value] of values.entries()) {
    const row = Math.floor(i / inDim);
    largest[row] = Math.max(largest[row], Math.abs(value));
  }
  return values.map((value, i) => {
    const most = largest[Math.floor(i / inDim)];
    const scaled = Math.fround(value * Math.fround(127 / most));
    const [below, above] = [Math.floor(scaled), Math.ceil(scaled)];
    const nearest = scaled - below === above - scaled ? (below % 2 === 0 ? below : above) : Math.round(scaled);
    return most > 0 ? nearest * Math.fround(most / 127) : 0;
  });
}

/** See the file header. */
export class ReferenceDevice implements Device {
  readonly name = "reference";
  readonly threads = 1;
  allocatedBytes = 0;
  private readonly rng = rngFrom(1);

  alloc(dtype: DType, length: number): ReferenceBuffer {
    this.allocatedBytes += length * BYTES[dtype];
    return { dtype, length, owned: true, data: dtype === "i32" ? new Int32Array(length) : new Float64Array(length) };
  }
  free(buffer: Buffer): void {
    if ((buffer as ReferenceBuffer).owned) this.allocatedBytes -= buffer.length * BYTES[buffer.dtype];
  }
  view(buffer: Buffer, offset: number, length: number): ReferenceBuffer {
    const data = (buffer as ReferenceBuffer).data.subarray(offset, offset + length);
    return { dtype: buffer.dtype, length, owned: false, data };
  }
  upload(buffer: Buffer, data: Float32Array | Int32Array, offset = 0): void {
    (buffer as ReferenceBuffer).data.set(buffer.dtype === "bf16" ? data.map(toBf16) : data, offset);
  }
  download(buffer: Buffer, offset = 0, length = buffer.length - offset): Float32Array | Int32Array {
    const part = (buffer as ReferenceBuffer).data.subarray(offset, offset + length);
    return buffer.dtype === "i32" ? Int32Array.from(part) : Float32Array.from(part);
  }
  zero(buffer: Buffer): void {
    (buffer as ReferenceBuffer).data.fill(0);
  }
  copy(dst: Buffer, src: Buffer): void {
    (dst as ReferenceBuffer).data.set((src as ReferenceBuffer).data);
  }
  map(path: string, byteOffset: number, dtype: DType, length: number): ReferenceBuffer {
    const bytes = readFileSync(path).buffer.slice(byteOffset, byteOffset + length * BYTES[dtype]);
    if (bytes.byteLength < length * BYTES[dtype]) throw new EngineError(`${path}: expected a longer file.`);
    if (dtype === "i32") return { dtype, length, owned: false, data: new Int32Array(bytes) };
    if (dtype === "f32") return { dtype, length, owned: false, data: Float64Array.from(new Float32Array(bytes)) };
    const wide = new Float32Array(Uint32Array.from(new Uint16Array(bytes), (half) => half << 16).buffer);
    return { dtype, length, owned: false, data: Float64Array.from(wide) };
  }
  cast(dst: Buffer, src: Buffer, count: number): void {
    for (let i = 0; i < count; i++) f(dst)[i] = dst.dtype === "bf16" ? toBf16(f(src)[i]) : f(src)[i];
  }
  together<T>(work: () => T): T {
    return work();
  }
  dispose(): void {}

  // --- matrix products ----------------------------------------------------------------------------------------------------
  packWeight(w: Buffer, outDim: number, inDim: number, format: WeightFormat, reuse?: PackedWeight): PackedWeight {
    const packed: ReferencePacked = (reuse as ReferencePacked) ?? {
      outDim,
      inDim,
      format,
      data: new Float64Array(outDim * inDim),
    };
    packed.data.set(rounded(format, f(w), inDim));
    return packed;
  }
  freePacked(): void {}
  linear(y: Buffer, x: Buffer, w: PackedWeight, rows: number, bias?: Buffer, accumulate = false): void {
    const { outDim, inDim, data } = w as ReferencePacked;
    const input = operand(w.format, f(x));
    for (let r = 0; r < rows; r++)
      for (let o = 0; o < outDim; o++) {
        let sum = accumulate ? f(y)[r * outDim + o] : 0;
        for (let i = 0; i < inDim; i++) sum += input[r * inDim + i] * data[o * inDim + i];
        f(y)[r * outDim + o] = sum + (bias ? f(bias)[o] : 0);
      }
  }
  linears(outputs: readonly LinearOutput[], x: Buffer, rows: number): void {
    for (const { y, w, bias } of outputs) this.linear(y, x, w, rows, bias);
  }
  linearBackwardInput(dx: Buffer, dy: Buffer, w: PackedWeight, rows: number, accumulate: boolean): void {
    const { outDim, inDim, data } = w as ReferencePacked;
    if (w.format === "int8") throw new Error("internal: linearBackwardInput: int8 weights have no backward pass.");
    const gradient = operand(w.format, f(dy));
    for (let r = 0; r < rows; r++)
      for (let i = 0; i < inDim; i++) {
        let sum = accumulate ? f(dx)[r * inDim + i] : 0;
        for (let o = 0; o < outDim; o++) sum += gradient[r * outDim + o] * data[o * inDim + i];
        f(dx)[r * inDim + i] = sum;
      }
  }
  linearBackwardWeight(
    dw: Buffer,
    dy: Buffer,
    x: Buffer,
    rows: number,
    outDim: number,
    inDim: number,
    format: WeightFormat,
    accumulate = true,
  ): void {
    const [gradient, input] = [operand(format, f(dy)), operand(format, f(x))];
    if (!accumulate) f(dw).fill(0, 0, outDim * inDim);
    for (let o = 0; o < outDim; o++)
      for (let i = 0; i < inDim; i++)
        for (let r = 0; r < rows; r++) f(dw)[o * inDim + i] += gradient[r * outDim + o] * input[r * inDim + i];
  }
  biasBackward(dbias: Buffer, dy: Buffer, rows: number, outDim: number): void {
    for (let r = 0; r < rows; r++) for (let o = 0; o < outDim; o++) f(dbias)[o] += f(dy)[r * outDim + o];
  }

  // --- rows -----------------------------------------------------------------------------------------------------------------
  embedding(y: Buffer, table: Buffer, tokens: Buffer, rows: number, dim: number): void {
    this.gatherRows(y, table, tokens, rows, dim);
  }
  gatherRows(y: Buffer, x: Buffer, index: Buffer, rows: number, dim: number): void {
    for (let r = 0; r < rows; r++) for (let d = 0; d < dim; d++) f(y)[r * dim + d] = f(x)[ints(index)[r] * dim + d];
  }
  scatterRows(y: Buffer, x: Buffer, index: Buffer, rows: number, dim: number): void {
    for (let r = 0; r < rows; r++) for (let d = 0; d < dim; d++) f(y)[ints(index)[r] * dim + d] = f(x)[r * dim + d];
  }
  scatterAddRows(y: Buffer, x: Buffer, index: Buffer, rows: number, dim: number): void {
    for (let r = 0; r < rows; r++) for (let d = 0; d < dim; d++) f(y)[ints(index)[r] * dim + d] += f(x)[r * dim + d];
  }

  // --- pointwise and norms --------------------------------------------------------------------------------------------------
  add(y: Buffer, a: Buffer, b: Buffer, count: number): void {
    for (let i = 0; i < count; i++) f(y)[i] = f(a)[i] + f(b)[i];
  }
  rmsNorm(y: Buffer, rstd: Buffer, x: Buffer, weight: Buffer, rows: number, dim: number, eps: number): void {
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let d = 0; d < dim; d++) sum += f(x)[r * dim + d] ** 2;
      f(rstd)[r] = 1 / Math.sqrt(sum / dim + eps);
      for (let d = 0; d < dim; d++) f(y)[r * dim + d] = f(x)[r * dim + d] * f(rstd)[r] * f(weight)[d];
    }
  }
  rmsNormBackward(
    dx: Buffer,
    dweight: Buffer,
    dy: Buffer,
    x: Buffer,
    weight: Buffer,
    rstd: Buffer,
    rows: number,
    dim: number,
    accumulate: boolean,
  ): void {
    for (let r = 0; r < rows; r++) {
      const s = f(rstd)[r];
      let dot = 0;
      for (let d = 0; d < dim; d++) dot += f(dy)[r * dim + d] * f(weight)[d] * f(x)[r * dim + d];
      for (let d = 0; d < dim; d++) {
        const i = r * dim + d;
        // y = x * s * weight; ds/dx = -s³ x / dim
        const gradient = s * f(dy)[i] * f(weight)[d] - (s ** 3 * dot * f(x)[i]) / dim;
        f(dweight)[d] += f(dy)[i] * f(x)[i] * s;
        f(dx)[i] = gradient + (accumulate ? f(dx)[i] : 0);
      }
    }
  }
  rope(
    x: Buffer,
    cos: Buffer,
    sin: Buffer,
    positions: Buffer,
    rows: number,
    heads: number,
    headDim: number,
    inverse: boolean,
  ): void {
    const half = headDim / 2;
    for (let r = 0; r < rows; r++)
      for (let h = 0; h < heads; h++)
        for (let e = 0; e < half; e++) {
          const at = (r * heads + h) * headDim + e;
          const [a, b] = [f(x)[at], f(x)[at + half]];
          const c = f(cos)[ints(positions)[r] * half + e];
          const s = f(sin)[ints(positions)[r] * half + e] * (inverse ? -1 : 1);
          f(x)[at] = a * c - b * s;
          f(x)[at + half] = b * c + a * s;
        }
  }
  swiglu(y: Buffer, gate: Buffer, up: Buffer, count: number): void {
    for (let i = 0; i < count; i++) f(y)[i] = f(gate)[i] * sigmoid(f(gate)[i]) * f(up)[i];
  }
  swigluBackward(dgate: Buffer, dup: Buffer, dy: Buffer, gate: Buffer, up: Buffer, count: number): void {
    for (let i = 0; i < count; i++) {
      const [g, u, d, s] = [f(gate)[i], f(up)[i], f(dy)[i], sigmoid(f(gate)[i])];
      f(dup)[i] = d * g * s;
      f(dgate)[i] = d * u * s * (1 + g * (1 - s));
    }
  }

  // --- attention --------------------------------------------------------------------------------------------------------------
  attention(out: Buffer, lse: Buffer, q: Buffer, k: Buffer, v: Buffer, rows: AttentionRows, shape: AttentionShape): void {
    const { queryHeads: H, kvHeads: K, headDim: E, scale } = shape;
    for (let r = 0; r < shape.rows; r++) {
      const keys = keyRows(rows, r);
      for (let h = 0; h < H; h++) {
        const qAt = (r * H + h) * E;
        const kvHead = Math.floor(h / (H / K));
        const at = (row: number, e: number): number => (row * K + kvHead) * E + e;
        const scores = keys.map((row) => {
          let dot = 0;
          for (let e = 0; e < E; e++) dot += f(q)[qAt + e] * f(k)[at(row, e)];
          return dot * scale;
        });
        const norm = logSumExp(scores);
        f(lse)[r * H + h] = norm;
        for (let e = 0; e < E; e++) {
          let sum = 0;
          for (let j = 0; j < keys.length; j++) sum += Math.exp(scores[j] - norm) * f(v)[at(keys[j], e)];
          f(out)[qAt + e] = sum;
        }
      }
    }
  }
  attentionBackward(
    dq: Buffer,
    dk: Buffer,
    dv: Buffer,
    dout: Buffer,
    out: Buffer,
    lse: Buffer,
    q: Buffer,
    k: Buffer,
    v: Buffer,
    sequences: SequenceTree,
    shape: AttentionShape,
  ): void {
    const { queryHeads: H, kvHeads: K, headDim: E, scale } = shape;
    for (const buffer of [dq, dk, dv]) f(buffer).fill(0);
    const offsets = ints(sequences.offsets);
    for (let s = 0; s < sequences.count; s++)
      for (let r = offsets[s]; r < offsets[s + 1]; r++)
        for (let h = 0; h < H; h++) {
          const qAt = (r * H + h) * E;
          let delta = 0; // Σ_e dout · out = Σ_j p_j dp_j
          for (let e = 0; e < E; e++) delta += f(dout)[qAt + e] * f(out)[qAt + e];
          for (const j of [...sequenceRows(offsets, ints(sequences.prefix)[s]), ...sequenceRows(offsets, s)]) {
            if (j > r) break;
            const kAt = (j * K + Math.floor(h / (H / K))) * E;
            let dot = 0;
            let dp = 0;
            for (let e = 0; e < E; e++) {
              dot += f(q)[qAt + e] * f(k)[kAt + e];
              dp += f(dout)[qAt + e] * f(v)[kAt + e];
            }
            const p = Math.exp(dot * scale - f(lse)[r * H + h]);
            const ds = p * (dp - delta) * scale;
            for (let e = 0; e < E; e++) {
              f(dv)[kAt + e] += p * f(dout)[qAt + e];
              f(dk)[kAt + e] += ds * f(q)[qAt + e];
              f(dq)[qAt + e] += ds * f(k)[kAt + e];
            }
          }
        }
  }

  // --- vocabulary -------------------------------------------------------------------------------------------------------------
  logprob(logprobs: Buffer, lse: Buffer, logits: Buffer, targets: Buffer, rows: number, vocab: number): void {
    for (let r = 0; r < rows; r++) {
      f(lse)[r] = logSumExp(f(logits).subarray(r * vocab, (r + 1) * vocab));
      f(logprobs)[r] = f(logits)[r * vocab + ints(targets)[r]] - f(lse)[r];
    }
  }
  logprobBackward(logits: Buffer, dlogprobs: Buffer, lse: Buffer, targets: Buffer, rows: number, vocab: number): void {
    for (let r = 0; r < rows; r++)
      for (let v = 0; v < vocab; v++) {
        const p = Math.exp(f(logits)[r * vocab + v] - f(lse)[r]);
        f(logits)[r * vocab + v] = f(dlogprobs)[r] * ((v === ints(targets)[r] ? 1 : 0) - p);
      }
  }
  sampleTokens(
    tokens: Buffer,
    logprobs: Buffer,
    logits: Buffer,
    temperature: Buffer,
    topK: Buffer,
    topP: Buffer,
    uniforms: Buffer,
    forced: Buffer,
    rows: number,
    vocab: number,
  ): void {
    for (let r = 0; r < rows; r++) {
      const row = f(logits).subarray(r * vocab, (r + 1) * vocab);
      const filters = { temperature: f(temperature)[r], topK: ints(topK)[r], topP: f(topP)[r] };
      const token = ints(forced)[r] >= 0 ? ints(forced)[r] : drawToken(row, filters, f(uniforms)[r]);
      ints(tokens)[r] = token;
      f(logprobs)[r] = row[token] - logSumExp(row);
    }
  }

  // --- optimizer --------------------------------------------------------------------------------------------------------------
  sumSquares(x: Buffer, count: number): number {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += f(x)[i] ** 2;
    return sum;
  }
  adamW(param: Buffer, grad: Buffer, m: Buffer, v: Buffer, count: number, s: AdamWStep, packed?: PackedWeight): void {
    const correction1 = 1 - s.beta1 ** s.step;
    const correction2 = 1 - s.beta2 ** s.step;
    const round = (x: number): number => (m.dtype === "bf16" ? toBf16ByChance(x, this.rng) : x);
    for (let i = 0; i < count; i++) {
      const g = f(grad)[i] * s.gradScale;
      f(param)[i] *= 1 - s.learningRate * s.weightDecay;
      const first = s.beta1 * f(m)[i] + (1 - s.beta1) * g;
      const second = s.beta2 * f(v)[i] + (1 - s.beta2) * g * g;
      const denominator = Math.sqrt(second) / Math.sqrt(correction2) + s.epsilon;
      f(param)[i] -= ((s.learningRate / correction1) * first) / denominator;
      f(m)[i] = round(first);
      f(v)[i] = round(second);
      if (!s.keepGradient) f(grad)[i] = 0;
    }
    if (packed !== undefined) this.packWeight(param, packed.outDim, packed.inDim, packed.format, packed);
  }
}

/** One of the two neighbouring bf16, the nearer one more often: its mean is x. */
function toBf16ByChance(x: number, rng: Rng): number {
  const bits = new Uint32Array(Float32Array.of(x).buffer);
  bits[0] = (bits[0] + rng.int(2 ** 16)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0];
}

/**
 * One draw from a row of logits. Likeliest first means by logit descending, then id ascending; the walk over the kept tokens that
 * `uniform` selects from is by ascending id.
 */
function drawToken(row: Float64Array, filters: { temperature: number; topK: number; topP: number }, uniform: number): number {
  const { temperature, topK, topP } = filters;
  const ids = Array.from(row, (_, id) => id).sort((a, b) => row[b] - row[a] || a - b);
  if (temperature === 0) return ids[0];
  let kept = topK > 0 ? ids.slice(0, topK) : ids;
  const weight = (id: number): number => Math.exp((row[id] - row[ids[0]]) / temperature);
  let mass = kept.reduce((sum, id) => sum + weight(id), 0);
  if (topP < 1) {
    const goal = topP * mass;
    let count = 0;
    for (mass = 0; count < kept.length && (count === 0 || mass < goal); count++) mass += weight(kept[count]);
    kept = kept.slice(0, count);
  }
  kept = [...kept].sort((a, b) => a - b);
  let walked = 0;
  for (const id of kept) {
    walked += weight(id);
    if (walked > uniform * mass) return id;
  }
  return kept[kept.length - 1];
}

/** A fresh reference device. */
export function createReferenceDevice(): ReferenceDevice {
  return new ReferenceDevice();
}
