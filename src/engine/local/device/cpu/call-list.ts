// Calls into the kernels that are noted down and carried out by one call: a small op costs less than its way out of JavaScript.
// Between `together`s every call goes straight through. Knows no op's meaning; native/call-list.c carries the list out.

import type { Kernels } from "./kernels.ts";
import { check } from "./memory.ts";

/** What can be noted down, in the order of native/call-list.c; all take the context first and answer with a result code, or with nothing. */
const NOTED = [
  "linear",
  "linears",
  "gatherRows",
  "gatherBf16",
  "scatterRows",
  "add",
  "rmsNorm",
  "rope",
  "swiglu",
  "attention",
  "toBf16",
] as const satisfies readonly (keyof Kernels)[];

/** Numbers a list holds, and the most that one call takes. */
const CAPACITY = 1 << 14;
const MOST_OF_CALL = 24;

/** See the file header. */
export class CallList {
  /** The kernels as ops call them. */
  readonly native: Kernels;
  readonly #kernels: Kernels;
  readonly #ctx: number;
  readonly #list = new Float64Array(CAPACITY);
  readonly #failed = new Float64Array(1);
  #length = 0;
  #open = false;

  constructor(kernels: Kernels, ctx: number) {
    this.#kernels = kernels;
    this.#ctx = ctx;
    const native: Record<string, unknown> = {};
    for (const name of Object.keys(kernels) as (keyof Kernels)[]) {
      const direct = kernels[name] as (...values: unknown[]) => unknown;
      const code = (NOTED as readonly string[]).indexOf(name);
      // Whatever cannot be noted may depend on what has been.
      const other = (...values: unknown[]): unknown => {
        if (this.#length > 0) this.#carryOut();
        return direct(...values);
      };
      const noted = (...values: number[]): unknown => (this.#open ? this.#note(code, values) : direct(...values));
      native[name] = code < 0 ? other : noted;
    }
    this.native = native as unknown as Kernels;
  }

  /** Runs `work` with its calls noted down; all are carried out when it returns. Errors: those of `work` and of its ops. */
  together<T>(work: () => T): T {
    if (this.#open) return work();
    this.#open = true;
    try {
      const result = work();
      this.#carryOut();
      return result;
    } finally {
      this.#open = false;
      this.#length = 0;
    }
  }

  #note(code: number, values: readonly number[]): number {
    if (this.#length + MOST_OF_CALL > CAPACITY) this.#carryOut();
    const list = this.#list;
    let at = this.#length;
    list[at++] = code;
    list[at++] = values.length - 1;
    for (let i = 1; i < values.length; i++) list[at++] = values[i];
    this.#length = at;
    return 0;
  }

  #carryOut(): void {
    const length = this.#length;
    this.#length = 0;
    if (length === 0) return;
    const code = this.#kernels.run(this.#ctx, this.#list, length, this.#failed);
    check(code, NOTED[this.#list[this.#failed[0]]]);
  }
}
