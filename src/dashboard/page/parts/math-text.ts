// Splits a model's text into prose and mathematics: $…$, $$…$$, \(…\), \[…\], and \boxed{…} outside of any. What does not close, or reads
// like money, stays prose. Pure text; typesetting is math.tsx.

/** A stretch of text; `display`: mathematics on a line of its own. */
export interface Piece {
  readonly kind: "prose" | "math";
  readonly text: string;
  readonly display?: boolean;
}

const OPEN = /\\\(|\\\[|\\boxed\s*\{|\$\$|\$/g;

/** The pieces in order; joined prose and the insides of the mathematics. */
export function splitMath(text: string): Piece[] {
  const pieces: Piece[] = [];
  let begin = 0;
  OPEN.lastIndex = 0;
  for (let match = OPEN.exec(text); match !== null; match = OPEN.exec(text)) {
    const found = mathAt(text, match.index, match[0]);
    if (found === undefined) continue;
    if (match.index > begin) pieces.push({ kind: "prose", text: text.slice(begin, match.index) });
    pieces.push({ kind: "math", text: found.inside, display: found.display });
    begin = found.end;
    OPEN.lastIndex = begin;
  }
  if (begin < text.length) pieces.push({ kind: "prose", text: text.slice(begin) });
  return pieces;
}

interface Found {
  readonly inside: string;
  readonly end: number;
  readonly display: boolean;
}

function mathAt(text: string, at: number, open: string): Found | undefined {
  if (text[at - 1] === "\\") return undefined;
  const from = at + open.length;
  if (open.startsWith("\\boxed")) {
    const end = closingBrace(text, from);
    return end === undefined ? undefined : { inside: text.slice(at, end), end, display: false };
  }
  const close = { "\\(": "\\)", "\\[": "\\]", $$: "$$", $: "$" }[open] as string;
  for (let end = text.indexOf(close, from); end >= 0; end = text.indexOf(close, end + 1)) {
    if (text[end - 1] === "\\" && close.startsWith("$")) continue;
    const inside = text.slice(from, end);
    if (inside.trim() === "" || (open === "$" && !readsAsMath(inside, text[end + 1]))) return undefined;
    return { inside: inside.trim(), end: end + close.length, display: open === "$$" || open === "\\[" };
  }
  return undefined;
}

/** A dollar sign opens mathematics when no space follows it, and closes it when no space precedes and no digit follows: "$5 and $10". */
function readsAsMath(inside: string, after: string | undefined): boolean {
  return !/^\s|\s$|\n\s*\n/.test(inside) && !/\d/.test(after ?? "");
}

function closingBrace(text: string, from: number): number | undefined {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "{") depth++;
    else if (text[at] === "}" && --depth === 0) return at + 1;
  }
  return undefined;
}
