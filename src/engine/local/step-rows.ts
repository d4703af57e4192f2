// The rows of one inference step, gathered in fixed typed arrays: what goes into the model, and which logits are wanted
// by whom. Several outputs may want the same logits row (first tokens of a group). Knows nothing of slots' lives.

import type { Buffer, Device } from "./device/types.ts";
import type { CachedRows } from "./inference.ts";

/** Collects rows and outputs; `clear` before each step. */
export class StepRows {
  /** Rows and outputs collected so far. */
  rows = 0;
  outputs = 0;
  readonly #capacity: number;
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #writeRows: Int32Array;
  readonly #prefixStart: Int32Array;
  readonly #prefixLength: Int32Array;
  readonly #start: Int32Array;
  readonly #length: Int32Array;
  /** Rows whose logits the model computes, each once. */
  readonly #logitsRows: Int32Array;
  #logitsCount = 0;
  /** For each output, its index in #logitsRows. */
  readonly #logitsOfOutput: Int32Array;

  constructor(rowCapacity: number, outputCapacity: number) {
    const ints = () => new Int32Array(rowCapacity);
    this.#capacity = rowCapacity;
    this.#tokens = ints();
    this.#positions = ints();
    this.#writeRows = ints();
    this.#prefixStart = ints();
    this.#prefixLength = ints();
    this.#start = ints();
    this.#length = ints();
    this.#logitsRows = ints();
    this.#logitsOfOutput = new Int32Array(outputCapacity);
  }

  /** Rows that still fit. */
  get room(): number {
    return this.#capacity - this.rows;
  }

  clear(): void {
    this.rows = 0;
    this.outputs = 0;
    this.#logitsCount = 0;
  }

  /** Adds token `index` of a range of own rows from `start`, after a shared prefix of `prefixLength` rows. */
  addRow(token: number, prefixStart: number, prefixLength: number, start: number, index: number): void {
    const r = this.rows++;
    this.#tokens[r] = token;
    this.#positions[r] = prefixLength + index;
    this.#writeRows[r] = start + index;
    this.#prefixStart[r] = prefixStart;
    this.#prefixLength[r] = prefixLength;
    this.#start[r] = start;
    this.#length[r] = index + 1;
  }

  /** Asks for the logits of the newest row; the result serves any number of `addOutput`. */
  wantLogits(): number {
    this.#logitsRows[this.#logitsCount] = this.rows - 1;
    return this.#logitsCount++;
  }

  /** Adds an output that reads logits `logitsIndex`; returns the output's index. */
  addOutput(logitsIndex: number): number {
    this.#logitsOfOutput[this.outputs] = logitsIndex;
    return this.outputs++;
  }

  /** The rows as the model takes them; views that the next `clear` invalidates. */
  view(): CachedRows {
    const r = this.rows;
    return {
      tokens: this.#tokens.subarray(0, r),
      positions: this.#positions.subarray(0, r),
      writeRows: this.#writeRows.subarray(0, r),
      prefixStart: this.#prefixStart.subarray(0, r),
      prefixLength: this.#prefixLength.subarray(0, r),
      start: this.#start.subarray(0, r),
      length: this.#length.subarray(0, r),
      outputRows: this.#logitsRows.subarray(0, this.#logitsCount),
    };
  }

  /** How many of the first outputs read the logits row of their own index. */
  get ownOutputs(): number {
    let count = 0;
    while (count < this.outputs && this.#logitsOfOutput[count] === count) count++;
    return count;
  }

  /** For each output, which logits row it reads. */
  get logitsOfOutputs(): Int32Array {
    return this.#logitsOfOutput.subarray(0, this.outputs);
  }
}

/** Logits [count, V] of the outputs from `first` on. */
export interface LogitsPart {
  readonly logits: Buffer;
  readonly first: number;
  readonly count: number;
}

/** Outputs that share a logits row are gathered this many elements at a time, at least. */
const GATHERED_ELEMENTS = 1 << 22;
const LEAST_GATHERED_ROWS = 16;

/** Logits by output: the model's own buffer as long as each output has its own row, then copies; keeps its memory between steps. */
export class LogitsGather {
  readonly #device: Device;
  readonly #vocabSize: number;
  readonly #chunk: number;
  readonly #index: Buffer;
  #copies: Buffer | undefined;

  constructor(device: Device, capacity: number, vocabSize: number) {
    this.#device = device;
    this.#vocabSize = vocabSize;
    this.#chunk = Math.min(capacity, Math.max(LEAST_GATHERED_ROWS, Math.floor(GATHERED_ELEMENTS / vocabSize)));
    this.#index = device.alloc("i32", capacity);
  }

  /** The outputs of a step in order, part by part; a part is valid until the next one is asked for. */
  *parts(logits: Buffer, step: StepRows): Generator<LogitsPart> {
    const own = step.ownOutputs;
    if (own > 0) yield { logits, first: 0, count: own };
    for (let first = own; first < step.outputs; first += this.#chunk) {
      const count = Math.min(this.#chunk, step.outputs - first);
      this.#copies ??= this.#device.alloc("f32", this.#chunk * this.#vocabSize);
      this.#device.upload(this.#index, step.logitsOfOutputs.subarray(first, first + count));
      this.#device.gatherRows(this.#copies, logits, this.#index, count, this.#vocabSize);
      yield { logits: this.#copies, first, count };
    }
  }

  dispose(): void {
    this.#device.free(this.#index);
    if (this.#copies !== undefined) this.#device.free(this.#copies);
  }
}
