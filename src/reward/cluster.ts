// Average-linkage agglomerative clustering by nearest-neighbour chains, O(n²) time. Knows distances, not what they compare.
// Source: scipy's nn_chain (its order of visits and of ties, so that ties fall alike); scikit-learn's cut: a merge is
// made only when its distance is below the threshold.

import type { DistanceMatrix } from "./bleu.ts";

/** A partition of n items. */
export interface Partition {
  /** Cluster of each item, numbered by first appearance. */
  readonly labels: Int32Array;
  /** Items per cluster. */
  readonly sizes: Int32Array;
}

/** Clusters under average linkage, cut at `threshold`. The matrix is not changed. Memory: one copy of it. */
export function clusterByAverageLinkage(distances: DistanceMatrix, threshold: number): Partition {
  const parent = Int32Array.from({ length: distances.size }, (_, item) => item);
  mergeAll(distances, (kept, dropped, distance) => {
    // Average linkage is monotonic, so the merges below the threshold make up the cut tree whatever order they come in.
    if (distance < threshold) parent[rootOf(parent, dropped)] = rootOf(parent, kept);
  });
  return numberByAppearance(parent);
}

/** Every merge of the full tree: each slot stands for a cluster, the kept slot for the union. */
function mergeAll({ size, values }: DistanceMatrix, onMerge: (kept: number, dropped: number, distance: number) => void): void {
  const matrix = values.slice();
  const members = new Int32Array(size).fill(1);
  const chain = new Int32Array(size);
  let chainLength = 0;
  let first = 0;
  for (let merge = 0; merge < size - 1; merge++) {
    if (chainLength === 0) {
      while (members[first] === 0) first++;
      chain[chainLength++] = first;
    }
    for (;;) {
      const tip = chain[chainLength - 1];
      const previous = chainLength > 1 ? chain[chainLength - 2] : -1;
      const nearest = nearestTo(tip, previous, { matrix, members, size });
      if (nearest === previous) break;
      chain[chainLength++] = nearest;
    }
    chainLength -= 2;
    const dropped = Math.min(chain[chainLength], chain[chainLength + 1]);
    const kept = Math.max(chain[chainLength], chain[chainLength + 1]);
    onMerge(kept, dropped, matrix[dropped * size + kept]);
    updateAverages({ matrix, members, size }, dropped, kept);
  }
}

/** State of the merging: distances between live slots; members 0 marks a slot that was merged away. */
interface Slots {
  readonly matrix: Float64Array;
  readonly members: Int32Array;
  readonly size: number;
}

/** The live slot nearest to `tip`; the previous one of the chain wins ties, so that the chain cannot cycle. */
function nearestTo(tip: number, previous: number, { matrix, members, size }: Slots): number {
  const row = tip * size;
  let nearest = previous;
  let smallest = previous >= 0 ? matrix[row + previous] : Number.POSITIVE_INFINITY;
  for (let slot = 0; slot < size; slot++) {
    if (matrix[row + slot] < smallest && members[slot] > 0 && slot !== tip) {
      smallest = matrix[row + slot];
      nearest = slot;
    }
  }
  return nearest;
}

/** Distance to the union: the mean of the two distances weighted by their sizes. */
function updateAverages({ matrix, members, size }: Slots, dropped: number, kept: number): void {
  const [a, b] = [members[dropped], members[kept]];
  members[dropped] = 0;
  members[kept] = a + b;
  for (let slot = 0; slot < size; slot++) {
    if (members[slot] === 0 || slot === kept) continue;
    const average = (a * matrix[dropped * size + slot] + b * matrix[kept * size + slot]) / (a + b);
    matrix[kept * size + slot] = average;
    matrix[slot * size + kept] = average;
  }
}

function rootOf(parent: Int32Array, item: number): number {
  let root = item;
  while (parent[root] !== root) {
    parent[root] = parent[parent[root]];
    root = parent[root];
  }
  return root;
}

function numberByAppearance(parent: Int32Array): Partition {
  const numbers = new Map<number, number>();
  const labels = new Int32Array(parent.length);
  const sizes: number[] = [];
  for (let item = 0; item < parent.length; item++) {
    const root = rootOf(parent, item);
    let label = numbers.get(root);
    if (label === undefined) {
      label = numbers.size;
      numbers.set(root, label);
      sizes.push(0);
    }
    labels[item] = label;
    sizes[label]++;
  }
  return { labels, sizes: Int32Array.from(sizes) };
}
