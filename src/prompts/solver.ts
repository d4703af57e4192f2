// The Solver's prompt: renders a question. Knows the wording only through the recipe's messages, never a domain.
// Source: R-Zero, appendix (prompt templates); prompts are data, see config `prompts.solver`.

import type { ChatMessage, Prompt, Tokenizer } from "../engine/types.ts";
import { splitChecker } from "./checker.ts";

/** The place in a prompt message that receives the question. */
export const QUESTION_SLOT = "{question}";

/** Tokens of the Solver's prompt for one question: the recipe's messages through the model's chat template, without a checker. */
export function renderSolverPrompt(question: string, messages: readonly ChatMessage[], tokenizer: Tokenizer): Prompt {
  const { text } = splitChecker(question);
  const filled = messages.map(({ role, content }) => ({ role, content: content.replaceAll(QUESTION_SLOT, () => text) }));
  return { tokens: tokenizer.encode(tokenizer.renderChat(filled)) };
}
