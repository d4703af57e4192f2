// The main job's evidence: the recipe `tiny` over several seeds, beside an untrained Challenger and shuffled labels.
// `node scripts/study.mjs [--seeds 5] [--jobs 2] [--runs runs/study] [--out docs/results/main-job.md] [--base DIR]`. Runs that are
// already there are not made again, so the study can be stopped and started anew. Every job computes on its own threads.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { pairedDifference } from "../dist/evaluation/statistics.js";
import { rngFrom } from "../dist/util/rng.js";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: options } = parseArgs({
  options: {
    seeds: { type: "string", default: "5" },
    jobs: { type: "string", default: "2" },
    runs: { type: "string", default: join(root, "runs", "study") },
    out: { type: "string", default: join(root, "docs", "results", "main-job.md") },
    base: { type: "string" },
    recipe: { type: "string", default: "tiny" },
  },
});
const seeds = Array.from({ length: Number(options.seeds) }, (_, index) => index + 1);
const ARMS = {
  trained: [],
  untrained: ["--challenger.train=false"],
  shuffled: ["--curriculum.shuffleLabels=true"],
};

function runOne(arm, seed) {
  const name = `${arm}-${seed}`;
  const dir = join(options.runs, name);
  if (existsSync(join(dir, "done.json"))) return Promise.resolve();
  const threads = Math.max(1, Math.floor(cpus().length / Number(options.jobs)));
  const start = ["run", options.recipe, "--run", name, "--seed", String(seed), `--engine.threads=${threads}`, ...ARMS[arm]];
  if (options.base) start.push("--base", options.base);
  const command = existsSync(dir) ? ["resume", name] : start;
  const child = spawn(process.execPath, [join(root, "dist", "cli", "main.js"), ...command, "--runs", options.runs, "--json"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  return new Promise((resolve, reject) => {
    child.on("exit", (code) => {
      if (code === 0) return resolve();
      // A control that runs out of questions ends early; that is a result, recorded as such.
      if (arm === "shuffled" && code === 1) return resolve();
      reject(new Error(`study: expected run ${name} to end with exit code 0, got ${code}. See above.`));
    });
  });
}

async function runAll() {
  mkdirSync(options.runs, { recursive: true });
  const queue = seeds.flatMap((seed) => Object.keys(ARMS).map((arm) => ({ arm, seed })));
  const total = queue.length;
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) {
      const started = performance.now();
      await runOne(job.arm, job.seed);
      console.error(
        `${job.arm} seed ${job.seed}: ${((performance.now() - started) / 1000).toFixed(0)} s, ${total - queue.length}/${total}`,
      );
    }
  };
  await Promise.all(Array.from({ length: Number(options.jobs) }, worker));
}

const readJson = (file) => JSON.parse(readFileSync(file, "utf8"));
const iterationDir = (iteration) => `iteration-${String(iteration).padStart(2, "0")}`;

/** Per-question means of one evaluation: greedy and sampled, in question order. */
function perQuestion(name, iteration, line = "solver") {
  const file = join(options.runs, name, iterationDir(iteration), "evaluation", "answers.jsonl");
  const rows = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((text) => JSON.parse(text))
    .filter((row) => row.line === line);
  return {
    greedy: rows.map(({ greedy }) => Number(greedy.correct)),
    mean: rows.map(({ samples }) => samples.filter(({ correct }) => correct).length / samples.length),
  };
}

function lastIteration(name) {
  for (let iteration = 99; iteration >= 0; iteration--)
    if (existsSync(join(options.runs, name, iterationDir(iteration), "evaluation", "done.json"))) return iteration;
  throw new Error(`study: expected a finished evaluation in ${name}, got none.`);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const deviation = (values) =>
  Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / Math.max(1, values.length - 1));
const points = (value) => (100 * value).toFixed(1);
const signed = (value) => `${value >= 0 ? "+" : "−"}${points(Math.abs(value))}`;

/** Paired difference a − b, each question averaged over the seeds, bootstrap over questions. */
function compare(a, b, measure) {
  const average = (runs) => runs[0][measure].map((_, question) => mean(runs.map((run) => run[measure][question])));
  const rng = rngFrom(1, "study", measure);
  const perSeed = a.map((run, seed) => mean(run[measure]) - mean(b[seed][measure]));
  return { ...pairedDifference(average(a), average(b), () => rng.next()), perSeed };
}

/** 97.5 % quantiles of Student's t by degrees of freedom, 1 to 9; beyond that the normal one is near enough. */
const STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/** Half-width of the 95 % interval of a mean over seeds. */
function halfWidth(values) {
  const quantile = STUDENT[values.length - 2] ?? 1.96;
  return (quantile * deviation(values)) / Math.sqrt(values.length);
}

