// Who owns which rows of the key/value cache: a first-fit allocator over row ranges, and how many rows a sampling call
// asks for within a memory budget. Knows nothing of what a row holds (see KvCache in inference.ts).

/** Hands out contiguous row ranges of a cache. Ranges are kept sorted and merged, so freeing everything undoes all fragmentation. */
export class RowAllocator {
  readonly rows: number;
  #starts: number[];
  #counts: number[];

  constructor(rows: number) {
    this.rows = rows;
    this.#starts = rows > 0 ? [0] : [];
    this.#counts = rows > 0 ? [rows] : [];
  }

  /** Rows that nobody owns. */
  get freeRows(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** First row of `count` contiguous rows, or -1 when no free range is large enough. 0 rows need no room. */
  allocate(count: number): number {
    if (count === 0) return 0;
    for (let i = 0; i < this.#starts.length; i++) {
      if (this.#counts[i] < count) continue;
      const start = this.#starts[i];
      this.#starts[i] += count;
      this.#counts[i] -= count;
      if (this.#counts[i] === 0) {
        this.#starts.splice(i, 1);
        this.#counts.splice(i, 1);
      }
      return start;
    }
    return -1;
  }

  /** Gives back what `allocate(count)` returned. */
  free(start: number, count: number): void {
    if (count === 0) return;
    let i = 0;
    while (i < this.#starts.length && this.#starts[i] < start) i++;
    const endOfPrevious = i > 0 ? this.#starts[i - 1] + this.#counts[i - 1] : -1;
    const startOfNext = i < this.#starts.length ? this.#starts[i] : this.rows;
    if (endOfPrevious > start || start + count > startOfNext) throw new Error(`internal: rows ${start}+${count} freed twice`);
    this.#starts.splice(i, 0, start);
    this.#counts.splice(i, 0, count);
    if (i + 1 < this.#starts.length && start + count === startOfNext) this.#mergeWithNext(i);
    if (i > 0 && endOfPrevious === start) this.#mergeWithNext(i - 1);
  }

  #mergeWithNext(i: number): void {
    this.#counts[i] += this.#counts[i + 1];
    this.#starts.splice(i + 1, 1);
    this.#counts.splice(i + 1, 1);
  }
}

/** What a sampling call needs of the cache, in rows. */
export interface CacheDemand {
  /** Sequences that can run at once. */
  readonly slots: number;
  /** Different prompts that can be live at once. */
  readonly prompts: number;
  /** Rows of the longest prompt, and most rows a completion can grow to. */
  readonly promptRows: number;
  readonly completionRows: number;
  /** Most rows that one prompt and one completion of it need together. */
  readonly longestSequence: number;
}

export interface CachePlan {
  readonly rows: number;
  /** Rows a completion starts with; it grows by doubling where this is less than it can need. */
  readonly initialRows: number;
}

const SMALLEST_START = 32;

/** Fits the demand into `budgetRows`: all that could be needed when it fits, else a first share for each slot. One sequence always fits. */
export function planCache(demand: CacheDemand, budgetRows: number): CachePlan {
  const shared = demand.prompts * demand.promptRows;
  const all = shared + demand.slots * demand.completionRows;
  if (all <= budgetRows) return { rows: all, initialRows: demand.completionRows };
  const rows = Math.max(budgetRows, demand.longestSequence);
  const share = Math.floor((rows - shared) / demand.slots);
  return { rows, initialRows: Math.min(demand.completionRows, Math.max(SMALLEST_START, share)) };
}
