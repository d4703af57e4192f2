// One or more small inputs for every op of a device but attention (attention-cases.ts), as data: buffers in, an op, buffers out. The contract runs them on a device
// and on the reference. Knows no particular device.

import type { AdamWStep, Buffer, Device, PackedWeight, WeightFormat } from "../../src/engine/local/device/types.ts";

/** Named buffers of a case while it runs. */
export type Buffers = Record<string, Buffer>;

/** An op with inputs; `outputs` are read back and compared. `tolerance` is relative to the largest magnitude of an output, at least 1. */
export interface DeviceCase {
  readonly name: string;
  readonly inputs: Record<string, Float32Array | Int32Array>;
  /** Inputs to be held in bf16 buffers. */
  readonly bf16?: readonly string[];
  readonly outputs: readonly string[];
  readonly tolerance: number;
  run(device: Device, b: Buffers): void;
}

/** Deterministic floats in about [-1, 1). */
export function noise(length: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Deterministic integers in [0, limit). */
export function integers(length: number, limit: number, seed: number): Int32Array {
  return Int32Array.from(noise(length, seed), (x) => Math.min(limit - 1, Math.floor(((x + 1) / 2) * limit)));
}

const zeros = (length: number): Float32Array => new Float32Array(length);
const range = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** y = x·wᵀ and its two gradients at one shape; the name begins with op and format. `bf16Weight`: the weight is stored in bf16. */
export function linearCases(
  rows: number,
  outDim: number,
  inDim: number,
  format: WeightFormat = "f32",
  bf16Weight = false,
): DeviceCase[] {
  const inputs = {
    x: noise(rows * inDim, 1),
    w: noise(outDim * inDim, 2),
    bias: noise(outDim, 3),
    y: zeros(rows * outDim),
    dy: noise(rows * outDim, 4),
    dx: noise(rows * inDim, 5),
    dw: noise(outDim * inDim, 6),
    dbias: noise(outDim, 7),
  };
  const product = (name: string, output: string, run: (device: Device, b: Buffers) => void): DeviceCase => {
    const [op, ...what] = name.split(" ");
    const label = [format === "f32" ? op : `${op}-${format}`, ...what, `${rows}x${outDim}x${inDim}`];
    if (bf16Weight) label.push("from bf16");
    return { name: label.join(" "), inputs, bf16: bf16Weight ? ["w"] : [], outputs: [output], tolerance: 3e-6, run };
  };
  const withPanels = (device: Device, b: Buffers, run: (packed: PackedWeight) => void): void => {
    const packed = device.packWeight(b.w, outDim, inDim, format);
    run(packed);
    device.freePacked(packed);
  };
  const forward = (device: Device, b: Buffers, bias?: Buffer): void =>
    withPanels(device, b, (packed) => device.linear(b.y, b.x, packed, rows, bias));
  const backward = (device: Device, b: Buffers, accumulate: boolean): void =>
    withPanels(device, b, (packed) => device.linearBackwardInput(b.dx, b.dy, packed, rows, accumulate));
  const linear = [
    product("linear", "y", (device, b) => forward(device, b)),
    product("linear with bias", "y", (device, b) => forward(device, b, b.bias)),
    product("linear adding", "dy", (device, b) =>
      withPanels(device, b, (packed) => device.linear(b.dy, b.x, packed, rows, undefined, true)),
    ),
  ];
  if (format === "int8") return linear;
  return [
    ...linear,
    product("linearBackwardInput", "dx", (device, b) => backward(device, b, false)),
    product("linearBackwardInput adding", "dx", (device, b) => backward(device, b, true)),
    product("linearBackwardWeight", "dw", (device, b) =>
      device.linearBackwardWeight(b.dw, b.dy, b.x, rows, outDim, inDim, format),
    ),
    ...(format === "f32"
      ? [product("biasBackward", "dbias", (device, b) => device.biasBackward(b.dbias, b.dy, rows, outDim))]
      : []),
  ];
}

/** Whole and odd tiles, more than one block along every dimension, single rows, columns and steps. */
const LINEAR_SHAPES = [
  [1, 1, 1],
  [1, 110, 128],
  [3, 17, 5],
  [16, 352, 128],
  [15, 33, 31],
  [67, 129, 400],
  [300, 110, 128],
  [29, 530, 390],
] as const;

function formatCases(): DeviceCase[] {
  return [
    ...LINEAR_SHAPES.flatMap((shape) => [...linearCases(...shape, "bf16"), ...linearCases(...shape, "int8")]),
    ...(["f32", "bf16", "int8"] as const).flatMap((format) => linearCases(5, 70, 77, format, true)),
    ...(["f32", "bf16", "int8"] as const).flatMap((format) => linearCases(2, 161, 1501, format)),
    ...(["f32", "bf16"] as const).flatMap((format) => linearCases(603, 33, 34, format)),
  ];
}

function indexCases(rows: number, dim: number): DeviceCase[] {
  const distinct = Int32Array.from(range(rows), (r) => (r * 7) % (rows * 2 + 1));
  const inputs = {
    table: noise((rows * 2 + 1) * dim, 8),
    tokens: integers(rows, 5, 9),
    distinct,
    rows: noise(rows * dim, 10),
    y: zeros(rows * dim),
  };
  const of = (name: string, output: string, run: DeviceCase["run"], bf16: string[] = []): DeviceCase => {
    const label = `${name} ${rows}x${dim}${bf16.length ? ` with bf16 ${bf16.join(", ")}` : ""}`;
    return { name: label, inputs, bf16, outputs: [output], tolerance: 1e-6, run };
  };
  const embedding: DeviceCase["run"] = (device, b) => device.embedding(b.y, b.table, b.tokens, rows, dim);
  const gather: DeviceCase["run"] = (device, b) => device.gatherRows(b.y, b.table, b.distinct, rows, dim);
  const scatter: DeviceCase["run"] = (device, b) => device.scatterRows(b.table, b.rows, b.distinct, rows, dim);
  return [
    of("embedding", "y", embedding),
    of("gatherRows", "y", gather),
    of("scatterRows", "table", scatter),
    of("scatterAddRows", "table", (device, b) => device.scatterAddRows(b.table, b.rows, b.tokens, rows, dim)),
    of("embedding", "y", embedding, ["table"]),
    of("gatherRows", "y", gather, ["table", "y"]),
    of("scatterRows", "table", scatter, ["rows", "table"]),
    of("cast", "rows", (device, b) => device.cast(b.rows, b.y, rows * dim), ["rows"]),
    of("cast", "y", (device, b) => device.cast(b.y, b.rows, rows * dim), ["rows"]),
  ];
}

function normCases(rows: number, dim: number): DeviceCase[] {
  const size = rows * dim;
  const inputs = {
    x: noise(size, 11),
    weight: noise(dim, 12),
    y: zeros(size),
    rstd: zeros(rows),
    dy: noise(size, 13),
    dx: noise(size, 14),
    dweight: noise(dim, 15),
  };
  const backward = (accumulate: boolean): DeviceCase => ({
    name: `rmsNormBackward ${rows}x${dim}${accumulate ? " adding" : ""}`,
    inputs,
    outputs: ["dx", "dweight"],
    tolerance: 3e-6,
    run: (device, b) => {
      device.rmsNorm(b.y, b.rstd, b.x, b.weight, rows, dim, 1e-6);
      device.rmsNormBackward(b.dx, b.dweight, b.dy, b.x, b.weight, b.rstd, rows, dim, accumulate);
    },
  });
  const forward: DeviceCase = {
    name: `rmsNorm ${rows}x${dim}`,
    inputs,
    outputs: ["y", "rstd"],
    tolerance: 1e-6,
    run: (device, b) => device.rmsNorm(b.y, b.rstd, b.x, b.weight, rows, dim, 1e-6),
  };
  return [forward, backward(false), backward(true)];
}

function pointwiseCases(count: number): DeviceCase[] {
  const wide = noise(count, 16).map((x) => x * 20);
  const inputs = {
    gate: wide,
    up: noise(count, 17),
    y: zeros(count),
    dy: noise(count, 18),
    dgate: zeros(count),
    dup: zeros(count),
  };
  const of = (name: string, outputs: string[], run: DeviceCase["run"]): DeviceCase => {
    return { name: `${name} ${count}`, inputs, outputs, tolerance: 1e-6, run };
  };
  return [
    of("add", ["y"], (device, b) => device.add(b.y, b.gate, b.up, count)),
    of("add in place", ["up"], (device, b) => device.add(b.up, b.gate, b.up, count)),
    of("swiglu", ["y"], (device, b) => device.swiglu(b.y, b.gate, b.up, count)),
    of("swigluBackward", ["dgate", "dup"], (device, b) => device.swigluBackward(b.dgate, b.dup, b.dy, b.gate, b.up, count)),
  ];
}

function ropeCase(rows: number, heads: number, headDim: number, inverse: boolean): DeviceCase {
  const half = headDim / 2;
  const angles = Array.from({ length: 50 * half }, (_, i) => Math.floor(i / half) / 100 ** ((i % half) / half));
  return {
    name: `rope ${rows}x${heads}x${headDim}${inverse ? " inverse" : ""}`,
    inputs: {
      x: noise(rows * heads * headDim, 19),
      cos: Float32Array.from(angles, Math.cos),
      sin: Float32Array.from(angles, Math.sin),
      positions: integers(rows, 50, 20),
    },
    outputs: ["x"],
    tolerance: 1e-6,
    run: (device, b) => device.rope(b.x, b.cos, b.sin, b.positions, rows, heads, headDim, inverse),
  };
}

function vocabularyCases(rows: number, vocab: number): DeviceCase[] {
  const logits = noise(rows * vocab, 35).map((x) => x * 6);
  const inputs = {
    logits,
    targets: integers(rows, vocab, 36),
    logprobs: zeros(rows),
    lse: zeros(rows),
    dlogprobs: noise(rows, 37),
  };
  return [
    {
      name: `logprob ${rows}x${vocab}`,
      inputs,
      outputs: ["logprobs", "lse"],
      tolerance: 1e-6,
      run: (device, b) => device.logprob(b.logprobs, b.lse, b.logits, b.targets, rows, vocab),
    },
    {
      name: `logprobBackward ${rows}x${vocab}`,
      inputs,
      outputs: ["logits"],
      tolerance: 1e-6,
      run: (device, b) => {
        device.logprob(b.logprobs, b.lse, b.logits, b.targets, rows, vocab);
        device.logprobBackward(b.logits, b.dlogprobs, b.lse, b.targets, rows, vocab);
      },
    },
  ];
}

/** Rows with every mix of temperature, top-k, top-p and forcing. */
export function sampleCase(rows: number, vocab: number): DeviceCase {
  const pick = <T>(values: T[], every: number): T[] => range(rows).map((r) => values[Math.floor(r / every) % values.length]);
  return {
    name: `sampleTokens ${rows}x${vocab}`,
    inputs: {
      logits: noise(rows * vocab, 38).map((x) => Math.round(x * 40) / 8), // ties on purpose
      temperature: Float32Array.from(pick([1, 0.6, 0, 1.5], 1)),
      topK: Int32Array.from(pick([0, 1, 5, 20, 1000], 4)),
      topP: Float32Array.from(pick([1, 0.9, 0.5, 0], 20)),
      uniforms: noise(rows, 39).map((x) => (x + 1) / 2.001),
      forced: Int32Array.from(pick([-1, -1, -1, -1, -1, -1, 2], 1)),
      tokens: new Int32Array(rows),
      logprobs: zeros(rows),
    },
    outputs: ["tokens", "logprobs"],
    tolerance: 1e-6,
    run: (device, b) =>
      device.sampleTokens(b.tokens, b.logprobs, b.logits, b.temperature, b.topK, b.topP, b.uniforms, b.forced, rows, vocab),
  };
}

function adamCase(count: number, step: AdamWStep): DeviceCase {
  return {
    name: `adamW ${count} at step ${step.step}`,
    inputs: {
      param: noise(count, 40),
      grad: noise(count, 41).map((x) => x / 100),
      m: noise(count, 42).map((x) => x / 100),
      v: noise(count, 43).map((x) => (x * x) / 1e4),
    },
    outputs: ["param", "m", "v", "grad"],
    tolerance: 1e-6,
    run: (device, b) => device.adamW(b.param, b.grad, b.m, b.v, count, step),
  };
}

const ADAM: AdamWStep = { learningRate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, step: 1, gradScale: 0.5 };

/** Every op but attention over plain and odd shapes. */
export function deviceCases(): DeviceCase[] {
  return [
    ...LINEAR_SHAPES.flatMap((shape) => linearCases(...shape)),
    ...formatCases(),
    ...indexCases(1, 3),
    ...indexCases(150, 128),
    ...[
      [1, 1],
      [5, 32],
      [70, 100],
      [700, 128],
    ].flatMap(([rows, dim]) => normCases(rows, dim)),
    ...[1, 31, 20_000].flatMap(pointwiseCases),
    ...[true, false].flatMap((inverse) => [
      ropeCase(3, 1, 2, inverse),
      ropeCase(70, 4, 32, inverse),
      ropeCase(5, 2, 48, inverse),
    ]),
    ...vocabularyCases(1, 1),
    ...vocabularyCases(40, 110),
    ...vocabularyCases(3, 5003),
    ...vocabularyCases(2, 40_960),
    sampleCase(400, 110),
    sampleCase(80, 1500),
    sampleCase(80, 5003),
    adamCase(1, ADAM),
    adamCase(20_011, { ...ADAM, step: 7, gradScale: 1 }),
  ];
}
