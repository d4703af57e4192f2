// `rzero list`: the runs and how far each got.

import { Command } from "commander";
import { runsRoot } from "../store/layout.ts";
import { listRuns, type RunListing } from "../store/runs.ts";
import { formatTable } from "../util/format.ts";
import { print, printJson, say } from "./output.ts";

interface ListOptions {
  runs?: string;
  json?: boolean;
}

export function listCommand(): Command {
  return new Command("list")
    .description("runs and their state")
    .option("--runs <dir>", "where runs live (default: RZERO_RUNS or ./runs)")
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExample:\n  rzero list")
    .action(list);
}

function list(options: ListOptions): void {
  const root = runsRoot(options.runs);
  const runs = listRuns(root);
  if (options.json) {
    printJson(runs);
    return;
  }
  if (runs.length === 0) {
    say(`No runs in ${root}. Start one: rzero run`);
    return;
  }
  print(
    formatTable(["run", "state", "reached", "recipe", "seed", "created"], runs.map(row), [
      "left",
      "left",
      "left",
      "left",
      "right",
      "left",
    ]),
  );
  for (const { name, problem } of runs) if (problem !== undefined) say(`${name}: ${problem}`);
}

function row({ name, state, last, iterations, recipe, seed, created }: RunListing): string[] {
  const reached = last ? `iteration ${last.iteration} of ${iterations}, ${last.phase}` : "–";
  return [
    name,
    state,
    reached,
    recipe ?? "",
    seed === undefined ? "" : String(seed),
    created?.slice(0, 16).replace("T", " ") ?? "",
  ];
}
