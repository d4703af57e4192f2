// Whether an answer is of the kind that a domain asks for. Knows no domain.

import { readAnswer } from "./reading.ts";

/** `choice`: one letter, with or without brackets. `list`: two or more items between commas. */
export type AnswerKind = "any" | "number" | "text" | "choice" | "list";

/** Whether an answer, as it stood in its box, is of a kind. */
export function isOfKind(answer: string, kind: AnswerKind): boolean {
  switch (kind) {
    case "any":
      return true;
    case "number":
      return readAnswer(answer).kind === "number";
    case "text":
      return answer.trim() !== "";
    case "choice":
      return /^[([]?\s*[A-Za-z]\s*[)\].]*$/.test(answer.trim());
    case "list":
      return answer.includes(",") && answer.split(",").every((item) => item.trim() !== "");
  }
}
