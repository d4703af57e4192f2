// All pairwise BLEU distances of a batch of questions, and similarities of a question to kept ones. Counts each question's n-grams once
// (interned to integers), then visits through an inverted index only pairs that share a word; the others are at distance 1 exactly.
// Knows nothing of clusters or rewards. Source: sentence BLEU-4 as nltk computes it (uniform weights, smoothing "method 1").

/** Longest n-gram counted. */
const MAX_ORDER = 4;
/** Smoothing "method 1": numerator of an n-gram precision without any match. */
const EPSILON = 0.1;

/** A square symmetric matrix, row by row; the diagonal is 0. */
export interface DistanceMatrix {
  readonly size: number;
  /** size × size entries, in [0, 1] up to rounding. */
  readonly values: Float64Array;
}

/** One n-gram order of the whole batch: for each n-gram the questions that hold it, ascending, with their counts. */
interface Postings {
  /** Per question: ids of its distinct n-grams and how often each occurs. */
  readonly ids: Int32Array[];
  readonly counts: Int32Array[];
  /** Per n-gram id: start of its postings in `owners` and `ownerCounts`; one entry more than there are n-grams. */
  readonly starts: Int32Array;
  readonly owners: Int32Array;
  readonly ownerCounts: Int32Array;
}

/**
 * d(i, j) = 1 − BLEU(hypothesis = text i, reference = text j) for i < j, mirrored. Tokens are separated by white space.
 * A text without tokens is at distance 1 from every other, empty ones included. Memory: 8·B² bytes.
 */
export function bleuDistances(texts: readonly string[]): DistanceMatrix {
  const size = texts.length;
  const words = texts.map(wordsOf);
  const lengths = words.map((tokens) => tokens.length);
  const { orders } = indexOrders(words);
  const values = new Float64Array(size * size);
  const overlaps = orders.map(() => new Int32Array(size));
  for (let i = 0; i < size; i++) {
    for (let order = 0; order < MAX_ORDER; order++) addOverlaps(orders[order], i, overlaps[order]);
    for (let j = i + 1; j < size; j++) {
      const distance = overlaps[0][j] === 0 ? 1 : 1 - bleuOfOverlaps(overlaps, j, lengths[i], lengths[j]);
      values[i * size + j] = distance;
      values[j * size + i] = distance;
    }
    for (const overlap of overlaps) overlap.fill(0);
  }
  return { size, values };
}

/** Clipped matches of question i with every later question, for one order. */
function addOverlaps(order: Postings, i: number, overlap: Int32Array): void {
  const { starts, owners, ownerCounts } = order;
  const ids = order.ids[i];
  const counts = order.counts[i];
  for (let n = 0; n < ids.length; n++) {
    const count = counts[n];
    // Owners are ascending: walk down from the last until question i itself.
    for (let at = starts[ids[n] + 1] - 1; owners[at] > i; at--) {
      const other = ownerCounts[at];
      overlap[owners[at]] += Math.min(other, count);
    }
  }
}

/** Similarity to a kept question: BLEU-4 with it as reference, or the Dice coefficient of the n-grams of orders 1 to 4. */
export type SimilarityKind = "bleu" | "ngram";

/** Questions that others are compared with; their n-grams are counted once. */
export class ReferenceTexts {
  readonly size: number;
  readonly #lengths: readonly number[];
  readonly #index: Index;

  constructor(texts: readonly string[]) {
    const words = texts.map(wordsOf);
    this.size = texts.length;
    this.#lengths = words.map((tokens) => tokens.length);
    this.#index = indexOrders(words);
  }

