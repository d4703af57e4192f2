// Finds the formulas of a text: $…$, $$…$$, \(…\), \[…\]. Linear in the text. Knows nothing of what a formula means.

/** A formula: its content, and where it stands with its delimiters. */
export interface Formula {
  readonly content: string;
  readonly start: number;
  readonly end: number;
  /** Whether it can be read: a formula within a line that runs over its end cannot. */
  readonly isClosed: boolean;
}

/** All formulas in order; they do not overlap. */
export function formulasOf(text: string): Formula[] {
  const out: Formula[] = [];
  const missing = new Set<string>();
  for (let at = 0; at < text.length; ) {
    const formula = formulaAt(text, at, missing);
    if (formula !== undefined) {
      out.push(formula);
      at = formula.end;
    } else at += text[at] === "\\" ? 2 : text.startsWith("$$", at) ? 2 : 1;
  }
  return out;
}

function formulaAt(text: string, at: number, missing: Set<string>): Formula | undefined {
  if (text[at] === "\\" && (text[at + 1] === "(" || text[at + 1] === "[")) return bracketed(text, at, missing);
  if (text[at] !== "$") return undefined;
  if (text[at + 1] === "$") return until(text, at, 2, "$$", missing);
  // A sign after a digit is money.
  if (/\d/.test(text[at - 1] ?? "")) return undefined;
  const line = text.indexOf("\n", at);
  let close = at + 1;
  const last = line < 0 ? text.length : line;
  while (close < last && text[close] !== "$") close += text[close] === "\\" ? 2 : 1;
  if (close >= last) return undefined;
  return close === at + 1 ? undefined : { content: text.slice(at + 1, close), start: at, end: close + 1, isClosed: true };
}

function bracketed(text: string, at: number, missing: Set<string>): Formula | undefined {
  const isInline = text[at + 1] === "(";
  const formula = until(text, at, 2, isInline ? "\\)" : "\\]", missing);
  return formula && isInline && formula.content.includes("\n") ? { ...formula, isClosed: false } : formula;
}

function until(text: string, at: number, length: number, close: string, missing: Set<string>): Formula | undefined {
  if (missing.has(close)) return undefined;
  const end = text.indexOf(close, at + length);
  if (end < 0) {
    missing.add(close);
    return undefined;
  }
  return { content: text.slice(at + length, end), start: at, end: end + close.length, isClosed: true };
}
