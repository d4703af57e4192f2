// Finds the final answer in free text: what a cue names as the final answer, the last boxes, the last formula, the last number, a
// letter for multiple choice. The training loop does not use this: there only the last box counts (extract.ts).
// Linear in the text. Knows nothing of what an answer means beyond telling a word from a unit.

import { CONSTANT_WORDS, FUNCTIONS, isUnit, SCALES, wordsToNumber } from "./expression/vocabulary.ts";
import { boxesOf } from "./extract.ts";
import { type Formula, formulasOf } from "./formulas.ts";

/** Where an answer may be looked for. `plain`: text without formulas. `choice`: a letter from A to J. */
export type AnswerKind = "box" | "formula" | "plain" | "choice";

/** How to look for the answer. */
export interface ExtractOptions {
  /** Default: box, formula, plain. */
  readonly kinds?: readonly AnswerKind[];
}

const DEFAULT_KINDS: readonly AnswerKind[] = ["box", "formula", "plain"];
/** An answer stands at the end; more of a long text is not read. */
const TAIL = 20_000;

/** The final answer of a text; undefined when it has none of the asked kinds. */
export function extractAnswer(text: string, options: ExtractOptions = {}): string | undefined {
  return extractAnswers(text, options)[0];
}

/** The final answer in its possible readings (`1,22` may be a pair or a number), the most likely first. */
export function extractAnswers(text: string, { kinds = DEFAULT_KINDS }: ExtractOptions = {}): string[] {
  const tail = (text.length > TAIL ? text.slice(-TAIL) : text).replace(/\\\\boxed/g, "\\boxed");
  if (kinds.includes("choice")) {
    const letter = choiceOf(tail);
    if (letter !== undefined) return [letter];
  }
  const found = afterFinalCue(tail, kinds) ?? (kinds.includes("box") ? boxed(tail) : undefined);
  if (found !== undefined) return [found];
  const formulas = formulasOf(tail);
  const closed = formulas.filter(({ isClosed }) => isClosed);
  if (kinds.includes("formula") && closed.length > 0) return [joinFormulas(tail, closed)];
  if (kinds.includes("plain") && !kinds.includes("box") && tail.includes("\\boxed"))
    return plainAnswers(withoutFormulas(tail, spansOf(tail, formulas)), false);
  if (kinds.includes("plain"))
    return plainAnswers(formulas.length > 0 ? withoutFormulas(tail, formulas) : tail, formulas.length === 0);
  if (kinds.includes("formula") && formulas.length === 0 && tail.trim().length <= 200 && !isProse(tail) && tail.trim() !== "")
    return [tail.trim()];
  return [];
}

const FINAL_CUE = /final answer(?:\*\*)?\s*(?:is\s*:?|:)/gi;

/** What stands in the sentence after the last "final answer", if no box stands after it. */
function afterFinalCue(text: string, kinds: readonly AnswerKind[]): string | undefined {
  let cue: RegExpExecArray | undefined;
  for (const match of text.matchAll(FINAL_CUE)) cue = match;
  if (cue === undefined) return undefined;
  const rest = text.slice(cue.index + cue[0].length);
  if (rest.includes("\\boxed") || rest.trim() === "") return undefined;
  const formulas = formulasOf(rest).filter(({ isClosed }) => isClosed);
  const sentence = sentenceOf(rest, formulas);
  const inside = formulas.filter(({ end }) => end <= sentence.length);
  const number = kinds.includes("plain") ? lastNumber(withoutFormulas(sentence, inside)) : undefined;
  const isStated = inside.length > 0 && /^[\s:*]*(?:[a-z ]*\bis\b\s*)?$/i.test(sentence.slice(0, inside[0].start));
  if (kinds.includes("formula") && inside.length > 0 && (isStated || number === undefined)) return joinFormulas(sentence, inside);
  return number;
}

/** Formulas and boxes in order, without those that stand in others. */
function spansOf(text: string, formulas: readonly Formula[]): { start: number; end: number }[] {
  const all = [...formulas, ...boxesOf(text)].sort((a, b) => a.start - b.start);
  let end = 0;
  return all.filter((span) => {
    const isOutside = span.start >= end;
    end = Math.max(end, span.end);
    return isOutside;
  });
}

function sentenceOf(text: string, formulas: readonly Formula[]): string {
  for (const match of text.matchAll(/\.(?=\s|$)|\n\n|<\|/g))
    if (!formulas.some(({ start, end }) => match.index >= start && match.index < end)) return text.slice(0, match.index);
  return text;
}

const GLUE =
  /^(?:[^a-zA-Z=\n.\\]|\.(?=[^ ])|\\(?:quad|qquad|[,;:! ()[\]])|\\text\s*\{[\s,;]*(?:and|or)?[\s,;]*\}|\band\b|\bor\b|\n(?!\s*\n))*$/;
const PERCENT = /^(?:\$|\\\)|\s)*(?:\\?%|percent\b|per cent\b|pct\b|\\text\{ ?percent\})/;

/** The last box, with the boxes before it that only "and" and punctuation separate. */
function boxed(text: string): string | undefined {
  const boxes = boxesOf(text);
  const last = boxes.at(-1);
  if (last === undefined) return undefined;
  let first = boxes.length - 1;
  for (; first > 0; first--) {
    const glue = text.slice(boxes[first - 1].end, boxes[first].start);
    if (glue.length > 60 || !GLUE.test(glue)) break;
  }
  const contents = boxes.slice(first).map(({ content }) => content);
  if (contents.length > 1) return contents.join(" , ");
  return PERCENT.test(text.slice(last.end, last.end + 20)) && !/%/.test(last.content) ? `${last.content}\\%` : last.content;
}

