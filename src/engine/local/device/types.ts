// The op table of a device: what model.ts is written in. A device is a folder beside this file (cpu/ binds the C library);
// each is held to the same contract tests. No op knows what a transformer is.
// Legend: R rows (packed tokens), D hidden, H query heads, K key/value heads, E head dim, F feed-forward, V vocabulary, N any count.
// All matrices are row-major. Weights are stored as Hugging Face stores them: [out, in].
// Exactness: each output element is reduced in one fixed order that depends on neither R, nor the other rows, nor the thread
// count. So a batch equals its singles and cached decoding equals the full forward, bit for bit.

/** Element type of a buffer. Ops take f32 unless they say that bf16 will do as well. */
export type DType = "f32" | "i32" | "bf16";

/**
 * How a matrix product reads its operands; sums are f32 chains in every format. `f32`: as they are. `bf16`: both operands rounded to
 * bf16. `int8`: weights rounded to 8 bits with one scale per output row, x as it is; such weights have no backward pass.
 */
export type WeightFormat = "f32" | "bf16" | "int8";

/** A block of device memory. Ops take whole buffers or `view`s; 64-byte aligned at offset 0. */
export interface Buffer {
  readonly dtype: DType;
  /** Elements, not bytes. */
  readonly length: number;
}

/** A weight [out, in] repacked into the panels that `linear` reads fastest. */
export interface PackedWeight {
  readonly outDim: number;
  readonly inDim: number;
  readonly format: WeightFormat;
}

/** One product of `linears`: y = x · wᵀ (+ bias). */
export interface LinearOutput {
  readonly y: Buffer;
  readonly w: PackedWeight;
  readonly bias?: Buffer;
}

/**
 * Packed causal sequences: sequence s covers rows [offsets[s], offsets[s + 1]). prefix[s] ≥ 0 names an earlier sequence whose rows all
 * come before those of s (a prompt shared by a group; it has no prefix itself); -1 is none. Offsets are i32 with `count` + 1 entries,
 * prefix is i32 with `count`; sequences that share a prefix follow it and each other.
 */
export interface SequenceTree {
  readonly count: number;
  readonly offsets: Buffer;
  readonly prefix: Buffer;
}

/**
 * Which cached keys each query row sees, in order: first rows [prefixStart, prefixStart + prefixLength) of the key/value buffers,
 * then [start, start + length). A row's own key is the last of these. The prefix serves prompts shared by a group.
 * Each is an i32 buffer of R entries.
 */
export interface AttentionRows {
  readonly prefixStart: Buffer;
  readonly prefixLength: Buffer;
  readonly start: Buffer;
  readonly length: Buffer;
}

export interface AttentionShape {
  /** Query rows. */
  readonly rows: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Multiplier of q·k, usually 1 / sqrt(headDim). */
  readonly scale: number;
}

export interface AdamWStep {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** 1-based, for bias correction. */
  readonly step: number;
  /** Gradient multiplier (clipping). */
  readonly gradScale: number;
  /** Index of the first element among all that this step updates, in however many calls; default 0. */
  readonly first?: number;
  /** Leave the gradient as it is; default false. */
  readonly keepGradient?: boolean;
}

export interface Device {
  readonly name: string;
  readonly threads: number;

  // --- memory -------------------------------------------------------------------------------------------------------------
  /** Zero-filled memory. Errors: EngineError when there is not enough. */
  alloc(dtype: DType, length: number): Buffer;
  free(buffer: Buffer): void;
  /** A window on `buffer` (not owning): elements [offset, offset + length). */
  view(buffer: Buffer, offset: number, length: number): Buffer;
  /** Copies in from `offset`; floats for a bf16 buffer are rounded as in `cast`. */
  upload(buffer: Buffer, data: Float32Array | Int32Array, offset?: number): void;
  /** Copies out, into `to` when it is given (of `length` elements; it may be shared memory); a bf16 buffer comes widened. */
  download(buffer: Buffer, offset?: number, length?: number, to?: Float32Array): Float32Array | Int32Array;
  /** bytes allocated and not freed. */
  readonly allocatedBytes: number;
  zero(buffer: Buffer): void;
  copy(dst: Buffer, src: Buffer): void;
  /**
   * Part of a file as a read-only buffer, backed by the page cache: `length` elements of dtype from `byteOffset`. Freed like any other;
   * not counted in `allocatedBytes`; must not be written to, and the file must not shrink meanwhile. Errors: EngineError (unreadable, shorter than asked).
   */
  map(path: string, byteOffset: number, dtype: DType, length: number): Buffer;
  /** dst = src between f32 and bf16 (to nearest, ties to even). */
  cast(dst: Buffer, src: Buffer, count: number): void;
  /**
   * Runs `work`, whose ops the device may note down and carry out together when it ends, when memory is freed or read, or sooner: small
   * ops cost less then. What an op throws for the data it finds may come late.
   */
  together<T>(work: () => T): T;
  /** Memory of the device itself. */
  dispose(): void;

