// Ours against theirs: runs `rzero bench` and the scripts beside this file on the same models, one after the other in one session, and
// prints the ratio of the best of each. Figures are medians over --repeats calls; --rounds goes through all of them again, alternating,
// and takes the median of the rounds. What cannot run (no python, no llama.cpp) is left out and named. See README.md.

import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));
const { SHAPE_WORK, shapeDirectory } = await import(join(root, "dist", "engine", "shapes.js"));

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "train,decode,grpo" },
    shapes: { type: "string", default: "tiny,125m,qwen3-0.6b" },
    python: { type: "string", default: "python3" },
    llama: { type: "string" },
    repeats: { type: "string", default: "5" },
    rounds: { type: "string", default: "1" },
    threads: { type: "string", default: "1,2" },
    compile: { type: "boolean", default: true },
    share: { type: "string", default: "1" },
    wrap: { type: "string", default: "" },
    json: { type: "string" },
  },
  allowNegative: true,
});
const list = (text) => text.split(",");
const threadCounts = list(values.threads);
const mostThreads = String(Math.max(...threadCounts.map(Number)));
const problems = [];

/** Standard output of a command, or undefined with the reason noted. */
function run(what, command, args, environment = {}) {
  const words = [...values.wrap.split(" ").filter(Boolean), command, ...args.map(String)];
  const result = spawnSync(words[0], words.slice(1), {
    cwd: here,
    encoding: "utf8",
    env: { ...process.env, ...environment },
    maxBuffer: 2 ** 28,
  });
  if (result.status === 0) return result.stdout;
  const last = `${result.stderr ?? ""}`.trim().split("\n").at(-1);
  problems.push(
    `${what}: ${result.error?.code ?? `exit code ${result.status ?? result.signal}`}${last ? `: ${last.slice(0, 160)}` : ""}`,
  );
  return undefined;
}

/** Our figures of one kind, in every type; `pick` finds the result among those of the kind. */
function ours(kind, shape, pick, extra = []) {
  return ["f32", "bf16"].map((dtype) => ({
    name: `rzero ${dtype} ${mostThreads}t`,
    measure: () => {
      const args = ["bench", kind, "--dtype", dtype, "--threads", mostThreads, "--repeats", values.repeats, "--json", ...extra];
      if (shape) args.push("--shape", shape);
      const out = run(`rzero bench ${kind} ${shape ?? ""} ${dtype}`, process.execPath, [
        join(root, "dist", "cli", "main.js"),
        ...args,
      ]);
      return out && JSON.parse(out).results.find(pick);
    },
  }));
}

function script(name, file, args) {
  return {
    name,
    measure: () => {
      const out = run(name, values.python, [file, ...args, "--repeats", values.repeats]);
      const line = out
        ?.trim()
        .split("\n")
        .findLast((text) => text.startsWith("{"));
      return line && JSON.parse(line);
    },
  };
}

function trainCase(shape) {
  const work = SHAPE_WORK[shape].train;
  if (!work) return [];
  const [sequences, length] = work;
  const theirs = [];
  for (const compile of values.compile ? [false, true] : [false])
    for (const dtype of ["f32", "bf16"])
      for (const threads of threadCounts)
        theirs.push(
          script(`PyTorch ${compile ? "compiled" : "eager"} ${dtype} ${threads}t`, "train.py", [
            ...[
              "--model",
              shapeDirectory(shape),
              "--sequences",
              sequences,
              "--length",
              length,
              "--dtype",
              dtype,
              "--threads",
              threads,
            ],
            ...(compile ? ["--compile"] : []),
          ]),
        );
  return [{ title: `train ${shape} ${sequences}×${length}`, ours: ours("train", shape, ({ name }) => name === "train"), theirs }];
}

function decodeCases(shape) {
  return SHAPE_WORK[shape].decode.map((work) => {
    const [batch, prompt, fresh] = work;
    const sizes = ["--batch", batch, "--prompt", prompt, "--new", fresh];
    const theirs = ["f32", "bf16"].map((dtype) =>
      script(`generate ${dtype} ${mostThreads}t`, "generate.py", [
        "--model",
        shapeDirectory(shape),
        ...sizes,
        "--dtype",
        dtype,
        "--threads",
        mostThreads,
      ]),
    );
    if (values.llama) for (const dtype of ["f32", "bf16"]) theirs.push(llamaCpp(shape, dtype, sizes));
    const title = `decode ${shape} batch ${batch}, ${prompt} + ${fresh}`;
    return { title, ours: ours("decode", shape, (result) => result.shape.join() === work.join()), theirs };
  });
}

