// What the engine on the calling thread and its worker say to each other. One request gets one answer, in order; a long one
// may send progress before. Error classes survive the way. Knows nothing of models.

import {
  asDiskError,
  CheckpointError,
  ConfigError,
  DataError,
  DiskError,
  EngineError,
  InterruptedError,
  RunError,
} from "../../util/errors.ts";
import type {
  AdamWParams,
  Completion,
  ExportOptions,
  LiveRequest,
  LiveStats,
  SamplingParams,
  SaveOptions,
  SnapshotOptions,
  StepStats,
  TrainerOptions,
} from "../types.ts";
import type { StateCopy } from "./checkpoint.ts";
import type { LiveReport } from "./live-slots.ts";
import type { Recompute } from "./memory-plan.ts";
import type { LoraOptions } from "./open-model.ts";

/** What the worker is started with. */
export interface WorkerOptions {
  /** Threads of the kernels; absent: what the process may use. */
  readonly threads?: number;
  readonly slots: number;
  readonly cacheBytes: number;
  readonly prefillRows: number;
  readonly numbers: NumberOptions;
}

/** In which formats models are computed and kept. */
export interface NumberOptions {
  /** Matrix products; `auto`: bf16 where the CPU has its dot product, else f32. */
  readonly dtype: "auto" | "f32" | "bf16";
  /** Snapshots opened with precision `frozen`; `same`: as `dtype`. */
  readonly frozenDtype: "same" | "f32" | "bf16" | "int8";
  /** The optimizer's moments. */
  readonly optimizerDtype: "f32" | "bf16";
  /** Compute activations again in the backward pass instead of keeping them. */
  readonly recompute: Recompute;
  /** Trainers train an adapter of this shape. */
  readonly lora?: LoraOptions;
}

/** An opened model; the handle names it in later calls. */
export interface ModelInfo {
  readonly handle: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  /** Most rows of one scoring or training pass. */
  readonly passRows: number;
}

/** The part of a datum that the worker needs. */
export interface WireSequence {
  readonly tokens: Int32Array;
  readonly weights: Float32Array;
}

interface OnModel {
  readonly handle: number;
}

/** An opened live sampler; the session names it in later calls. */
export interface LiveInfo {
  readonly session: number;
  readonly context: number;
  readonly vocabSize: number;
}

interface InSession {
  readonly session: number;
}

/** Every call: its input and its output. */
export interface EngineCalls {
  openSnapshot: { input: { dir: string } & SnapshotOptions; output: ModelInfo };
  openTrainer: { input: { dir: string } & TrainerOptions; output: ModelInfo };
  sample: { input: OnModel & { prompts: readonly Int32Array[]; params: SamplingParams }; output: Completion[][] };
  score: { input: OnModel & { data: readonly WireSequence[] }; output: Float32Array[] };
  /** Half of a training pass: logprobs of one micro-batch; `backward` of the same model must follow before the next. */
  forward: { input: OnModel & { data: readonly WireSequence[] }; output: Float32Array[] };
  backward: { input: OnModel & { dLogprobs: readonly Float32Array[] }; output: undefined };
  optimStep: { input: OnModel & { params: AdamWParams }; output: StepStats };
  resetOptimizer: { input: OnModel; output: undefined };
  snapshot: { input: OnModel & SnapshotOptions; output: ModelInfo };
  saveState: { input: OnModel & { dir: string } & SaveOptions; output: undefined };
  /** The state for another thread to write; undefined when it is larger than `maxBytes`. The memory of the last copy is used again. */
  copyState: { input: OnModel & { maxBytes: number }; output: StateCopy | undefined };
  loadState: { input: OnModel & { dir: string }; output: undefined };
  exportModel: { input: OnModel & { dir: string } & ExportOptions; output: undefined };
  openLive: { input: OnModel & { reportMs: number; cacheBytes?: number }; output: LiveInfo };
  /** Made without waiting for an answer; a refusal comes as news. */
  liveAdd: { input: InSession & { id: number; request: LiveRequest }; output: undefined };
  liveCancel: { input: InSession & { id: number }; output: undefined };
  liveStats: { input: InSession; output: LiveStats };
  closeLive: { input: InSession; output: undefined };
  close: { input: OnModel; output: undefined };
  /** Ends the worker; a call in progress is given up at its next pause. */
  shutdown: { input: null; output: undefined };
}

/** Names of the calls. */
export type CallName = keyof EngineCalls;

/** A handler for every call. */
export type CallHandlers = {
  [Name in CallName]: (
    input: EngineCalls[Name]["input"],
    report: (progress: ProgressReport) => void,
  ) => EngineCalls[Name]["output"] | Promise<EngineCalls[Name]["output"]>;
};

/** Completions done, of how many, tokens drawn. */
export type ProgressReport = readonly [done: number, total: number, tokens: number];

export interface RequestMessage {
  /** 0 wants no answer. */
  readonly id: number;
  readonly call: CallName;
  readonly input: unknown;
}

export type ResponseMessage =
  | { readonly id: number; readonly kind: "result"; readonly output: unknown }
  | { readonly id: number; readonly kind: "error"; readonly error: WireError }
  | { readonly id: number; readonly kind: "progress"; readonly progress: ProgressReport }
  | LiveMessage;

/** Unasked-for news of a live session: what was drawn, or why it has ended. */
export interface LiveMessage {
  readonly kind: "live";
  readonly session: number;
  readonly reports: readonly LiveReport[];
  /** A request that was not taken in. */
  readonly refused?: { readonly id: number; readonly error: WireError };
  readonly error?: WireError;
}

/** An error as data. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly retryable?: boolean;
  /** Of a DiskError: the system's code. */
  readonly code?: string;
}

const ERROR_CLASSES = { ConfigError, DataError, RunError, CheckpointError, InterruptedError };

export function toWireError(thrown: unknown): WireError {
  const error = asDiskError(thrown);
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const retryable = error instanceof EngineError ? error.retryable : undefined;
  const code = error instanceof DiskError ? error.code : undefined;
  return { name: error.name, message: error.message, stack: error.stack, retryable, code };
}

/** The error of the same class; one of no class of ours is our own bug and says so. */
export function fromWireError(wire: WireError): Error {
  if (wire.name === "DiskError") return new DiskError(wire.message, wire.code ?? "EIO");
  if (wire.name === "EngineError") return new EngineError(wire.message, { retryable: wire.retryable });
  if (wire.name in ERROR_CLASSES) return new ERROR_CLASSES[wire.name as keyof typeof ERROR_CLASSES](wire.message);
  const message = wire.message.startsWith("internal:") ? wire.message : `internal: ${wire.name}: ${wire.message}`;
  const error = new Error(message);
  error.stack = wire.stack ?? error.stack;
  return error;
}