function comparisonRow(title, a, b) {
  const cells = ["greedy", "mean"].map((measure) => {
    const { difference, ci95, perSeed } = compare(a, b, measure);
    return `${signed(difference)} [${signed(ci95[0])}, ${signed(ci95[1])}]; over seeds ± ${points(halfWidth(perSeed))}: ${perSeed.map(signed).join(", ")}`;
  });
  return `| ${title} | ${cells.join(" | ")} |`;
}

function scoreRow(title, runs) {
  const cell = (measure) => {
    const values = runs.map((run) => mean(run[measure]));
    return `${points(mean(values))} ± ${points(deviation(values))}`;
  };
  return `| ${title} | ${cell("greedy")} | ${cell("mean")} |`;
}

function loopRows(arm) {
  const iterations = lastIteration(`${arm}-${seeds[0]}`);
  return Array.from({ length: iterations }, (_, index) => {
    const iteration = index + 1;
    const all = seeds.map((seed) =>
      readJson(join(options.runs, `${arm}-${seed}`, iterationDir(iteration), "curriculum", "done.json")),
    );
    const first = seeds.flatMap((seed) => {
      const file = join(options.runs, `${arm}-${seed}`, iterationDir(iteration), "challenger", "done.json");
      return existsSync(file) ? [readJson(file).steps[0]] : [];
    });
    const of = (rows, key, format) => (rows.length > 0 ? format(mean(rows.map((row) => row[key]))) : "–");
    const level = (value) => value.toFixed(2);
    return `| ${arm} | ${iteration} | ${of(first, "inBand", points)} → ${of(all, "inBand", points)} | ${of(first, "level", level)} → ${of(all, "level", level)} | ${of(all, "kept", (value) => value.toFixed(0))} | ${of(all, "labelAccuracy", points)} |`;
  });
}

function report() {
  const base = seeds.map((seed) => perQuestion(`trained-${seed}`, 0));
  const thinking = seeds.map((seed) => perQuestion(`trained-${seed}`, 0, "forced-prefix"));
  const final = Object.fromEntries(
    Object.keys(ARMS).map((arm) => [arm, seeds.map((seed) => perQuestion(`${arm}-${seed}`, lastIteration(`${arm}-${seed}`)))]),
  );
  const iterations = lastIteration(`trained-${seeds[0]}`);
  const perIteration = Array.from({ length: iterations }, (_, index) =>
    seeds.map((seed) => perQuestion(`trained-${seed}`, index + 1)),
  );
  const seconds = seeds.map((seed) => readJson(join(options.runs, `trained-${seed}`, "done.json")).seconds);
  return `# The main job over ${seeds.length} seeds

Made by \`node scripts/study.mjs\`: recipe \`${options.recipe}\`, seeds ${seeds.join(", ")}, ${base[0].mean.length} held-out questions, in percent; ± is the
standard deviation over seeds. Machine: ${cpus()[0].model}, ${options.jobs} runs at a time on ${cpus().length} cores; a run took ${Math.min(...seconds).toFixed(0)} to ${Math.max(...seconds).toFixed(0)} s.

| | greedy | mean@8, T = 1 |
|---|---|---|
${scoreRow("base", base)}
${scoreRow("base forced to begin with `<think>` (the elicitation line)", thinking)}
${perIteration.map((runs, index) => scoreRow(`trained Challenger, iteration ${index + 1}`, runs)).join("\n")}
${scoreRow("untrained Challenger, last iteration", final.untrained)}
${scoreRow("shuffled labels, last iteration", final.shuffled)}

Differences in points: in brackets the 95 % bootstrap interval over questions (each question averaged over the seeds), then the 95 %
interval over seeds (Student's t), which also holds the spread of training, and each seed:

| | greedy | mean@8 |
|---|---|---|
${comparisonRow("trained − base", final.trained, base)}
${comparisonRow("trained − untrained Challenger", final.trained, final.untrained)}
${comparisonRow("trained − base forced to think", final.trained, thinking)}
${comparisonRow("shuffled labels − base", final.shuffled, base)}

The Challenger before its training in that iteration → after (the pool), means over seeds; level and label accuracy come from
known truth, which nothing trains on:

| Challenger | iteration | in band % | level | kept | label accuracy % |
|---|---|---|---|---|---|
${[...loopRows("trained"), ...loopRows("untrained")].join("\n")}
`;
}

await runAll();
mkdirSync(dirname(options.out), { recursive: true });
writeFileSync(options.out, report());
console.error(`written ${options.out}`);
