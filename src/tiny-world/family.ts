// What a family of questions is: it poses questions of a level, and reads any question of its grammar back into a
// problem with its exact answer and its worked steps. Knows nothing of documents, tokens or training.

import type { Rng } from "./random.ts";

/** `mathematics` is what the Challenger poses; `general` families are only ever evaluated. */
export type Kind = "mathematics" | "general";

/** One wrong step, from which the rest of the work goes on. */
export interface Slip {
  /** Index of the step that goes wrong, in [0, steps). */
  readonly step: number;
  readonly rng: Rng;
}

/** The steps of a solution as text, and the answer they lead to. */
export interface Work {
  readonly steps: readonly string[];
  readonly answer: string;
}

/** A question that was read. `answer` is exact for any question that parses. */
export interface Problem {
  /** Number of steps (digits, operations, swaps); questions that pose() makes have the level that was asked for. */
  readonly level: number;
  readonly answer: string;
  /** Number of steps of its solution, at least 1. */
  readonly steps: number;
  /** The worked solution; with a slip, one step is wrong. Defined for questions that pose() makes. */
  work(slip?: Slip): Work;
  /** A wrong answer close to the right one; wrong answers of one problem are dispersed. */
  nearMiss(rng: Rng): string;
}

/** A question with its answer, computed from the drawn values and not by reading the question. */
export interface Posed {
  readonly question: string;
  readonly answer: string;
}

export interface Family {
  readonly name: string;
  readonly kind: Kind;
  /** Draws a question of a level, 1 to 5. */
  pose(level: number, rng: Rng): Posed;
  /** Reads a question of this family's grammar, of any size; undefined when it is none. */
  parse(question: string): Problem | undefined;
}

/** How a solution walks: from a start state, one operation per step. S: state, O: operation. */
export interface Walk<S, O> {
  readonly start: S;
  readonly operations: readonly O[];
  next(state: S, operation: O): S;
  /** A wrong state in place of the right one. */
  wrong(state: S, operation: O, rng: Rng): S;
  /** What is left after step `index`: the new state and the operations still to do, so that each step reads only the one before. */
  show(after: S, index: number): string;
  finish(state: S): string;
}

/** Carries out a walk; a slip replaces the state after its step, and the later steps build on it. */
export function carryOut<S, O>(walk: Walk<S, O>, slip?: Slip): Work {
  const steps: string[] = [];
  let state = walk.start;
  walk.operations.forEach((operation, index) => {
    let after = walk.next(state, operation);
    if (slip?.step === index) after = walk.wrong(after, operation, slip.rng);
    steps.push(walk.show(after, index));
    state = after;
  });
  return { steps, answer: walk.finish(state) };
}

/** A wrong natural number near the given one: mostly a few off, sometimes by a round number. */
export function nearNumber(answer: string, rng: Rng): string {
  const truth = BigInt(answer);
  for (;;) {
    const size = rng.chance(0.7) ? rng.int(1, 5) : 10 * rng.int(1, 3) + (rng.chance(0.5) ? 0 : rng.int(-2, 2));
    const near = rng.chance(0.5) ? truth + BigInt(size) : truth - BigInt(size);
    if (near >= 0n || truth < 0n) return near.toString();
  }
}

/** A number one or two off that is not negative; it never equals the given one. */
export function offByLittle(value: number, rng: Rng): number {
  const size = rng.int(1, 2);
  return rng.chance(0.5) && value >= size ? value - size : value + size;
}
