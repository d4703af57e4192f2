// `rzero grade`: are two answers equivalent? One pair from the command line, or many from a file.

import { Command } from "commander";
import { equivalent, type Verdict } from "../answer/equivalent.ts";
import { extractBoxed } from "../answer/extract.ts";
import { expectText } from "../sft/examples.ts";
import { expectObject, readJsonl } from "../store/jsonl.ts";
import { ConfigError } from "../util/errors.ts";
import { oneOf } from "./options.ts";
import { print, printJsonLine } from "./output.ts";

interface GradeOptions {
  gold?: string;
  predicted?: string;
  input?: string;
  policy: "math-verify";
  json?: boolean;
}

/** An answer pair as given; either may hold its answer in a box. */
interface Pair {
  readonly gold: string;
  readonly predicted: string;
}

export function gradeCommand(): Command {
  return new Command("grade")
    .description("say whether two answers mean the same (1/2 = 0.5 = \\frac12)")
    .option("--gold <answer>", "the true answer")
    .option("--predicted <answer>", "the answer to judge; the last \\boxed{} counts when there is one")
    .option("--input <file>", 'JSON Lines of {"gold", "predicted"}; - reads standard input')
    .option("--policy <name>", "how to compare: math-verify", oneOf("math-verify"), "math-verify")
    .option("--json", 'print {"equivalent", "reason"} per pair')
    .addHelpText(
      "after",
      "\nExamples:\n  rzero grade --gold 1/2 --predicted '\\boxed{0.5}'\n  rzero grade --input pairs.jsonl --json",
    )
    .action(grade);
}

function grade(options: GradeOptions): void {
  for (const { gold, predicted } of pairsOf(options)) {
    const verdict = judge({ gold, predicted });
    if (options.json) printJsonLine(verdict);
    else print(`${verdict.equivalent ? "equivalent" : "different"}: ${verdict.reason}`);
  }
}

function judge({ gold, predicted }: Pair): Verdict {
  const { equivalent: same, reason } = equivalent({
    predicted: extractBoxed(predicted) ?? predicted,
    truth: extractBoxed(gold) ?? gold,
  });
  return { equivalent: same, reason };
}

function pairsOf({ gold, predicted, input }: GradeOptions): Pair[] {
  if (input !== undefined) {
    if (gold !== undefined || predicted !== undefined)
      throw new ConfigError("grade: expected --input or --gold and --predicted, got both.");
    return readJsonl(input, (value, where) => {
      const row = expectObject(value, where);
      return { gold: expectText(row.gold, "gold", where), predicted: expectText(row.predicted, "predicted", where) };
    });
  }
  if (gold === undefined || predicted === undefined)
    throw new ConfigError(
      `grade: expected --gold and --predicted, or --input FILE, got no ${gold === undefined ? "--gold" : "--predicted"}.`,
    );
  return [{ gold, predicted }];
}
