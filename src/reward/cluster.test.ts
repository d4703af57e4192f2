import { expect, it } from "vitest";
import { clusterByAverageLinkage } from "./cluster.ts";

/** The naive reference: merge the nearest pair of clusters, recomputing every average, while below the threshold. */
function naiveLabels(distance: (i: number, j: number) => number, size: number, threshold: number): number[] {
  const clusters = Array.from({ length: size }, (_, i) => [i]);
  for (;;) {
    let best = { value: threshold, a: -1, b: -1 };
    for (let a = 0; a < clusters.length; a++)
      for (let b = a + 1; b < clusters.length; b++) {
        let sum = 0;
        for (const i of clusters[a]) for (const j of clusters[b]) sum += distance(i, j);
        const value = sum / (clusters[a].length * clusters[b].length);
        if (value < best.value) best = { value, a, b };
      }
    if (best.a < 0) break;
    clusters[best.a].push(...clusters[best.b]);
    clusters.splice(best.b, 1);
  }
  const owner = Array.from({ length: size }, (_, i) => clusters.findIndex((cluster) => cluster.includes(i)));
  const seen = [...new Set(owner)];
  return owner.map((cluster) => seen.indexOf(cluster));
}

function matrix(points: readonly number[]) {
  return { size: points.length, values: Float64Array.from(points.flatMap((p) => points.map((q) => Math.abs(p - q)))) };
}

it("equals the naive reference on points of a line", () => {
  for (let trial = 0; trial < 20; trial++) {
    const points = Array.from({ length: 25 }, (_, i) => Math.abs(Math.sin(i * 12.9898 + trial * 78.233) * 43758.5453) % 10);
    const expected = naiveLabels((i, j) => Math.abs(points[i] - points[j]), points.length, 0.8);
    expect([...clusterByAverageLinkage(matrix(points), 0.8).labels]).toEqual(expected);
  }
});

it("merges below the threshold only", () => {
  expect([...clusterByAverageLinkage(matrix([0, 0.5]), 0.5).labels]).toEqual([0, 1]);
  expect([...clusterByAverageLinkage(matrix([0, 0.49]), 0.5).labels]).toEqual([0, 0]);
});

it("averages: a chain of near points is not one cluster", () => {
  const { labels, sizes } = clusterByAverageLinkage(matrix([0, 0.4, 0.8]), 0.5);
  expect([...labels]).toEqual([0, 0, 1]); // the union of the first two is 0.6 from the third
  expect([...sizes]).toEqual([2, 1]);
});

it("numbers by first appearance and leaves its input alone", () => {
  const distances = matrix([5, 0, 5.1, 0.1, 9]);
  const before = distances.values.slice();
  expect([...clusterByAverageLinkage(distances, 0.5).labels]).toEqual([0, 1, 0, 1, 2]);
  expect(distances.values).toEqual(before);
});

it("takes none and one", () => {
  expect(clusterByAverageLinkage(matrix([]), 0.5).sizes.length).toBe(0);
  expect([...clusterByAverageLinkage(matrix([3]), 0.5).sizes]).toEqual([1]);
});
