// All pairwise BLEU distances of a batch of questions. Counts each question's n-grams once (interned to integers), then
// visits through an inverted index only pairs that share a word; the others are at distance 1 exactly.
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
  const words = texts.map((text) => text.split(/\s+/).filter(Boolean));
  const lengths = words.map((tokens) => tokens.length);
  const orders = indexOrders(words);
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

/** Postings of orders 1 to 4. An n-gram is interned as the pair (its first n − 1 words, its last word). */
function indexOrders(words: readonly (readonly string[])[]): Postings[] {
  const vocabulary = new Map<string, number>();
  const wordIds = words.map((tokens) => Int32Array.from(tokens, (token) => intern(vocabulary, token)));
  const orders = [buildPostings(wordIds, vocabulary.size)];
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
  }
  return orders;
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
    const seen = new Map<number, number>();
    for (const id of question) seen.set(id, (seen.get(id) ?? 0) + 1);
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
