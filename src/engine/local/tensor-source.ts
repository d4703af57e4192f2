// Where a model's values come from when its weights are made, and how they get to the device: mapped from their file without a copy
// on the host where that can be done, else through one. It knows no model.

import type { Buffer, Device, DType } from "./device/types.ts";
import type { ParameterSpec } from "./parameters.ts";
import { elements, type TensorInfo } from "./safetensors.ts";

/** Values of parameters by specification, in f32 and HF layout; `locate` tells the place in a file, for those that have one. */
export interface TensorSource {
  (spec: ParameterSpec): Float32Array;
  readonly locate?: (spec: ParameterSpec) => TensorInfo;
}

/**
 * A parameter as a buffer of its own, f32 or bf16, that the caller frees: the mapped file where its format allows, else a copy.
 * Errors: those of the source, EngineError.
 */
export function openParameter(device: Device, spec: ParameterSpec, source: TensorSource): Buffer {
  const place = mappable(source.locate?.(spec));
  if (place !== undefined) return device.map(place.info.path, place.info.begin, place.dtype, elements(spec.shape));
  const data = source(spec);
  const copy = device.alloc("f32", data.length);
  device.upload(copy, data);
  return copy;
}

/** Fills `to` (f32) with a parameter. Errors: those of the source, EngineError. */
export function fillParameter(device: Device, to: Buffer, spec: ParameterSpec, source: TensorSource): void {
  if (mappable(source.locate?.(spec)) === undefined) {
    device.upload(to, source(spec));
    return;
  }
  const mapped = openParameter(device, spec, source);
  if (mapped.dtype === "bf16") device.cast(to, mapped, mapped.length);
  else device.copy(to, mapped);
  device.free(mapped);
}

/** The format of a tensor that ops can read where it lies: f32 or bf16 at a whole number of elements. */
function mappable(info: TensorInfo | undefined): { info: TensorInfo; dtype: DType } | undefined {
  if (info?.dtype === "BF16" && info.begin % 2 === 0) return { info, dtype: "bf16" };
  if (info?.dtype === "F32" && info.begin % 4 === 0) return { info, dtype: "f32" };
  return undefined;
}