function llamaCpp(shape, dtype, sizes) {
  return {
    name: `llama.cpp ${dtype} ${mostThreads}t`,
    measure: () => {
      const model = shapeDirectory(shape);
      const file = join(model, `${dtype}.gguf`);
      if (
        !existsSync(file) &&
        !run(`gguf ${shape}`, values.python, ["make_gguf.py", "--model", model, "--out", file, "--dtype", dtype])
      )
        if (!existsSync(file)) return undefined;
      const args = [
        "--model",
        file,
        ...sizes,
        "--threads",
        mostThreads,
        "--dtype",
        dtype,
        "--repeats",
        values.repeats,
        "--flash",
      ];
      const out = run(`llama.cpp ${shape} ${dtype}`, process.execPath, ["llama.mjs", ...args], { LLAMA_DIR: values.llama });
      return out && JSON.parse(out.trim().split("\n").at(-1));
    },
  };
}

function grpoCase() {
  const { groups, size, prompt, completion } = SHAPE_WORK.tiny.grpo;
  const base = join(root, "assets", "tiny-base");
  const sizes = ["--prompts", groups, "--size", size, "--prompt", prompt, "--new", completion, "--threads", mostThreads];
  const theirs = ["f32", "bf16"].map((dtype) =>
    script(`TRL ${dtype} ${mostThreads}t`, "grpo.py", ["--model", base, ...sizes, "--dtype", dtype]),
  );
  return [
    {
      title: `GRPO step tiny-base ${groups}×${size}, ${prompt} + ${completion}`,
      ours: ours("grpo", "tiny", ({ name }) => name === "grpo", ["--model", "tiny-base"]),
      theirs,
    },
  ];
}

function iterationCase() {
  const base = join(root, "assets", "tiny-base");
  const four = ({ phases }) => phases.challenger + phases.curriculum + phases.solver + phases.evaluation;
  const mine = ours("iteration", undefined, ({ name }) => name === "iteration").map((entry) => ({
    ...entry,
    // the evaluation of the base belongs to a run, not to an iteration
    measure: () => ((result) => result && { ...result, seconds: four(result) })(entry.measure()),
  }));
  const theirs = [
    script(`TRL + transformers f32 ${mostThreads}t`, "iteration.py", [
      "--model",
      base,
      "--share",
      values.share,
      "--threads",
      mostThreads,
    ]),
  ];
  return [{ title: "R-Zero iteration on tiny-base", ours: mine, theirs }];
}

const shapes = list(values.shapes);
const builders = {
  train: () => shapes.flatMap(trainCase),
  decode: () => shapes.flatMap(decodeCases),
  grpo: grpoCase,
  iteration: iterationCase,
};
const cases = list(values.cases).flatMap((name) => builders[name]());

/** Median of the rounds, as seconds of one call. */
function measure(entries) {
  const rounds = entries.map(() => []);
  for (let round = 0; round < Number(values.rounds); round++)
    entries.forEach((entry, index) => {
      process.stderr.write(`  ${entry.name}\n`);
      const result = entry.measure();
      if (result) rounds[index].push(result);
    });
  return entries.flatMap(({ name }, index) => {
    const sorted = rounds[index].sort((a, b) => a.seconds - b.seconds);
    const middle = sorted[sorted.length >> 1];
    return middle ? [{ name, seconds: middle.seconds, tokensPerSecond: middle.tokensPerSecond, phases: middle.phases }] : [];
  });
}

const results = cases.map(({ title, ours: mine, theirs }) => {
  process.stderr.write(`${title}\n`);
  // alternating: one of ours, one of theirs, …
  const order = [...mine.map((entry) => [entry, "ours"]), ...theirs.map((entry) => [entry, "theirs"])];
  const alternating = [order[0], ...order.slice(mine.length), ...order.slice(1, mine.length)];
  const measured = measure(alternating.map(([entry]) => entry));
  const side = (which) =>
    measured
      .filter(({ name }) => alternating.some(([entry, whose]) => entry.name === name && whose === which))
      .sort((a, b) => a.seconds - b.seconds);
  const [best, peers] = [side("ours"), side("theirs")];
  return { title, ours: best, theirs: peers, ratio: best[0] && peers[0] ? peers[0].seconds / best[0].seconds : undefined };
});

const speed = ({ name, seconds, tokensPerSecond }) =>
  `${name}: ${tokensPerSecond ? `${tokensPerSecond.toPrecision(4)} tokens/s` : `${seconds.toPrecision(3)} s`}`;
for (const { title, ours: mine, theirs, ratio } of results) {
  console.log(`\n${title}${ratio === undefined ? "" : `: ${ratio.toFixed(2)} times as fast`}`);
  for (const entry of mine) console.log(`  ours    ${speed(entry)}`);
  for (const entry of theirs) console.log(`  theirs  ${speed(entry)}`);
}
if (problems.length > 0) console.log(`\nleft out:\n${problems.map((line) => `  ${line}`).join("\n")}`);
if (values.json) writeFileSync(values.json, `${JSON.stringify({ results, problems }, null, 2)}\n`);
