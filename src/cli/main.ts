#!/usr/bin/env node
// The program `rzero`: puts the commands together, and turns what they throw into one line and an exit code.
// 0 done, 1 failed, 2 bad usage, configuration or input, 130 interrupted. A stack is shown only under RZERO_DEBUG.

import { Command, CommanderError } from "commander";
import type { Override } from "../config/load.ts";
import {
  asDiskError,
  CheckpointError,
  ConfigError,
  DataError,
  EngineError,
  errorText,
  InterruptedError,
  RunError,
} from "../util/errors.ts";
import { packageVersion } from "../util/package-root.ts";
import { benchCommand } from "./bench.ts";
import { compareCommand } from "./compare.ts";
import { doctorCommand } from "./doctor.ts";
import { evalCommand } from "./eval.ts";
import { exportCommand } from "./export.ts";
import { generateCommand } from "./generate.ts";
import { gradeCommand } from "./grade.ts";
import { inspectCommand } from "./inspect.ts";
import { listCommand } from "./list.ts";
import { endQuietlyOnClosedPipe, say } from "./output.ts";
import { splitOverrides } from "./overrides.ts";
import { reportCommand } from "./report.ts";
import { resumeCommand } from "./resume.ts";
import { runCommand } from "./run.ts";
import { scoreCommand } from "./score.ts";
import { serveCommand } from "./serve.ts";
import { sftCommand } from "./sft.ts";
import { uiCommand } from "./ui.ts";

function program(overrides: readonly Override[]): Command {
  const root = new Command("rzero")
    .description("A language model teaches itself to reason: a Challenger and a Solver co-evolve from one base model.")
    .version(packageVersion())
    .addHelpText("after", "\nStart here:\n  rzero doctor\n  rzero run");
  const commands = [
    runCommand(overrides),
    resumeCommand(),
    listCommand(),
    inspectCommand(),
    evalCommand(),
    compareCommand(),
    generateCommand(),
    scoreCommand(),
    sftCommand(),
    gradeCommand(),
    exportCommand(),
    reportCommand(),
    serveCommand(),
    uiCommand(),
    benchCommand(),
    doctorCommand(overrides),
  ];
  for (const command of [root, ...commands]) command.exitOverride().showHelpAfterError("(--help shows what there is)");
  for (const command of commands) root.addCommand(command);
  return root;
}

async function main(args: readonly string[]): Promise<void> {
  const configured = [runCommand([]), doctorCommand([])].find((command) => command.name() === args[0]);
  if (configured === undefined) {
    await program([]).parseAsync(args, { from: "user" });
    return;
  }
  const known = new Set(configured.options.map(({ long }) => long ?? ""));
  const { rest, overrides } = splitOverrides(args, known);
  await program(overrides).parseAsync(rest, { from: "user" });
}

/** One line on standard error, and the exit code. */
function report(thrown: unknown): number {
  const error = asDiskError(thrown);
  if (process.env.RZERO_DEBUG && error instanceof Error) say(error.stack ?? "");
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has written its line
  if (error instanceof InterruptedError) {
    say(error.message);
    return 130;
  }
  if (error instanceof ConfigError || error instanceof DataError) {
    say(`rzero: ${error.message}`);
    return 2;
  }
  if (error instanceof EngineError || error instanceof RunError || error instanceof CheckpointError) {
    say(`rzero: ${error.message}`);
    return 1;
  }
  const text = errorText(error);
  say(`rzero: ${text.startsWith("internal:") ? "" : "internal: "}${text}. This is a bug; RZERO_DEBUG=1 shows where.`);
  return 1;
}

endQuietlyOnClosedPipe();
try {
  await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = report(error);
}
