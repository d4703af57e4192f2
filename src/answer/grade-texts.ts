// Grades two whole texts: finds the final answer in each, then compares. For the command line and for evaluation of free text;
// the training loop compares contents of boxes (equivalent.ts).

import { equivalent, type GradingOptions, type Verdict } from "./equivalent.ts";
import { extractBoxed } from "./extract.ts";
import { type ExtractOptions, extractAnswers } from "./extract-answer.ts";

/** Whether the final answers of two texts are equivalent. */
export function gradeTexts(
  { predicted, truth }: { predicted: string; truth: string },
  options: GradingOptions & ExtractOptions = {},
): Verdict {
  if (options.policy === "mathruler")
    return equivalent({ predicted: extractBoxed(predicted) ?? predicted, truth: extractBoxed(truth) ?? truth }, options);
  const [given, wanted] = [extractAnswers(predicted, options), extractAnswers(truth, options)];
  let first: Verdict | undefined;
  for (const left of given)
    for (const right of wanted) {
      const verdict = equivalent({ predicted: left, truth: right }, options);
      if (verdict.equivalent) return verdict;
      first ??= verdict;
    }
  return first ?? equivalent({ predicted: given[0], truth: wanted[0] }, options);
}
