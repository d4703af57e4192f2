// What the scheduler needs of a model: rows in, logits out, over a key/value cache that is addressed by row.

import type { Buffer } from "./device/types.ts";

/** Keys and values of all layers; a row is one token of one sequence. The scheduler decides which row belongs to whom. */
export interface KvCache {
  readonly rows: number;
  /** Ends its use; the model may keep the memory for the next cache. */
  dispose(): void;
}

/** One ragged inference step over R rows (tokens of any mix of sequences: prefill and decode alike). All arrays have R entries. */
export interface CachedRows {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  /** Cache row that receives the token's key and value. */
  readonly writeRows: Int32Array;
  /** Keys seen, see AttentionRows of the device: a shared prefix, then the sequence's own rows up to and with itself. */
  readonly prefixStart: Int32Array;
  readonly prefixLength: Int32Array;
  readonly start: Int32Array;
  readonly length: Int32Array;
  /** Indices (0..R) of the rows whose logits are wanted. */
  readonly outputRows: Int32Array;
}

export interface InferenceModel {
  readonly vocabSize: number;
  readonly maxPositions: number;
  /** Bytes of one row of its caches. */
  readonly cacheRowBytes: number;
  newCache(rows: number): KvCache;
  /** Runs the rows, fills the cache, returns logits [outputRows, V] in a buffer that stays valid until the next call. */
  forwardCached(rows: CachedRows, cache: KvCache): Buffer;
}
