// A general family over letters: sorting. Level is the number of letters less two. Knows only its own grammar.

import { carryOut, type Family, type Walk } from "./family.ts";
import type { Rng } from "./random.ts";

/** The letters strings are made of, in order. */
export const LETTERS = "abcdfghjkl";

/** Distinct letters in random order. */
function word(length: number, rng: Rng): string {
  let rest = LETTERS;
  let out = "";
  while (out.length < length) {
    const letter = rest[rng.int(0, rest.length - 1)];
    rest = rest.replace(letter, "");
    out += letter;
  }
  return out;
}

/** Exchanges the letters at two places, counted from 1. */
function exchange(text: string, [i, j]: readonly [number, number]): string {
  const letters = [...text];
  [letters[i - 1], letters[j - 1]] = [letters[j - 1], letters[i - 1]];
  return letters.join("");
}

/** Another order of the same letters, one or two exchanges away; the letters are distinct. */
function shuffledNear(text: string, rng: Rng): string {
  const places = () => {
    const i = rng.int(1, text.length);
    return [i, ((i - 1 + rng.int(1, text.length - 1)) % text.length) + 1] as const;
  };
  const once = exchange(text, places());
  const twice = rng.chance(0.3) ? exchange(once, places()) : once;
  return twice === text ? once : twice;
}

/** Puts a letter into its place in a sorted string. */
function insert(sorted: string, letter: string): string {
  const after = [...sorted].findIndex((other) => other > letter);
  return after < 0 ? sorted + letter : sorted.slice(0, after) + letter + sorted.slice(after);
}

export const sorting: Family = {
  name: "sorting",
  kind: "general",
  pose(level, rng) {
    const text = word(level + 2, rng);
    return { question: rng.pick([`Sort ${text}.`, `Put ${text} in order.`]), answer: [...text].sort().join("") };
  },
  parse(question) {
    const found = /^Sort ([a-l]{2,10})[?.]$/.exec(question) ?? /^Put ([a-l]{2,10}) in order[?.]$/.exec(question);
    if (!found) return undefined;
    const walk: Walk<string, string> = {
      start: found[1][0],
      operations: [...found[1].slice(1)],
      next: insert,
      wrong: (state, _letter, rng) => shuffledNear(state, rng),
      show: (after) => after,
      finish: (state) => state,
    };
    const answer = carryOut(walk).answer;
    const steps = walk.operations.length;
    const level = Math.max(1, found[1].length - 2);
    return { level, answer, steps, work: (slip) => carryOut(walk, slip), nearMiss: (rng) => shuffledNear(answer, rng) };
  },
};
