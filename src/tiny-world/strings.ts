// General families over letters: following arrows and sorting. Level is the number of arrows followed, or of letters
// less two. Knows only its own grammars.

import { carryOut, type Family, type Problem, type Walk } from "./family.ts";
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

const RING = 6;
const ARROW = `[${LETTERS}]>[${LETTERS}]`;
const ARROWS = `${ARROW}(?:,${ARROW}){1,9}`;

/** In `f>b,a>c,c>f` 2 hops from a read `1a>c`, `0c>f`: hops left and the arrow taken. Undefined when an arrow is missing or doubled. */
function arrowProblem(list: string, hops: number, start: string): Problem | undefined {
  const arrows = new Map(list.split(",").map((arrow) => [arrow[0], arrow[2]]));
  if (arrows.size !== list.split(",").length || hops < 1) return undefined;
  let at: string | undefined = start;
  for (let hop = 0; hop < hops && at !== undefined; hop++) at = arrows.get(at);
  if (at === undefined) return undefined;
  const answer = at;
  const letters = [...new Set(list.replace(/[,>]/g, ""))];
  const other = (letter: string, rng: Rng) => rng.pick(letters.filter((one) => one !== letter));
  const walk: Walk<{ from: string; at: string }, number> = {
    start: { from: start, at: start },
    operations: Array.from({ length: hops }, (_, index) => index),
    next: ({ at }) => ({ from: at, at: arrows.get(at) ?? at }),
    wrong: ({ from, at }, _hop, rng) => ({ from, at: other(at, rng) }),
    show: ({ from, at }, index) => `${hops - 1 - index}${from}>${at}`,
    finish: ({ at }) => at,
  };
  return { level: hops, answer, steps: hops, work: (slip) => carryOut(walk, slip), nearMiss: (rng) => other(answer, rng) };
}

export const arrows: Family = {
  name: "arrows",
  kind: "general",
  pose(level, rng) {
    const ring = word(RING, rng);
    const order = [...word(RING, rng)].map((letter) => LETTERS.indexOf(letter));
    const pairs = [...ring].map((letter, index) => ({ arrow: `${letter}>${ring[(index + 1) % RING]}`, key: order[index] }));
    const list = pairs
      .sort((one, other) => one.key - other.key)
      .map(({ arrow }) => arrow)
      .join(",");
    return {
      question: rng.pick([`Arrows ${list}: ${level} from ${ring[0]}?`, `In ${list} go ${level} from ${ring[0]}.`]),
      answer: ring[level],
    };
  },
  parse(question) {
    const found =
      new RegExp(`^Arrows (${ARROWS}): (\\d{1,2}) from ([${LETTERS}])[?.]$`).exec(question) ??
      new RegExp(`^In (${ARROWS}) go (\\d{1,2}) from ([${LETTERS}])[?.]$`).exec(question);
    return found ? arrowProblem(found[1], Number(found[2]), found[3]) : undefined;
  },
};

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
