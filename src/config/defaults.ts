// Default prompts, sampling and GRPO figures of R-Zero, each with its source. Knows no file and no schema.
// Sources: arXiv 2508.05004 ("paper", its section 3 and appendix) and the code released with it ("released").

/** Weights that an adapter may sit on, by the last part of their Hugging Face names. */
export const LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] as const;

/** One message of a prompt; `{question}` in a Solver message receives the question. */
export interface PromptMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** Challenger prompt (paper, appendix "prompt templates"), in this project's own wording. */
export const CHALLENGER_PROMPT: PromptMessage[] = [
  {
    role: "system",
    content: [
      "You write problems for mathematics competitions.",
      "Think privately first: pick a field of mathematics, invent a problem in it, solve it, and make it harder until it is demanding.",
      "Fewer than 30 % of advanced high-school students should be able to solve it, and it must have one exact final answer.",
      "Any field is welcome: algebra, geometry, number theory, combinatorics, probability, calculus and beyond.",
      "Then write exactly these two blocks and nothing else:",
      "<question>",
      "the complete problem, understandable on its own",
      "</question>",
      "\\boxed{the final answer}",
    ].join("\n"),
  },
  {
    role: "user",
    content: "Write one new, challenging problem now. Keep to the format: the question block, then the boxed final answer.",
  },
];

/** Solver prompt (paper, appendix "prompt templates"), in this project's own wording. */
export const SOLVER_PROMPT: PromptMessage[] = [
  { role: "system", content: "Reason step by step, and put your final answer within \\boxed{}." },
  { role: "user", content: "{question}" },
];

/** Sampling of both policies in training (released, EasyR1 settings): T 1.0, top-p 0.99, at most 4,096 tokens. */
export const POLICY_SAMPLING = { temperature: 1, topP: 0.99, topK: 0, maxTokens: 4096 };

/** Solver answers that give the vote share (released): T 1.0, top-k 40, at most 4,096 tokens. */
export const VOTE_SAMPLING = { temperature: 1, topP: 1, topK: 40, maxTokens: 4096 };
