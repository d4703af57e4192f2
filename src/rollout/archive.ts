// The record of what a training step learnt from: one JSON line per group of rollouts, with texts, tokens and rounded logprobs, for people
// who look at a run. Nothing is computed from it. Knows no phase and no disk.

import type { Completion } from "../engine/types.ts";
import { rngFrom } from "../util/rng.ts";

/** A rollout and what the step made of it. */
export interface ArchivedRollout {
  readonly completion: Completion;
  readonly reward: number;
  readonly advantage: number;
}

/** A group of rollouts of one prompt; `head` says of what. Its keys come first in the line, `samples` last: a reader may stop there. */
export interface ArchivedGroup {
  readonly head: Readonly<Record<string, unknown>>;
  readonly rollouts: readonly ArchivedRollout[];
}

/** What to keep of a step. */
export interface ArchiveChoice {
  /** Most bytes; infinite: everything. */
  readonly bytes: number;
  /** Decides which groups are kept when not all have room, with `place`. */
  readonly seed: number;
  readonly place: readonly (string | number)[];
}

/** Stands for bytes that are no whole character. */
const REPLACEMENT = "\uFFFD";
const LOGPROB_DIGITS = 1e4;

/** Writes groups as lines. It keeps the texts of tokens, so one serves all steps of a run. */
export class RolloutArchive {
  readonly #decode: (tokens: ArrayLike<number>) => string;
  readonly #texts = new Map<number, string>();

  constructor(decode: (tokens: ArrayLike<number>) => string) {
    this.#decode = decode;
  }

  /** Lines of the groups that have room, in the groups' order: in an order drawn by the seed, up to the first without room. */
  lines(groups: readonly ArchivedGroup[], { bytes, seed, place }: ArchiveChoice): string {
    const order = groups.map((_, index) => index);
    const chosen = new Map<number, string>();
    let room = bytes;
    for (const index of bytes === Number.POSITIVE_INFINITY ? order : rngFrom(seed, "archive", ...place).shuffle(order)) {
      const line = `${JSON.stringify(this.#row(groups[index]))}\n`;
      room -= Buffer.byteLength(line);
      if (room < 0) break;
      chosen.set(index, line);
    }
    return groups.flatMap((_, index) => chosen.get(index) ?? []).join("");
  }

  #row({ head, rollouts }: ArchivedGroup) {
    const reward = rollouts.reduce((sum, rollout) => sum + rollout.reward, 0) / rollouts.length;
    return { ...head, size: rollouts.length, meanReward: reward, samples: rollouts.map((rollout) => this.#sample(rollout)) };
  }

  /** `cuts`: how many UTF-16 units of `text` each token is. */
  #sample({ completion, reward, advantage }: ArchivedRollout) {
    const { text, stopReason, tokens, logprobs } = completion;
    const rounded = Array.from(logprobs, (value) => Math.round(value * LOGPROB_DIGITS) / LOGPROB_DIGITS);
    return {
      reward,
      advantage,
      stopReason,
      text,
      tokens: Array.from(tokens),
      cuts: this.#cuts(tokens, text.length),
      logprobs: rounded,
    };
  }

  /** Tokens that are parts of one character count 0 but for the last; a stop marker, which is not in the text, counts nothing. */
  #cuts(tokens: Int32Array, length: number): number[] {
    const cuts: number[] = [];
    let open = 0;
    let left = length;
    for (let at = 0; at < tokens.length; at++) {
      let text = this.#textOf(tokens[at]);
      const whole = !text.includes(REPLACEMENT);
      if (!whole && open > 0) text = this.#decode(tokens.subarray(at - open, at + 1));
      const torn = text.includes(REPLACEMENT);
      const cut = torn ? 0 : Math.min(left, text.length);
      cuts.push(cut);
      left -= cut;
      open = torn && open < LONGEST_CHARACTER ? open + 1 : 0;
    }
    return cuts;
  }

  #textOf(token: number): string {
    let text = this.#texts.get(token);
    if (text === undefined) {
      text = this.#decode([token]);
      this.#texts.set(token, text);
    }
    return text;
  }
}

/** Tokens that one character may be torn into before it is taken for no character at all. */
const LONGEST_CHARACTER = 8;
