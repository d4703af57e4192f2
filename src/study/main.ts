// `npm run study`: runs the arms of study/arms.yaml over seeds and writes study.json, plots and the tables of a README. Can be stopped at
// any time (Ctrl-C, a kill) and goes on with the same command; stopped by Ctrl-C it reports what it has.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { openRun, runExists } from "../store/runs.ts";
import { ConfigError, errorText } from "../util/errors.ts";
import { readText, writeFileAtomic } from "../util/files.ts";
import { packageRoot, packageVersion } from "../util/package-root.ts";
import { chooseArms, type PlannedArm, planArms, readStudy } from "./arms.ts";
import { execute, type Job, planJobs, problemOf, readLowTemperature, runName } from "./execute.ts";
import { replaceBlocks } from "./format.ts";
import { plots } from "./plots.ts";
import { questionIntervals } from "./questions.ts";
import { collectRun, type RunRecord } from "./record.ts";
import { type StudyResult, tables } from "./tables.ts";

const HELP = `npm run study -- [options]

  --file FILE     the arms (default: study/arms.yaml)
  --arms a,b      names of arms (default: all)
  --seeds 1,2     seeds (default: 1,2,3,4,5)
  --jobs 2        runs at a time (default: 2)
  --threads 1     threads of each run; no result depends on it (default: the cores shared among the jobs)
  --rounds N      stop every run after N iterations for now; without it, the same command goes on
  --runs DIR      where the runs live (default: runs/study)
  --out DIR       where study.json, plots and README.md go (default: docs/results)
  --report        run nothing: write the report of what is there
  --list          show the arms and in what they differ
  --quick         minutes instead of hours: checks the tool, gives no result (runs/study-quick)
`;

interface Options {
  readonly file: string;
  readonly arms?: readonly string[];
  readonly seeds: readonly number[];
  readonly jobs: number;
  readonly threads: number;
  readonly rounds?: number;
  readonly runs: string;
  readonly out: string;
  readonly report: boolean;
  readonly list: boolean;
  readonly quick: boolean;
}

/** Reads the command line; undefined asks for help. Errors: ConfigError. */
export function parseOptions(args: readonly string[]): Options | undefined {
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        ...Object.fromEntries(
          ["file", "arms", "seeds", "jobs", "threads", "rounds", "runs", "out"].map((name) => [
            name,
            { type: "string" as const },
          ]),
        ),
        ...Object.fromEntries(["report", "list", "quick", "help"].map((name) => [name, { type: "boolean" as const }])),
      },
    }));
  } catch (error) {
    throw new ConfigError(`study: ${errorText(error)}\n\n${HELP}`);
  }
  if (values.help === true) return undefined;
  const text = (name: string, fallback: string) => String(values[name] ?? fallback);
  const quick = values.quick === true;
  const jobs = wholeNumber("--jobs", text("jobs", "2"), 1);
  const runs = resolve(text("runs", join(packageRoot, "runs", quick ? "study-quick" : "study")));
  return {
    file: resolve(text("file", join(packageRoot, "study", "arms.yaml"))),
    arms: values.arms === undefined ? undefined : text("arms", "").split(","),
    seeds: text("seeds", quick ? "1" : "1,2,3,4,5")
      .split(",")
      .map((seed) => wholeNumber("--seeds", seed, 0)),
    jobs,
    threads: wholeNumber("--threads", text("threads", String(Math.max(1, Math.floor(cpus().length / jobs)))), 1),
    rounds: values.rounds === undefined ? undefined : wholeNumber("--rounds", text("rounds", ""), 1),
    runs,
    out: resolve(text("out", quick ? join(runs, "results") : join(packageRoot, "docs", "results"))),
    report: values.report === true,
    list: values.list === true,
    quick,
  };
}

function wholeNumber(option: string, text: string, least: number): number {
  const value = Number(text);
  if (/^\d{1,9}$/.test(text) && value >= least) return value;
  throw new ConfigError(`${option}: expected a whole number from ${least}, got "${text}".`);
}

const say = (line: string) => process.stderr.write(`${line}\n`);

