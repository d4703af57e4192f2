// `rzero run`: the main job. Makes a run from a recipe and hands it to the loop; `rzero resume` hands over an existing one.

import { Command } from "commander";
import { loadConfig, type Override, recipeNames } from "../config/load.ts";
import { type Config, PRESET_NAMES } from "../config/schema.ts";
import { type MlflowStatus, MlflowTracker, mlflowSettings } from "../report/export/mlflow.ts";
import { withLessMemory } from "../selfplay/restart.ts";
import { runSelfPlay } from "../selfplay/run.ts";
import type { ProgressEvent, RunEvent } from "../store/events.ts";
import { runsRoot } from "../store/layout.ts";
import type { RunStore } from "../store/run-store.ts";
import { abandonRun, createRun } from "../store/runs.ts";
import { packageVersion } from "../util/package-root.ts";
import { type Budget, openBudget, parseBudget } from "./budget.ts";
import { describeCost, makeCostPlan } from "./cost-plan.ts";
import { resolveModel } from "./model-ref.ts";
import { httpAddress, numberBetween, oneOf, wholeNumber } from "./options.ts";
import { print, printJsonLine, say } from "./output.ts";
import { describePlan, expectFit, makePlan } from "./plan.ts";
import { withRunEngine } from "./run-engine.ts";
import { outputOf, RunPrinter } from "./run-printer.ts";
import { onInterrupt } from "./signals.ts";
import { startBesideUi } from "./ui.ts";

/** Help of --ui and --grace, for run and resume. */
export const UI_HELP = "serve a page that shows the run while it goes (rzero ui)";
export const GRACE_HELP = "seconds from SIGTERM to the end at the latest";
/** Help of --budget, for run and resume. */
export const BUDGET_HELP = "stop, saved and resumable, at 20usd, 100M-tokens or 2h (several with commas)";
/** What a preemptible machine or a container usually gives is 30. */
export const DEFAULT_GRACE_SECONDS = 25;

interface RunOptions {
  run?: string;
  base?: string;
  seed?: number;
  iterations?: number;
  preset?: string;
  threads?: string;
  runs?: string;
  grace: number;
  plan?: boolean;
  budget?: string;
  mlflow?: string;
  mlflowExperiment: string;
  quiet?: boolean;
  json?: boolean;
  ui?: boolean;
}

/** `overrides` are the `--path.to.key=value` arguments, which commander does not see. */
export function runCommand(overrides: readonly Override[]): Command {
  const command = new Command("run")
    .description("the main job: R-Zero from a base model")
    .argument("[recipe]", `a recipe (${recipeNames().join(", ")}) or a YAML file`, "tiny")
    .option("--run <name>", "name of the run (default: the recipe's name and a number)")
    .option("--base <model>", "base model: directory, tiny-base, or RUN[:ITERATION[:solver|challenger]]")
    .option("--seed <number>", "seed of every random draw", wholeNumber(0))
    .option("--iterations <count>", "co-evolution rounds", wholeNumber(1))
    .option("--preset <name>", PRESET_NAMES.join(", "), oneOf(...PRESET_NAMES))
    .option("--threads <count>", "threads, or auto")
    .option("--runs <dir>", "where runs live (default: RZERO_RUNS or ./runs)")
    .option("--grace <seconds>", GRACE_HELP, numberBetween(0), DEFAULT_GRACE_SECONDS)
    .option("--plan", "print tokens, dollars and GPU time of each phase, and do nothing")
    .option("--budget <limits>", BUDGET_HELP)
    .option("--quiet", "tell only the end, and what goes wrong")
    .option("--ui", UI_HELP)
    .option("--json", "print the run's events as JSON Lines")
    .addHelpText(
      "after",
      "\nEvery key of the configuration is an option: --path.to.key=value." +
        "\n\nExamples:\n  rzero run\n  rzero run tiny --run mine --seed 2 --solver.steps=10 --curriculum.band='[0.3, 0.8]'\n  rzero run my-recipe.yaml --base ./Qwen3-0.6B --json",
    )
    .action((recipe: string, options: RunOptions) => start(recipe, options, overrides));
  return withTracking(command);
}

/** Adds the options of a tracking server, for run and resume. */
export function withTracking(command: Command): Command {
  return command
    .option(
      "--mlflow <url>",
      "track the run on an MLflow server (default: MLFLOW_TRACKING_URI, when it is an address)",
      httpAddress,
    )
    .option("--mlflow-experiment <name>", "experiment of the tracked run", process.env.MLFLOW_EXPERIMENT_NAME || "rzero");
}

