// A base with an adapter added to it, as the values of a whole model: W + s·B·A, one tensor at a time, on the device.

import type { Device } from "./device/types.ts";
import type { ModelConfig } from "./hf-config.ts";
import { adaptedLinears, adapterName, type LoraShape } from "./lora.ts";
import { fillParameter, type TensorSource } from "./tensor-source.ts";

/** An adapter's shape and values. */
export interface AdapterValues {
  readonly shape: LoraShape;
  readonly tensors: TensorSource;
}

/** Values of the merged model in f32. Errors: those of the sources, EngineError. */
export function mergedTensors(device: Device, config: ModelConfig, base: TensorSource, adapter: AdapterValues): TensorSource {
  const adapted = new Set(adaptedLinears(config, adapter.shape));
  return (spec) => {
    const linear = spec.name.replace(/\.weight$/, "");
    if (spec.kind !== "linear" || !adapted.has(linear)) return base(spec);
    const [outDim, inDim] = spec.shape;
    const { rank } = adapter.shape;
    const a = adapter.tensors({ name: adapterName(linear, "A"), shape: [rank, inDim], kind: "linear" });
    const b = adapter.tensors({ name: adapterName(linear, "B"), shape: [outDim, rank], kind: "linear" });
    return addProduct(device, (to) => fillParameter(device, to, spec, base), a, scaledTranspose(b, outDim, adapter.shape));
  };
}

/** w += bᵀ·a with w [out, in], b [rank, out], a [rank, in]: the product that gathers a weight's gradient. */
function addProduct(
  device: Device,
  fill: (to: ReturnType<Device["alloc"]>) => void,
  a: Float32Array,
  { data: b, rank, outDim }: { data: Float32Array; rank: number; outDim: number },
): Float32Array {
  const inDim = a.length / rank;
  const buffers = [outDim * inDim, b.length, a.length].map((length) => device.alloc("f32", length));
  const [w, left, right] = buffers;
  try {
    fill(w);
    device.upload(left, b);
    device.upload(right, a);
    device.linearBackwardWeight(w, left, right, rank, outDim, inDim, "f32");
    return device.download(w) as Float32Array;
  } finally {
    for (const buffer of buffers) device.free(buffer);
  }
}

/** s·Bᵀ [rank, out]. */
function scaledTranspose(b: Float32Array, outDim: number, { rank, alpha }: LoraShape) {
  const scale = Math.fround(alpha / rank);
  const data = new Float32Array(b.length);
  for (let o = 0; o < outDim; o++) for (let r = 0; r < rank; r++) data[r * outDim + o] = scale * b[o * rank + r];
  return { data, rank, outDim };
}
