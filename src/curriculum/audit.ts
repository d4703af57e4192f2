// Known truth about questions, where a world has it. For reporting only: nothing that trains may import a truth from here.

/** What a world knows about a question that anyone posed. */
export interface QuestionTruth {
  readonly answer: string;
  readonly family: string;
  /** Difficulty, 1 and up. */
  readonly level: number;
}

/** Reads a question's text; undefined when it is not well-formed in this world. */
export type Oracle = (question: string) => QuestionTruth | undefined;
