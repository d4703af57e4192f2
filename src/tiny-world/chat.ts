// The text of a document: the chat markers around a question, and the forms of a reply. Must render exactly what
// assets/tiny-base/chat_template.jinja renders (tested).

/** What asks the Challenger for a question. */
export const CHALLENGER_PROMPT = "Pose a math problem.";

/** Ends every reply. */
export const END = "<|im_end|>";

/** The chat template of the tiny base, as Jinja. */
export const CHAT_TEMPLATE = [
  "{%- for message in messages %}",
  "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}",
  "{%- endfor %}",
  "{%- if add_generation_prompt %}",
  "{{- '<|im_start|>assistant\\n' }}",
  "{%- endif %}",
].join("\n");

/** The prompt of one user message. */
export function renderPrompt(content: string): string {
  return `<|im_start|>user\n${content}${END}\n<|im_start|>assistant\n`;
}

/** A Solver's reply; without steps it answers at once. */
export function renderReply(answer: string, steps?: readonly string[]): string {
  const thinking = steps ? `<think>${steps.join(",")}</think>` : "";
  return `${thinking}\\boxed{${answer}}${END}`;
}

/** A Challenger's reply: a question and its own answer to it. */
export function renderQuestion(question: string, answer: string): string {
  return `<question>${question}</question>\\boxed{${answer}}${END}`;
}
