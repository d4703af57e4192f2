// What the models of one Tinker server share. Types alone.

import type { Engine } from "../../engine/types.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import type { FutureStore } from "./futures.ts";
import type { SamplerPool } from "./samplers.ts";
import type { DataLimits } from "./training-data.ts";

/** See the file header. */
export interface ModelHost {
  readonly engine: Engine;
  /** Directory of the base model. */
  readonly baseDir: string;
  readonly limits: DataLimits;
  readonly futures: FutureStore;
  readonly checkpoints: CheckpointStore;
  readonly samplers: SamplerPool;
  /** Runs one piece of training at a time, in the order of asking; models take turns by it. */
  turn<T>(work: () => Promise<T>): Promise<T>;
  /** Whether the server ends: what fails then has not failed. */
  stopping(): boolean;
  /** Opens a sampling session over saved weights; returns its id. */
  openSession(sessionId: string, seq: number | undefined, modelPath: string): string;
  /** Takes what went wrong. */
  log(line: string): void;
}
