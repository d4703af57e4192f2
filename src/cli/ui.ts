// `rzero ui`: the dashboard over the runs of a directory, until Ctrl-C; and `--ui` of run and resume, which starts it as a process of its own
// that cannot slow or fail the run.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setPriority } from "node:os";
import { Command } from "commander";
import { serveDashboard } from "../dashboard/server.ts";
import { runsRoot } from "../store/layout.ts";
import { ConfigError, errorText } from "../util/errors.ts";
import { wholeNumber } from "./options.ts";
import { printJsonLine, say } from "./output.ts";
import { onInterrupt } from "./signals.ts";

interface UiOptions {
  runs?: string;
  port: number;
  json?: boolean;
  beside?: boolean;
}

const DEFAULT_PORT = 7790;
const LOW_PRIORITY = 10;
const START_MS = 20_000;

export function uiCommand(): Command {
  const command = new Command("ui")
    .description("a web page over the runs of a directory, live while they write; for this machine alone")
    .option("--runs <dir>", "where runs live (default: RZERO_RUNS or ./runs)")
    .option("--port <number>", "port; 0 takes any free one", wholeNumber(0), DEFAULT_PORT)
    .option("--json", 'print {"url"} when ready')
    .addHelpText("after", "\nExample:\n  rzero ui --port 7790");
  // For `--ui`: ends with its standard input, which the run holds open.
  command.addOption(command.createOption("--beside").hideHelp());
  return command.action(serve);
}

async function serve(options: UiOptions): Promise<void> {
  if (options.port > 65535) throw new ConfigError(`port: expected at most 65535, got ${options.port}.`);
  const root = runsRoot(options.runs);
  if (options.runs !== undefined && !existsSync(root))
    throw new ConfigError(`--runs: expected a directory, got ${options.runs}, which does not exist.`);
  const signal = onInterrupt("stopping");
  if (options.beside) lowerPriority();
  const dashboard = await serveDashboard({ root, port: options.port });
  try {
    if (options.json) printJsonLine({ url: dashboard.url });
    say(`${root} at ${dashboard.url}`);
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
      if (options.beside) process.stdin.on("end", resolve).on("error", resolve).resume();
    });
  } finally {
    await dashboard.close();
  }
}

/** The run beside it goes first. */
function lowerPriority(): void {
  try {
    setPriority(LOW_PRIORITY);
  } catch {
    // Not every system lets a process do this; it works without.
  }
}

/** A dashboard beside a run. */
export interface BesideUi {
  /** Ends it. */
  close(): void;
}

/** Starts the dashboard in a process of its own and says where it is, or why there is none. Never fails. */
export function startBesideUi(runs: string): BesideUi {
  const args = [process.argv[1], "ui", "--runs", runs, "--port", "0", "--json", "--beside"];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
  let [told, problem, output] = [false, "", ""];
  const giveUp = (reason: string) => {
    if (!told) say(`the page cannot be shown, the run goes on: ${reason}`);
    told = true;
  };
  const timer = setTimeout(() => giveUp(`it did not start in ${START_MS / 1000} s`), START_MS);
  timer.unref();
  child.stderr.on("data", (text) => {
    problem = `${problem}${text}`.slice(-500);
  });
  child.stdout.on("data", (text) => {
    output = `${output}${text}`.slice(0, 1000);
    if (told || !output.includes("\n")) return;
    told = true;
    say(`page: ${urlOf(output)}`);
  });
  child.on("error", (error) => giveUp(errorText(error)));
  child.on("exit", () => giveUp(problem.trim() || "it ended at once"));
  child.stdin.on("error", () => {});
  for (const held of [child, child.stdout, child.stderr, child.stdin]) (held as { unref?: () => void }).unref?.();
  return {
    close: () => {
      told = true;
      clearTimeout(timer);
      child.stdin.end();
      child.kill("SIGTERM");
    },
  };
}

function urlOf(line: string): string {
  try {
    return String((JSON.parse(line) as { url: unknown }).url);
  } catch {
    return "it did not say where";
  }
}