  // --- matrix products ------------------------------------------------------------------------------------------------------
  /** Repacks w[out, in] (f32 or bf16) for `linear`; pass the earlier result to reuse its memory after the weight has changed. */
  packWeight(w: Buffer, outDim: number, inDim: number, format: WeightFormat, reuse?: PackedWeight): PackedWeight;
  freePacked(packed: PackedWeight): void;
  /** y[R, out] (+)= x[R, in] · wᵀ (+ bias[out]); `accumulate` goes on from y and takes no bias. */
  linear(y: Buffer, x: Buffer, w: PackedWeight, rows: number, bias?: Buffer, accumulate?: boolean): void;
  /** `linear` of two or three weights of one format and input size with the same x, to the same bits, at once. */
  linears(outputs: readonly LinearOutput[], x: Buffer, rows: number): void;
  /** dx[R, in] (+)= dy[R, out] · w[out, in], from the panels. */
  linearBackwardInput(dx: Buffer, dy: Buffer, w: PackedWeight, rows: number, accumulate: boolean): void;
  /** dw[out, in] += dyᵀ · x; without `accumulate` (default true) dw is overwritten, with the bits of adding to zeros. */
  linearBackwardWeight(
    dw: Buffer,
    dy: Buffer,
    x: Buffer,
    rows: number,
    outDim: number,
    inDim: number,
    format: "f32" | "bf16",
    accumulate?: boolean,
  ): void;
  /** dbias[out] += column sums of dy[R, out]. */
  biasBackward(dbias: Buffer, dy: Buffer, rows: number, outDim: number): void;

  // --- rows ------------------------------------------------------------------------------------------------------------------
  /** y[R, D] = table[tokens[r]]; a bf16 table is widened to f32. */
  embedding(y: Buffer, table: Buffer, tokens: Buffer, rows: number, dim: number): void;
  /** y[r] = x[index[r]], rows of `dim` elements; both of one dtype. */
  gatherRows(y: Buffer, x: Buffer, index: Buffer, rows: number, dim: number): void;
  /** y[index[r]] = x[r]; indices are distinct. Both f32 or both bf16. */
  scatterRows(y: Buffer, x: Buffer, index: Buffer, rows: number, dim: number): void;
  /** y[index[r]] += x[r] in row order; indices may repeat. Also the backward of `embedding` and `gatherRows`. */
  scatterAddRows(y: Buffer, x: Buffer, index: Buffer, rows: number, dim: number): void;

  // --- pointwise and norms ---------------------------------------------------------------------------------------------------
  /** y = a + b; y may be a or b. */
  add(y: Buffer, a: Buffer, b: Buffer, count: number): void;
  /** y[r] = x[r] * rstd[r] * weight, rstd[r] = 1 / sqrt(mean(x[r]²) + eps); rows of `dim`. rstd is an output of `rows` entries. */
  rmsNorm(y: Buffer, rstd: Buffer, x: Buffer, weight: Buffer, rows: number, dim: number, eps: number): void;
  /** dx (+)= ∂/∂x, dweight += ∂/∂weight. */
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
  ): void;
  /**
   * Rotates x[R, heads, E] in place by the tables cos, sin [positions, E / 2] at positions[r]; pairs are (e, e + E/2), as
   * transformers does. `inverse` rotates back, which is the backward pass.
   */
  rope(
    x: Buffer,
    cos: Buffer,
    sin: Buffer,
    positions: Buffer,
    rows: number,
    heads: number,
    headDim: number,
    inverse: boolean,
  ): void;
  /** y[R, F] = silu(gate) * up. */
  swiglu(y: Buffer, gate: Buffer, up: Buffer, count: number): void;
  swigluBackward(dgate: Buffer, dup: Buffer, dy: Buffer, gate: Buffer, up: Buffer, count: number): void;

  // --- attention --------------------------------------------------------------------------------------------------------------
  /**
   * out[R, H, E] from q[R, H, E] and the key/value buffers k, v [*, K, E] (both f32 or both bf16, widened as they are read);
   * lse[R, H] = log-sum-exp of the scaled scores, an output. Neighbouring rows with one prefix read it together.
   */
  attention(out: Buffer, lse: Buffer, q: Buffer, k: Buffer, v: Buffer, rows: AttentionRows, shape: AttentionShape): void;
  /**
   * Backward of `attention` where keys and queries are the rows of one packed batch. k and v as in `attention`; gradients are f32.
   * Overwrites dq, dk, dv.
   */
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
  ): void;

  // --- vocabulary ---------------------------------------------------------------------------------------------------------------
  /** logprobs[r] = logits[r, targets[r]] - lse[r], lse[r] = log-sum-exp of logits[r, 0..V). */
  logprob(logprobs: Buffer, lse: Buffer, logits: Buffer, targets: Buffer, rows: number, vocab: number): void;
  /** In place: logits[r, v] becomes dlogprobs[r] * (1[v = targets[r]] - exp(logits[r, v] - lse[r])). */
  logprobBackward(logits: Buffer, dlogprobs: Buffer, lse: Buffer, targets: Buffer, rows: number, vocab: number): void;
  /**
   * Draws one token per row. temperature[r] 0 is greedy (lowest id among equals); topK[r] 0 and topP[r] 1 are off; uniforms[r] in [0, 1).
   * Order of the filters: temperature, top-k, top-p (smallest set of likeliest tokens whose mass reaches topP), renormalise.
   * logprobs[r] is raw, computed exactly as `logprob` does. `forced[r]` ≥ 0 takes that token instead of drawing.
   */
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
  ): void;

  // --- optimizer ----------------------------------------------------------------------------------------------------------------
  /** Sum of squares in double precision, in a fixed order. */
  sumSquares(x: Buffer, count: number): number;
  /**
   * AdamW with decoupled weight decay, PyTorch's order of operations: p -= lr·wd·p; then the bias-corrected step. Clears grad.
   * `packed`: panels of param as a weight [out, in], in f32 or bf16, renewed by the way.
   * m and v are both f32 or both bf16; bf16 ones are widened, updated and rounded stochastically by a hash of
   * (step, index): to nearest, a second moment that decays by 0.1 % a step would never move.
   */
  adamW(param: Buffer, grad: Buffer, m: Buffer, v: Buffer, count: number, step: AdamWStep, packed?: PackedWeight): void;
}