/** The last formula, with those before it that only "and" or commas separate, and the unit or percent sign behind it. */
function joinFormulas(text: string, formulas: readonly Formula[]): string {
  let first = formulas.length - 1;
  for (; first > 0; first--) {
    const glue = text.slice(formulas[first - 1].end, formulas[first].start);
    if (!/^\s*,?\s*(?:and|or|,)\s*$/.test(glue)) break;
  }
  const contents = formulas.slice(first).map(({ content }) => content);
  if (contents.length > 1) return contents.join(" , ");
  const after = text.slice(formulas[formulas.length - 1].end, formulas[formulas.length - 1].end + 30);
  if (PERCENT.test(after)) return `${contents[0]}\\%`;
  const unit = /^\s*([a-zA-Z]+)/.exec(after)?.[1];
  return unit !== undefined && unit.length > 1 && (isUnit(unit) || Object.hasOwn(SCALES, unit)) && /^[\d.,\s]+$/.test(contents[0])
    ? `${contents[0]}\\text{ ${unit}}`
    : contents[0];
}

function withoutFormulas(text: string, formulas: readonly { start: number; end: number }[]): string {
  let out = "";
  let from = 0;
  for (const { start, end } of formulas) {
    out += `${text.slice(from, start)} … `;
    from = end;
  }
  return out + text.slice(from);
}

const NUMBER =
  /(?<![\w.])[-+−]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3})+(?:\.\d+)?|\d+,\d+(?![\d,])|\d+(?:\.\d+)?(?:\s?\/\s?\d+)?|\.\d+)(?![\w/])/g;

/** The last number of a text, with its percent sign; a decimal comma becomes a point. */
function lastNumber(text: string): string | undefined {
  let last: RegExpExecArray | undefined;
  for (const match of text.matchAll(NUMBER)) last = match;
  if (last === undefined) return undefined;
  const value = withPoint(last[0].replace("−", "-"));
  return PERCENT.test(text.slice(last.index + last[0].length)) ? `${value}%` : value;
}

/** The number that a text begins with, money sign or not. */
function numberAtStart(text: string): string | undefined {
  const head = text.replace(/^[\s$€£*]+/, "").slice(0, 60);
  const [match] = head.matchAll(NUMBER);
  return match?.index === 0 ? lastNumber(match[0] + (PERCENT.test(head.slice(match[0].length)) ? "%" : "")) : undefined;
}

/** `1,22` as a number is 1.22; `1,234` is a thousand. */
function withPoint(number: string): string {
  return /^[-+]?\d+,\d+$/.test(number) && !/^[-+]?\d{1,3},\d{3}$/.test(number) ? number.replace(",", ".") : number;
}

/** A short text that is an answer by itself, else the value after "answer is", else the last number. */
function plainAnswers(text: string, isWhole: boolean): string[] {
  const trimmed = text.trim();
  if (isWhole && trimmed.length <= 1000 && trimmed !== "" && !isProse(trimmed)) {
    const number = withPoint(trimmed);
    return number === trimmed ? [trimmed] : [number, trimmed];
  }
  let cue: RegExpExecArray | undefined;
  for (const match of trimmed.matchAll(/\b(?:answer|result)\s*(?:is|:|=|should be|equals)\s*:?/gi)) cue = match;
  if (cue !== undefined) {
    const sentence = sentenceOf(trimmed.slice(cue.index + cue[0].length), []).trim();
    if (sentence !== "" && sentence.length <= 200 && !isProse(sentence)) return [sentence];
    const number = numberAtStart(sentence) ?? lastNumber(sentence);
    if (number !== undefined) return [number];
  }
  const number = lastNumber(trimmed);
  return number !== undefined ? [number] : isWhole && trimmed !== "" && trimmed.length <= 1000 ? [trimmed] : [];
}

/** Whether a text has digits and words that belong to no notation. */
function isProse(text: string): boolean {
  if (!/\d/.test(text)) return false;
  if (text.includes("\\")) return false;
  const words = text.match(/[a-zA-Z]{2,}/g) ?? [];
  return words.some(
    (word) =>
      !Object.hasOwn(FUNCTIONS, word) &&
      !Object.hasOwn(CONSTANT_WORDS, word) &&
      !/^(?:log|and|or|in|percent|pct|th|st|nd|rd|am|pm)$|^(?:and|or)[A-Z]$/i.test(word) &&
      !isUnit(word) &&
      wordsToNumber(word) === undefined &&
      !/^(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)/i.test(word) &&
      word.length > 3,
  );
}

/** The last letter that is named as the choice: in a box, after "answer", in brackets, or alone. */
function choiceOf(text: string): string | undefined {
  const box = boxesOf(text)
    .at(-1)
    ?.content.replace(/\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}/g, "$1");
  const inBox = box === undefined ? undefined : /^\s*\(?([A-J])\)?(?:[\s.:)]|$)/.exec(box)?.[1];
  if (inBox !== undefined) return inBox;
  const patterns = [
    /\b(?:answer|choice|option)\b[^A-Za-z]{0,10}(?:is|would be|:)?[^A-Za-z]{0,10}(?:choice |option )?\(?\**([A-J])\b/gi,
    /\(([A-J])\)/g,
    /(?:^|\n)\s*\**([A-J])\**\s*(?:[.):]|$)/gm,
  ];
  for (const pattern of patterns) {
    let last: string | undefined;
    for (const match of text.matchAll(pattern)) if (match[1] === match[1].toUpperCase()) last = match[1];
    if (last !== undefined) return last;
  }
  return undefined;
}
