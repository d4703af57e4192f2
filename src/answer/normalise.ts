// Brings the many ways to write one answer to fewer: LaTeX layout, spacing, fraction commands, signs, text commands.
// Rewrites notation only; what the result means is parse.ts's matter. First of three steps: normalise → parse → compare.
// Every pattern here is linear or runs on at most MAX_ANSWER_LENGTH characters.

/** Longer answers are not analysed: they are equal only to themselves. */
export const MAX_ANSWER_LENGTH = 1000;

const REPLACEMENTS: readonly (readonly [RegExp, string])[] = [
  [/\u2212/g, "-"],
  [/[\u00d7\u22c5\u00b7]|\\times|\\cdot/g, "*"],
  [/\u00f7|\\div/g, "/"],
  [/\u03c0/g, "\\pi"],
  [/\u00bd/g, " 1/2"],
  [/\u00bc/g, " 1/4"],
  [/\u00be/g, " 3/4"],
  [/\\(?:left|right|displaystyle|bigl|bigr|big|Bigl|Bigr)(?![a-zA-Z])\.?/g, ""],
  [/\\!/g, ""],
  [/(?<!\\)\\[,;: ]|\\q?quad(?![a-zA-Z])|~|\u00a0|\u202f|\u2009/g, " "],
  [/\\[dtc]frac/g, "\\frac"],
  [/\{,\}/g, ","],
  [/(?<!\\)\\[()[\]]/g, " "],
  [/\\?\$|[\u20ac\u00a3]/g, ""],
  [/\\%/g, "%"],
  [/\^\s*\{?\s*\\circ\s*\}?|\\degree|\u00b0|(?<=[\d}])\s*\\circ/g, ""],
  [/\\frac\s*(\d)\s*(\d)/g, "\\frac{$1}{$2}"],
  [/\\frac\s*(\d)\s*\{/g, "\\frac{$1}{"],
  [/\\sqrt\s*(\d)(?!\d)/g, "\\sqrt{$1}"],
  [/\\(?:mbox|textnormal|textbf|textrm|textit|texttt|operatorname)(?=\s*\{)/g, "\\text"],
];

/** The answer with one spelling for each of: layout, spaces, minus, products, `\frac`, text commands, currency, degrees. */
export function normalise(raw: string): string {
  let text = raw;
  for (const [pattern, replacement] of REPLACEMENTS) text = text.replace(pattern, replacement);
  text = text
    .replace(/\s+/g, " ")
    .replace(/^[\s*`]+|[\s*`.,;:]+$/g, "")
    .trim();
  return joinThousands(dropVariable(text));
}

/** `x = 5` and `x \\approx 5` state the answer 5; a chain or a list of equations is left as it is. */
function dropVariable(text: string): string {
  const match = /^[a-zA-Z](?:_\w|_\{\w+\})? ?(?:=|\\approx(?![a-zA-Z])) ?(?=[^ ])/.exec(text);
  return match && !text.includes("=", match[0].length) ? text.slice(match[0].length) : text;
}

/** `1 000 000` at the start of an answer is one number. */
function joinThousands(text: string): string {
  const match = /^[+-]? ?\d{1,3}(?: \d{3})+(?![\d/])/.exec(text);
  return match ? match[0].replaceAll(" ", "") + text.slice(match[0].length) : text;
}

/** Replaces `\text{…}` and `\mathrm{…}` (without inner braces) by their content. */
export function unwrapText(text: string): string {
  return text.replace(/\\(?:text|mathrm)\s*\{([^{}]*)\}/g, "$1");
}
