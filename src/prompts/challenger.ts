// The Challenger's prompt: renders it, and parses what comes back. Both stand here so that neither can drift from the other.
// Knows the <question> and \boxed{} marks, not what a question is about. Source: R-Zero section 3.1 and appendix.

import { extractBoxed } from "../answer/extract.ts";
import type { ChatMessage, Prompt, Tokenizer } from "../engine/types.ts";

/** Tokens of a Challenger's prompt, with the beginning of its reply where the domain gives one. */
export function renderChallengerPrompt(messages: readonly ChatMessage[], tokenizer: Tokenizer, opening = ""): Prompt {
  return { tokens: tokenizer.encode(tokenizer.renderChat(messages) + opening) };
}

/** What a Challenger completion holds. */
export interface PosedQuestion {
  /** Text of the last `<question>` block, trimmed; undefined when there is none or it is empty. */
  readonly question: string | undefined;
  /** The Challenger's own answer, from the last `\boxed{}` after that block; undefined when there is none. */
  readonly ownAnswer: string | undefined;
}

const QUESTION_BLOCK = /<question>((?:(?!<question>)[\s\S])*?)<\/question>/g;

/** Parses a completion; the last complete block counts. */
export function parseChallengerCompletion(text: string): PosedQuestion {
  const last = [...text.matchAll(QUESTION_BLOCK)].at(-1);
  const question = last?.[1].trim();
  if (!last || !question) return { question: undefined, ownAnswer: undefined };
  return { question, ownAnswer: extractBoxed(text.slice(last.index + last[0].length)) };
}

/** The completion text that parses to this question and answer; used to check the parser, and to write examples. */
export function renderChallengerCompletion({ question, ownAnswer }: { question: string; ownAnswer: string }): string {
  return `<question>${question}</question>\\boxed{${ownAnswer}}`;
}
