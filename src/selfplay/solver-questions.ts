// Which questions a step of the Solver phase trains on: the curriculum read in a shuffled order, pass after pass, each pass shuffled anew, and
// where asked a share of earlier iterations' questions. A position in that order is all the memory a phase needs. Knows no rewards.

import type { Config } from "../config/schema.ts";
import type { SolverMetrics } from "../store/events.ts";
import { rngFrom } from "../util/rng.ts";
import type { CurriculumQuestion } from "./earlier.ts";

/**
 * Questions `from` … `from + count − 1` of the order. A pure function of its arguments, so a step needs no memory of the steps before
 * it. `order` names the order: another one is shuffled otherwise.
 */
export function questionsAt<T>(
  seed: number,
  iteration: number,
  { from, count, order: name = "solver-order" }: { readonly from: number; readonly count: number; readonly order?: string },
  curriculum: readonly T[],
): T[] {
  const chosen: T[] = [];
  let pass = -1;
  let order: T[] = [];
  for (let at = from; at < from + count; at++) {
    const needed = Math.floor(at / curriculum.length);
    if (needed !== pass) {
      pass = needed;
      order = rngFrom(seed, name, iteration, pass).shuffle([...curriculum]);
    }
    chosen.push(order[at % curriculum.length]);
  }
  return chosen;
}

/** A question of a step. */
export interface StepQuestion extends CurriculumQuestion {
  /** From an earlier iteration's curriculum: `line` is not one of this iteration's file. */
  readonly replayed?: boolean;
}

/** The questions of one Solver phase, drawn in order. */
export class StepQuestions {
  readonly #config: Config;
  readonly #iteration: number;
  readonly #curriculum: readonly CurriculumQuestion[];
  readonly #earlier: readonly CurriculumQuestion[];
  /** Questions of a step from this curriculum, and from earlier ones. */
  readonly #own: number;
  readonly #replayed: number;

  constructor(
    config: Config,
    iteration: number,
    curriculum: readonly CurriculumQuestion[],
    earlier: readonly CurriculumQuestion[],
  ) {
    const { questionsPerStep, replay } = config.solver;
    this.#config = config;
    this.#iteration = iteration;
    this.#curriculum = curriculum;
    this.#earlier = earlier;
    this.#replayed = earlier.length === 0 ? 0 : Math.round(replay * questionsPerStep);
    this.#own = questionsPerStep - this.#replayed;
  }

  /** Position in the order after the steps done. */
  position(history: readonly Pick<SolverMetrics, "drawn">[]): number {
    return history.reduce((sum, { drawn }) => sum + (drawn ?? this.#own), 0);
  }

  /** Questions that may still be drawn from a position on (solver.maxUses). */
  left(position: number): number {
    const { maxUses } = this.#config.solver;
    return maxUses === 0 ? Number.POSITIVE_INFINITY : maxUses * this.#curriculum.length - position;
  }

  /** Whether a whole step can be made from here. */
  enough(position: number): boolean {
    return this.left(position) >= this.#own;
  }

  /** The questions of a step that begins at `position`, and where the next draw begins. */
  take(step: number, position: number): { readonly questions: StepQuestion[]; readonly next: number } {
    const { seed } = this.#config;
    const own = this.more(position, this.#own);
    const next = position + own.length;
    if (this.#replayed === 0) return { questions: own, next };
    const from = (step - 1) * this.#replayed;
    const replayed = questionsAt(
      seed,
      this.#iteration,
      { from, count: this.#replayed, order: "solver-replay" },
      this.#earlier,
    ).map((question) => ({ ...question, replayed: true }));
    return { questions: rngFrom(seed, "solver-mix", this.#iteration, step).shuffle([...own, ...replayed]), next };
  }

  /** Up to `count` further questions of this curriculum from a position on. */
  more(position: number, count: number): StepQuestion[] {
    const from = { from: position, count: Math.max(0, Math.min(count, this.left(position))) };
    return questionsAt<StepQuestion>(this.#config.seed, this.#iteration, from, this.#curriculum);
  }
}
