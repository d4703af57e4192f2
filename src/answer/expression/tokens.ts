// Splits a normalised answer, LaTeX or plain text, into tokens. Knows spelling: numbers with separators, commands and their
// synonyms, words. Knows no grammar. Linear in the text.

import { closingBrace } from "../extract.ts";
import { WORD_NUMBERS } from "./vocabulary.ts";

/** A piece of an answer. `op` values are single signs or the names given to synonyms (`<=`, `and`, …). */
export interface Token {
  readonly type: "number" | "word" | "command" | "text" | "op" | "end";
  readonly value: string;
  /** Whether a space stands before it. */
  readonly spaced: boolean;
}

const COMMAND_OPS: Record<string, string> = {
  cdot: "*", times: "*", ast: "*", bullet: "*", div: "/", le: "<=", leq: "<=", leqslant: "<=", leqq: "<=", lt: "<",
  ge: ">=", geq: ">=", geqslant: ">=", geqq: ">=", gt: ">", ne: "!=", neq: "!=", approx: "~", sim: "~", simeq: "~", cong: "~",
  doteq: "~", thickapprox: "~", equiv: "≡", pm: "±", mp: "∓", cup: "∪", bigcup: "∪", cap: "∩", bigcap: "∩", setminus: "∖",
  smallsetminus: "∖", backslash: "∖", in: "∈", notin: "∉", subset: "⊂", subseteq: "⊂", lbrace: "\\{", rbrace: "\\}",
  lvert: "|", rvert: "|", vert: "|", mid: "|", Vert: "‖", lVert: "‖", rVert: "‖", colon: ":", to: "→", rightarrow: "→",
  mapsto: "→", longrightarrow: "→", land: "and", wedge: "and", lor: "or", vee: "or", langle: "⟨", rangle: "⟩", lfloor: "⌊",
  rfloor: "⌋", lceil: "⌈", rceil: "⌉", implies: "⇒", Rightarrow: "⇒", iff: "⇒", Leftrightarrow: "⇒", Longrightarrow: "⇒",
  lparen: "(", rparen: ")", lbrack: "[", rbrack: "]", degree: "°", circ: "°", prime: "'", dots: "...", ldots: "...",
  cdots: "...", dotsc: "...", percent: "%", therefore: "⇒", because: "⇒", over: "/", colonequals: "=", coloneqq: "=",
}; // biome-ignore format: a table

const TEXT_COMMANDS = new Set(
  "text mbox textnormal textbf textrm textit texttt textsf mathrm mathsf hbox mathtt operatorname emph".split(" "),
);
const IGNORED = new Set("mathbf boldsymbol bm mathit mathcal mathfrak vec bar hat tilde overrightarrow overleftarrow widehat underline overbrace underbrace displaylines mathop color boxed fbox ensuremath mathstrut quad qquad strut hline textcolor".split(" ")); // biome-ignore format: a table
const TWO_SIGNS = new Set(["<=", ">=", "!=", "==", "->", "=>", "**", "||", ":=", "=<"]);
const TWO_MEANING: Record<string, string> = { "==": "=", "->": "→", "=>": "⇒", "**": "^", "||": "‖", ":=": "=", "=<": "<=" };
const SINGLE = new Set("+-*/^_!%=<>()[]{}|,;:&'".split(""));
const GROUPED = /\d{1,3}(?:(?:[,‚]\d{3})+|(?: \d{3})+)(?![\d‚]|,\d{3}(?!\d))(?:\.\d+)?/y;
const MARKED = /\d+‚\d+/y;
const PLAIN = /(?:\d+(?:\.\d+|\.(?![\d.]))?|\.\d+)(?:[eE][+-]?\d+(?![\d.a-zA-Z]))?/y;
const WORD = /[a-zA-Z]+/y;
const ORDINAL = /(?:st|nd|rd|th)(?![a-zA-Z])/y;

/** The tokens, ending in one `end`. Undefined when a character has no meaning here. */
export function tokenize(text: string): Token[] | undefined {
  return new Tokenizer(text).read();
}

