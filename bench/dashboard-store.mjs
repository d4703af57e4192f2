// Writes a store of synthetic runs as large as the dashboard must bear: RUNS runs of 1,000 steps, 1,000,000 questions and 1,000,000 archived
// rollouts. The files have the form that a run writes; their content is drawn by counters. Used by dashboard.mjs and the page's tests.
// Usage: node bench/dashboard-store.mjs DIR [--runs 10] [--scale 1]

import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const ITERATIONS = 10;
const STEPS = 50;
const POOL = 10_000;
const GROUPS = 20;
const GROUP = 8;
const POSED = 40;

const NAMES = ["Ann", "Sam", "Lee", "Mia", "Tom", "Zoe", "Ben", "Ida"];
const THINGS = ["nuts", "coins", "eggs", "books", "pens", "cups", "shells", "stamps"];

/** A number from counters, in [0, 1). */
function draw(a, b) {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x27d4eb2f, 0xc2b2ae35);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  h ^= h >>> 13;
  return (h >>> 0) / 2 ** 32;
}

function questionOf(n, seed) {
  const pick = (k, of) => Math.floor(draw(n, seed * 16 + k) * of);
  const [a, b, c] = [pick(1, 90) + 10, pick(2, 90) + 10, pick(3, 9) + 2];
  switch (pick(0, 6)) {
    case 0:
      return [`${NAMES[pick(4, 8)]} has ${a} ${THINGS[pick(5, 8)]}, gets ${b}, loses ${c}. How many are left?`, a + b - c];
    case 1:
      return [`Compute $\\frac{${a * c}}{${c}} + ${b}$.`, a + b];
    case 2:
      return [`What is the sum of ${a}, ${b} and ${c}?`, a + b + c];
    case 3:
      return [`Let $x^2 = ${a * a}$ with $x > 0$. Find $x + ${b}$.`, a + b];
    case 4:
      return [`A clock shows ${pick(6, 12) + 1}:00. Which hour does it show ${b} hours later?`, ((pick(6, 12) + b) % 12) + 1];
    default:
      return [`How many multiples of ${c} lie between ${a} and ${a + b}?`, Math.floor((a + b) / c) - Math.ceil(a / c) + 1];
  }
}

function answersOf(n, seed, truth) {
  const skill = draw(n, seed + 900);
  return Array.from({ length: 10 }, (_, m) => (draw(n * 16 + m, seed) < skill ? String(truth) : String(truth + 1 + (m % 3))));
}

function majorityOf(answers) {
  const counts = {};
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  const [label, count] = Object.entries(counts).sort((x, y) => y[1] - x[1])[0];
  return { label, share: count / answers.length };
}

function poolLine(n, seed) {
  const [question, truth] = questionOf(n, seed);
  const answers = answersOf(n, seed, truth);
  const { label, share } = majorityOf(answers);
  const verdict = share < 0.3 ? "belowBand" : share > 0.8 ? "aboveBand" : "kept";
  const row = { question, ownAnswer: String(truth), pseudoLabel: label, voteShare: share, answers, verdict };
  return {
    row: JSON.stringify(row),
    truth: JSON.stringify({ line: (n % POOL) + 1, truth: String(truth), right: label === String(truth) }),
  };
}

/** Texts, tokens and logprobs of rollouts, made once and used again. */
const SAMPLES = Array.from({ length: 64 }, (_, k) => {
  const words = Array.from({ length: 24 }, (_, i) => ["first", "add", "so", "then", `${k * i}`, "we", "get", "the"][(k + i) % 8]);
  const texts = words.map((word, i) => (i === 0 ? word : ` ${word}`));
  const logprobs = texts.map((_, i) => Math.round(-1e4 * draw(k, i) ** 3 * 4) / 1e4);
  return JSON.stringify({
    reward: k % 2,
    advantage: k % 2 === 0 ? -0.5 : 0.5,
    stopReason: k % 13 === 0 ? "length" : "stop",
    text: texts.join(""),
    tokens: texts.map((_, i) => (k * 31 + i * 7) % 5000),
    cuts: texts.map((text) => text.length),
    logprobs,
  });
});

function solverLine(iteration, group, n, pool) {
  const line = Math.floor(draw(n, 5) * pool) + 1;
  const samples = Array.from({ length: GROUP }, (_, m) => SAMPLES[(n * GROUP + m + group) % 64]);
  return `{"iteration":${iteration},"line":${line},"size":${GROUP},"meanReward":0.5,"samples":[${samples.join(",")}]}`;
}

