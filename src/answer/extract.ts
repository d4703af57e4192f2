// Finds the final answer in a completion: the content of the last \boxed{…}. Knows nothing of what an answer means.
// Source: R-Zero's prompts ask for the final answer within \boxed{}; like the released grader, the last box decides.

const BOX = "\\boxed";

/**
 * Content of the last `\boxed{…}` with balanced braces, trimmed. Undefined when there is no box, when the last one
 * never closes (a truncated completion), or when it is blank. Linear in the text.
 */
export function extractBoxed(text: string): string | undefined {
  for (let from = text.length; from >= 0; ) {
    const at = text.lastIndexOf(BOX, from);
    if (at < 0) return undefined;
    const open = skipSpaces(text, at + BOX.length);
    if (text[open] === "{") return contentOf(text, open);
    from = at - 1;
  }
  return undefined;
}

function skipSpaces(text: string, from: number): number {
  let at = from;
  while (text[at] === " ") at++;
  return at;
}

/** Text between the brace at `open` and its partner; an escaped brace (`\{`) opens nothing. */
function contentOf(text: string, open: number): string | undefined {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === "{") depth++;
    else if (char === "}" && --depth === 0) return text.slice(open + 1, at).trim() || undefined;
  }
  return undefined;
}
