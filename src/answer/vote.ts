// Majority vote over m answers to one question, by mathematical equivalence: the pseudo-label and its vote share p̂.
// Knows nothing of questions or rewards. Source: R-Zero section 3.2; the released code for `none-vote`.
// The denominator of the share is always m, the number of answers asked for.

import { canonicalKey, equivalent, type GradingPolicy, surelyDiffer } from "./equivalent.ts";

/** The word a missing answer votes as under `none-vote`; the released extractor returns it. */
export const NONE_ANSWER = "None";

/** How answers without a box and truncated completions count. Neither ever leaves the denominator. */
export interface VoteOptions {
  /** `no-vote` (paper): an answer without a box has no vote. `none-vote` (released): it votes as "None". */
  readonly missing: "no-vote" | "none-vote";
  /** Which completions were cut at the length limit, one per answer; absent: none. */
  readonly truncated?: readonly boolean[];
  /** `as-is` (default): a truncated completion counts like any other. `no-vote`: it has no vote, box or not. */
  readonly truncatedVote?: "as-is" | "no-vote";
  /** How answers are compared; default `math-verify`. */
  readonly policy?: GradingPolicy;
}

/** Answers of one meaning. */
export interface AnswerClass {
  /** As the first of them was written. */
  readonly answer: string;
  /** Indices into the answers, ascending. */
  readonly members: readonly number[];
}

/** Outcome of a vote. */
export interface Vote {
  /** First answer of the largest class, ties to the class seen first; undefined when nobody voted. */
  readonly majority: string | undefined;
  /** Size of the majority class. */
  readonly count: number;
  /** Answers that had a vote. */
  readonly votes: number;
  /** Answers asked for, the denominator. */
  readonly m: number;
  /** count / m, in [0, 1]; 0 when m is 0. */
  readonly share: number;
  /** Answers without a box. */
  readonly missing: number;
  /** Truncated completions. */
  readonly truncated: number;
  /** All classes in the order first seen. */
  readonly classes: readonly AnswerClass[];
}

/** Counts the answers of one question; undefined is a completion without a box. */
export function vote(answers: readonly (string | undefined)[], options: VoteOptions): Vote {
  const members = new Map<string, number[]>();
  let votes = 0;
  let missing = 0;
  let truncated = 0;
  for (let index = 0; index < answers.length; index++) {
    const isTruncated = options.truncated?.[index] ?? false;
    if (isTruncated) truncated++;
    if (answers[index] === undefined) missing++;
    if (isTruncated && options.truncatedVote === "no-vote") continue;
    const answer = answers[index] ?? (options.missing === "none-vote" ? NONE_ANSWER : undefined);
    if (answer === undefined) continue;
    votes++;
    const key = canonicalKey(answer, options.policy);
    const sameMeaning = members.get(key);
    if (sameMeaning) sameMeaning.push(index);
    else members.set(key, [index]);
  }
  const byKey = [...members].map(([key, indices]) => ({ key, answer: answers[indices[0]] ?? NONE_ANSWER, members: indices }));
  const classes = mergeClasses(byKey, answers, options.policy);
  let majority: AnswerClass | undefined;
  for (const candidate of classes) if (candidate.members.length > (majority?.members.length ?? 0)) majority = candidate;
  const count = majority?.members.length ?? 0;
  const m = answers.length;
  return { majority: majority?.answer, count, votes, m, share: m === 0 ? 0 : count / m, missing, truncated, classes };
}

/** Comparisons one vote may make beyond equal keys. */
const MAX_COMPARISONS = 2000;

/**
 * Joins classes whose answers are equivalent although their keys differ (0.333333 and 1/3). A class joins the first earlier one
 * to whose first answer each of its own answers is equivalent, so that the classes stay a partition.
 */
function mergeClasses(
  byKey: readonly (AnswerClass & { key: string })[],
  answers: readonly (string | undefined)[],
  policy: GradingPolicy | undefined,
): AnswerClass[] {
  const classes: (AnswerClass & { key: string; members: number[] })[] = [];
  let left = MAX_COMPARISONS;
  for (const { key, answer, members } of byKey) {
    const same = classes.find((other) => {
      if (surelyDiffer(key, other.key)) return false;
      const spellings = new Set(members.map((index) => answers[index] ?? NONE_ANSWER));
      left -= spellings.size;
      return (
        left > 0 && [...spellings].every((one) => equivalent({ predicted: one, truth: other.answer }, { policy }).equivalent)
      );
    });
    if (same) same.members.push(...members);
    else classes.push({ key, answer, members: [...members] });
  }
  return classes.map(({ answer, members }) => ({ answer, members: members.sort((a, b) => a - b) }));
}
