// How much of a batch says the same as a question: the share of the batch in the question's cluster of near wordings.
// Knows one batch only, nothing of earlier iterations. Source: R-Zero section 3.1, r_rep; distance 1 − BLEU, cut at 0.5.

import { bleuDistances } from "./bleu.ts";
import { clusterByAverageLinkage } from "./cluster.ts";

/** The cut of the paper and of the released code. */
export const DEFAULT_DISTANCE_THRESHOLD = 0.5;

/** Clusters of one batch of B questions. */
export interface Repetition {
  /** Size of each question's cluster divided by B, in (0, 1]. */
  readonly shares: Float64Array;
  /** Cluster of each question, numbered by first appearance. */
  readonly labels: Int32Array;
  /** Number of clusters. */
  readonly clusters: number;
}

/** Clusters the questions of a batch; an empty text (a malformed question) is a cluster of its own and counts in B. */
export function measureRepetition(questions: readonly string[], distanceThreshold = DEFAULT_DISTANCE_THRESHOLD): Repetition {
  const { labels, sizes } = clusterByAverageLinkage(bleuDistances(questions), distanceThreshold);
  const shares = Float64Array.from(labels, (label) => sizes[label] / questions.length);
  return { shares, labels, clusters: sizes.length };
}
