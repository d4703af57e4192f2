// Which questions may be trained on: a hash of the question's text decides, so no question can be on two sides.
// Knows nothing of what a question says.

import { createHash } from "node:crypto";

/** `evaluation` is reported, `tuning` chooses settings, `corpus` may be trained on. */
export type Split = "evaluation" | "tuning" | "corpus";

/** The side of a question: sha256 of its text modulo 100; 0 to 9 evaluation, 10 to 19 tuning, the rest corpus. */
export function split(question: string): Split {
  const bucket = createHash("sha256").update(question, "utf8").digest().readUInt32BE(0) % 100;
  if (bucket < 10) return "evaluation";
  return bucket < 20 ? "tuning" : "corpus";
}
