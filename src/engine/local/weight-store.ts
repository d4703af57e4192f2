// Frozen models of one device, opened once and shared while anyone uses them: sampler, scorer, reference and base of adapters alike.
// A directory whose files were replaced meanwhile counts as another model. It knows no handle and no role.

import { readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Device, WeightFormat } from "./device/types.ts";
import { FrozenWeights } from "./frozen-weights.ts";
import { readModelConfig } from "./hf-config.ts";
import { openModelTensors } from "./model-files.ts";

interface Opened {
  readonly stamp: string;
  readonly weights: FrozenWeights;
}

/** See the file header. */
export class WeightStore {
  readonly #device: Device;
  readonly #opened = new Map<string, Opened>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Frozen weights of a model directory (no adapter), for one more user who disposes them. Errors: DataError, EngineError. */
  open(dir: string, format: WeightFormat): FrozenWeights {
    const config = readModelConfig(dir);
    const key = `${format} ${realpathSync(dir)}`;
    const stamp = stampOf(dir);
    const known = this.#opened.get(key);
    if (known?.weights.live && known.stamp === stamp) return known.weights.share();
    const weights = FrozenWeights.load(this.#device, config, openModelTensors(dir), format);
    this.#opened.set(key, { stamp, weights });
    return weights;
  }
}

/** Changes when a file that makes the model does: its name, size, time or identity. */
function stampOf(dir: string): string {
  const names = readdirSync(dir).filter((name) => name === "config.json" || /\.safetensors(\.index\.json)?$/.test(name));
  return names
    .sort()
    .map((name) => {
      const { size, mtimeNs, ino } = statSync(join(dir, name), { bigint: true });
      return `${name} ${size} ${mtimeNs} ${ino}`;
    })
    .join("\n");
}