async function start(recipe: string, options: RunOptions, overrides: readonly Override[]): Promise<void> {
  const config = loadConfig({ recipe, overrides: [...namedOverrides(options), ...overrides] });
  if (options.budget !== undefined) parseBudget(options.budget);
  if (options.plan) {
    const cost = makeCostPlan(config, options.runs);
    if (options.json) printJsonLine(cost);
    else print(describeCost(cost, config));
    return;
  }
  const base = resolveModel(config.base, options.runs);
  const resolved: Config = { ...config, base: base.name === "tiny-base" ? base.name : base.dir };
  if (config.engine.kind === "local") {
    const plan = makePlan(resolved, base.dir, base.name);
    expectFit(plan);
    if (!options.quiet) (options.json ? say : print)(`${describePlan(plan)}\n`);
  }
  const store = createRun({ root: runsRoot(options.runs), config: resolved, name: options.run, version: packageVersion() });
  try {
    await play(store, options);
  } catch (error) {
    abandonRun(store); // only when nothing was done yet, so that the name is free for the next try
    throw error;
  }
}

/** The command's own options that are keys of the configuration. */
function namedOverrides({ base, seed, iterations, preset, threads }: RunOptions): Override[] {
  const given: [string, string | number | undefined][] = [
    ["base", base === undefined ? undefined : JSON.stringify(base)],
    ["seed", seed],
    ["iterations", iterations],
    ["preset", preset],
    ["engine.threads", threads],
  ];
  return given.flatMap(([key, value]) => (value === undefined ? [] : [{ path: key.split("."), text: String(value) }]));
}

/** Options of `play`. */
export interface PlayOptions {
  readonly runs?: string;
  /** Seconds from SIGTERM to the end. */
  readonly grace: number;
  /** Limits at which the run stops; see budget.ts. */
  readonly budget?: string;
  /** Address of an MLflow server, and the experiment there. */
  readonly mlflow?: string;
  readonly mlflowExperiment: string;
  readonly quiet?: boolean;
  readonly json?: boolean;
  /** Serve the dashboard beside it. */
  readonly ui?: boolean;
}

/** Runs a store's configuration from where it stands, and prints as it goes. Errors: those of the loop. */
export async function play(store: RunStore, options: PlayOptions): Promise<void> {
  const { config } = store;
  const printer = new RunPrinter(store, outputOf(options));
  const { dir: baseDir } = resolveModel(config.base, options.runs);
  const resumeCommand = `rzero resume ${store.name}${options.runs === undefined ? "" : ` --runs ${options.runs}`}`;
  store.lock();
  let budget: Budget | undefined;
  const tracker = openTracker(store, options);
  let status: MlflowStatus = "FAILED";
  const ui = options.ui ? startBesideUi(runsRoot(options.runs)) : undefined;
  try {
    budget = openBudget(options.budget, store);
    const interrupted = onInterrupt("stopping after this step; what is finished is saved", {
      graceSeconds: options.grace,
      farewell: `what was finished is saved. Go on with: ${resumeCommand}`,
    });
    const signal = eitherOf(interrupted, budget?.signal);
    const on = (event: RunEvent | ProgressEvent) => {
      printer.show(event);
      if (event.event !== "progress") tracker?.notify();
      if (event.event === "interrupted") status = "KILLED";
    };
    const report = (message: string) => {
      const event: RunEvent = { event: "engine", message };
      store.appendEvent({ ...event });
      on(event);
    };
    await withLessMemory({
      maxTokens: store.readMicroBatch() ?? config.engine.maxTokensPerMicroBatch,
      signal,
      attempt: (maxTokensPerMicroBatch) =>
        withRunEngine(config, { baseDir, runDir: store.dir, maxTokensPerMicroBatch, report, budget }, (engine) =>
          runSelfPlay({ config, store, engine, baseDir, on, signal, resumeCommand }),
        ),
      less: (event) => {
        store.writeMicroBatch(event.maxTokensPerMicroBatch);
        store.appendEvent({ ...event });
        on(event);
      },
    });
    status = "FINISHED";
  } catch (error) {
    throw budget?.explain(error, resumeCommand) ?? error;
  } finally {
    budget?.close();
    ui?.close();
    printer.clear();
    await tracker?.close(status);
    store.unlock();
  }
}

/** Aborts when either does. */
function eitherOf(first: AbortSignal, second: AbortSignal | undefined): AbortSignal {
  const controller = new AbortController();
  for (const signal of [first, second]) signal?.addEventListener("abort", () => controller.abort(), { once: true });
  return controller.signal;
}

function openTracker(store: RunStore, { mlflow, mlflowExperiment }: PlayOptions): MlflowTracker | undefined {
  const variable = process.env.MLFLOW_TRACKING_URI ?? "";
  const url = mlflow ?? (/^https?:/.test(variable) ? variable : undefined);
  if (url === undefined) return undefined;
  return new MlflowTracker(store, mlflowSettings(url, mlflowExperiment, process.env), say);
}