  /** Similarity of `text` to each kept text, in [0, 1] up to rounding; exactly 0 where no word is shared. */
  similarities(text: string, kind: SimilarityKind): Float64Array {
    const words = wordsOf(text);
    const overlaps = this.#overlaps(words);
    return Float64Array.from({ length: this.size }, (_, j) => {
      if (overlaps[0][j] === 0) return 0;
      if (kind === "bleu") return bleuOfOverlaps(overlaps, j, words.length, this.#lengths[j]);
      const shared = overlaps.reduce((sum, overlap) => sum + overlap[j], 0);
      return (2 * shared) / (gramsIn(words.length) + gramsIn(this.#lengths[j]));
    });
  }

  /** Clipped matches with each kept text, order by order. */
  #overlaps(words: readonly string[]): Int32Array[] {
    const { vocabulary, grams, orders } = this.#index;
    const wordIds = Int32Array.from(words, (word) => vocabulary.get(word) ?? -1);
    let ids = wordIds;
    return orders.map((order, n) => {
      const shorter = ids;
      if (n > 0)
        ids = Int32Array.from({ length: Math.max(0, words.length - n) }, (_, at) => {
          const known = shorter[at] >= 0 && wordIds[at + n] >= 0;
          return known ? (grams[n].get(shorter[at] * vocabulary.size + wordIds[at + n]) ?? -1) : -1;
        });
      const overlap = new Int32Array(this.size);
      for (const [id, count] of countIds(ids)) {
        if (id < 0) continue;
        for (let at = order.starts[id]; at < order.starts[id + 1]; at++)
          overlap[order.owners[at]] += Math.min(count, order.ownerCounts[at]);
      }
      return overlap;
    });
  }
}

/** The distinct word n-grams of order 4 of some texts (of a shorter text: its words as one), and how many there are in all. */
export function countDistinctGrams(texts: readonly string[]): { readonly distinct: number; readonly total: number } {
  const seen = new Set<string>();
  let total = 0;
  for (const text of texts) {
    const words = wordsOf(text);
    const starts = Math.max(1, words.length - MAX_ORDER + 1);
    total += starts;
    for (let at = 0; at < starts; at++) seen.add(words.slice(at, at + MAX_ORDER).join(" "));
  }
  return { distinct: seen.size, total };
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

/** n-grams of orders 1 to 4 in a text of so many words. */
function gramsIn(words: number): number {
  let grams = 0;
  for (let order = 0; order < MAX_ORDER; order++) grams += Math.max(0, words - order);
  return grams;
}

function countIds(ids: Int32Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/** BLEU from the matches of all orders; the caller has checked that a unigram matches. */
function bleuOfOverlaps(overlaps: readonly Int32Array[], j: number, hypothesisLength: number, referenceLength: number): number {
  let logPrecision = 0;
  for (let order = 0; order < MAX_ORDER; order++) {
    const total = Math.max(1, hypothesisLength - order);
    logPrecision += Math.log((overlaps[order][j] || EPSILON) / total) / MAX_ORDER;
  }
  const brevity = hypothesisLength > referenceLength ? 1 : Math.exp(1 - referenceLength / hypothesisLength);
  return brevity * Math.exp(logPrecision);
}

/** What texts are looked up by: words, then for orders 2 to 4 the n-grams (as pairs), and the postings of each order. */
interface Index {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** By order − 1; that of order 1 is empty. */
  readonly grams: readonly ReadonlyMap<number, number>[];
  readonly orders: readonly Postings[];
}

/** Postings of orders 1 to 4. An n-gram is interned as the pair (its first n − 1 words, its last word). */
function indexOrders(words: readonly (readonly string[])[]): Index {
  const vocabulary = new Map<string, number>();
  const wordIds = words.map((tokens) => Int32Array.from(tokens, (token) => intern(vocabulary, token)));
  const orders = [buildPostings(wordIds, vocabulary.size)];
  const all = [new Map<number, number>()];
  let gramIds = wordIds;
  for (let order = 1; order < MAX_ORDER; order++) {
    const grams = new Map<number, number>();
    const shorter = gramIds;
    gramIds = shorter.map((prefixes, question) => {
      const longer = new Int32Array(Math.max(0, wordIds[question].length - order));
      for (let at = 0; at < longer.length; at++)
        longer[at] = intern(grams, prefixes[at] * vocabulary.size + wordIds[question][at + order]);
      return longer;
    });
    orders.push(buildPostings(gramIds, grams.size));
    all.push(grams);
  }
  return { vocabulary, grams: all, orders };
}

function intern<Key>(ids: Map<Key, number>, key: Key): number {
  const known = ids.get(key);
  if (known !== undefined) return known;
  ids.set(key, ids.size);
  return ids.size - 1;
}

function buildPostings(grams: readonly Int32Array[], gramCount: number): Postings {
  const starts = new Int32Array(gramCount + 1);
  const ids: Int32Array[] = [];
  const counts: Int32Array[] = [];
  for (const question of grams) {
    const seen = countIds(question);
    ids.push(Int32Array.from(seen.keys()));
    counts.push(Int32Array.from(seen.values()));
    for (const id of seen.keys()) starts[id + 1]++;
  }
  for (let id = 0; id < gramCount; id++) starts[id + 1] += starts[id];
  const owners = new Int32Array(starts[gramCount]);
  const ownerCounts = new Int32Array(starts[gramCount]);
  const next = starts.slice();
  for (let question = 0; question < grams.length; question++)
    for (let n = 0; n < ids[question].length; n++) {
      const at = next[ids[question][n]]++;
      owners[at] = question;
      ownerCounts[at] = counts[question][n];
    }
  return { ids, counts, starts, owners, ownerCounts };
}