function challengerLine(n, seed) {
  const [question, truth] = questionOf(n, seed);
  const answers = answersOf(n, seed, truth);
  const { label, share } = majorityOf(answers);
  const uncertainty = 1 - 2 * Math.abs(share - 0.5);
  const reward = { total: uncertainty, uncertainty, repetition: 0.01, novelty: 0 };
  const head = {
    question,
    ownAnswer: String(truth),
    verdict: "wellFormed",
    pseudoLabel: label,
    voteShare: share,
    answers,
    reward,
  };
  return `${JSON.stringify({ ...head, cluster: n % 7, size: 1, meanReward: uncertainty }).slice(0, -1)},"samples":[${SAMPLES[n % 64]}]}`;
}

function metricsOf(role, step) {
  const wave = Math.sin(step / 40);
  const common = {
    loss: -0.05,
    klPenalty: 0.001 * step ** 0.5,
    clipFractionLow: 0.01,
    clipFractionHigh: 0.02,
    entropy: 0.9 - step / 2000,
  };
  const training = {
    ...common,
    gradNorm: 0.2 + wave / 20,
    samplerMismatch: 0,
    tokens: 12_000,
    zeroVarianceGroups: 3,
    groups: GROUPS,
  };
  if (role === "solver") return { ...training, reward: 0.4 + step / 2000 + wave / 20, meanTokens: 24, truncated: 0.01 };
  const own = {
    reward: 0.3 + wave / 10,
    uncertainty: 0.35,
    repetitionPenalty: 0.05,
    wellFormed: 0.95,
    voteShare: 0.7,
    inBand: 0.5,
  };
  return { ...training, ...own, level: 2.5, meanTokens: 30, truncatedAnswers: 0.01 };
}

const lines = (count, make) => `${Array.from({ length: count }, (_, index) => make(index)).join("\n")}\n`;

/** Writes one run below `root`, like `like` in configuration. */
export function writeRun(root, name, like, seed, { scale = 1, iterations = ITERATIONS, steps = STEPS } = {}) {
  const dir = join(root, name);
  mkdirSync(dir, { recursive: true });
  for (const file of ["config.yaml", "run.json"]) cpSync(join(like, file), join(dir, file));
  const pool = Math.ceil(POOL * scale);
  const started = Date.UTC(2026, 0, 1);
  const events = [{ event: "start", run: name, recipe: "tiny", seed: 1, iterations, resumed: false }];
  for (let iteration = 1; iteration <= iterations; iteration++) {
    const base = join(dir, `iteration-${String(iteration).padStart(2, "0")}`);
    const phase = (name) => join(base, name);
    for (const of of ["challenger/rollouts", "curriculum", "solver/rollouts"]) mkdirSync(phase(of), { recursive: true });
    const rows = Array.from({ length: pool }, (_, n) => poolLine(iteration * POOL + n, seed));
    writeFileSync(phase("curriculum/truths.jsonl"), `${rows.map(({ truth }) => truth).join("\n")}\n`);
    writeFileSync(phase("curriculum/questions.jsonl"), `${rows.map(({ row }) => row).join("\n")}\n`);
    for (const role of ["challenger", "solver"]) {
      events.push({ event: "phase", iteration, phase: role, state: "start" });
      for (let step = 1; step <= steps; step++) {
        const n = (iteration * STEPS + step) * 64;
        const count = Math.ceil((role === "solver" ? GROUPS : POSED) * scale);
        const file = phase(`${role}/rollouts/step-${String(step).padStart(6, "0")}.jsonl`);
        const make = (k) => (role === "solver" ? solverLine(iteration, k, n + k, pool) : challengerLine(n + k, seed + 50));
        writeFileSync(file, lines(count, make));
        const metrics = metricsOf(role, (iteration - 1) * steps + step);
        events.push({ event: `${role}-step`, iteration, step, steps, seconds: 2, metrics });
      }
      events.push({ event: "phase", iteration, phase: role, state: "done", seconds: 2 * steps });
      writeFileSync(phase(`${role}/done.json`), '{"steps":[]}\n');
    }
    writeFileSync(phase("curriculum/done.json"), '{"pool":1,"kept":1}\n');
  }
  const timed = events.map((event, index) => JSON.stringify({ time: new Date(started + index * 2000).toISOString(), ...event }));
  writeFileSync(join(dir, "events.jsonl"), `${timed.join("\n")}\n`);
}

/** Writes `runs` runs; `like` is a run's directory whose configuration they take. */
export function writeStore(root, like, { runs = 10, scale = 1 } = {}) {
  for (let run = 1; run <= runs; run++) {
    const name = `big-${String(run).padStart(2, "0")}`;
    if (!existsSync(join(root, name, "events.jsonl"))) writeRun(root, name, like, run, { scale });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const options = { runs: { type: "string", default: "10" }, scale: { type: "string", default: "1" }, like: { type: "string" } };
  const { positionals, values } = parseArgs({ allowPositionals: true, options });
  writeStore(positionals[0], values.like, { runs: Number(values.runs), scale: Number(values.scale) });
}
