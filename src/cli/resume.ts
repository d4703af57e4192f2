// `rzero resume`: goes on with a run from the step that was in flight, however it stopped.

import { Command } from "commander";
import { runTables } from "../report/run-tables.ts";
import { runsRoot } from "../store/layout.ts";
import { openRun } from "../store/runs.ts";
import { numberBetween } from "./options.ts";
import { print, printJsonLine, say } from "./output.ts";
import { BUDGET_HELP, DEFAULT_GRACE_SECONDS, GRACE_HELP, play, UI_HELP, withTracking } from "./run.ts";

interface ResumeOptions {
  runs?: string;
  grace: number;
  budget?: string;
  mlflow?: string;
  mlflowExperiment: string;
  quiet?: boolean;
  json?: boolean;
  ui?: boolean;
}

export function resumeCommand(): Command {
  const command = new Command("resume")
    .description("go on with a run where it stopped")
    .argument("<run>", "name of the run")
    .option("--runs <dir>", "where runs live (default: RZERO_RUNS or ./runs)")
    .option("--grace <seconds>", GRACE_HELP, numberBetween(0), DEFAULT_GRACE_SECONDS)
    .option("--budget <limits>", BUDGET_HELP)
    .option("--quiet", "tell only the end, and what goes wrong")
    .option("--ui", UI_HELP)
    .option("--json", "print the run's events as JSON Lines")
    .addHelpText("after", "\nExample:\n  rzero resume tiny-001")
    .action(resume);
  return withTracking(command);
}

async function resume(name: string, options: ResumeOptions): Promise<void> {
  const store = openRun(runsRoot(options.runs), name);
  const summary = store.readSummary();
  if (summary === undefined) return play(store, options);
  say(`${name} is complete; nothing is left to do.`);
  if (options.json) printJsonLine({ event: "done", ...summary });
  else print(runTables(store));
}
