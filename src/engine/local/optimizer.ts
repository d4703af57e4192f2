// AdamW over the flat weights: global-norm clipping and the update, with the moments as device memory of the weights' layout.
// It knows no model and no file. Source: torch.optim.AdamW and torch.nn.utils.clip_grad_norm_.

import { EngineError } from "../../util/errors.ts";
import type { AdamWParams, StepStats } from "../types.ts";
import type { AdamWStep, Buffer, Device } from "./device/types.ts";
import type { Weights } from "./weights.ts";

/** Moments and step count of AdamW for one set of trainable weights. */
export class AdamW {
  /** Updates made since the last reset. */
  step = 0;
  readonly m: Buffer;
  readonly v: Buffer;
  readonly #device: Device;
  readonly #weights: Weights;

  /** `dtype` is the moments'. */
  constructor(device: Device, weights: Weights, dtype: "f32" | "bf16" = "f32") {
    this.#device = device;
    this.#weights = weights;
    this.m = device.alloc(dtype, weights.values.length);
    this.v = device.alloc(dtype, weights.values.length);
  }

  /**
   * One update of all parameters (weight decay on all) from the accumulated gradient, which is cleared; panels are renewed.
   * `skipAbove` may hold it back; see AdamWParams. Errors: EngineError when the gradient's norm is not finite; then weights and moments are as before and the gradient is cleared.
   */
  update(params: AdamWParams): StepStats {
    const { values, gradients } = this.#weights;
    if (gradients === undefined) throw new Error("internal: optimizer on frozen weights");
    const gradNorm = Math.sqrt(this.#device.sumSquares(gradients, gradients.length));
    const { skipAbove } = params;
    if (skipAbove !== undefined && !(gradNorm <= skipAbove && Number.isFinite(gradNorm))) {
      this.#device.zero(gradients);
      return { gradNorm, applied: false };
    }
    if (!Number.isFinite(gradNorm)) {
      this.#device.zero(gradients);
      throw new EngineError(
        `optimizer step ${this.step + 1}: expected a finite gradient norm, got ${gradNorm}. Lower the learning rate.`,
      );
    }
    const { clipNorm, learningRate, beta1, beta2, epsilon, weightDecay } = params;
    const gradScale = clipNorm > 0 ? Math.min(1, clipNorm / (gradNorm + 1e-6)) : 1;
    this.step += 1;
    const step = { learningRate, beta1, beta2, epsilon, weightDecay, step: this.step, gradScale };
    if (this.#weights.renewsPanels) this.#updateEach(values, gradients, step);
    else {
      this.#device.adamW(values, gradients, this.m, this.v, values.length, step);
      this.#weights.repack();
    }
    return { gradNorm, applied: true };
  }

  /** Parameter by parameter, each with its panels, and without a pass over memory to clear the gradients. */
  #updateEach(values: Buffer, gradients: Buffer, step: AdamWStep): void {
    const weights = this.#weights;
    for (const spec of weights.specs) {
      const [p, g, m, v] = [values, gradients, this.m, this.v].map((flat) => weights.part(flat, spec.name));
      const own = { ...step, first: weights.offset(spec.name), keepGradient: true };
      this.#device.adamW(p, g, m, v, p.length, own, weights.panels(spec));
    }
    weights.spendGradients();
  }

  /** Forgets moments and step count. */
  reset(): void {
    this.step = 0;
    this.#device.zero(this.m);
    this.#device.zero(this.v);
  }

  dispose(): void {
    this.#device.free(this.m);
    this.#device.free(this.v);
  }
}
