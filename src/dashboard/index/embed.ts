// Questions as points: wordings as sparse counts of hashed words and word pairs, numbers counting as one word by their length, on the
// main axes of a sample, and clusters of near ones. All of it depends on the texts and their order alone. Knows texts, no run.
// Source: feature hashing (Weinberger et al. 2009); principal axes by subspace iteration; k-means++ with a farthest-first start.

const DIMENSIONS = 256;
const AXES = 8;
const ROUNDS = 12;

/** A wording: numbers at some of `DIMENSIONS` places, of length 1 together; the rest are 0. */
export interface Wording {
  readonly at: readonly number[];
  readonly values: readonly number[];
}

/** The wording of a text. */
export function embed(text: string): Wording {
  const counts = new Map<number, number>();
  const count = (place: number) => counts.set(place, (counts.get(place) ?? 0) + 1);
  let before = 0;
  for (const word of text.toLowerCase().match(/[a-z]+|\d+|[^\sa-z\d]/g) ?? []) {
    const hash = hashOf(word.charCodeAt(0) <= 0x39 && word >= "0" ? "0".repeat(Math.min(word.length, 4)) : word);
    count(hash % DIMENSIONS);
    count((Math.imul(hash, 31) + before) >>> 24);
    before = hash;
  }
  let total = 0;
  for (const times of counts.values()) total += times;
  // Square roots of shares: of length 1.
  return { at: [...counts.keys()], values: Array.from(counts.values(), (times) => Math.sqrt(times / total)) };
}

function hashOf(word: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < word.length; at++) hash = Math.imul(hash ^ word.charCodeAt(at), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function normalise(vector: Float32Array): Float32Array {
  const norm = Math.sqrt(dot(vector, vector));
  return norm === 0 ? vector : vector.map((value) => value / norm);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function along({ at, values }: Wording, axis: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < at.length; i++) sum += values[i] * axis[at[i]];
  return sum;
}

/** Main axes of a sample and clusters on them. */
export class Atlas {
  readonly #axes: readonly Float32Array[];
  /** Where the sample's mean is on each axis. */
  readonly #origin: readonly number[];
  readonly #centres: readonly Float32Array[];

  /** `most`: clusters at most. */
  constructor(sample: readonly Wording[], most: number) {
    const mean = new Float32Array(DIMENSIONS);
    for (const { at, values } of sample) for (let i = 0; i < at.length; i++) mean[at[i]] += values[i] / sample.length;
    this.#axes = mainAxes(sample, mean);
    this.#origin = this.#axes.map((axis) => dot(mean, axis));
    this.#centres = clusterCentres(
      sample.map((wording) => this.project(wording)),
      most,
    );
  }

  /** Coordinates of a wording on the axes, that of the largest variance first. */
  project(wording: Wording): Float32Array {
    return Float32Array.from(this.#axes, (axis, i) => along(wording, axis) - this.#origin[i]);
  }

  /** The nearest cluster, and how far its middle is. */
  clusterOf(point: Float32Array): { readonly cluster: number; readonly distance: number } {
    return nearest(point, this.#centres);
  }

  /** Middles of the clusters, on the axes. */
  get centres(): readonly Float32Array[] {
    return this.#centres;
  }
}

/** Axes of largest variance by subspace iteration from fixed starts. */
function mainAxes(sample: readonly Wording[], mean: Float32Array): Float32Array[] {
  let axes: Float32Array[] = Array.from({ length: AXES }, (_, axis) =>
    Float32Array.from({ length: DIMENSIONS }, (_, i) => (hashOf(`${axis} ${i}`) / 2 ** 32) * 2 - 1),
  );
  for (let round = 0; round < ROUNDS; round++) axes = orthonormal(axes.map((axis) => stretched(axis, sample, mean)));
  return axes;
}

/** The axis times the sample's covariance. */
function stretched(axis: Float32Array, sample: readonly Wording[], mean: Float32Array): Float32Array {
  const next = new Float32Array(DIMENSIONS);
  const origin = dot(mean, axis);
  let sum = 0;
  for (const wording of sample) {
    const weight = along(wording, axis) - origin;
    sum += weight;
    for (let i = 0; i < wording.at.length; i++) next[wording.at[i]] += weight * wording.values[i];
  }
  return next.map((value, i) => value - sum * mean[i]);
}

function orthonormal(vectors: readonly Float32Array[]): Float32Array[] {
  const done: Float32Array[] = [];
  for (const vector of vectors) {
    const rest = vector.slice();
    for (const axis of done) {
      const shadow = dot(rest, axis);
      for (let i = 0; i < rest.length; i++) rest[i] -= shadow * axis[i];
    }
    done.push(normalise(rest));
  }
  return done;
}

/** Farthest-first starts, then k-means; fewer when the points are fewer kinds. */
function clusterCentres(points: readonly Float32Array[], most: number): Float32Array[] {
  if (points.length === 0) return [];
  let centres = [points[0]];
  const gaps = points.map((point) => squaredGap(point, points[0]));
  while (centres.length < most) {
    const farthest = gaps.reduce((best, gap, index) => (gap > gaps[best] ? index : best), 0);
    if (gaps[farthest] < NEAR) break;
    centres.push(points[farthest]);
    for (const [index, point] of points.entries()) gaps[index] = Math.min(gaps[index], squaredGap(point, points[farthest]));
  }
  for (let round = 0; round < ROUNDS; round++) centres = movedCentres(points, centres);
  return centres;
}

/** Squared distance below which wordings are one kind. */
const NEAR = 0.01;

function movedCentres(points: readonly Float32Array[], centres: readonly Float32Array[]): Float32Array[] {
  const sums = centres.map((centre) => new Float64Array(centre.length));
  const counts = centres.map(() => 0);
  for (const point of points) {
    const { cluster } = nearest(point, centres);
    counts[cluster]++;
    for (let i = 0; i < point.length; i++) sums[cluster][i] += point[i];
  }
  return centres.map((centre, c) => (counts[c] === 0 ? centre : Float32Array.from(sums[c], (sum) => sum / counts[c])));
}

function nearest(point: Float32Array, centres: readonly Float32Array[]): { cluster: number; distance: number } {
  let cluster = 0;
  let smallest = Number.POSITIVE_INFINITY;
  for (let c = 0; c < centres.length; c++) {
    const gap = squaredGap(point, centres[c]);
    if (gap < smallest) [cluster, smallest] = [c, gap];
  }
  return { cluster, distance: Math.sqrt(smallest) };
}

function squaredGap(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}
