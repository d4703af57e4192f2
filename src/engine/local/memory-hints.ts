// Says what to change when memory runs short, by what was being done and which options are not in use yet. Knows no device.

import { EngineError } from "../../util/errors.ts";
import type { NumberOptions } from "./protocol.ts";

/** What memory was asked for. */
export type MemoryUse = "weights to train" | "frozen weights" | "a training pass" | "scoring" | "sampling";

/** Runs `work`; an error of the device about memory comes out with what to change. Other errors as they are. */
export function withMemoryHint<T>(use: MemoryUse, numbers: NumberOptions, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw explained(use, numbers, error);
  }
}

function explained(use: MemoryUse, numbers: NumberOptions, error: unknown): unknown {
  if (!(error instanceof EngineError) || !/^device memory:|expected scratch memory/.test(error.message)) return error;
  const [problem] = error.message.split(/(?<=got none\.)/);
  return new EngineError(`${use}: ${problem} To need less: ${remedies(use, numbers).join(", or ")}.`, { cause: error });
}

/** Options that save memory here and are not in use, the strongest first. */
function remedies(use: MemoryUse, { dtype, frozenDtype, optimizerDtype, recompute, lora }: NumberOptions): string[] {
  const dtypeHint = dtype === "f32" ? ["engine.dtype=bf16 (--dtype bf16)"] : [];
  const pass = ["a smaller engine.maxTokensPerMicroBatch"];
  switch (use) {
    case "weights to train":
      return [
        ...(lora === undefined ? ["engine.lora (train an adapter)"] : ["a smaller engine.lora.rank"]),
        ...dtypeHint,
        ...(optimizerDtype === "f32" && lora === undefined ? ["engine.optimizerDtype=bf16"] : []),
        "a smaller model",
      ];
    case "frozen weights":
      return [...dtypeHint, ...(frozenDtype === "int8" ? [] : ["engine.frozenDtype=int8 (--dtype int8)"]), "a smaller model"];
    case "a training pass":
      return [...(recompute !== false ? [] : ["engine.recompute (--recompute)"]), ...pass, ...dtypeHint];
    case "scoring":
      return pass;
    case "sampling":
      return ["fewer engine.slots", "fewer tokens per completion", ...dtypeHint];
  }
}
