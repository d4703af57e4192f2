// `rzero grade`: are two answers equivalent? One pair from the command line, or many from a file.

import { Command } from "commander";
import type { GradingPolicy } from "../answer/equivalent.ts";
import { GraderPool } from "../answer/grader-pool.ts";
import { expectText } from "../sft/examples.ts";
import { expectObject, readJsonl } from "../store/jsonl.ts";
import { ConfigError } from "../util/errors.ts";
import { oneOf } from "./options.ts";
import { print, printJsonLine, say } from "./output.ts";

interface GradeOptions {
  gold?: string;
  predicted?: string;
  input?: string;
  policy: GradingPolicy;
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
    .option("--predicted <answer>", "the answer to judge, or a text that ends in it (the last \\boxed{} counts)")
    .option("--input <file>", 'JSON Lines of {"gold", "predicted"}; - reads standard input')
    .option(
      "--policy <name>",
      "how to compare: math-verify or mathruler (as the released R-Zero)",
      oneOf("math-verify", "mathruler"),
      "math-verify",
    )
    .option("--json", 'print {"equivalent", "reason"} per pair')
    .addHelpText(
      "after",
      "\nExamples:\n  rzero grade --gold 1/2 --predicted '\\boxed{0.5}'\n  rzero grade --input pairs.jsonl --json",
    )
    .action(grade);
}

/** Pairs are graded in order, a batch at a time, in a worker that a hostile answer cannot hang. */
async function grade(options: GradeOptions): Promise<void> {
  const pairs = pairsOf(options);
  const pool = new GraderPool({ policy: options.policy });
  try {
    for (let start = 0; start < pairs.length; start += BATCH) {
      const batch = pairs.slice(start, start + BATCH).map(({ gold, predicted }) => ({ predicted, truth: gold, texts: true }));
      for (const { equivalent, reason } of await pool.gradeAll(batch)) {
        if (options.json) printJsonLine({ equivalent, reason });
        else print(`${equivalent ? "equivalent" : "different"}: ${reason}`);
      }
    }
    if (pool.stats.killed > 0) say(`${pool.stats.killed} of ${pairs.length} pairs ended at the deadline and count as different.`);
  } finally {
    await pool.close();
  }
}

const BATCH = 256;

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