/** Runs the command; gives its exit code. Errors: ConfigError, DataError. */
export async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === undefined) {
    process.stdout.write(HELP);
    return 0;
  }
  const study = readStudy(options.file);
  const { planned, empty } = planArms(study, chooseArms(study, options.arms), options);
  if (options.list) {
    for (const { name, title, iterations, against, differs } of planned)
      process.stdout.write(`${name}: ${title}, ${iterations} iterations; against ${against ?? "none"}: ${differs.join(", ")}\n`);
    process.stdout.write(`nothing to ablate: ${empty.join(", ") || "none"}\n`);
    return 0;
  }
  const jobs = planJobs(planned, options.seeds);
  const abort = new AbortController();
  const interrupt = () => {
    say("stopping; the runs under way save what is finished, and the same command goes on from there");
    abort.abort();
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, interrupt);
  const failed = options.report
    ? 0
    : await execute({ ...options, study, jobs, parallel: options.jobs, signal: abort.signal, say });
  const result = collect(options, { args, jobs, planned, empty });
  if (result.runs.length === 0) {
    say("no run has got to its first evaluation; nothing to report");
    return abort.signal.aborted ? 130 : 1;
  }
  writeReport(result, options.out);
  say(`written ${relative(process.cwd(), options.out)}/{study.json,README.md,*.svg}`);
  if (abort.signal.aborted) return 130;
  return failed > 0 ? 1 : 0;
}

/** What a report is made of, beside the options. */
interface Collected {
  readonly args: readonly string[];
  readonly jobs: readonly Job[];
  readonly planned: readonly PlannedArm[];
  readonly empty: readonly string[];
}

function collect({ runs, jobs: parallel, seeds, quick }: Options, { args, jobs, planned, empty }: Collected): StudyResult {
  const records = jobs.flatMap((job): RunRecord[] => {
    if (!runExists(runs, job.name)) return [];
    const about = {
      arm: job.arm.name,
      seed: job.seed,
      problem: problemOf(runs, job.name),
      lowTemperature: readLowTemperature(job, runs),
    };
    const record = collectRun(openRun(runs, job.name), about);
    return record === undefined ? [] : [record];
  });
  const seconds = records.flatMap(({ iterations }) => iterations.flatMap((record) => Object.values(record.seconds)));
  const arms = planned.map(({ name, title, iterations, against, curve, differs }) => ({
    name,
    title,
    iterations,
    against,
    curve,
    differs,
  }));
  return {
    format: 1,
    about: {
      rzero: packageVersion(),
      commit: commitOf(packageRoot),
      command: ["npm run study", ...(args.length > 0 ? ["--", ...args.map(plainArgument)] : [])].join(" "),
      node: process.version,
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      jobs: parallel,
      finished: new Date().toISOString(),
      computeSeconds: Math.round(seconds.reduce((sum, part) => sum + part, 0)),
      quick,
    },
    seeds,
    arms,
    empty,
    runs: records,
    overQuestions: questionIntervals(arms, records, ({ arm, seed }) => openRun(runs, runName(arm, seed))),
  };
}

/** Paths of this machine are nobody else's. */
function plainArgument(argument: string): string {
  return argument.startsWith("/") ? "DIR" : argument;
}

function commitOf(dir: string): string {
  const { stdout, status } = spawnSync("git", ["-C", dir, "rev-parse", "--short", "HEAD"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : "unknown";
}

const PLOT_TITLES: Readonly<Record<string, string>> = {
  "mean-at-8.svg": "mean@8 over iterations",
  "greedy.svg": "greedy accuracy over iterations",
  "label-accuracy.svg": "label accuracy over iterations",
  "differences.svg": "differences to the rival arm",
};

/** Writes study.json, the plots, and the generated blocks of README.md, whose other text stays. */
export function writeReport(result: StudyResult, out: string): void {
  const drawn = plots(result);
  for (const [name, svg] of Object.entries(drawn)) writeFileAtomic(join(out, name), svg);
  const { runs, ...rest } = result;
  // One run a line: a study that goes on changes few of them.
  const lines = runs.map((run) => JSON.stringify(run)).join(",\n");
  writeFileAtomic(join(out, "study.json"), `${JSON.stringify(rest).slice(0, -1)},"runs":[\n${lines}\n]}\n`);
  const file = join(out, "README.md");
  const before = existsSync(file) ? readText(file, 1024 * 1024) : "# Results of the study\n";
  const images = Object.fromEntries(
    Object.keys(drawn).map((name) => [`plot ${name.replace(".svg", "")}`, `![${PLOT_TITLES[name]}](${name})`]),
  );
  writeFileAtomic(file, replaceBlocks(before, { ...tables(result), ...images }));
}
