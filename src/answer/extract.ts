// Finds the boxes of a completion: the content of \boxed{…}. Knows nothing of what an answer means.
// Source: R-Zero's prompts ask for the final answer within \boxed{}; like the released grader, the last box decides.

const BOX = "\\boxed";

/** A box: its trimmed content, and where it stands. */
export interface Box {
  readonly content: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Content of the last `\boxed{…}` with balanced braces, trimmed. Undefined when there is no box, when the last one
 * never closes (a truncated completion), or when it is blank. Linear in the text.
 */
export function extractBoxed(text: string): string | undefined {
  for (let from = text.length; from >= 0; ) {
    const at = text.lastIndexOf(BOX, from);
    if (at < 0) return undefined;
    const open = skipSpaces(text, at + BOX.length);
    if (text[open] === "{") {
      const close = closingBrace(text, open);
      return close === undefined ? undefined : text.slice(open + 1, close).trim() || undefined;
    }
    from = at - 1;
  }
  return undefined;
}

/** All boxes that stand in no other box, in order. The last may lack its closing brace: then it runs to the end of the text. */
export function boxesOf(text: string): Box[] {
  const boxes: Box[] = [];
  for (let from = 0; ; ) {
    const start = text.indexOf(BOX, from);
    if (start < 0) return boxes;
    const open = skipSpaces(text, start + BOX.length);
    if (text[open] !== "{") {
      from = start + BOX.length;
      continue;
    }
    const close = closingBrace(text, open) ?? text.length;
    const content = text.slice(open + 1, close).trim();
    if (content !== "") boxes.push({ content, start, end: close + 1 });
    from = close + 1;
  }
}

function skipSpaces(text: string, from: number): number {
  let at = from;
  while (text[at] === " ") at++;
  return at;
}

/** The partner of the brace at `open`; an escaped brace (`\{`) opens nothing. */
export function closingBrace(text: string, open: number): number | undefined {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === "{") depth++;
    else if (char === "}" && --depth === 0) return at;
  }
  return undefined;
}
