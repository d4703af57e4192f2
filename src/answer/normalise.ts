// Brings the many spellings of one notation to fewer before the tokenizer: Unicode symbols, LaTeX layout, delimiters, spacing.
// Rewrites notation only; what the result means is expression/parse.ts's matter.
// Every pattern here is linear, or runs on at most MAX_ANSWER_LENGTH characters.

/** Longer answers are not analysed: they are equal only to themselves. */
export const MAX_ANSWER_LENGTH = 1000;

const GREEK =
  "α alpha β beta γ gamma δ delta ε epsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu ξ xi ρ rho σ sigma τ tau φ phi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda Σ Sigma Φ Phi Ψ Psi Ω Omega π pi";
const SYMBOLS: Record<string, string> = {
  "\u2212": "-",
  "\u2013": "-",
  "\u2010": "-",
  "\u2011": "-",
  "×": "*",
  "⋅": "*",
  "·": "*",
  "∙": "*",
  "∗": "*",
  "÷": "/",
  "∕": "/",
  "⁄": "/",
  "½": " 1/2",
  "¼": " 1/4",
  "¾": " 3/4",
  "⅓": " 1/3",
  "⅔": " 2/3",
  "⅛": " 1/8",
  "√": "\\sqrt ",
  "∞": "\\infty ",
  "≤": "\\le ",
  "≥": "\\ge ",
  "⩽": "\\le ",
  "⩾": "\\ge ",
  "≠": "\\ne ",
  "≈": "\\approx ",
  "±": "\\pm ",
  "∓": "\\mp ",
  "∪": "\\cup ",
  "∩": "\\cap ",
  "∖": "\\setminus ",
  "∈": "\\in ",
  "∉": "\\notin ",
  "∅": "\\emptyset ",
  ℝ: "\\mathbb{R}",
  ℤ: "\\mathbb{Z}",
  ℚ: "\\mathbb{Q}",
  ℕ: "\\mathbb{N}",
  ℂ: "\\mathbb{C}",
  "→": "\\to ",
  "∧": "\\land ",
  "∨": "\\lor ",
  "′": "'",
  "’": "'",
  "‘": "'",
  "“": '"',
  "”": '"',
  "，": ",",
  "：": ":",
  "（": "(",
  "）": ")",
  "。": ".",
  "…": "...",
  "％": "%",
  "°": "^\\circ ",
  º: "^\\circ ",
  "€": "\\$",
  "£": "\\$",
  "¥": "\\$",
  "₹": "\\$",
  "⌊": "\\lfloor ",
  "⌋": "\\rfloor ",
  "⌈": "\\lceil ",
  "⌉": "\\rceil ",
};
for (let words = GREEK.split(" "), i = 0; i < words.length; i += 2) SYMBOLS[words[i]] = `\\${words[i + 1]} `;

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

/** Stands for LaTeX's `{,}` between digits. */
export const THOUSANDS = "‚";

const LAYOUT: readonly (readonly [RegExp, string])[] = [
  [
    /\\(?:left|right|middle|displaystyle|textstyle|scriptstyle|limits|nolimits|bigl|bigr|big|Bigl|Bigr|Big|biggl|biggr|bigg|Biggl|Biggr|Bigg)(?![a-zA-Z])\s?\.?/g,
    " ",
  ],
  [/\\(?:begin|end)\s?\{(?:align|aligned|equation|gather|gathered|split|center|multline|flushleft)\*?\}/g, " "],
  [/\\(?:label|tag|hspace|vspace)\*?\s?\{[^{}]*\}/g, " "],
  [/\\(?:large|Large|LARGE|huge|small|normalsize|bf|rm|it|boldmath|nonumber|notag|centering|phantom)(?![a-zA-Z])/g, " "],
  [/\\!/g, ""],
  [/(?<!\\)\\[,;:> ]|\\q?quad(?![a-zA-Z]{2})|~|[\u00a0\u202f\u2009\u2002\u2003]/g, " "],
  [/(?<=\d)\{,\}(?=\d)/g, THOUSANDS],
  [/\{,\}/g, ","],
  [/(?<!\\)\\[()[\]]/g, " "],
  [/\\dfrac|\\tfrac|\\cfrac|\\sfrac|\\nicefrac/g, "\\frac"],
  [/\\dbinom|\\tbinom/g, "\\binom"],
  [/\\\$|\$/g, " "],
  [/&nbsp;/g, " "],
  [/\u200b|\u200c|\u200d|\u2060|\ufeff/g, ""],
];

/** The answer with one spelling for each of: layout, spaces, Unicode symbols, fractions, currency. */
export function normalise(raw: string): string {
  let text = raw;
  if (/[^\x20-\x7e]/.test(text)) text = ascii(text);
  if (!text.includes("\\begin")) text = text.replace(/\\\\(?=[a-zA-Z%${}])/g, "\\"); // "\\frac" is JSON's spelling of "\frac"
  if (/[\\$&{~]/.test(text)) for (const [pattern, replacement] of LAYOUT) text = text.replace(pattern, replacement);
  return text
    .replace(/\s+/g, " ")
    .replace(/[,;]? ?\( ?([a-z]) ?\\in ?(\\mathbb ?\{? ?[ZN] ?\}?) ?\) ?$/, ", $1 \\in $2")
    .replace(/^[\s*`"]+|[\s*`"]+$/g, "")
    .replace(/(?<!\.)(?:[.,;:]| \\\\)+$/, (tail) => (tail.startsWith("...") ? "..." : ""))
    .replace(/^(?:[.,;:](?!\d) ?)+/, "")
    .trim();
}

function ascii(text: string): string {
  let out = "";
  let inPower = false;
  for (const char of text) {
    const power = SUPERSCRIPTS.indexOf(char);
    if (power >= 0) {
      out += `${inPower ? "" : "^{"}${power}`;
      inPower = true;
      continue;
    }
    if (inPower) out += "}";
    inPower = false;
    const index = SUBSCRIPTS.indexOf(char);
    out += index >= 0 ? `_${index}` : (SYMBOLS[char] ?? char);
  }
  return inPower ? `${out}}` : out;
}