class Tokenizer {
  readonly #text: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #spaced = false;
  /** Open `(`, `[`, `\{`: within them a comma separates. */
  #brackets = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): Token[] | undefined {
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at];
      if (char === " ") {
        this.#spaced = true;
        this.#at++;
      } else if (!this.#readOne(char)) return undefined;
    }
    this.#push("end", "");
    return this.#tokens;
  }

  #readOne(char: string): boolean {
    if ((char >= "0" && char <= "9") || (char === "." && /\d/.test(this.#text[this.#at + 1] ?? ""))) return this.#readNumber();
    if (/[a-zA-Z]/.test(char)) return this.#readWord();
    if (char === "\\") return this.#readCommand();
    if (this.#text.startsWith("...", this.#at)) return this.#op("...", 3);
    const two = this.#text.slice(this.#at, this.#at + 2);
    if (TWO_SIGNS.has(two)) return this.#op(TWO_MEANING[two] ?? two, 2);
    if (!SINGLE.has(char)) return false;
    return this.#op(char, 1);
  }

  #op(value: string, length: number): boolean {
    if (value === "(" || value === "[" || value === "\\{") this.#brackets++;
    if (value === ")" || value === "]" || value === "\\}") this.#brackets--;
    this.#push("op", value);
    this.#at += length;
    return true;
  }

  #push(type: Token["type"], value: string): void {
    this.#tokens.push({ type, value, spaced: this.#spaced });
    this.#spaced = false;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#text)?.[0];
  }

  #readNumber(): boolean {
    // "1,234" is one number only outside brackets: "(1,234)" may be a pair. A number never starts right after another's point.
    const grouped = this.#brackets <= 0 ? this.#match(GROUPED) : undefined;
    const marked = grouped ? undefined : this.#match(MARKED);
    const literal = grouped ?? marked ?? this.#match(PLAIN);
    if (literal === undefined) return false;
    this.#at += literal.length;
    const value = grouped ? literal.replace(/[,‚ ]/g, "") : literal.replace("‚", ".");
    this.#push("number", value);
    const ordinal = /^\d+$/.test(value) ? this.#match(ORDINAL) : undefined;
    if (ordinal) this.#at += ordinal.length;
    return true;
  }

  #readWord(): boolean {
    let word = this.#match(WORD) as string;
    const afterValue = this.#tokens.at(-1)?.type === "number" || this.#tokens.at(-1)?.value === ")";
    // "x=1orx=2": a separator glued to the number before it.
    const glued = afterValue && !this.#spaced ? /^(?:and|or)(?=[a-zA-Z]$|[A-Z])/.exec(word)?.[0] : undefined;
    if (glued) word = glued;
    this.#at += word.length;
    const lower = word.toLowerCase();
    if (lower === "and" || lower === "or") this.#push("op", lower);
    else if (lower === "percent" || lower === "pct") this.#push("op", "%");
    else if (lower === "x" && afterValue && /^ ?(?:10\^|\d+(?!\d) ?$)/.test(this.#text.slice(this.#at, this.#at + 12)))
      this.#push("op", "*");
    else if (word === "in" && !afterValue && this.#tokens.at(-1)?.type === "word") this.#push("op", "∈");
    else this.#push("word", word);
    return true;
  }

  #readCommand(): boolean {
    this.#at++;
    const name = this.#match(WORD);
    if (name === undefined) {
      const char = this.#text[this.#at];
      if (char === undefined) return true;
      if (char === "\\") return this.#op("\\\\", 1);
      if (char === "{" || char === "}") return this.#op(`\\${char}`, 1);
      if (char === "|") return this.#op("‖", 1);
      if (char === "%") return this.#op("%", 1);
      if (char === "#" || char === "_" || char === "&") {
        this.#at++;
        return true;
      }
      return false;
    }
    this.#at += name.length;
    if (TEXT_COMMANDS.has(name)) return this.#readText();
    if (IGNORED.has(name)) return true;
    if (name === "not") return this.#readNot();
    const op = COMMAND_OPS[name];
    if (op !== undefined) return this.#op(op, 0);
    this.#push("command", name);
    return true;
  }

  #readNot(): boolean {
    const sign = /^ ?(=|\\in(?![a-zA-Z]))/.exec(this.#text.slice(this.#at, this.#at + 8));
    if (!sign) return false;
    this.#at += sign[0].length;
    return this.#op(sign[1] === "=" ? "!=" : "∉", 0);
  }

  /** `\text{…}`: a connective, a percent sign, a letter of mathematics, or words. */
  #readText(): boolean {
    const open = this.#text[this.#at] === " " ? this.#at + 1 : this.#at;
    if (this.#text[open] !== "{") return true;
    const close = closingBrace(this.#text, open);
    if (close === undefined) return false;
    const content = this.#text
      .slice(open + 1, close)
      .replace(/\s+/g, " ")
      .trim();
    this.#at = close + 1;
    const plain = content.replace(/^[,.; ]+|[,.; ]+$/g, "").toLowerCase();
    if (plain === "and" || plain === "or") this.#push("op", plain);
    else if (/^(?:%|\\%|percent|per cent|pct)$/.test(plain)) this.#push("op", "%");
    else if (plain === "") {
      if (content.includes(",")) this.#push("op", ",");
    } else if (
      /^(?:e|i|ln|log|lg|sin|cos|tan|gcd|lcm|max|min|mod|arctan|arcsin|arccos|exp|det|Re|Im|sec|csc|cot|inf|sup|sgn)$/.test(
        content,
      )
    )
      this.#push("command", content);
    else if (/^[\d.]+$/.test(content) && !(plain in WORD_NUMBERS)) this.#push("number", content);
    else this.#push("text", content);
    return true;
  }
}
