// Running cases on a device and comparing what comes out. Knows no particular device or op.

import type { Device, Buffer as DeviceBuffer } from "../../src/engine/local/device/types.ts";
import type { Buffers, DeviceCase } from "./device-cases.ts";

/** What a buffer holds. */
export type Values = Float32Array | Int32Array;

/** Runs a case and returns its outputs. Frees all it took. */
export function runCase(device: Device, one: DeviceCase): Record<string, Values> {
  const buffers: Buffers = {};
  for (const [name, data] of Object.entries(one.inputs)) buffers[name] = uploaded(device, data, one.bf16?.includes(name));
  one.run(device, buffers);
  const outputs = Object.fromEntries(one.outputs.map((name) => [name, device.download(buffers[name])]));
  for (const buffer of Object.values(buffers)) device.free(buffer);
  return outputs;
}

/** A new buffer that holds `data`. */
export function uploaded(device: Device, data: Values, bf16 = false): DeviceBuffer {
  const buffer = device.alloc(bf16 ? "bf16" : data instanceof Int32Array ? "i32" : "f32", data.length);
  device.upload(buffer, data);
  return buffer;
}

/** Largest difference, relative to the largest magnitude of `expected` and at least 1; NaN anywhere gives Infinity. */
export function distance(actual: Values, expected: Values): number {
  let scale = 1;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i]));
    const d = Math.abs(actual[i] - expected[i]);
    worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(worst, d);
  }
  return worst / scale;
}

/** Whether two arrays have the same bytes (faster than `toEqual` on large arrays, and -0 is not 0). */
export function sameBits(a: Values, b: Values): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
}
