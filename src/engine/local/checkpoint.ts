// Resumable training state on disk: weights and AdamW moments in f32 as safetensors, and state.json, that names them with their sums.
// Kept states: files under names made of their content's hash, state.json replaced last and in one rename, so that a directory holds
// the old state or the new one at every instant. Scratch states are written over what is there, for callers that keep several.
// It knows no run and no phase.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError, DataError } from "../../util/errors.ts";
import { overwriteFile, sumFile, writeFileAtomic } from "../../util/files.ts";
import type { Buffer, Device } from "./device/types.ts";
import type { ParameterSpec } from "./parameters.ts";
import {
  elements,
  encodeHeader,
  readSafetensorsHeader,
  readTensor,
  type TensorInfo,
  type TensorToWrite,
  writeSafetensors,
} from "./safetensors.ts";
import type { Weights } from "./weights.ts";

/** The device memory of a training state; `m` and `v` have the layout of the weights' values. */
export interface CheckpointTensors {
  readonly device: Device;
  readonly weights: Weights;
  readonly m: Buffer;
  readonly v: Buffer;
}

const PARTS = ["weights", "m", "v"] as const;
type Part = (typeof PARTS)[number];

interface FileEntry {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

interface State {
  readonly format: 1;
  readonly step: number;
  readonly files: Readonly<Record<Part, FileEntry>>;
}

const MAX_STATE_BYTES = 1 << 20;

/** One tensor of a copied state: `length` f32 values from `begin`. */
interface CopiedTensor {
  readonly part: Part;
  readonly name: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly length: number;
}

/** A training state in host memory that threads share, so that it is written while training goes on. */
export interface StateCopy {
  readonly step: number;
  readonly memory: SharedArrayBuffer;
  readonly tensors: readonly CopiedTensor[];
}

/** Bytes of a state's values. */
export function stateBytes({ weights }: CheckpointTensors): number {
  return PARTS.length * weights.specs.reduce((sum, { shape }) => sum + elements(shape) * 4, 0);
}

/** Copies the state of optimizer step `step`, into `reuse` where it is large enough. */
export function copyState(step: number, tensors: CheckpointTensors, reuse?: SharedArrayBuffer): StateCopy {
  const bytes = stateBytes(tensors);
  const memory = reuse !== undefined && reuse.byteLength >= bytes ? reuse : new SharedArrayBuffer(bytes);
  const values = new Float32Array(memory);
  const copied: CopiedTensor[] = [];
  const { device } = tensors;
  let begin = 0;
  for (const part of PARTS) {
    for (const spec of tensors.weights.specs) {
      const length = elements(spec.shape);
      device.download(partOf(tensors, part, spec), 0, length, values.subarray(begin, begin + length));
      copied.push({ part, name: spec.name, shape: spec.shape, begin, length });
      begin += length;
    }
  }
  return { step, memory, tensors: copied };
}

/** Writes a copied state into `dir`, to be kept or as scratch. Errors: DiskError. */
export function writeStateCopy(dir: string, { step, memory, tensors }: StateCopy, scratch = false): void {
  const values = new Float32Array(memory);
  const partTensors = (part: Part) =>
    tensors.flatMap(({ part: of, name, shape, begin, length }): TensorToWrite[] =>
      of === part ? [{ name, shape, read: () => values.subarray(begin, begin + length) }] : [],
    );
  writeState(dir, step, partTensors, scratch);
}

/** Writes the state of optimizer step `step` into `dir`, to be kept or as scratch. Errors: DiskError. */
export function writeCheckpoint(dir: string, step: number, tensors: CheckpointTensors, scratch = false): void {
  const read = (part: Part, spec: ParameterSpec) => tensors.device.download(partOf(tensors, part, spec)) as Float32Array;
  const tensorsOf = (part: Part) =>
    tensors.weights.specs.map((spec) => ({ name: spec.name, shape: spec.shape, read: () => read(part, spec) }));
  writeState(dir, step, tensorsOf, scratch);
}

function writeState(dir: string, step: number, tensorsOf: (part: Part) => readonly TensorToWrite[], scratch: boolean): void {
  mkdirSync(dir, { recursive: true });
  const write = scratch ? overwritePart : writePart;
  const entries = PARTS.map((part): [Part, FileEntry] => [part, write(dir, part, tensorsOf(part))]);
  const state: State = { format: 1, step, files: Object.fromEntries(entries) as Record<Part, FileEntry> };
  const text = `${JSON.stringify(state, null, 2)}\n`;
  if (scratch) overwriteFile(join(dir, "state.json"), [Buffer.from(text)]);
  else writeFileAtomic(join(dir, "state.json"), text);
  const named = new Set(entries.map(([, entry]) => entry.file));
  for (const name of readdirSync(dir))
    if (/^(weights|m|v)(-.*)?\.safetensors$/.test(name) && !named.has(name)) rmSync(join(dir, name));
}

/**
 * Fills the tensors from `dir` and returns the optimizer step. Everything is verified before anything is changed.
 * Errors: CheckpointError (missing, damaged, of another model).
 */
export function readCheckpoint(dir: string, tensors: CheckpointTensors): number {
  const state = readState(dir);
  const headers = new Map(PARTS.map((part) => [part, verifiedHeader(dir, state.files[part], tensors.weights.specs)]));
  for (const part of PARTS) {
    for (const spec of tensors.weights.specs) {
      const info = headers.get(part)?.get(spec.name) as TensorInfo;
      tensors.device.upload(partOf(tensors, part, spec), readTensor(info));
    }
  }
  return state.step;
}

function writePart(dir: string, part: Part, tensors: readonly TensorToWrite[]): FileEntry {
  const unnamed = join(dir, `${part}.new`);
  const { bytes, sha256 } = writeSafetensors(unnamed, tensors, "F32");
  const file = `${part}-${sha256.slice(0, 16)}.safetensors`;
  renameSync(unnamed, join(dir, file));
  return { file, bytes, sha256 };
}

/** Neighbours in memory are written in one call. */
function overwritePart(dir: string, part: Part, tensors: readonly TensorToWrite[]): FileEntry {
  const file = `${part}.safetensors`;
  const pieces = [encodeHeader(tensors, "F32")];
  for (const { read } of tensors) {
    const values = read();
    const last = pieces[pieces.length - 1];
    if (last.buffer === values.buffer && last.byteOffset + last.length === values.byteOffset)
      pieces[pieces.length - 1] = new Uint8Array(last.buffer, last.byteOffset, last.length + values.byteLength);
    else pieces.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return { file, ...overwriteFile(join(dir, file), pieces) };
}

function partOf(tensors: CheckpointTensors, part: Part, spec: ParameterSpec): Buffer {
  return tensors.weights.part(part === "weights" ? tensors.weights.values : tensors[part], spec.name);
}

function readState(dir: string): State {
  const path = join(dir, "state.json");
  let state: State;
  try {
    if (statSync(path).size > MAX_STATE_BYTES) throw new Error("a file that is too large");
    state = JSON.parse(readFileSync(path, "utf8")) as State;
  } catch (error) {
    throw new CheckpointError(`${path}: expected a training state, got ${(error as Error).message}. Start from an earlier one.`);
  }
  const complete = state?.format === 1 && Number.isSafeInteger(state.step) && PARTS.every((part) => isEntry(state.files?.[part]));
  if (!complete)
    throw new CheckpointError(`${path}: expected a training state of format 1, got something else. Start from an earlier phase.`);
  return state;
}

function isEntry(entry: FileEntry | undefined): boolean {
  return (
    typeof entry?.file === "string" &&
    /^[\w.-]{1,100}$/.test(entry.file) &&
    typeof entry.bytes === "number" &&
    typeof entry.sha256 === "string"
  );
}

function verifiedHeader(dir: string, entry: FileEntry, specs: readonly ParameterSpec[]): Map<string, TensorInfo> {
  const path = join(dir, entry.file);
  const bytes = statSync(path, { throwIfNoEntry: false })?.size;
  if (bytes !== entry.bytes) {
    throw new CheckpointError(`${path}: expected ${entry.bytes} bytes, got ${bytes ?? "no file"}. Start from an earlier phase.`);
  }
  const { sha256 } = readable(() => sumFile(path));
  if (sha256 !== entry.sha256) {
    throw new CheckpointError(
      `${path}: expected SHA-256 ${entry.sha256}, got ${sha256}. It is damaged: start from an earlier phase.`,
    );
  }
  const header = readable(() => readSafetensorsHeader(path));
  for (const spec of specs) {
    const shape = header.get(spec.name)?.shape;
    if (shape?.join() === spec.shape.join()) continue;
    throw new CheckpointError(
      `${path} ${spec.name}: expected shape [${spec.shape.join(", ")}], got ${shape ? `[${shape.join(", ")}]` : "nothing"}. It is of another model.`,
    );
  }
  return header;
}

/** A state whose file cannot be read is a damaged state. */
function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DataError) throw new CheckpointError(error.message, { cause: error });
    throw error;
  }
}
